//! A session with a management point: what it can be asked, and the live channel.

use crate::{
    http::{Ask, Body, Connection, HttpError},
    trust::{self, TrustError},
};
use bytes::Bytes;
use http::{StatusCode, header};
use muster_model::{
    chunk::{CHUNK_ENTRY, CHUNK_LIST_HEAD, ChunkRanges},
    enrol::{RenewAnswer, RenewRequest},
    id::Hash,
    limits::{CHUNK_LEAST_BYTES, CHUNKS, Limits, PEER_GRANT_BYTES},
    peer::PeerAnnouncement,
    report::ReportAnswer,
    time::UnixMillis,
};
use muster_trust::TrustChain;

/// Bytes of small JSON answers.
const ANSWER_BYTES: usize = 64 << 10;

/// A connection to a management point, with one method for each thing that it can be asked.
#[derive(Debug)]
pub struct Session {
    pub(crate) connection: Connection,
}

impl Session {
    /// The trust bundles that follow on what the client has: see [`crate::trust::fetch`].
    ///
    /// # Errors
    /// See [`TrustError`].
    pub async fn trust(
        &mut self,
        chain: &TrustChain,
        limits: &Limits,
        now: UnixMillis,
    ) -> Result<Option<TrustChain>, TrustError> {
        trust::fetch(&mut self.connection, "/mp/v1/trust-bundle", chain, limits, now).await
    }

    /// `GET /mp/v1/assignment`. The first is the site's time as the server says it, where it does; the second is `None` when the
    /// one of `version` is still the newest.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn assignment(
        &mut self,
        version: Option<u64>,
        limits: &Limits,
    ) -> Result<(Option<UnixMillis>, Option<Bytes>), HttpError> {
        let mut ask = Ask::get("/mp/v1/assignment");
        if let Some(version) = version {
            ask = ask.with(header::IF_NONE_MATCH, &format!("\"{version}\""));
        }
        let (status, headers, body) = self.connection.fetch(ask, limits.object_bytes).await?;
        let date = headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?));
        Ok((date, (status != StatusCode::NOT_MODIFIED).then_some(body)))
    }

    /// `POST /mp/v1/assignment`: what the client has, where the site's is older or another.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn show_assignment(&mut self, envelope: Vec<u8>) -> Result<(), HttpError> {
        let ask = Ask::post("/mp/v1/assignment", "application/cose", envelope);
        self.connection.fetch(ask, ANSWER_BYTES).await.map(drop)
    }

    /// `POST /mp/v1/sealing-key`: to which key secrets for this client are sealed from now on.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn sealing_key(&mut self, statement: Vec<u8>) -> Result<(), HttpError> {
        let ask = Ask::post("/mp/v1/sealing-key", "application/cose", statement);
        self.connection.fetch(ask, ANSWER_BYTES).await.map(drop)
    }

    /// `GET /mp/v1/bodies/{hash}`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn body(&mut self, hash: Hash, size: usize) -> Result<Bytes, HttpError> {
        Ok(self.connection.fetch(Ask::get(&format!("/mp/v1/bodies/{hash}")), size).await?.2)
    }

    /// `GET /mp/v1/content/{hash}` from byte `from` on; at most `size` bytes in all. The first says where the bytes really start.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn content(&mut self, hash: Hash, from: u64, size: u64) -> Result<(u64, Body), HttpError> {
        let path = format!("/mp/v1/content/{hash}");
        let mut ask = Ask::get(&path);
        if from > 0 {
            ask = ask.with(header::RANGE, &format!("bytes={from}-"));
        }
        let answer = self.connection.ask(ask).await?;
        let partial = answer.status() == StatusCode::PARTIAL_CONTENT;
        let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let starts = match (partial, range) {
            (false, _) => 0,
            (true, Some(range)) if range.starts_with(&format!("bytes {from}-")) => from,
            (true, _) => return Err(HttpError::Malformed),
        };
        Ok((starts, Body::new(answer.into_body(), size.saturating_sub(starts))))
    }

    /// `GET /mp/v1/chunks/{hash}`: the chunk list of a content file of that size; no more than such a file can have is taken.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn chunk_list(&mut self, hash: Hash, size: u64) -> Result<Bytes, HttpError> {
        let most = usize::try_from(size / u64::from(CHUNK_LEAST_BYTES) + 1).unwrap_or(CHUNKS).min(CHUNKS);
        let limit = CHUNK_LIST_HEAD + CHUNK_ENTRY * most;
        Ok(self.connection.fetch(Ask::get(&format!("/mp/v1/chunks/{hash}")), limit).await?.2)
    }

    /// `POST /mp/v1/chunks/{hash}`: these parts of the file as its chunk list speaks of it, one behind the other.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn chunks(&mut self, hash: Hash, wanted: &ChunkRanges) -> Result<Body, HttpError> {
        let body = serde_json::to_vec(wanted).map_err(|_| HttpError::Malformed)?;
        let bytes = wanted.ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.1));
        let path = format!("/mp/v1/chunks/{hash}");
        let answer = self.connection.ask(Ask::post(&path, "application/json", body)).await?;
        Ok(Body::new(answer.into_body(), bytes))
    }

    /// `GET /mp/v1/content-peers/{hash}`: the signed grant by which others of the subnet give this file; `None`: nobody has it.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn content_peers(&mut self, hash: Hash) -> Result<Option<Bytes>, HttpError> {
        let path = format!("/mp/v1/content-peers/{hash}");
        let (status, _, body) = self.connection.fetch(Ask::get(&path), PEER_GRANT_BYTES).await?;
        Ok((status == StatusCode::OK).then_some(body))
    }

    /// `POST /mp/v1/content-peers`: what this client serves to others of its subnet.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn announce_content(&mut self, said: &PeerAnnouncement) -> Result<(), HttpError> {
        let body = serde_json::to_vec(said).map_err(|_| HttpError::Malformed)?;
        let ask = Ask::post("/mp/v1/content-peers", "application/json", body);
        self.connection.fetch(ask, ANSWER_BYTES).await.map(drop)
    }

    /// `POST /mp/v1/reports`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn report(&mut self, envelope: Vec<u8>) -> Result<ReportAnswer, HttpError> {
        self.connection.json(Ask::post("/mp/v1/reports", "application/cose", envelope), ANSWER_BYTES).await
    }

    /// `POST /mp/v1/certificate`.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn renew(&mut self, request: &RenewRequest) -> Result<RenewAnswer, HttpError> {
        let body = serde_json::to_vec(request).map_err(|_| HttpError::Malformed)?;
        self.connection.json(Ask::post("/mp/v1/certificate", "application/json", body), ANSWER_BYTES).await
    }

    /// `GET /mp/v1/live`: the events as they come.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn live(mut self) -> Result<Live, HttpError> {
        let ask = Ask::get("/mp/v1/live").with(header::ACCEPT, "text/event-stream");
        let answer = self.connection.ask(ask).await?;
        Ok(Live {
            body: Body::new(answer.into_body(), u64::MAX),
            events: Events::default(),
            _connection: self.connection,
        })
    }
}

