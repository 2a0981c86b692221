//! A file as an answer, whole or from somewhere on (RFC 9110, section 14): one range, in pieces that memory hardly feels.

use super::{
    Body,
    respond::{NO_STORE, Refusal},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use muster_model::id::Hash;
use muster_site::SiteError;
use std::{io, path::Path};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom},
};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

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
    let fault = |error: io::Error| SiteError::Fault(format!("content {hash} cannot be read: {error}"));
    let (first, length, status) = match wanted(headers, size) {
        Wanted::All => (0, size, StatusCode::OK),
        Wanted::Part(first, last) => (first, last - first + 1, StatusCode::PARTIAL_CONTENT),
        Wanted::Nothing => (0, 0, StatusCode::RANGE_NOT_SATISFIABLE),
    };
    let mut file = File::open(path).await.map_err(fault)?;
    file.set_max_buf_size(PIECE);
    file.seek(SeekFrom::Start(first)).await.map_err(fault)?;
    let mut response = Response::new(Body::from_stream(pieces(file, length)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
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

fn pieces(file: File, length: u64) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(want);
        while piece.len() < want {
            let room = want - piece.len();
            let read = (&mut file).take(room as u64).read_buf(&mut piece).await?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a content file is shorter than it was"));
            }
        }
        let left = left - piece.len() as u64;
        Ok(Some((piece.freeze(), (file, left))))
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
}
