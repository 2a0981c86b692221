//! A file that is not whole yet: always a beginning of what it will be, so that it goes on wherever it broke off.

use super::{ContentError, PIECE};
use muster_model::{chunk::ChunkList, id::Hash};
use muster_trust::{Sha256, sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
};

/// The beginning of a file, and its digest.
pub(super) struct Part {
    file: File,
    digest: Sha256,
    at: u64,
    /// Chunks of it that are there, where it is put together from chunks.
    chunks: usize,
}

impl Part {
    /// Goes on with what a fetch before this one left. With a list, what is not as the list says does not count: it was
    /// not verified, or is not any more what it was.
    pub(super) fn resume(mut file: File, list: Option<&ChunkList>, size: u64) -> Result<Self, ContentError> {
        file.seek(SeekFrom::Start(0))?;
        let mut part = Self { file, digest: Sha256::default(), at: 0, chunks: 0 };
        match list {
            Some(list) => part.verify(list)?,
            None => part.read_on(size)?,
        }
        Ok(part)
    }

    fn verify(&mut self, list: &ChunkList) -> Result<(), ContentError> {
        let mut bytes = Vec::new();
        for chunk in list.chunks() {
            bytes.clear();
            (&self.file).take(u64::from(chunk.size)).read_to_end(&mut bytes)?;
            if bytes.len() as u64 != u64::from(chunk.size) || sha256(&bytes) != chunk.hash {
                break;
            }
            self.digest.update(&bytes);
            self.at += bytes.len() as u64;
            self.chunks += 1;
        }
        Ok(())
    }

    /// Cuts off what was not verified. Not in the thread that reads: that may go on when the fetch was given up.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.at)?;
        self.file.seek(SeekFrom::Start(self.at)).map(drop)
    }

    fn read_on(&mut self, size: u64) -> Result<(), ContentError> {
        let mut buffer = vec![0; PIECE];
        // One byte more than there may be is enough to know that it is too long.
        while self.at <= size {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                count => {
                    self.digest.update(&buffer[..count]);
                    self.at += count as u64;
                }
            }
        }
        Ok(())
    }

    /// From the beginning.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.digest, self.at, self.chunks) = (Sha256::default(), 0, 0);
        Ok(())
    }

    /// Bytes that are there.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Chunks that are there.
    pub(super) const fn chunks(&self) -> usize {
        self.chunks
    }

    /// Adds what comes next.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Adds a chunk, whole and verified.
    pub(super) fn append_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)?;
        self.chunks += 1;
        Ok(())
    }

    /// Reads again what is there.
    pub(super) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    /// Digest of what is there.
    pub(super) fn digest(&self) -> Hash {
        self.digest.clone().finish()
    }

    /// The file itself.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}
