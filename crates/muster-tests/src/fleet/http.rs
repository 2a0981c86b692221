//! The least HTTP/1.1 that a simulated client needs: cheap, so that the measured side is the server.

use super::error::FleetError;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Bytes of an answer that are taken.
const ANSWER_BYTES: usize = 1 << 20;
/// How long a handshake or an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server is, and which name its certificate has.
#[derive(Debug, Clone)]
pub struct Target {
    /// The socket.
    pub address: SocketAddr,
    /// The name.
    pub name: ServerName<'static>,
}

impl Target {
    /// From `https://host:port`. A name must be this machine's: a simulation stays on the loopback network.
    ///
    /// # Errors
    /// [`FleetError::Unusable`] when it is another's.
    pub fn parse(url: &str) -> Result<Self, FleetError> {
        let other =
            || FleetError::Unusable(format!("{url} is not an address of this machine; the simulation stays here"));
        let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
        let (host, port) = authority.rsplit_once(':').ok_or_else(other)?;
        let ip =
            if host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host.parse().map_err(|_| other())? };
        if !ip.is_loopback() {
            return Err(other());
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| other())?;
        Ok(Self { address: SocketAddr::new(ip, port.parse().map_err(|_| other())?), name })
    }
}

/// An address of the loopback network for the client of this number: each has its own, so that ports never run out and no
/// limit per address is met by accident.
#[must_use]
pub fn source(number: u64) -> IpAddr {
    let part = |value: u64| u8::try_from(value % 250 + 1).unwrap_or(1);
    IpAddr::V4(Ipv4Addr::new(127, part(number / 62_500), part(number / 250), part(number)))
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The same answer, where it is of this status.
    ///
    /// # Errors
    /// [`FleetError::Refused`].
    pub fn expect(self, status: u16, what: &str) -> Result<Self, FleetError> {
        if self.status == status {
            return Ok(self);
        }
        let answer = String::from_utf8_lossy(&self.body[..self.body.len().min(400)]).into_owned();
        Err(FleetError::Refused { what: what.to_owned(), status: self.status, answer })
    }
}

/// A kept connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl Connection<TlsStream<TcpStream>> {
    /// Connects from the address of the client of this number, and shakes hands.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn open(config: Arc<ClientConfig>, target: &Target, number: u64) -> Result<Self, FleetError> {
        let failed = || FleetError::io(format!("connecting to {}", target.address));
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            if target.address.is_ipv4() {
                socket.set_reuseaddr(true)?;
                socket.bind(SocketAddr::new(source(number), 0))?;
            }
            let tcp = socket.connect(target.address).await?;
            tcp.set_nodelay(true)?;
            TlsConnector::from(config).connect(target.name.clone(), tcp).await
        };
        let stream = timeout(PATIENCE, connect).await.map_err(|late| failed()(late.into()))?.map_err(failed())?;
        Ok(Self { stream, buffer: Vec::new() })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks for something; `etag` is what the client has.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn get(&mut self, path: &str, etag: Option<&str>) -> Result<Answer, FleetError> {
        let condition = etag.map_or_else(String::new, |etag| format!("if-none-match: {etag}\r\n"));
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{condition}\r\n");
        self.exchange(head.into_bytes(), path).await
    }

    /// Asks for a part of something.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn get_part(&mut self, path: &str, first: u64, length: u64) -> Result<Answer, FleetError> {
        let last = first + length.max(1) - 1;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nrange: bytes={first}-{last}\r\n\r\n");
        self.exchange(head.into_bytes(), path).await
    }

    /// Sends something.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, FleetError> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        self.exchange(message, path).await
    }

    /// Asks for a stream that does not end; returns when its head is there.
    ///
    /// # Errors
    /// [`FleetError::Refused`] when it is not 200.
    pub async fn open_stream(&mut self, path: &str) -> Result<(), FleetError> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
        let failed = || FleetError::io(format!("opening {path}"));
        self.stream.write_all(head.as_bytes()).await.map_err(failed())?;
        self.stream.flush().await.map_err(failed())?;
        let head = timeout(PATIENCE, self.head()).await.map_err(|late| failed()(late.into()))?.map_err(failed())?;
        let answer = Answer { status: head.status, etag: None, body: std::mem::take(&mut self.buffer) };
        answer.expect(200, path).map(drop)
    }

    /// Waits for the next bytes of the stream; 0 at its end.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn next_of_stream(&mut self) -> Result<usize, FleetError> {
        let mut piece = [0; 256];
        self.stream.read(&mut piece).await.map_err(FleetError::io("reading the live channel"))
    }

    /// The next bytes of the stream; none at its end.
    ///
    /// # Errors
    /// [`FleetError::Io`].
    pub async fn next_piece(&mut self) -> Result<Vec<u8>, FleetError> {
        let mut piece = vec![0; 256];
        let read = self.stream.read(&mut piece).await.map_err(FleetError::io("reading the live channel"))?;
        piece.truncate(read);
        Ok(piece)
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        // The other side may have closed first: the same.
        drop(timeout(PATIENCE, self.stream.shutdown()).await);
    }

    async fn exchange(&mut self, message: Vec<u8>, path: &str) -> Result<Answer, FleetError> {
        let failed = || FleetError::io(format!("asking for {path}"));
        let exchange = async {
            self.stream.write_all(&message).await?;
            self.stream.flush().await?;
            let head = self.head().await?;
            while self.buffer.len() < head.length {
                self.more().await?;
            }
            let rest = self.buffer.split_off(head.length);
            let body = std::mem::replace(&mut self.buffer, rest);
            Ok(Answer { status: head.status, etag: head.etag, body })
        };
        timeout(PATIENCE, exchange).await.map_err(|late| failed()(late.into()))?.map_err(failed())
    }

    async fn more(&mut self) -> std::io::Result<()> {
        if self.buffer.len() > ANSWER_BYTES {
            return Err(std::io::Error::other("the answer is too long"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads an answer's head and leaves what follows it in the buffer.
    async fn head(&mut self) -> std::io::Result<Head> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end]).ok_or(std::io::ErrorKind::InvalidData)?;
                self.buffer.drain(..end + 4);
                return Ok(head);
            }
            self.more().await?;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    etag: Option<String>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut head = Self { status, length: 0, etag: None };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") && status != 304 {
                head.length = value.trim().parse().ok().filter(|length| *length <= ANSWER_BYTES)?;
            } else if name.eq_ignore_ascii_case("etag") {
                head.etag = Some(value.trim().to_owned());
            }
        }
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\netag: \"7\"").unwrap();
        assert_eq!(head, Head { status: 200, length: 12, etag: Some("\"7\"".to_owned()) });
        assert_eq!(Head::parse(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9").unwrap().length, 0);
        assert_eq!(Head::parse(b"SSH-2.0"), None);
    }

    #[test]
    fn every_client_has_its_address_on_this_machine() {
        let all: std::collections::BTreeSet<_> = (0..100_000).map(source).collect();
        assert_eq!(all.len(), 100_000);
        assert!(all.iter().all(IpAddr::is_loopback));
        assert!(Target::parse("https://localhost:8440").is_ok() && Target::parse("https://127.0.0.1:1").is_ok());
        assert!(Target::parse("https://192.0.2.1:8440").is_err() && Target::parse("https://site.example:1").is_err());
    }
}
