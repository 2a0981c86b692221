//! Numbers that look random and are the same for the same seed: SplitMix64.

/// A stream of numbers that its seed decides.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed and the parts of a name: the same parts give the same stream, other parts an unrelated one.
    #[must_use]
    pub fn of(seed: u64, parts: &[u64]) -> Self {
        let mut stream = Self(seed);
        for part in parts {
            let mixed = stream.number() ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            stream = Self(mixed);
        }
        stream
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is far below what a simulation can see.
        self.number() % bound.max(1)
    }

    /// Whether something that happens `of_thousand` times in a thousand happens now.
    pub fn happens(&mut self, of_thousand: u64) -> bool {
        self.below(1_000) < of_thousand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_stream_and_another_name_another() {
        let of = |seed, parts: &[u64]| {
            let mut stream = Stream::of(seed, parts);
            (0..4).map(|_| stream.number()).collect::<Vec<_>>()
        };
        assert_eq!(of(1, &[2, 3]), of(1, &[2, 3]));
        for other in [of(2, &[2, 3]), of(1, &[3, 2]), of(1, &[2]), of(1, &[2, 4])] {
            assert_ne!(of(1, &[2, 3]), other);
        }
    }

    #[test]
    fn what_happens_one_time_in_ten_does() {
        let mut stream = Stream::of(7, &[]);
        let times = (0..10_000).filter(|_| stream.happens(100)).count();
        assert!((800..1_200).contains(&times), "{times}");
    }
}
