//! Revocation lists of the enterprise's issuers, fetched from where an administrator said, and from nowhere else.
//!
//! Plain HTTP is enough, because a list is signed and judged by the site's rules. No redirect is followed, no name from a
//! certificate is ever looked up, and what comes is bounded in time and size.

use crate::listen::Stop;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use muster_model::{id::Hash, limits::FOREIGN_LIST_BYTES};
use muster_site::{Due, Site, SiteError};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

/// Time between two looks at which lists are due.
const LOOK: Duration = Duration::from_secs(2);
/// How long a connection may take, and the whole.
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 << 10;

/// Why a list could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The address is none.
    #[error("its address is not one of a list")]
    Address,
    /// The name leads nowhere, or where a list cannot be.
    #[error("{0} has no address that a list can be at")]
    Name(String),
    /// Nobody answers.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, std::io::Error),
    /// It took too long.
    #[error("the server took longer than it may")]
    TooSlow,
    /// The answer is not HTTP.
    #[error("the server's answer is not what it should be: {0}")]
    Http(#[from] hyper::Error),
    /// Redirects are not followed.
    #[error("the server redirects ({0}), which is not followed; give the list's own address")]
    Redirect(StatusCode),
    /// Any other status.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// Too many bytes.
    #[error("the server sends more than {FOREIGN_LIST_BYTES} bytes")]
    TooLarge,
}

/// Keeps the lists of all issuers fetched for as long as the server runs. Each has a task of its own: one that hangs keeps no other waiting.
pub(crate) async fn keep_fetched(site: Arc<Site>, mut stop: Stop) {
    let mut under_way = UnderWay::default();
    loop {
        under_way.0.retain(|_, task| !task.is_finished());
        for due in muster_site::issuer_list_due(&site, site.sources.now()) {
            under_way.0.entry(due.issuer).or_insert_with(|| {
                let site = site.clone();
                tokio::spawn(async move {
                    if let Err(error) = take(&site, &due).await {
                        tracing::error!(%error, "A revocation list could not be kept; trying again.");
                    }
                })
            });
        }
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Lists that are being fetched; they end with whoever waits for them.
#[derive(Default)]
struct UnderWay(HashMap<Hash, JoinHandle<()>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

async fn take(site: &Site, due: &Due) -> Result<(), SiteError> {
    let outcome = match fetch(&due.url, WHOLE).await {
        Ok(list) => muster_site::issuer_list_take(site, due.issuer, list).await.map(|_| "fetched"),
        Err(error) => {
            let reason = format!("{error}.");
            muster_site::issuer_list_failed(site, due.issuer, &reason).await.map(|()| "failed")
        }
    };
    metrics::counter!("muster_issuer_lists_fetched_total", "outcome" => *outcome.as_ref().unwrap_or(&"failed"))
        .increment(1);
    outcome.map(drop)
}

/// Fetches what is at an address.
pub(crate) async fn fetch(url: &str, patience: Duration) -> Result<Vec<u8>, FetchError> {
    timeout(patience, fetch_slowly(url)).await.map_err(|_| FetchError::TooSlow)?
}

async fn fetch_slowly(url: &str) -> Result<Vec<u8>, FetchError> {
    let url: Uri = url.parse().map_err(|_| FetchError::Address)?;
    let (Some("http"), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(FetchError::Address) };
    let stream = connect(authority.host(), authority.port_u16().unwrap_or(80)).await?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/pkix-crl")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Address)?;
    let answer = sender.send_request(request).await;
    let body = match answer {
        Ok(answer) => read(answer).await,
        Err(error) => Err(error.into()),
    };
    driver.abort();
    body
}

async fn read(answer: http::Response<Incoming>) -> Result<Vec<u8>, FetchError> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let (mut body, mut whole) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if whole.len() + piece.len() > FOREIGN_LIST_BYTES {
            return Err(FetchError::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, FetchError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let named = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| carried(address).is_loopback());
    let found = timeout(CONNECT, tokio::net::lookup_host((host, port))).await.map_err(|_| FetchError::TooSlow)?;
    let found = found.map_err(|_| FetchError::Name(host.to_owned()))?;
    let addresses: Vec<SocketAddr> = found.filter(|address| may_be(address.ip(), named)).take(ADDRESSES).collect();
    let mut last = FetchError::Name(host.to_owned());
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = FetchError::Unreachable(host.to_owned(), error),
            Err(_) => last = FetchError::TooSlow,
        }
    }
    Err(last)
}

/// Whether a list can be at an address. Whoever answers for a name must not lead the server to itself, nor to what only its own
/// machine or link can reach.
fn may_be(address: IpAddr, own_machine_named: bool) -> bool {
    match carried(address) {
        address if address.is_loopback() => own_machine_named,
        // `0.0.0.0/8` is this machine, here.
        IpAddr::V4(v4) => !(v4.octets()[0] == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast() || v6 == METADATA),
    }
}

/// Where a cloud tells its machines their secrets.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The IPv4 address that an IPv6 address carries in one of the usual ways, as a router would take it: mapped, compatible, NAT64, 6to4.
fn carried(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, _] => IpAddr::V6(v6),
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        _ => IpAddr::V6(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[test]
    fn a_name_does_not_lead_to_the_machine_itself() {
        let of = |text: &str, named| may_be(text.parse().unwrap(), named);
        for good in ["10.0.0.1", "192.0.2.7", "2001:db8::1", "fd00::1", "64:ff9b::a00:1", "2002:c000:207::1"] {
            assert!(of(good, false), "{good}");
        }
        for bad in [
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "0.1.2.3",
            "fd00:ec2::254",
        ] {
            assert!(!of(bad, true), "{bad}");
        }
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"] {
            assert!(of(own, true) && !of(own, false), "{own}");
        }
    }

    /// The address of a server that reads one request and writes `answer` once, or for ever.
    async fn server(answer: &'static [u8], for_ever: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ca.crl", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            let read = stream.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"GET /ca.crl HTTP/1.1\r\n"));
            while stream.write_all(answer).await.is_ok() && for_ever {}
            // Held open: whoever waits for more waits in vain.
            let _ = stream.read(&mut head).await;
        });
        url
    }

    // proves S22
    #[tokio::test]
    async fn what_is_not_a_list_is_given_up_in_time() {
        let patience = Duration::from_secs(5);
        let good = server(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false).await;
        assert_eq!(fetch(&good, patience).await.unwrap(), b"abc");
        let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let error = fetch(&server(moved, false).await, patience).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect(StatusCode::FOUND)), "{error}");
        let error = fetch(&server(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false).await, patience).await;
        assert!(matches!(error, Err(FetchError::Status(StatusCode::NOT_FOUND))));
        // The length that is said is not believed, and none need be said.
        static CHUNK: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| [b'x'; 1 << 16].to_vec());
        let endless = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ca.crl", endless.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = endless.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&CHUNK).await.is_ok() {}
        });
        let error = fetch(&url, patience).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge), "{error}");
        for silent in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"] {
            let url = server(silent, false).await;
            let error = fetch(&url, Duration::from_millis(300)).await.unwrap_err();
            assert!(matches!(error, FetchError::TooSlow), "{error}");
        }
        let error = fetch(&server(b"X-Junk: 1\r\n", true).await, patience).await.unwrap_err();
        assert!(matches!(error, FetchError::Http(_)), "{error}");
        let error = fetch("http://127.0.0.1:1/ca.crl", patience).await.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable(..)), "{error}");
    }
}
