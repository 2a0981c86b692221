//! A package and its next version, the same in every run: a mixture of what compresses and what does not, and changes as a release
//! has them.

/// SplitMix64: the same bytes on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

/// Words of which texts and tables are made.
const WORDS: [&str; 12] =
    ["version", "library", "return", "static", "const", "module", "value", "error", "handle", "index", "the", "of"];

/// So many bytes of one member: compressed data, a program, or a text.
fn member(random: &mut Random, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 16);
    match random.below(10) {
        // Two in five are compressed already.
        0..4 => {
            while bytes.len() < length {
                bytes.extend_from_slice(&random.next().to_le_bytes());
            }
        }
        // Programs: short instructions of few kinds, with numbers in between.
        4..7 => {
            while bytes.len() < length {
                bytes.extend_from_slice(&[0x48, 0x89, random.next().to_le_bytes()[0] & 0x3f, 0x8b]);
                if random.below(3) == 0 {
                    bytes.extend_from_slice(&(random.next() & 0xffff).to_le_bytes()[..4]);
                }
            }
        }
        _ => {
            while bytes.len() < length {
                bytes.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
                bytes.push(if random.below(9) == 0 { b'\n' } else { b' ' });
            }
        }
    }
    bytes.truncate(length);
    bytes
}

/// A package of about so many bytes.
#[must_use]
pub fn package(bytes: usize) -> Vec<u8> {
    let mut random = Random(42);
    let mut package = Vec::with_capacity(bytes);
    while package.len() < bytes {
        let length = (4_096 + random.below(2 << 20)).min(bytes - package.len());
        package.extend_from_slice(&member(&mut random, length));
    }
    package
}

/// Its next version: a few members are other ones, of other lengths; some bytes are changed in place; something is put in and
/// something taken out.
#[must_use]
pub fn next_version(old: &[u8]) -> Vec<u8> {
    let mut random = Random(43);
    let mut new = old.to_vec();
    // One byte in a hundred or so, in eight members.
    for part in 0..8 {
        let at = (new.len() / 8 * part + random.below(new.len() / 16)).min(new.len());
        let length = (new.len() / 1_600).min(new.len() - at);
        let longer = length + random.below(length / 4 + 1);
        let changed = member(&mut random, longer);
        new.splice(at..at + length, changed);
    }
    // Numbers and dates, in place.
    for _ in 0..24 {
        let at = random.below(new.len().saturating_sub(16));
        let value = random.next().to_le_bytes()[0];
        new.iter_mut().skip(at).take(8).for_each(|byte| *byte = value);
    }
    let (cut, put) = (random.below(new.len() / 2), random.below(new.len()));
    new.drain(cut..(cut + 5_000).min(new.len()));
    let put = put.min(new.len());
    new.splice(put..put, member(&mut Random(44), 70_000));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_the_same_in_every_run_and_its_next_version_is_mostly_the_same() {
        let old = package(2 << 20);
        assert_eq!((old.len(), muster_trust::sha256(&old)), (2 << 20, muster_trust::sha256(&package(2 << 20))));
        let new = next_version(&old);
        assert!(new != old && new.len().abs_diff(old.len()) < 200_000, "{}", new.len());
        let packed = zstd::bulk::compress(&old, 3).map_or(0, |packed| packed.len());
        assert!(packed > old.len() / 4 && packed < old.len() * 9 / 10, "{packed}");
    }
}
