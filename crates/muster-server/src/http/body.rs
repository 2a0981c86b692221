//! Reading a request's body: never more than its limit, and never for longer than the sender keeps sending.

use super::respond::Refusal;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use muster_model::problem::Code;
use std::time::Duration;

/// The next piece of a body; `None` at its end.
pub(crate) async fn next<B>(body: &mut B, patience: Duration) -> Result<Option<Bytes>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match tokio::time::timeout(patience, body.frame()).await {
            Err(_) => return Err(Refusal::malformed("The body did not come in time.")),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Refusal::malformed("The body ended before its time.")),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Empty, or trailers, which nobody wants.
                _ => {}
            },
        }
    }
}

/// The whole body, of at most `limit` bytes.
pub(crate) async fn read<B>(
    headers: &HeaderMap,
    mut body: B,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || Refusal::new(Code::TooLarge, format!("The body has more than {limit} bytes."));
    // What says that it is too large is not read at all.
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let Some(first) = next(&mut body, patience).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large());
    }
    let Some(second) = next(&mut body, patience).await? else { return Ok(first) };
    let mut whole = BytesMut::from(&first[..]);
    let mut piece = Some(second);
    while let Some(more) = piece {
        if whole.len() + more.len() > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&more);
        piece = next(&mut body, patience).await?;
    }
    Ok(whole.freeze())
}

/// The length that the headers say.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses a body of another type than the one that is wanted. Parameters (`; charset=utf-8`) are allowed.
pub(crate) fn expect_type(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if said.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Refusal::new(Code::UnsupportedMediaType, format!("Send this as {wanted}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    const LONG: Duration = Duration::from_secs(30);

    async fn of(pieces: &[&'static str], limit: usize) -> Result<Bytes, Code> {
        let frames: Vec<_> =
            pieces.iter().map(|p| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(*p)))).collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        read(&HeaderMap::new(), body, limit, LONG).await.map_err(|refusal| refusal.0.code)
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_not_one_byte_more() {
        assert_eq!(of(&[], 4).await.unwrap(), "");
        assert_eq!(of(&["abcd"], 4).await.unwrap(), "abcd");
        assert_eq!(of(&["ab", "", "c", "d"], 4).await.unwrap(), "abcd");
        assert_eq!(of(&["abcde"], 4).await, Err(Code::TooLarge));
        assert_eq!(of(&["ab", "cd", "e"], 4).await, Err(Code::TooLarge));
    }

    #[tokio::test]
    async fn what_says_it_is_too_large_is_not_read() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, "5".parse().unwrap())]);
        let refusal = read(&headers, Full::new(Bytes::new()), 4, LONG).await.unwrap_err();
        assert_eq!(refusal.0.code, Code::TooLarge);
    }

    #[tokio::test]
    async fn a_sender_that_sleeps_is_given_up() {
        let body = StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>());
        let refusal = read(&HeaderMap::new(), body, 4, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(refusal.0.code, Code::Malformed);
    }

    #[test]
    fn another_type_is_refused() {
        let of = |said: &'static str| {
            expect_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, said.parse().unwrap())]), "application/json")
        };
        assert!(of("application/json").is_ok() && of("Application/JSON; charset=utf-8").is_ok());
        for bad in ["text/plain", "application/jsonx", "", "application/x-www-form-urlencoded"] {
            assert_eq!(of(bad).unwrap_err().0.code, Code::UnsupportedMediaType, "{bad}");
        }
    }
}