/// The live channel.
#[derive(Debug)]
pub struct Live {
    body: Body,
    events: Events,
    _connection: Connection,
}

/// How long the live channel may be silent; the site sends a sign of life about every minute.
const LIVE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(150);
/// Bytes of one line of the live channel.
const LINE_BYTES: usize = 1_024;

impl Live {
    /// Waits for the next `changed`.
    ///
    /// # Errors
    /// When the channel is closed, silent for too long, or no event stream.
    pub async fn changed(&mut self) -> Result<(), HttpError> {
        loop {
            let Some(piece) = self.body.live_piece(LIVE_PATIENCE).await? else { return Err(HttpError::Stalled) };
            if self.events.feed(&piece)? {
                return Ok(());
            }
        }
    }
}

/// Reads server-sent events, however they are cut into pieces. Only `changed` means anything; comments keep the channel alive,
/// and everything else is passed over.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
}

impl Events {
    /// Takes the next piece; whether it completed a `changed`.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`] for a line over its limit.
    pub fn feed(&mut self, piece: &[u8]) -> Result<bool, HttpError> {
        let mut changed = false;
        for byte in piece {
            match byte {
                b'\n' => {
                    changed |= self.line.trim_ascii_end() == b"event: changed";
                    self.line.clear();
                }
                _ if self.line.len() == LINE_BYTES => return Err(HttpError::TooLarge { limit: LINE_BYTES as u64 }),
                byte => self.line.push(*byte),
            }
        }
        Ok(changed)
    }
}

/// The one form of HTTP date that is sent today: `Tue, 24 Nov 2026 07:10:00 GMT`.
fn http_date(text: &str) -> Option<UnixMillis> {
    let date = jiff::fmt::rfc2822::parse(&text.replace("GMT", "+0000")).ok()?;
    Some(UnixMillis(date.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let stream = b": open\n\nevent: other\ndata: 1\n\nevent: changed\r\ndata: 1\n\n: \n\n";
        for at in 0..stream.len() {
            let mut events = Events::default();
            let found = [&stream[..at], &stream[at..]].map(|piece| events.feed(piece).unwrap());
            assert_eq!(found.iter().filter(|changed| **changed).count(), 1, "cut at {at}");
        }
        let mut events = Events::default();
        assert!(events.feed(&[b'x'; LINE_BYTES]).is_ok());
        assert!(events.feed(b"x").is_err(), "a line without end is no line");
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:01 GMT"), Some(UnixMillis(1_000)));
        assert_eq!(http_date("Tue, 24 Nov 2026 07:10:00 GMT"), Some(UnixMillis(1_795_504_200_000)));
        for bad in ["", "yesterday", "2026-11-24"] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }
}
