//! The administrators' API as typed calls: one file a noun, one method a rule, with the rule's name.

mod admin;
mod alert;
mod application;
mod approval;
mod audit;
mod baseline;
mod body;
mod boundary;
mod certificate;
mod class;
mod client_log;
mod client_status;
mod collection;
mod conflict;
mod content;
mod deployment;
mod deployment_control;
mod device;
mod discovery;
mod enrolment;
mod events;
mod hardware;
mod history;
mod issuer;
mod maintenance;
mod message;
mod mobile;
mod query;
mod resource;
mod secret;
mod serial;
mod session;
mod settings;
mod site;
mod status;
mod title;
mod token;
mod transport;
mod trust;
mod update;
mod window;

pub use events::{Event, EventStream};
pub use session::sign_in_message;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use muster_model::{
    problem::{Code, Problem},
    profile::{Profile, ProfileError},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// Bytes of one answer that are taken; a page of 500 devices has 200 KB.
const ANSWER_BYTES: usize = 32 << 20;
/// How long the site may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the site may take to answer a request that carries no file.
const ANSWER: Duration = Duration::from_secs(60);

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The site said no; the problem has its stable code. Nothing was changed.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// No connection, or it broke. Whether a change was made is not known when it broke late.
    #[error("cannot reach the site at {address}: {reason}")]
    Unreachable {
        /// The address of the profile.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// Something answered that does not have a certificate of this site's root.
    #[error("the server at {address} is not this site's: {reason}")]
    NotTrusted {
        /// The address of the profile.
        address: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// An answer that this client does not understand: another version, or not a site server.
    #[error("the server at {address} gave an answer that is not understood: {reason}")]
    Protocol {
        /// The address of the profile.
        address: String,
        /// What was not understood.
        reason: String,
    },
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A file that is sent cannot be read.
    #[error("cannot read the file to send: {0}")]
    File(std::io::Error),
    /// Signing the challenge failed.
    #[error(transparent)]
    Key(#[from] muster_trust::key::KeyError),
    /// The TLS library cannot be set up.
    #[error(transparent)]
    Tls(#[from] muster_trust::tls::TlsError),
}

impl ClientError {
    /// The problem's code, where the site refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

/// A value with its ETag, for a change that must only happen when nobody else changed it meanwhile.
#[derive(Debug, Clone)]
pub struct Tagged<T> {
    /// The value.
    pub value: T,
    /// The ETag, as sent.
    pub etag: Option<String>,
}

/// A connection-less client of one site: each call opens its own connection, resuming the TLS session.
#[derive(Clone)]
pub struct Client {
    profile: Profile,
    tls: Option<Arc<rustls::ClientConfig>>,
    token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that is not signed in.
    ///
    /// # Errors
    /// [`ClientError::Profile`] when a secret may not be sent to the profile's address.
    pub fn new(profile: &Profile) -> Result<Self, ClientError> {
        profile.check()?;
        let tls = if profile.address.starts_with("https://") {
            Some(Arc::new(muster_trust::tls::client_pinned(profile.root)?))
        } else {
            None
        };
        Ok(Self { profile: profile.clone(), tls, token: None })
    }

    /// The same client, with a session's token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(Zeroizing::new(token.to_owned()));
        self
    }

    /// The profile it was made from.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let builder = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, self.profile.address.split_once("://").map_or("", |(_, authority)| authority));
        let builder = builder.header(header::USER_AGENT, concat!("muster/", env!("CARGO_PKG_VERSION")));
        match &self.token {
            Some(token) => builder.header(header::AUTHORIZATION, format!("Bearer {}", token.as_str())),
            None => builder,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.get_tagged(path).await?.value)
    }

    async fn get_tagged<T: DeserializeOwned>(&self, path: &str) -> Result<Tagged<T>, ClientError> {
        let request = self.build(self.request(Method::GET, path), body::empty())?;
        let answer = self.call(request).await?;
        let etag = answer.headers.get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Tagged { value: self.parse(&answer.body)?, etag })
    }

    async fn send<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content: &B,
        etag: Option<&str>,
    ) -> Result<T, ClientError> {
        let json = serde_json::to_vec(content).map_err(|e| self.protocol(e))?;
        let mut builder = self.request(method, path).header(header::CONTENT_TYPE, "application/json");
        if let Some(etag) = etag {
            builder = builder.header(header::IF_MATCH, etag);
        }
        let answer = self.call(self.build(builder, body::full(json))?).await?;
        self.parse(&answer.body)
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, content: &B) -> Result<T, ClientError> {
        self.send(Method::POST, path, content, None).await
    }

    /// Deletes what was shown, and not what somebody made of it meanwhile.
    async fn delete_seen(&self, path: &str, revision: Option<u64>) -> Result<(), ClientError> {
        let mut builder = self.request(Method::DELETE, path);
        if let Some(revision) = revision {
            builder = builder.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        self.call(self.build(builder, body::empty())?).await.map(drop)
    }

    async fn delete(&self, path: &str) -> Result<Bytes, ClientError> {
        let request = self.build(self.request(Method::DELETE, path), body::empty())?;
        Ok(self.call(request).await?.body)
    }

    fn build(&self, builder: http::request::Builder, body: body::Body) -> Result<Request<body::Body>, ClientError> {
        builder.body(body).map_err(|e| self.protocol(e))
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(bytes).map_err(|e| self.protocol(e))
    }

    fn protocol(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::Protocol { address: self.profile.address.clone(), reason: reason.to_string() }
    }

    /// A refusal of the site, as an error.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return ClientError::Refused(Box::new(problem));
        }
        // A newer site may have codes that this client does not know; its sentence is still for people.
        let detail = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .and_then(|value| value.get("detail").and_then(|d| d.as_str()).map(str::to_owned));
        self.protocol(format!("status {status}: {}", detail.unwrap_or_else(|| "no reason given".to_owned())))
    }
}

