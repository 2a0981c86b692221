//! Chunks of content files: cut where the content says, so that the next version shares what did not change; compressed once, where
//! that saves enough; and handed out to the same devices as the files themselves.

use crate::{
    Ctx, Site, SiteError,
    delivery::content::{ContentPath, content_for_device},
};
use fastcdc::v2020::StreamCDC;
use muster_model::{
    chunk::{Chunk, ChunkError, ChunkList, ChunkRanges},
    id::Hash,
    limits::{CHUNK_AVERAGE_BYTES, CHUNK_BYTES, CHUNK_LEAST_BYTES, CHUNKS},
    problem::Code,
};
use muster_store::{
    content::ContentStore,
    db::content_row::{self, ChunkedRow},
};
use muster_trust::sha256;
use std::io::{self, BufWriter, Read, Write};

/// Level of zstd: made once and sent often, on a machine that has other things to do.
const LEVEL: i32 = 3;
/// A chunk is compressed, and a file kept in that form too, where that saves at least one byte in so many.
const WORTH: u64 = 10;

/// Why a file has no chunk list.
#[derive(Debug, thiserror::Error)]
pub enum ChunkFailure {
    /// It cannot be read, or the rest cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has more chunks than a list may have, or is not as long as it was.
    #[error(transparent)]
    List(#[from] ChunkError),
}

/// The chunks of `source`, and how many bytes would be stored if those that it is worth for are compressed. The compressed form is
/// written to `packed`.
///
/// # Errors
/// See [`ChunkFailure`].
pub fn cut(source: impl Read, packed: &mut impl Write) -> Result<Vec<Chunk>, ChunkFailure> {
    let [least, average, most] = [CHUNK_LEAST_BYTES, CHUNK_AVERAGE_BYTES, CHUNK_BYTES].map(|bytes| bytes as usize);
    let mut zstd = zstd::bulk::Compressor::new(LEVEL)?;
    let mut chunks = Vec::new();
    for piece in StreamCDC::new(source, least, average, most) {
        let bytes = piece.map_err(io::Error::from)?;
        if chunks.len() == CHUNKS {
            return Err(ChunkError::TooMany.into());
        }
        let frame = zstd.compress(&bytes.data)?;
        let stored = if saves(bytes.data.len() as u64, frame.len() as u64) { &frame } else { &bytes.data };
        packed.write_all(stored)?;
        let four = |length: usize| u32::try_from(length).map_err(|_| ChunkError::Size);
        chunks.push(Chunk { hash: sha256(&bytes.data), size: four(bytes.data.len())?, stored: four(stored.len())? });
    }
    Ok(chunks)
}

fn saves(size: u64, packed: u64) -> bool {
    packed <= size - size.div_ceil(WORTH)
}

/// Makes the list of a file that is there, and its packed form where that saves enough. The list comes last: what it speaks of is
/// there. This reads the whole file, and blocks.
///
/// # Errors
/// See [`ChunkFailure`]; nothing is left then.
pub fn content_chunk(store: &ContentStore, hash: Hash, size: u64) -> Result<ChunkedRow, ChunkFailure> {
    let source = std::fs::File::open(store.path(hash))?;
    let mut packed = BufWriter::with_capacity(1 << 20, store.draft()?);
    let mut chunks = cut(source, &mut packed)?;
    let draft = packed.into_inner().map_err(io::IntoInnerError::into_error)?;
    let stored = chunks.iter().map(|chunk| u64::from(chunk.stored)).sum();
    let (count, packed) = (chunks.len() as u64, saves(size, stored).then_some(stored));
    match packed {
        Some(_) => draft.place(&store.packed_path(hash))?,
        None => chunks.iter_mut().for_each(|chunk| chunk.stored = chunk.size),
    }
    let list = ChunkList::new(chunks, size)?.encode();
    let mut draft = store.draft()?;
    draft.write_all(&list)?;
    draft.place(&store.list_path(hash))?;
    Ok(ChunkedRow { chunks: count, list: list.len() as u64, packed })
}

/// Where the chunk list of a file is, for a device that may have the file.
///
/// # Errors
/// As [`content_for_device`]; `not_found` also where there is no list.
pub async fn chunk_list_for_device(ctx: &Ctx, site: &Site, hash: Hash) -> Result<ContentPath, SiteError> {
    content_for_device(ctx, site, hash).await?;
    let row = content_row::chunks(&mut *site.store.reader().await?, hash).await?;
    let row = row.ok_or_else(SiteError::not_found)?;
    Ok(ContentPath { path: site.content.list_path(hash), size: row.list })
}

/// Where a file is in the form of which its chunk list speaks, for a device that may have it, and how many bytes these ranges are.
///
/// # Errors
/// As [`chunk_list_for_device`]; `malformed` for ranges that are not in order or not in it, `too_large` for too many.
pub async fn chunks_for_device(
    ctx: &Ctx,
    site: &Site,
    hash: Hash,
    wanted: &ChunkRanges,
) -> Result<(ContentPath, u64), SiteError> {
    let plain = content_for_device(ctx, site, hash).await?;
    let row = content_row::chunks(&mut *site.store.reader().await?, hash).await?;
    let stored = match row.ok_or_else(SiteError::not_found)?.packed {
        Some(size) => ContentPath { path: site.content.packed_path(hash), size },
        None => ContentPath { path: plain.path, size: plain.size },
    };
    let bytes = wanted.check(stored.size).map_err(|error| {
        let code = if error == ChunkError::RangeCount { Code::TooLarge } else { Code::Malformed };
        SiteError::refused(code, format!("Ask for other ranges: {error}."))
    })?;
    Ok((stored, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not compress, the same in every run.
    fn noise(mut seed: u64, length: usize) -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_put_in_moves_the_chunks_behind_it_and_changes_only_its_own() {
        let old = noise(1, 3 << 20);
        let mut new = old.clone();
        new.splice(1_000_000..1_000_000, *b"a few new bytes in the middle");
        let of = |bytes: &[u8]| cut(bytes, &mut io::sink()).unwrap();
        let (before, after) = (of(&old), of(&new));
        let known: std::collections::HashSet<Hash> = before.iter().map(|chunk| chunk.hash).collect();
        let moved: u64 = after.iter().filter(|c| !known.contains(&c.hash)).map(|c| u64::from(c.size)).sum();
        assert!(moved > 0 && moved <= 3 * u64::from(CHUNK_BYTES), "{moved}");
        assert!(after.len() > 20 && after.iter().all(|chunk| !chunk.is_packed()), "noise does not get smaller");
        let list = ChunkList::new(after, new.len() as u64).unwrap();
        assert_eq!(ChunkList::decode(&list.encode(), new.len() as u64), Ok(list));
    }

    #[test]
    fn what_compresses_is_kept_compressed_and_comes_back() {
        let text: Vec<u8> = (0..60_000_u32).flat_map(|n| format!("line {n} of a text\n").into_bytes()).collect();
        let mut packed = Vec::new();
        let chunks = cut(&text[..], &mut packed).unwrap();
        assert!(packed.len() < text.len() / 2 && chunks.iter().all(Chunk::is_packed));
        let (mut at, mut back) = (0, Vec::new());
        for chunk in &chunks {
            let frame = &packed[at..at + chunk.stored as usize];
            let bytes = zstd::bulk::decompress(frame, chunk.size as usize).unwrap();
            assert_eq!(sha256(&bytes), chunk.hash);
            back.extend_from_slice(&bytes);
            at += chunk.stored as usize;
        }
        assert!(back == text && at == packed.len());
    }
}
