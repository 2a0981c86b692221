//! HTTP/1.1 over pinned or mutual TLS, held small: one connection, one request at a time, every byte bounded in number and time.
//!
//! There are no redirects, no proxies, no cookies and no other schemes: an address is a host and a port, and who answers there
//! is decided by the certificate.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use muster_model::{
    enrol::is_https_authority,
    id::Hash,
    problem::{Code, Problem},
};
use muster_trust::{attestation::EXPORTER_LABEL, ocsp::StatusError, tls::status_error};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};
use tokio_rustls::TlsConnector;

/// How long a connection may take to stand, and an answer to begin after the request is sent.
const CONNECT: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(90);
/// How long a body may bring nothing; and how little it may bring in a window before it counts as stalled.
const STALL: Duration = Duration::from_secs(30);
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_BYTES: u64 = 16 << 10;
/// Bytes of a refusal's text.
const PROBLEM_BYTES: usize = 16 << 10;
/// Bytes of hyper's buffer for heads and small bodies.
const BUFFER_BYTES: usize = 16 << 10;

/// Why a request did not work.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing answers at the address.
    #[error("{address} cannot be reached: {error}")]
    Unreachable {
        /// Where.
        address: Address,
        /// The system's reason.
        error: io::Error,
    },
    /// Who answers is not the site, or does not believe us.
    #[error("{address} is not trusted, or does not trust this client: {error}")]
    Tls {
        /// Where.
        address: Address,
        /// The TLS library's reason.
        error: rustls::Error,
    },
    /// The site's chain is there, and no proof that the server's certificate is still good.
    #[error("{address} is not trusted: {reason}")]
    Unproven {
        /// Where.
        address: Address,
        /// What is wrong with the proof.
        reason: StatusError,
    },
    /// It took too long, or brought too little.
    #[error("the server did not answer in time")]
    Stalled,
    /// The connection broke, or what came is not HTTP.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The body is over its limit.
    #[error("the server sent more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The server refused, with a reason.
    #[error("the site refused ({}): {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// The server answered something that has no place here.
    #[error("the server answered with status {0}")]
    Status(StatusCode),
    /// The answer does not parse.
    #[error("the server's answer is not what it should be")]
    Malformed,
}

impl HttpError {
    /// When the handshake failed because a certificate is not valid at the client's time: by at least how many seconds the
    /// two times differ (negative: the client is behind).
    #[must_use]
    pub fn clock_difference(&self) -> Option<i64> {
        use rustls::{CertificateError, Error};
        let Self::Tls { error: Error::InvalidCertificate(error), .. } = self else { return None };
        let seconds = |at: rustls::pki_types::UnixTime| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        match error {
            CertificateError::ExpiredContext { time, not_after } => Some(seconds(*time) - seconds(*not_after)),
            CertificateError::NotValidYetContext { time, not_before } => Some(seconds(*time) - seconds(*not_before)),
            _ => None,
        }
    }

    /// Whether the site does not let this client in: in the handshake, or with a refusal.
    #[must_use]
    pub fn is_locked_out(&self) -> bool {
        use rustls::{AlertDescription::CertificateRevoked, Error::AlertReceived};
        matches!(self, Self::Tls { error: AlertReceived(CertificateRevoked), .. })
            || self.problem().is_some_and(|problem| problem.code == Code::DeviceNotActive)
    }

    /// The refusal, where there is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A server's address: `https://host:port` and nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The host, a name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From a name or address and a port that somebody named. What does not look like a host is refused: it goes into nothing
    /// that could read it in another way.
    ///
    /// # Errors
    /// The sentence that says what is wrong.
    pub fn new(host: &str, port: u16) -> Result<Self, &'static str> {
        match host.contains(':') {
            true => format!("https://[{host}]:{port}").parse(),
            false => format!("https://{host}:{port}").parse(),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "an address must be https://host:port";
        let authority = text.strip_prefix("https://").filter(|_| is_https_authority(text)).ok_or(WRONG)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| WRONG)?),
            _ => (authority, 443),
        };
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// Headers other than `Host`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl<'a> Ask<'a> {
    /// `GET path`.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// `POST path` with a body of that media type.
    #[must_use]
    pub fn post(path: &'a str, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
        Self { method: Method::POST, path, headers, body: body.into() }
    }

    /// With one more header; a value that cannot be one is left out.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.headers.insert(name, value);
        }
        self
    }
}

