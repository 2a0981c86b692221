//! Bodies of requests: nothing, bytes, or a file as a stream that tells how far it is.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::{fs::File, io::AsyncReadExt};

/// Any body.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Bytes read from a file at once.
const PIECE: usize = 256 << 10;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
}

/// The file's bytes; `sent` is called with the length of each piece that was handed to the connection.
pub(super) fn file(file: File, sent: impl FnMut(u64) + Send + 'static) -> Body {
    let pieces = stream::try_unfold((file, sent), |(mut file, mut sent)| async move {
        let mut piece = bytes::BytesMut::with_capacity(PIECE);
        if file.read_buf(&mut piece).await? == 0 {
            return Ok(None);
        }
        sent(piece.len() as u64);
        Ok(Some((Frame::data(piece.freeze()), (file, sent))))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}
