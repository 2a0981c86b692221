//! A conversation with a directory server over TLS; every byte that comes is counted.

use super::file::DirectoryFile;
use muster_model::{
    ldap::{self, Answer, Entry, Search},
    limits::{DIRECTORY_MESSAGE_BYTES, DIRECTORY_PAGE_BYTES, DIRECTORY_RUN_BYTES},
};
use muster_trust::tls;
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{pki_types::ServerName, time_provider::TimeProvider},
};
use zeroize::Zeroizing;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the connection and its handshake may take.
const CONNECT: Duration = Duration::from_secs(20);

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A page of what was found.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Where the next page begins; empty: this was the last one.
    pub(super) cookie: Vec<u8>,
}

/// A conversation.
pub(super) struct Connection<S> {
    stream: S,
    id: u32,
    /// Bytes that may still come: of the run, and of the page.
    left: u64,
    left_of_page: usize,
    read: Vec<u8>,
}

impl Connection<Box<dyn Stream>> {
    /// Connects. Nothing of ours is said before the server has proven itself.
    pub(super) async fn open(file: &DirectoryFile, time: Arc<dyn TimeProvider>) -> Result<Self, String> {
        let config = tls::client_of_directory(&file.authorities()?, time)
            .map_err(|error| format!("the authorities cannot be used: {error}"))?;
        let (host, port, at_once) = file.address()?;
        let name = ServerName::try_from(host.clone()).map_err(|_| "the server has no usable name")?;
        let opened = async {
            let unreachable = |error: io::Error| format!("the server cannot be reached: {error}");
            let mut tcp = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
            if !at_once {
                let mut plain = Connection::new(&mut tcp);
                plain.say(ldap::start_tls).await?;
                match plain.answer().await? {
                    // What came before TLS stands is nobody's word.
                    Answer::Done { code: 0, .. } if plain.read.is_empty() => {}
                    Answer::Done { code, .. } => return Err(format!("the server does not start TLS (result {code})")),
                    _ => return Err(malformed()),
                }
            }
            let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
            tls.map_err(|error| format!("the server is not trusted: {error}"))
        };
        let stream = timeout(CONNECT, opened).await.map_err(|_| "the server did not answer in time".to_owned())??;
        Ok(Connection::new(Box::new(stream) as Box<dyn Stream>))
    }

    pub(super) async fn bind(&mut self, file: &DirectoryFile) -> Result<(), String> {
        let password = file.password()?;
        self.say(|id| ldap::bind(id, &file.bind, &password)).await?;
        match self.answer().await? {
            Answer::Done { code: 0, .. } => Ok(()),
            Answer::Done { code: 49, .. } => Err("the server refuses name or password".to_owned()),
            Answer::Done { code, .. } => Err(format!("the server refuses the bind (result {code})")),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> String {
    format!("the server {}", ldap::Malformed)
}

impl<S: Stream> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, id: 0, left: DIRECTORY_RUN_BYTES, left_of_page: DIRECTORY_PAGE_BYTES, read: Vec::new() }
    }

    async fn say(&mut self, request: impl FnOnce(u32) -> Vec<u8>) -> Result<(), String> {
        self.id += 1;
        self.left_of_page = DIRECTORY_PAGE_BYTES;
        let request = Zeroizing::new(request(self.id));
        let sent = async {
            self.stream.write_all(&request).await?;
            self.stream.flush().await
        };
        match timeout(PATIENCE, sent).await {
            Ok(sent) => sent.map_err(|error| format!("the server does not listen: {error}")),
            Err(_) => Err("the server does not listen".to_owned()),
        }
    }

    /// The next answer to the last request.
    async fn answer(&mut self) -> Result<Answer, String> {
        loop {
            if let Some(length) = ldap::length(&self.read).map_err(|_| malformed())? {
                if length > DIRECTORY_MESSAGE_BYTES {
                    return Err(format!("the server sends a message of more than {DIRECTORY_MESSAGE_BYTES} bytes"));
                }
                if self.read.len() >= length {
                    let rest = self.read.split_off(length);
                    let message = std::mem::replace(&mut self.read, rest);
                    let (id, answer) = ldap::answer(&message).map_err(|_| malformed())?;
                    // 0 is a notice of its own accord, mostly that it closes.
                    return if id == u64::from(self.id) { Ok(answer) } else { Err(malformed()) };
                }
            }
            let mut piece = [0; 16 << 10];
            let read = timeout(PATIENCE, self.stream.read(&mut piece)).await;
            match read.map_err(|_| "the server is silent".to_owned())? {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(count) => {
                    let less = (self.left.checked_sub(count as u64), self.left_of_page.checked_sub(count));
                    let (Some(left), Some(left_of_page)) = less else {
                        return Err("the server sends more than it may".to_owned());
                    };
                    (self.left, self.left_of_page) = (left, left_of_page);
                    self.read.extend_from_slice(&piece[..count]);
                }
                Err(error) => return Err(format!("the connection to the server broke: {error}")),
            }
        }
    }

    /// One page of a search, or all of one without pages. `None`: there is nothing at this place, or it is not for us.
    pub(super) async fn search(&mut self, wanted: &Search<'_>) -> Result<Option<Page>, String> {
        self.say(|id| ldap::search(id, wanted)).await?;
        let most = wanted.page.map_or(wanted.entries, |(size, _)| size) as usize;
        let mut page = Page::default();
        loop {
            match self.answer().await? {
                Answer::Entry(entry) if page.entries.len() < most => page.entries.push(entry),
                Answer::Entry(_) => return Err("the server sends more entries than were asked for".to_owned()),
                // References are not followed: they lead where somebody else wants.
                Answer::Reference => {}
                Answer::Done { code: 0, cookie } => {
                    page.cookie = cookie;
                    return Ok(Some(page));
                }
                Answer::Done { code: 32 | 50, .. } => return Ok(None),
                Answer::Done { code: 10, .. } => {
                    return Err("the server refers to another one, which is not followed".to_owned());
                }
                Answer::Done { code, .. } => return Err(format!("the server refuses the search (result {code})")),
            }
        }
    }

    pub(super) async fn end(mut self) {
        // It is over whether or not the server hears of it.
        let _ = self.say(ldap::unbind).await;
        let _ = self.stream.shutdown().await;
    }
}
