//! A file put together from chunks: what other files of the cache have is taken from them, and what is missing comes in one request,
//! or a few. Each chunk is held against its hash before it is written, and the whole against what its author signed.

use super::{
    ContentError, Fetch,
    part::Part,
    pool::{self, Pool},
};
use crate::http::{Body, HttpError};
use bytes::{Buf, Bytes};
use muster_model::{
    chunk::{Chunk, ChunkError, ChunkList, ChunkRanges},
    limits::CHUNK_RANGES,
    problem::Code,
};
use muster_trust::sha256;
use std::{collections::HashSet, ops::Range};

/// What is asked for next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Parts of the file as the site stores it.
    ranges: Vec<(u64, u64)>,
    /// The chunks that are put in place with this request.
    chunks: Range<usize>,
    /// Of these, the ones that come over the network.
    remote: HashSet<usize>,
}

impl Plan {
    /// From a chunk on, as far as one request reaches. What lies side by side is one range.
    fn new(list: &ChunkList, from: usize, is_here: impl Fn(&Chunk) -> bool) -> Self {
        let mut at: u64 = list.chunks()[..from].iter().map(|chunk| u64::from(chunk.stored)).sum();
        let mut plan = Self { chunks: from..from, ..Self::default() };
        let mut coming = HashSet::new();
        for (number, chunk) in list.chunks().iter().enumerate().skip(from) {
            let (first, length) = (at, u64::from(chunk.stored));
            at += length;
            // One that comes twice is fetched once.
            if !is_here(chunk) && !coming.contains(&chunk.hash) {
                let count = plan.ranges.len();
                match plan.ranges.last_mut().filter(|last| last.0 + last.1 == first) {
                    Some(last) => last.1 += length,
                    None if count == CHUNK_RANGES => return plan,
                    None => plan.ranges.push((first, length)),
                }
                coming.insert(chunk.hash);
                plan.remote.insert(number);
            }
            plan.chunks.end = number + 1;
        }
        plan
    }
}

impl Fetch<'_> {
    /// Everything that is missing, by the list. `None`: the list was refused, and what is there is a beginning all the same.
    pub(super) async fn by_chunks(
        &mut self,
        list: ChunkList,
        part: &mut Part,
    ) -> Result<Option<ChunkList>, ContentError> {
        pool::cut_whole(&self.agent.cache).await;
        let mut pool = Pool::of(&self.agent.cache, &list);
        let mut at = 0;
        for chunk in &list.chunks()[..part.chunks()] {
            pool.note_own(chunk.hash, at);
            at += u64::from(chunk.size);
        }
        self.ask_peers(&list, &mut pool, part).await?;
        while part.chunks() < list.chunks().len() {
            let plan = Plan::new(&list, part.chunks(), |chunk| pool.has(chunk));
            let followed = match self.follow(&plan, &list, &mut pool, part).await {
                // More than was asked for.
                Err(ContentError::Unavailable(HttpError::TooLarge { .. })) => Err(Refused(ChunkError::Altered)),
                other => other?,
            };
            match followed {
                Ok(()) => {}
                Err(Refused(error)) => {
                    self.session = None;
                    self.refuse_list(error)?;
                    return Ok(None);
                }
                Err(Unasked) => {
                    // What is kept may be an old one; the next fetch asks for it again.
                    self.agent.cache.remove(&pool::list_name(self.file.hash))?;
                    return Ok(None);
                }
            }
        }
        Ok(Some(list))
    }

    /// Puts the chunks of a plan in place. It ends early where one is not here after all.
    async fn follow(
        &mut self,
        plan: &Plan,
        list: &ChunkList,
        pool: &mut Pool,
        part: &mut Part,
    ) -> Result<Result<(), Disbelief>, ContentError> {
        let mut stream = None;
        if !plan.ranges.is_empty() {
            let hash = self.file.hash;
            let wanted = ChunkRanges { ranges: plan.ranges.clone() };
            stream = match self.session().await?.chunks(hash, &wanted).await {
                Ok(body) => Some(Stream { body, rest: Bytes::new() }),
                // The site has no such chunks any more: whole, then.
                Err(error) if is_unasked(&error) => {
                    self.session = None;
                    return Ok(Err(Unasked));
                }
                Err(error) => return Err(error.into()),
            };
        }
        for number in plan.chunks.clone() {
            let chunk = &list.chunks()[number];
            let at = part.at();
            match stream.as_mut().filter(|_| plan.remote.contains(&number)) {
                Some(stream) => {
                    let stored = stream.take(self, chunk.stored as usize).await?;
                    let Some(bytes) = unpack(chunk, stored) else { return Ok(Err(Refused(ChunkError::Altered))) };
                    part.append_chunk(&bytes)?;
                }
                None => {
                    let Some(bytes) = pool.read(&self.agent.cache, part, chunk) else {
                        // It has to be fetched: what still comes is for another plan.
                        self.session = None;
                        return Ok(Ok(()));
                    };
                    part.append_chunk(&bytes)?;
                    self.reused += bytes.len() as u64;
                    tokio::task::yield_now().await;
                }
            }
            pool.note_own(chunk.hash, at);
        }
        match stream {
            Some(mut stream) => stream.end().await.map(Ok),
            None => Ok(Ok(())),
        }
    }
}

/// Whether the site says that it has no list, or other chunks than these; and not that it was asked too much, or is not well.
pub(super) fn is_unasked(error: &HttpError) -> bool {
    match error {
        HttpError::Refused(problem) => matches!(problem.code, Code::NotFound | Code::Malformed | Code::TooLarge),
        HttpError::Status(status) => status.is_client_error(),
        _ => false,
    }
}