/// A connection that stands. It is closed when this is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    address: Address,
    exporter: Hash,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn open(config: Arc<ClientConfig>, address: &Address) -> Result<Self, HttpError> {
        timeout(CONNECT, Self::connect(config, address)).await.unwrap_or_else(|_| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
            Err(HttpError::Unreachable { address: address.clone(), error })
        })
    }

    async fn connect(config: Arc<ClientConfig>, address: &Address) -> Result<Self, HttpError> {
        let unreachable = |error| HttpError::Unreachable { address: address.clone(), error };
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| unreachable(io::Error::new(io::ErrorKind::InvalidInput, "not a host name")))?;
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let tls = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| match tls_error(&error) {
            Some(error) => match status_error(&error) {
                Some(reason) => HttpError::Unproven { address: address.clone(), reason },
                None => HttpError::Tls { address: address.clone(), error },
            },
            None => HttpError::Unreachable { address: address.clone(), error },
        })?;
        let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).map(Hash);
        let exporter = exporter.map_err(|error| HttpError::Tls { address: address.clone(), error })?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(|error| HttpError::Connection(error.to_string()))?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer hears of a failure there.
            let _ = driver.await;
        });
        Ok(Self { sender, driver: driver.abort_handle(), address: address.clone(), exporter })
    }

    /// Where this connection goes.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What ties a statement to this connection: nobody in the middle has the same on both sides.
    #[must_use]
    pub fn exporter(&self) -> Hash {
        self.exporter
    }

    /// Sends a request; the answer's head is there when this returns.
    ///
    /// # Errors
    /// Also for every status that is not a success or 304.
    pub async fn ask(&mut self, ask: Ask<'_>) -> Result<Response<Incoming>, HttpError> {
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.path.parse().map_err(|_| HttpError::Malformed)?;
        *request.headers_mut() = ask.headers;
        let host = self.address.to_string().parse().map_err(|_| HttpError::Malformed)?;
        request.headers_mut().insert(header::HOST, host);
        let exchange = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let answer = match timeout(ANSWER, exchange).await {
            Err(_) => return Err(HttpError::Stalled),
            Ok(Err(error)) => return Err(self.failed(&error)),
            Ok(Ok(answer)) => answer,
        };
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_MODIFIED => Ok(answer),
            _ => Err(refusal(answer).await),
        }
    }

    /// A refusal of our certificate comes with the first answer and not with the handshake.
    fn failed(&self, error: &hyper::Error) -> HttpError {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = source {
            if let Some(error) = cause.downcast_ref::<io::Error>().and_then(tls_error) {
                return HttpError::Tls { address: self.address.clone(), error };
            }
            source = cause.source();
        }
        HttpError::Connection(error.to_string())
    }

    /// [`Self::ask`], then the whole body.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn fetch(&mut self, ask: Ask<'_>, limit: usize) -> Result<(StatusCode, HeaderMap, Bytes), HttpError> {
        let answer = self.ask(ask).await?;
        let (head, body) = answer.into_parts();
        let mut body = Body::new(body, limit as u64);
        let mut whole = Vec::new();
        while let Some(piece) = body.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok((head.status, head.headers, whole.into()))
    }

    /// [`Self::fetch`], parsed as JSON.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn json<T: serde::de::DeserializeOwned>(&mut self, ask: Ask<'_>, limit: usize) -> Result<T, HttpError> {
        let (_, _, body) = self.fetch(ask, limit).await?;
        serde_json::from_slice(&body).map_err(|_| HttpError::Malformed)
    }
}

fn tls_error(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned()
}

async fn refusal(answer: Response<Incoming>) -> HttpError {
    let status = answer.status();
    let is_problem = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/problem+json"));
    if !is_problem {
        return HttpError::Status(status);
    }
    let mut body = Body::new(answer.into_body(), PROBLEM_BYTES as u64);
    let mut whole = Vec::new();
    loop {
        match body.piece().await {
            Ok(Some(piece)) => whole.extend_from_slice(&piece),
            Ok(None) => break,
            Err(_) => return HttpError::Status(status),
        }
    }
    serde_json::from_slice(&whole).map_or(HttpError::Status(status), |problem| HttpError::Refused(Box::new(problem)))
}

/// A body as it comes, bounded in bytes and in patience.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    limit: u64,
    taken: u64,
    window: (tokio::time::Instant, u64),
}

impl Body {
    /// At most `limit` bytes.
    #[must_use]
    pub fn new(incoming: Incoming, limit: u64) -> Self {
        Self { incoming, limit, taken: 0, window: (tokio::time::Instant::now(), 0) }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Stalled, too large, or broken.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = match timeout(STALL, self.incoming.frame()).await {
                Err(_) => return Err(HttpError::Stalled),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(HttpError::Connection(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            self.taken += data.len() as u64;
            if self.taken > self.limit {
                return Err(HttpError::TooLarge { limit: self.limit });
            }
            let (since, before) = self.window;
            if since.elapsed() >= WINDOW {
                if self.taken - before < WINDOW_BYTES {
                    return Err(HttpError::Stalled);
                }
                self.window = (tokio::time::Instant::now(), self.taken);
            }
            return Ok(Some(data));
        }
    }

    /// The next piece of a stream that may be silent for `patience`; no limit in number, for the live channel.
    ///
    /// # Errors
    /// Silent for longer, or broken.
    pub async fn live_piece(&mut self, patience: Duration) -> Result<Option<Bytes>, HttpError> {
        match timeout(patience, self.incoming.frame()).await {
            Err(_) => Err(HttpError::Stalled),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(HttpError::Connection(error.to_string())),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let shown = |text: &str| text.parse::<Address>().map(|a| a.to_string());
        assert_eq!(shown("https://mp.example").as_deref(), Ok("mp.example:443"));
        assert_eq!(shown("https://[::1]:8443").as_deref(), Ok("[::1]:8443"));
        assert_eq!(shown("https://[::1]").as_deref(), Ok("[::1]:443"));
        for bad in ["http://mp.example", "https://mp.example/x", "file:///x", "https://u:p@mp.example", "mp.example"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
