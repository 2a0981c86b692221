//! Chunks that are in the cache already, in other files. What is read of them is verified again, each time.

use super::{blocking, cache, part::Part};
use crate::os::PrivateDirectory;
use fastcdc::v2020::StreamCDC;
use muster_model::{
    chunk::{Chunk, ChunkList},
    id::Hash,
    limits::{CHUNK_AVERAGE_BYTES, CHUNK_BYTES, CHUNK_LEAST_BYTES, CHUNK_LIST_BYTES, CHUNKED_BYTES, CHUNKS},
};
use muster_trust::sha256;
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt,
};

/// Under which name the chunk list of a cached file is kept.
pub(super) fn list_name(hash: Hash) -> String {
    format!("{hash}.chunks")
}

/// What lies in the place of a list that was refused, until the file is whole: otherwise each attempt would believe the same one.
const REFUSED: &[u8] = b"refused";
/// What lies in the place of one that cannot be made.
const NONE: &[u8] = b"none";

fn is_marked(cache: &PrivateDirectory, hash: Hash, mark: &[u8]) -> bool {
    cache.read(&list_name(hash), mark.len()).ok().flatten().is_some_and(|bytes| bytes == mark)
}

/// Whether a list of this file was refused.
pub(super) fn is_refused(cache: &PrivateDirectory, hash: Hash) -> bool {
    is_marked(cache, hash, REFUSED)
}

/// Notes that a list of this file was refused.
pub(super) fn refuse(cache: &PrivateDirectory, hash: Hash) -> io::Result<()> {
    let name = list_name(hash);
    cache::sound(cache, &name)?;
    cache.write(&name, REFUSED)
}

/// The list that is kept, if it is one of a file of that size. One that is damaged or planted is as good as none.
pub(super) fn kept_list(cache: &PrivateDirectory, hash: Hash, size: u64) -> Option<ChunkList> {
    let bytes = cache.read(&list_name(hash), CHUNK_LIST_BYTES).ok().flatten()?;
    ChunkList::decode(&bytes, size).ok()
}

/// Cuts what is cached and has no list, because it came whole: at the same places as the site would, so that the next version finds
/// its chunks. Once for each file; what cannot be cut is no help, and no harm.
pub(super) async fn cut_whole(cache: &PrivateDirectory) {
    for name in cache.names().unwrap_or_default() {
        let Ok(hash) = name.parse::<Hash>() else { continue };
        let Some(file) = cache.open_file(&name).ok().flatten() else { continue };
        let size = file.metadata().map_or(0, |data| data.len());
        if size < CHUNKED_BYTES || is_marked(cache, hash, NONE) || kept_list(cache, hash, size).is_some() {
            continue;
        }
        let made = blocking(move || Ok(cut(file)?)).await;
        let list = made.ok().and_then(|chunks| ChunkList::new(chunks, size).ok()).map(|list| list.encode());
        if let Err(error) = cache.write(&list_name(hash), list.as_deref().unwrap_or(NONE)) {
            tracing::info!(%hash, %error, "a chunk list could not be kept");
        }
    }
}

fn cut(file: File) -> io::Result<Vec<Chunk>> {
    let [least, average, most] = [CHUNK_LEAST_BYTES, CHUNK_AVERAGE_BYTES, CHUNK_BYTES].map(|bytes| bytes as usize);
    let mut chunks = Vec::new();
    for piece in StreamCDC::new(file, least, average, most).take(CHUNKS + 1) {
        let bytes = piece.map_err(io::Error::from)?.data;
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        chunks.push(Chunk { hash: sha256(&bytes), size, stored: size });
    }
    Ok(chunks)
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In one of the other files, from this byte on, so long.
    Other(usize, u64, u32),
    /// In the file that is being put together.
    Own(u64),
}

/// What is here of a file that is wanted.
#[derive(Debug)]
pub(super) struct Pool {
    files: Vec<(Hash, Option<File>)>,
    places: HashMap<Hash, Place>,
}

impl Pool {
    /// Looks into the lists of everything that is cached.
    pub(super) fn of(cache: &PrivateDirectory, wanted: &ChunkList) -> Self {
        // Who lies about the size of a chunk must not make the file that has it look damaged.
        let places: HashSet<_> = wanted.chunks().iter().map(|chunk| (chunk.hash, chunk.size)).collect();
        let mut pool = Self { files: Vec::new(), places: HashMap::new() };
        for name in cache.names().unwrap_or_default() {
            let Some(hash) = name.strip_suffix(".chunks").and_then(|hash| hash.parse::<Hash>().ok()) else { continue };
            let Some(file) = cache.open_file(&hash.to_string()).ok().flatten() else { continue };
            let size = file.metadata().map_or(0, |data| data.len());
            let Some(list) = kept_list(cache, hash, size) else { continue };
            let (number, mut at) = (pool.files.len(), 0);
            pool.files.push((hash, Some(file)));
            for chunk in list.chunks() {
                if places.contains(&(chunk.hash, chunk.size)) {
                    pool.places.entry(chunk.hash).or_insert(Place::Other(number, at, chunk.size));
                }
                at += u64::from(chunk.size);
            }
        }
        pool
    }

    /// Whether a chunk is thought to be here.
    pub(super) fn has(&self, chunk: &Chunk) -> bool {
        match self.places.get(&chunk.hash) {
            Some(Place::Other(_, _, size)) => *size == chunk.size,
            Some(Place::Own(_)) => true,
            None => false,
        }
    }

    /// A chunk is in the file itself from now on.
    pub(super) fn note_own(&mut self, hash: Hash, at: u64) {
        self.places.entry(hash).or_insert(Place::Own(at));
    }

    /// The bytes of a chunk, if they are what its hash names. A file in which they are not is not asked again, and its list goes: that
    /// may be what is wrong. Whether the file is still what it was is asked when it is taken out.
    pub(super) fn read(&mut self, cache: &PrivateDirectory, part: &Part, chunk: &Chunk) -> Option<Vec<u8>> {
        let place = *self.places.get(&chunk.hash)?;
        if !self.has(chunk) {
            return None;
        }
        let mut bytes = vec![0; chunk.size as usize];
        let read = match place {
            Place::Other(number, at, _) => self
                .files
                .get(number)
                .and_then(|(_, file)| file.as_ref())
                .map(|file| file.read_exact_at(&mut bytes, at)),
            Place::Own(at) => Some(part.read_at(&mut bytes, at)),
        };
        if matches!(read, Some(Ok(()))) && sha256(&bytes) == chunk.hash {
            return Some(bytes);
        }
        self.places.remove(&chunk.hash);
        if let Place::Other(number, _, _) = place {
            self.places.retain(|_, other| !matches!(other, Place::Other(n, _, _) if *n == number));
            if let Some((hash, file)) = self.files.get_mut(number)
                && file.take().is_some()
            {
                tracing::warn!(%hash, "a file of the content cache is not what its chunk list says; the list is thrown away");
                if let Err(error) = cache.remove(&list_name(*hash)) {
                    tracing::warn!(%error, "it could not be thrown away");
                }
            }
        }
        None
    }
}
