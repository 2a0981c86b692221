//! Chunk lists: where a content file is cut, so that a client which has an older version fetches only what it has not.
//!
//! A list is a hint and has no authority. It is not signed; whoever lies in one costs the client time and nothing else: each chunk is
//! held against its hash, and the whole file against the hash that its author signed.

use crate::{
    id::Hash,
    limits::{CHUNK_BYTES, CHUNK_LEAST_BYTES, CHUNK_RANGES, CHUNKS},
};
use serde::{Deserialize, Serialize};

/// The media type of a list.
pub const CHUNK_LIST_TYPE: &str = "application/vnd.muster.chunk-list";
/// What a list begins with.
const MAGIC: &[u8; 4] = b"MCL1";
/// Bytes before the first chunk: the magic, the size of the file, and the number of chunks.
pub const CHUNK_LIST_HEAD: usize = 16;
/// Bytes of one chunk in a list.
pub const CHUNK_ENTRY: usize = 40;

/// One piece of a file. Where it begins is not said: chunks lie one behind the other, and cannot overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// SHA-256 of its bytes.
    pub hash: Hash,
    /// How many they are.
    pub size: u32,
    /// How many they are as the site stores and sends them: fewer than `size` where they are compressed, and as many where not.
    pub stored: u32,
}

impl Chunk {
    /// Whether it is sent as one zstd frame.
    #[must_use]
    pub const fn is_packed(&self) -> bool {
        self.stored < self.size
    }
}

/// The chunks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    chunks: Vec<Chunk>,
}

/// Why a list, or a wish for a part of one, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// It is not a list: wrong beginning, or more or fewer bytes than its chunks have.
    #[error("it is not a chunk list")]
    Malformed,
    /// It has more chunks than [`CHUNKS`].
    #[error("it has too many chunks")]
    TooMany,
    /// A chunk is smaller or larger than a chunk may be, or grows when it is compressed.
    #[error("a chunk has a size that none may have")]
    Size,
    /// Its chunks do not make a file of the size that was signed.
    #[error("the chunks do not make up the file")]
    Sum,
    /// Ranges that are empty, out of order, overlapping, or past the end.
    #[error("the ranges are not in order, or not in the file")]
    Ranges,
    /// More ranges than [`CHUNK_RANGES`], or none.
    #[error("there are too many ranges, or none")]
    RangeCount,
    /// A chunk that came, or the whole file that was made of chunks, is not what its hash names.
    #[error("a chunk is not what its hash names")]
    Altered,
}

impl ChunkError {
    /// The stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "list_malformed",
            Self::TooMany => "too_many_chunks",
            Self::Size => "chunk_size",
            Self::Sum => "chunk_sum",
            Self::Ranges => "ranges_invalid",
            Self::RangeCount => "range_count",
            Self::Altered => "chunk_altered",
        }
    }
}

impl ChunkList {
    /// From chunks; checked as what comes from outside is.
    ///
    /// # Errors
    /// See [`ChunkError`].
    pub fn new(chunks: Vec<Chunk>, size: u64) -> Result<Self, ChunkError> {
        if chunks.len() > CHUNKS {
            return Err(ChunkError::TooMany);
        }
        let last = chunks.len().saturating_sub(1);
        let mut sum = 0_u64;
        for (at, chunk) in chunks.iter().enumerate() {
            let least = if at == last { 1 } else { CHUNK_LEAST_BYTES };
            if chunk.size < least || chunk.size > CHUNK_BYTES || chunk.stored == 0 || chunk.stored > chunk.size {
                return Err(ChunkError::Size);
            }
            // At most `CHUNKS` times `CHUNK_BYTES`: this does not overflow.
            sum += u64::from(chunk.size);
        }
        if sum != size {
            return Err(ChunkError::Sum);
        }
        Ok(Self { chunks })
    }

    /// The chunks in their order.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Bytes of the file as it is stored in chunks.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.stored)).sum()
    }

    /// The bytes of the list.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHUNK_LIST_HEAD + self.chunks.len() * CHUNK_ENTRY);
        let size: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(self.chunks.len()).unwrap_or(u32::MAX).to_be_bytes());
        for chunk in &self.chunks {
            bytes.extend_from_slice(&chunk.hash.0);
            bytes.extend_from_slice(&chunk.size.to_be_bytes());
            bytes.extend_from_slice(&chunk.stored.to_be_bytes());
        }
        bytes
    }

    /// Reads the list of a file of `size` bytes. Nothing is kept before its length is known to be right.
    ///
    /// # Errors
    /// See [`ChunkError`].
    pub fn decode(bytes: &[u8], size: u64) -> Result<Self, ChunkError> {
        let (head, entries) = bytes.split_at_checked(CHUNK_LIST_HEAD).ok_or(ChunkError::Malformed)?;
        let (magic, said, count) = (&head[..4], number(&head[4..12]), number(&head[12..]));
        if magic != MAGIC || !entries.len().is_multiple_of(CHUNK_ENTRY) {
            return Err(ChunkError::Malformed);
        }
        let found = entries.len() / CHUNK_ENTRY;
        if count > CHUNKS as u64 || found > CHUNKS {
            return Err(ChunkError::TooMany);
        }
        if count != found as u64 {
            return Err(ChunkError::Malformed);
        }
        if said != size {
            return Err(ChunkError::Sum);
        }
        Self::new(entries.chunks_exact(CHUNK_ENTRY).map(chunk).collect(), size)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn chunk(entry: &[u8]) -> Chunk {
    let mut hash = Hash::ZERO;
    hash.0.copy_from_slice(&entry[..32]);
    let four = |at: usize| u32::try_from(number(&entry[at..at + 4])).unwrap_or(u32::MAX);
    Chunk { hash, size: four(32), stored: four(36) }
}

/// What a client asks for of a file as it is stored in chunks: the pieces come one behind the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRanges {
    /// First byte and number of bytes of each, in order.
    pub ranges: Vec<(u64, u64)>,
}

