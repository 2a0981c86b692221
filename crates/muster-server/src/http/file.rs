//! A file as an answer, whole or from somewhere on (RFC 9110, section 14): one range, in pieces that memory hardly feels.

use super::{
    Body,
    respond::{NO_STORE, Refusal},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use muster_model::id::Hash;
use muster_site::SiteError;
use rustix::io::{ReadWriteFlags, preadv2};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
    path::Path,
};
use tokio::task::spawn_blocking;

/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All of it; also where the header is not one that this server understands.
    All,
    /// From the first byte up to and with the last.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text.and_then(|t| t.strip_prefix("bytes=")).and_then(|t| t.split_once('-')) else {
        return Wanted::All;
    };
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    match (number(first), number(last)) {
        (Some(first), _) if first >= size => Wanted::Nothing,
        (Some(first), None) if last.is_empty() => Wanted::Part(first, size - 1),
        (Some(first), Some(last)) if first <= last => Wanted::Part(first, last.min(size - 1)),
        // Several ranges, ranges from the end, and nonsense: the whole is always a right answer.
        _ => Wanted::All,
    }
}

/// The file at `path`, which has `size` bytes and is named by `hash`.
pub(crate) async fn respond(
    path: &Path,
    size: u64,
    hash: Hash,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let (first, length, status) = match wanted(headers, size) {
        Wanted::All => (0, size, StatusCode::OK),
        Wanted::Part(first, last) => (first, last - first + 1, StatusCode::PARTIAL_CONTENT),
        Wanted::Nothing => (0, 0, StatusCode::RANGE_NOT_SATISFIABLE),
    };
    let mut response = respond_spans(path, &[(first, length)], hash).await?;
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let range = match status {
        StatusCode::PARTIAL_CONTENT => Some(format!("bytes {first}-{}/{size}", first + length - 1)),
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{size}")),
        _ => None,
    };
    if let Some(value) = range.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// These parts of the file at `path`, one behind the other: first byte and length of each.
pub(crate) async fn respond_spans(path: &Path, spans: &[(u64, u64)], hash: Hash) -> Result<Response<Body>, Refusal> {
    let fault = |error: io::Error| SiteError::Fault(format!("content {hash} cannot be read: {error}"));
    let length = spans.iter().map(|span| span.1).sum::<u64>();
    let spans = spans.iter().copied().filter(|span| span.1 > 0).collect();
    let source = Source { file: File::open(path).map_err(fault)?, spans };
    let body = match source.piece().await.map_err(fault)? {
        (piece, source) if source.spans.is_empty() => Body::from(piece),
        (piece, source) => Body::from_stream(pieces(piece, source)),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

/// What is left to be read of a file.
struct Source {
    file: File,
    spans: VecDeque<(u64, u64)>,
}

impl Source {
    /// Takes what the next piece is made of.
    fn take_parts(&mut self) -> Vec<(u64, u64)> {
        let (mut parts, mut room) = (Vec::new(), PIECE);
        while let Some((first, length)) = self.spans.pop_front() {
            let taken = length.min(room);
            parts.push((first, taken));
            room -= taken;
            if taken < length {
                self.spans.push_front((first + taken, length - taken));
            }
            if room == 0 {
                break;
            }
        }
        parts
    }

    /// The next bytes; none at the end. What the system has in memory is read at once, for another thread would cost more than the
    /// copy; what it has to fetch from a disk is waited for elsewhere.
    async fn piece(mut self) -> io::Result<(Bytes, Self)> {
        let parts = self.take_parts();
        if let Ok(piece) = read(&self.file, &parts, in_memory) {
            return Ok((piece, self));
        }
        let work = move || {
            read(&self.file, &parts, |file, bytes, at| file.read_exact_at(bytes, at)).map(|piece| (piece, self))
        };
        spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

fn read(file: &File, parts: &[(u64, u64)], how: impl Fn(&File, &mut [u8], u64) -> io::Result<()>) -> io::Result<Bytes> {
    let total: u64 = parts.iter().map(|part| part.1).sum();
    let mut piece = vec![0; usize::try_from(total).map_err(io::Error::other)?];
    let mut rest = &mut piece[..];
    for (first, length) in parts {
        let (part, behind) = rest.split_at_mut(usize::try_from(*length).map_err(io::Error::other)?);
        how(file, part, *first)?;
        rest = behind;
    }
    Ok(piece.into())
}

/// Reads without waiting for a disk.
fn in_memory(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = preadv2(file, &mut [IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        at += count as u64;
    }
    Ok(())
}

/// The first piece, and the rest as it is wanted.
fn pieces(first: Bytes, source: Source) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::try_unfold((Some(first), source), |(first, source)| async move {
        match first {
            Some(first) => Ok(Some((first, (None, source)))),
            None if source.spans.is_empty() => Ok(None),
            None => source.piece().await.map(|(piece, source)| Some((piece, (None, source)))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn of(range: &str, size: u64) -> Wanted {
        wanted(&HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]), size)
    }

    #[test]
    fn one_range_is_understood_and_everything_else_is_the_whole() {
        assert_eq!(of("bytes=0-", 10), Wanted::Part(0, 9));
        assert_eq!(of("bytes=3-5", 10), Wanted::Part(3, 5));
        assert_eq!(of("bytes=3-500", 10), Wanted::Part(3, 9));
        assert_eq!(of("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(of("bytes=0-", 0), Wanted::Nothing);
        for odd in [
            "bytes=5-3",
            "bytes=-5",
            "bytes=0-1,3-4",
            "bytes=x-",
            "bytes=+1-",
            "lines=1-2",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(of(odd, 10), Wanted::All, "{odd}");
        }
    }

    #[tokio::test]
    async fn a_part_is_exactly_that_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..PIECE + 1000).map(|n| u8::try_from(n % 251).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let size = bytes.len() as u64;
        let headers = HeaderMap::from_iter([(header::RANGE, "bytes=7-".parse().unwrap())]);
        let response = respond(&path, size, Hash::ZERO, &headers).await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(response.headers()[header::CONTENT_RANGE], format!("bytes 7-{}/{size}", size - 1));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), bytes[7..]);
    }

    #[tokio::test]
    async fn several_parts_come_one_behind_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|n| u8::try_from(n % 253).unwrap()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let of =
            |(first, length): (u64, u64)| &bytes[usize::try_from(first).unwrap()..][..usize::try_from(length).unwrap()];
        for spans in [
            &[(0, 10)][..],
            &[(5, PIECE - 10), (PIECE, 20), (PIECE + 20, 7)],
            &[(1, 1), (3, 2 * PIECE), (3 * PIECE, 5)],
            &[(0, PIECE), (2 * PIECE, PIECE + 5)],
        ] {
            let response = respond_spans(&path, spans, Hash::ZERO).await.unwrap();
            let expected: Vec<u8> = spans.iter().flat_map(|span| of(*span)).copied().collect();
            assert_eq!(response.headers()[header::CONTENT_LENGTH], expected.len().to_string());
            assert!(response.into_body().collect().await.unwrap().to_bytes() == expected, "{spans:?}");
        }
        // A file that is shorter than the database says breaks the answer off, and is no short answer.
        let response = respond_spans(&path, &[(0, 4 * PIECE)], Hash::ZERO).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    }
}