/// A query string of a value's fields; absent ones are left out.
fn query<Q: Serialize>(value: &Q) -> String {
    let mut text = String::new();
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(value) else { return text };
    for (name, value) in fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(value) if value.is_empty() => continue,
            serde_json::Value::String(value) => value,
            other => other.to_string(),
        };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(&name);
        text.push('=');
        text.push_str(&encoded(&value));
    }
    text
}

/// Percent-encoding of everything that is not unreserved.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::api::{DeviceQuery, DeviceSort};

    #[test]
    fn a_query_names_what_is_set_and_escapes_it() {
        let wanted =
            DeviceQuery { search: "Büro & 4".to_owned(), sort: DeviceSort::LastSeen, limit: 5, ..Default::default() };
        assert_eq!(query(&wanted), "?descending=false&limit=5&offset=0&search=B%C3%BCro%20%26%204&sort=last_seen");
    }

    #[test]
    fn the_token_is_never_shown() {
        let profile = Profile {
            site: "ABC".parse().unwrap(),
            address: "http://127.0.0.1:9".to_owned(),
            root: muster_model::id::Hash([0; 32]),
            key: "k".to_owned(),
            author_key: None,
            passphrase_file: None,
        };
        let client = Client::new(&profile).unwrap().with_token("very-secret");
        assert!(!format!("{client:?}").contains("very-secret"));
        let problem =
            client.refusal(StatusCode::FORBIDDEN, b"{\"code\":\"from_the_future\",\"detail\":\"Not on Sundays.\"}");
        assert!(problem.to_string().contains("Not on Sundays."), "{problem}");
    }

    #[tokio::test]
    async fn what_is_deleted_or_moved_is_what_was_shown() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let profile = Profile {
            site: "ABC".parse().unwrap(),
            address: format!("http://{}", listener.local_addr().unwrap()),
            root: muster_model::id::Hash([0; 32]),
            key: "k".to_owned(),
            author_key: None,
            passphrase_file: None,
        };
        let answer = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut head, mut buffer) = (Vec::new(), [0; 4_096]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).unwrap();
                head.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            String::from_utf8_lossy(&head).to_lowercase()
        };
        let server = std::thread::spawn(move || [answer(), answer(), answer()]);
        let client = Client::new(&profile).unwrap();
        let settings = muster_model::id::SettingsId(uuid::Uuid::from_u128(7));
        client.collection_delete(muster_model::id::CollectionId::ALL_SYSTEMS, Some(7)).await.unwrap();
        client.settings_delete(settings, Some(7)).await.unwrap();
        // The answer has nothing that it could read.
        client.settings_move(settings, 1, Some(7)).await.unwrap_err();
        for request in server.join().unwrap() {
            assert!(request.contains("if-match: \"7\"\r\n"), "{request}");
        }
    }
}
