//! The live channel: server-sent events over one response that never ends. "Something changed" is all it says.

use super::registry::News;
use crate::http::agent::Connection;
use std::{hash::BuildHasher, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-store\r\n\
    transfer-encoding: chunked\r\n\r\n\
    8\r\n: open\n\n\r\n";
const CHANGED: &[u8] = b"18\r\nevent: changed\ndata: 1\n\n\r\n";
const PING: &[u8] = b"3\r\n:\n\n\r\n";
const END: &[u8] = b"0\r\n\r\n";

/// Tells the device of every change, until it goes, is locked out, or the server stops.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(connection: &Connection, mut stream: S) {
    let Some(_online) = connection.go_online() else { return };
    let patience = Duration::from_secs(connection.point.http.body_seconds);
    if send(&mut stream, HEAD, patience).await.is_err() {
        return;
    }
    loop {
        let mut said = [0; 1];
        let piece = tokio::select! {
            biased;
            news = connection.news() => match news {
                News::Changed => CHANGED,
                News::Closed => return,
                News::Stopping => {
                    drop(send(&mut stream, END, patience).await);
                    drop(timeout(patience, stream.shutdown()).await);
                    return;
                }
            },
            // The device has nothing more to say here: its end, or something that is not HTTP.
            _ = stream.read(&mut said) => return,
            () = sleep(varied(connection.point.http.ping_seconds)) => PING,
        };
        if send(&mut stream, piece, patience).await.is_err() {
            return;
        }
        connection.seen();
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, piece: &[u8], patience: Duration) -> io::Result<()> {
    timeout(patience, async {
        stream.write_all(piece).await?;
        stream.flush().await
    })
    .await
    .map_err(io::Error::from)?
}

/// Around `seconds`, up to a quarter more or less, so that a hundred thousand pings do not go out at once.
fn varied(seconds: u64) -> Duration {
    let millis = seconds * 1_000;
    let random = std::hash::RandomState::new().hash_one(0_u8);
    Duration::from_millis(millis * 3 / 4 + random % (millis / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_are_chunks_of_the_length_that_they_say() {
        let mut all = [CHANGED, PING, END].concat();
        all.splice(0..0, HEAD[HEAD.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4..].to_vec());
        let mut rest = &all[..];
        while !rest.is_empty() {
            let line = rest.windows(2).position(|w| w == b"\r\n").unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            assert_eq!(&rest[line + 2 + length..line + 4 + length], b"\r\n");
            rest = &rest[line + 4 + length..];
        }
    }

    #[test]
    fn pings_are_spread() {
        let times: std::collections::HashSet<_> = (0..50).map(|_| varied(60)).collect();
        assert!(times.len() > 10 && times.iter().all(|t| (45..=75).contains(&t.as_secs())), "{times:?}");
    }
}
