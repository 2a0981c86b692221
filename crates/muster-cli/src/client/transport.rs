//! One request over one connection: TCP, TLS where the profile has it, HTTP/1.1, an answer of bounded length.

use super::{ANSWER, ANSWER_BYTES, CONNECT, Client, ClientError, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// An answer that was read to its end and was not a refusal.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// Sends a request and reads the whole answer. A refusal becomes an error.
    pub(super) async fn call(&self, request: Request<Body>) -> Result<Answer, ClientError> {
        timeout(ANSWER, self.call_unhurried(request))
            .await
            .map_err(|_| self.unreachable(format!("no answer in {} seconds", ANSWER.as_secs())))?
    }

    /// As [`Client::call`], without a limit of time: for a body that is a long file.
    pub(super) async fn call_unhurried(&self, request: Request<Body>) -> Result<Answer, ClientError> {
        let (parts, body) = self.open(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|e| self.unreachable(e))?.to_bytes();
        if parts.status.is_success() {
            return Ok(Answer { headers: parts.headers, body });
        }
        Err(self.refusal(parts.status, &body))
    }

    /// Sends a request and gives the answer as soon as its headers are there.
    pub(super) async fn open(&self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let authority =
            request.headers().get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let tcp = timeout(CONNECT, TcpStream::connect(&authority))
            .await
            .map_err(|_| self.unreachable(format!("no connection in {} seconds", CONNECT.as_secs())))?
            .map_err(|e| self.unreachable(e))?;
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.exchange(tcp, request).await };
        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|e| self.unreachable(e))?;
        let connector = tokio_rustls::TlsConnector::from(tls.clone());
        let stream = timeout(CONNECT, connector.connect(name, tcp))
            .await
            .map_err(|_| self.unreachable("the TLS handshake did not end"))?
            .map_err(|e| self.handshake(&e))?;
        self.exchange(stream, request).await
    }

    async fn exchange<S>(&self, stream: S, request: Request<Body>) -> Result<Response<Incoming>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.unreachable(e))?;
        // The connection lives as long as the answer's body; an error of it shows there.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| self.unreachable(e))
    }

    fn handshake(&self, error: &std::io::Error) -> ClientError {
        let certificate = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .filter(|e| matches!(e, rustls::Error::InvalidCertificate(_)));
        match certificate {
            Some(reason) => {
                ClientError::NotTrusted { address: self.profile.address.clone(), reason: reason.to_string() }
            }
            None => self.unreachable(error),
        }
    }

    pub(super) fn unreachable(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::Unreachable { address: self.profile.address.clone(), reason: reason.to_string() }
    }
}
