//! The event stream: says only that something changed, so losing an event loses nothing but time.

use super::{Client, ClientError, body};
use bytes::Buf;
use http::{Method, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Bytes of one event that are taken; a real one has 60.
const EVENT_BYTES: usize = 8 << 10;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The noun: `device`, `deployment`, `enrolment`, `message`.
    pub kind: String,
    /// The id of the thing.
    pub id: String,
}

/// Events as they come.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    lines: Lines,
    address: String,
}

impl Client {
    /// `GET /events`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self) -> Result<EventStream, ClientError> {
        let builder = self.request(Method::GET, "/events").header(header::ACCEPT, "text/event-stream");
        let answer = self.open(self.build(builder, body::empty())?).await?;
        let status = answer.status();
        let body = answer.into_body();
        if !status.is_success() {
            let bytes = body.collect().await.map_err(|e| self.unreachable(e))?.to_bytes();
            return Err(self.refusal(status, &bytes));
        }
        Ok(EventStream { body, lines: Lines::default(), address: self.profile.address.clone() })
    }
}

impl EventStream {
    /// The next event; `None` when the site closed the stream.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection broke.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.lines.take() {
                return Ok(Some(event));
            }
            let lost = |reason: String| ClientError::Unreachable { address: self.address.clone(), reason };
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|e| lost(e.to_string()))?;
            if let Ok(mut data) = frame.into_data() {
                let piece = data.copy_to_bytes(data.remaining());
                if !self.lines.push(&piece) {
                    return Err(lost("an event is too long".to_owned()));
                }
            }
        }
    }
}

/// The line protocol of `text/event-stream`.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    /// Takes bytes in; `false` when one event would be over its limit.
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        self.buffer.len() <= EVENT_BYTES || self.buffer.windows(2).any(|pair| pair == b"\n\n")
    }

    /// The next whole event that has a kind.
    fn take(&mut self) -> Option<Event> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            let field = |name: &str| {
                text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start().to_owned()))
            };
            if let Some(kind) = field("event") {
                return Some(Event { kind, id: field("data").unwrap_or_default() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let stream = b": hello\n\nevent: device\ndata: 1\n\nevent:deployment\ndata:2\n\ndata: no kind\n\nevent: half\n";
        for size in [1, 3, 7, stream.len()] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in stream.chunks(size) {
                assert!(lines.push(piece));
                found.extend(std::iter::from_fn(|| lines.take()));
            }
            let names: Vec<_> = found.iter().map(|e| (e.kind.as_str(), e.id.as_str())).collect();
            assert_eq!(names, [("device", "1"), ("deployment", "2")]);
        }
    }

    #[test]
    fn an_endless_event_is_not_kept() {
        let mut lines = Lines::default();
        assert!(lines.push(&[b'x'; EVENT_BYTES]));
        assert!(!lines.push(b"x"));
    }
}
