//! A message is posted to where a file says, over TLS to the authorities that it names, with a signature of what both sides know. Redirects are
//! not followed.

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use muster_model::{limits::TARGET_ANSWER_BYTES, time::UnixMillis};
use muster_site::Sending;
use muster_trust::{hmac_sha256_hex, tls};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{pki_types::ServerName, time_provider::DefaultTimeProvider},
};
use zeroize::Zeroizing;

/// What the signature is over: the time in seconds, a dot, and the body. The time keeps an old message from being new again.
pub(super) fn signature(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    let mut signed = Zeroizing::new(format!("{seconds}.").into_bytes());
    signed.extend_from_slice(body);
    format!("v1={}", hmac_sha256_hex(secret, &signed))
}

pub(super) async fn send(
    url: &str,
    authorities: &[Vec<u8>],
    secret: &[u8],
    sending: &Sending,
    now: UnixMillis,
) -> Result<String, String> {
    let url: Uri = url.parse().map_err(|_| "url is no address")?;
    let authority = url.authority().ok_or("url names no server")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let config = tls::client_of_directory(authorities, Arc::new(DefaultTimeProvider))
        .map_err(|error| format!("the authorities cannot be used: {error}"))?;
    let name = ServerName::try_from(host.clone()).map_err(|_| "the server has no usable name")?;
    let port = authority.port_u16().unwrap_or(443);
    let tcp = TcpStream::connect((host.as_str(), port)).await;
    let tcp = tcp.map_err(|error| format!("the server cannot be reached: {error}"))?;
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    let tls = tls.map_err(|error| format!("the server is not trusted: {error}"))?;
    let failed = |error: hyper::Error| format!("the server does not answer as it should: {error}");
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(TARGET_ANSWER_BYTES).handshake(TokioIo::new(tls)).await.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let seconds = now.0.div_euclid(1_000);
    let request = Request::post(url.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header("muster-action", sending.id.to_string())
        .header("muster-timestamp", seconds.to_string())
        .header("muster-signature", signature(secret, seconds, &sending.body))
        .body(Full::new(Bytes::from(sending.body.clone())))
        .map_err(|_| "url is no address")?;
    let answer = sender.send_request(request).await;
    let outcome = match answer {
        Ok(answer) => {
            let status = answer.status();
            // What it says is of no interest, but it may end saying it.
            let mut body = answer.into_body();
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > TARGET_ANSWER_BYTES {
                    break;
                }
            }
            if status.is_success() {
                Ok(status.as_str().to_owned())
            } else {
                Err(format!("the server answers {status}"))
            }
        }
        Err(error) => Err(failed(error)),
    };
    driver.abort();
    outcome
}