impl ChunkRanges {
    /// Bytes of all of them, where they are in order and lie in a file of `size` bytes.
    ///
    /// # Errors
    /// [`ChunkError::Ranges`], [`ChunkError::RangeCount`].
    pub fn check(&self, size: u64) -> Result<u64, ChunkError> {
        if self.ranges.is_empty() || self.ranges.len() > CHUNK_RANGES {
            return Err(ChunkError::RangeCount);
        }
        let (mut end, mut sum) = (0, 0);
        for (first, length) in &self.ranges {
            let next = first.checked_add(*length).filter(|next| *length > 0 && *first >= end && *next <= size);
            end = next.ok_or(ChunkError::Ranges)?;
            sum += length;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> (ChunkList, u64) {
        let chunk = |byte, size, stored| Chunk { hash: Hash([byte; 32]), size, stored };
        let chunks = vec![chunk(1, CHUNK_LEAST_BYTES, 9), chunk(2, CHUNK_BYTES, CHUNK_BYTES), chunk(3, 1, 1)];
        let size = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
        (ChunkList::new(chunks, size).unwrap(), size)
    }

    #[test]
    fn a_list_comes_back_as_it_was() {
        let (list, size) = list();
        assert_eq!(ChunkList::decode(&list.encode(), size), Ok(list.clone()));
        assert!(list.chunks()[0].is_packed() && !list.chunks()[1].is_packed());
        assert_eq!(list.stored(), 9 + u64::from(CHUNK_BYTES) + 1);
        let empty = ChunkList::new(Vec::new(), 0).unwrap();
        assert_eq!(ChunkList::decode(&empty.encode(), 0), Ok(empty));
    }

    #[test]
    fn a_list_that_lies_is_refused_with_its_reason() {
        let (list, size) = list();
        let right = list.encode();
        let altered = |at: usize, bytes: &[u8]| {
            let mut list = right.clone();
            list[at..at + bytes.len()].copy_from_slice(bytes);
            ChunkList::decode(&list, size)
        };
        assert_eq!(altered(0, b"X"), Err(ChunkError::Malformed));
        assert_eq!(altered(12, &4_u32.to_be_bytes()), Err(ChunkError::Malformed), "a chunk that is not there");
        assert_eq!(altered(12, &u32::MAX.to_be_bytes()), Err(ChunkError::TooMany));
        for cut in [0, 3, CHUNK_LIST_HEAD - 1, CHUNK_LIST_HEAD, right.len() - 1] {
            assert_eq!(ChunkList::decode(&right[..cut], size), Err(ChunkError::Malformed), "{cut}");
        }
        let at_size = CHUNK_LIST_HEAD + 32;
        for wrong in [0, CHUNK_LEAST_BYTES - 1, CHUNK_BYTES + 1, u32::MAX] {
            assert_eq!(altered(at_size, &wrong.to_be_bytes()), Err(ChunkError::Size), "{wrong}");
        }
        for wrong in [0, CHUNK_LEAST_BYTES + 1, u32::MAX] {
            assert_eq!(altered(at_size + 4, &wrong.to_be_bytes()), Err(ChunkError::Size), "stored {wrong}");
        }
        assert_eq!(altered(at_size, &(CHUNK_LEAST_BYTES + 1).to_be_bytes()), Err(ChunkError::Sum));
        for other in [0, size - 1, size + 1, u64::MAX] {
            assert_eq!(ChunkList::decode(&right, other), Err(ChunkError::Sum), "{other}");
        }
        let long = Chunk { hash: Hash::ZERO, size: CHUNK_BYTES, stored: CHUNK_BYTES };
        let many = (CHUNKS as u64 + 1) * u64::from(CHUNK_BYTES);
        assert_eq!(ChunkList::new(vec![long; CHUNKS + 1], many), Err(ChunkError::TooMany));
    }

    #[test]
    fn ranges_are_in_order_and_in_the_file() {
        let check = |ranges: &[(u64, u64)]| ChunkRanges { ranges: ranges.to_vec() }.check(100);
        assert_eq!(check(&[(0, 100)]), Ok(100));
        assert_eq!(check(&[(0, 10), (10, 1), (99, 1)]), Ok(12));
        for wrong in [
            &[(0, 101)][..],
            &[(0, 0)],
            &[(5, 5), (9, 1)],
            &[(5, 5), (0, 1)],
            &[(100, 1)],
            &[(u64::MAX, 2)],
            &[(1, u64::MAX)],
        ] {
            assert_eq!(check(wrong), Err(ChunkError::Ranges), "{wrong:?}");
        }
        assert_eq!(check(&[]), Err(ChunkError::RangeCount));
        let many = |count: u64| ChunkRanges { ranges: (0..count).map(|at| (at, 1)).collect() }.check(1 << 20);
        assert_eq!(many(CHUNK_RANGES as u64), Ok(CHUNK_RANGES as u64));
        assert_eq!(many(CHUNK_RANGES as u64 + 1), Err(ChunkError::RangeCount));
    }
}