/// Why it does not go on by the list.
enum Disbelief {
    /// The list, or what came by it, is wrong.
    Refused(ChunkError),
    /// The site does not serve it.
    Unasked,
}
use Disbelief::{Refused, Unasked};

/// Chunks as they come.
struct Stream {
    body: Body,
    rest: Bytes,
}

impl Stream {
    /// The next `length` bytes; a chunk has at most `CHUNK_BYTES`.
    async fn take(&mut self, fetch: &mut Fetch<'_>, length: usize) -> Result<Vec<u8>, ContentError> {
        let mut bytes = Vec::with_capacity(length);
        loop {
            let count = self.rest.len().min(length - bytes.len());
            bytes.extend_from_slice(&self.rest[..count]);
            self.rest.advance(count);
            if bytes.len() == length {
                return Ok(bytes);
            }
            let Some(piece) = self.body.piece().await? else {
                return Err(HttpError::Connection("the content ended early".into()).into());
            };
            fetch.moved += piece.len() as u64;
            fetch.pace(piece.len()).await?;
            self.rest = piece;
        }
    }

    /// Reads the end, so that the connection serves for more. What comes beyond it is an error of [`Body`].
    async fn end(&mut self) -> Result<(), ContentError> {
        while self.body.piece().await?.is_some() {}
        Ok(())
    }
}

/// The bytes of a chunk that came, if they are what its hash names. A frame that holds more than the chunk has is never unpacked
/// further than that.
fn unpack(chunk: &Chunk, stored: Vec<u8>) -> Option<Vec<u8>> {
    let bytes = match chunk.is_packed() {
        true => zstd::bulk::decompress(&stored, chunk.size as usize).ok()?,
        false => stored,
    };
    (bytes.len() == chunk.size as usize && sha256(&bytes) == chunk.hash).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::id::Hash;

    fn list(stored: &[(u8, u32)]) -> ChunkList {
        let chunk = |(byte, stored): &(u8, u32)| Chunk { hash: Hash([*byte; 32]), size: 16 << 10, stored: *stored };
        ChunkList::new(stored.iter().map(chunk).collect(), stored.len() as u64 * (16 << 10)).unwrap()
    }

    #[test]
    fn what_is_missing_is_asked_for_at_once_and_what_is_here_or_comes_twice_is_not() {
        let list = list(&[(1, 10), (2, 10), (3, 10), (2, 10), (9, 10), (4, 10), (5, 10)]);
        let plan = Plan::new(&list, 0, |chunk| chunk.hash == Hash([9; 32]));
        assert_eq!((plan.ranges, plan.chunks), (vec![(0, 30), (50, 20)], 0..7));
        assert_eq!(plan.remote, HashSet::from([0, 1, 2, 5, 6]));
        let plan = Plan::new(&list, 6, |_| false);
        assert_eq!((plan.ranges, plan.chunks), (vec![(60, 10)], 6..7));
        assert_eq!(Plan::new(&list, 0, |_| true).ranges, vec![]);
    }

    #[test]
    fn a_request_has_so_many_ranges_and_the_next_one_has_the_rest() {
        // Every second one is here.
        let chunk = |n: usize| {
            let mut hash = Hash([u8::from(n.is_multiple_of(2)); 32]);
            hash.0[..8].copy_from_slice(&n.to_be_bytes());
            Chunk { hash, size: 16 << 10, stored: 5 }
        };
        let count = 2 * CHUNK_RANGES + 10;
        let list = ChunkList::new((0..count).map(chunk).collect(), count as u64 * (16 << 10)).unwrap();
        let is_here = |chunk: &Chunk| chunk.hash.0[31] == 1;
        let first = Plan::new(&list, 0, is_here);
        assert_eq!((first.ranges.len(), first.chunks.clone()), (CHUNK_RANGES, 0..2 * CHUNK_RANGES + 1));
        assert_eq!(Plan::new(&list, first.chunks.end, is_here).ranges.len(), 5);
    }

    #[test]
    fn a_frame_that_lies_is_not_unpacked() {
        // Test 13 of the threats: a decompression bomb in the place of a chunk costs its own size and no more.
        let bytes = vec![7_u8; 20 << 10];
        let frame = zstd::bulk::compress(&bytes, 3).unwrap();
        let right = Chunk { hash: sha256(&bytes), size: 20 << 10, stored: u32::try_from(frame.len()).unwrap() };
        assert_eq!(unpack(&right, frame.clone()), Some(bytes.clone()));
        let bomb = zstd::bulk::compress(&vec![7_u8; 64 << 20], 3).unwrap();
        assert!(bomb.len() < 20 << 10);
        assert_eq!(unpack(&Chunk { stored: u32::try_from(bomb.len()).unwrap(), ..right }, bomb), None);
        assert_eq!(unpack(&Chunk { size: right.size - 1, ..right }, frame.clone()), None, "more than it says");
        assert_eq!(unpack(&Chunk { size: right.size + 1, ..right }, frame.clone()), None, "less than it says");
        assert_eq!(unpack(&Chunk { hash: Hash([1; 32]), ..right }, frame), None);
        assert_eq!(unpack(&Chunk { stored: right.size, ..right }, vec![8; 20 << 10]), None, "other bytes");
        assert_eq!(unpack(&right, vec![1, 2, 3]), None);
    }
}
