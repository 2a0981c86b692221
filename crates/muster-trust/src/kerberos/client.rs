//! The computer's side: from its keytab to a ticket for the site's service, and the proof made with it.

use super::{
    EncryptionType, KerberosError, Key, Keytab,
    der::{self, Reader, application},
    message::{
        ApRequest, Authenticator, Encrypted, Principal, TICKET, encrypted, name, read_encrypted, read_key, read_name,
    },
    usage,
};
use muster_model::{id::Hash, time::UnixMillis};

const AS_REQUEST: u8 = 10;
const TGS_REQUEST: u8 = 12;
const ERROR: u8 = 30;
const PA_TGS_REQUEST: i64 = 1;
const PA_TIMESTAMP: i64 = 2;
/// `krbtgt/REALM` and `muster/host` are of this type, `PC1$` of the other.
const INSTANCE: i64 = 2;
const PRINCIPAL: i64 = 1;
/// How long a ticket is asked for, in seconds: it is used at once.
const LIFETIME: i64 = 600;

/// A computer with its keytab.
#[derive(Debug)]
pub struct Client {
    principal: Principal,
    key: Key,
}

/// A ticket with its session key.
#[derive(Debug)]
pub struct Session {
    client: Principal,
    service: Principal,
    ticket: Vec<u8>,
    key: Key,
}

/// What is the same in both requests.
struct Asked<'a> {
    client: Option<&'a Principal>,
    realm: &'a str,
    service: &'a str,
    nonce: u32,
    now: i64,
}

fn confounder() -> Result<[u8; 16], KerberosError> {
    let mut bytes = [0; 16];
    crate::random(&mut bytes).map_err(|_| KerberosError::Encryption)?;
    Ok(bytes)
}

/// A random number that a reply repeats.
fn nonce() -> Result<u32, KerberosError> {
    let mut bytes = [0; 4];
    crate::random(&mut bytes).map_err(|_| KerberosError::Encryption)?;
    // Some domain controllers read it as a signed number.
    Ok(u32::from_be_bytes(bytes) >> 1)
}

fn seconds(now: UnixMillis) -> i64 {
    now.0.div_euclid(1_000)
}

fn microseconds(now: UnixMillis) -> i64 {
    now.0.rem_euclid(1_000) * 1_000
}

impl Asked<'_> {
    fn body(&self) -> Result<Vec<u8>, KerberosError> {
        let mut parts = vec![der::field(0, &der::flags(0))];
        if let Some(client) = self.client {
            parts.push(der::field(1, &name(&client.name, PRINCIPAL)));
        }
        let kinds = [EncryptionType::Aes256, EncryptionType::Aes128].map(|kind| der::integer(kind.number()));
        parts.extend([
            der::field(2, &der::text(self.realm)),
            der::field(3, &name(self.service, INSTANCE)),
            der::field(5, &der::time(self.now + LIFETIME)?),
            der::field(7, &der::integer(i64::from(self.nonce))),
            der::field(8, &der::sequence(&kinds)),
        ]);
        Ok(der::sequence(&parts))
    }
}

fn request(number: u8, pre_authentication: (i64, &[u8]), body: &[u8]) -> Vec<u8> {
    let (kind, value) = pre_authentication;
    let pre = der::sequence(&[der::field(1, &der::integer(kind)), der::field(2, &der::octets(value))]);
    der::message(
        number,
        &[
            der::field(1, &der::integer(5)),
            der::field(2, &der::integer(i64::from(number))),
            der::field(3, &der::sequence(&[pre])),
            der::field(4, body),
        ],
    )
}

/// The ticket of a reply, and its encrypted part.
fn reply(bytes: &[u8], number: u8) -> Result<(&[u8], Encrypted<'_>), KerberosError> {
    if bytes.first() == Some(&application(ERROR)) {
        return Err(KerberosError::Refused);
    }
    let mut reply = Reader::message(bytes, number)?;
    if (reply.field(0)?.integer()?, reply.field(1)?.integer()?) != (5, i64::from(number)) {
        return Err(KerberosError::Malformed);
    }
    reply.maybe(2)?;
    reply.field(3)?.text()?;
    read_name(reply.field(4)?)?;
    let mut ticket = reply.field(5)?;
    let whole = ticket.whole(application(TICKET))?;
    ticket.end()?;
    let part = read_encrypted(reply.field(6)?)?;
    reply.end()?;
    Ok((whole, part))
}

/// The session key of a reply's encrypted part, which must be to what was asked.
fn session_key(plain: &[u8], number: u8, asked: &Asked<'_>) -> Result<Key, KerberosError> {
    // MIT and Heimdal write the tag of the other reply as well.
    let mut part =
        Reader::message(plain, number).or_else(|_| Reader::message(plain, if number == 25 { 26 } else { 25 }))?;
    let key = read_key(part.field(0)?)?;
    part.field(1)?;
    let nonce = part.field(2)?.integer()?;
    part.maybe(3)?;
    part.field(4)?.flags()?;
    part.field(5)?.time()?;
    part.maybe(6)?;
    part.field(7)?.time()?;
    part.maybe(8)?;
    let realm = part.field(9)?.text()?;
    let service = read_name(part.field(10)?)?;
    if nonce != i64::from(asked.nonce) || realm != asked.realm || !service.eq_ignore_ascii_case(asked.service) {
        return Err(KerberosError::Answer);
    }
    Ok(key)
}

/// An exchange that waits for its reply.
#[derive(Debug)]
pub struct Exchange {
    /// What is sent to the domain controller.
    pub message: Vec<u8>,
    nonce: u32,
}

impl Client {
    /// The computer of a keytab: its name ends with `$`.
    ///
    /// # Errors
    /// [`KerberosError::NotAComputer`] when the keytab has no AES key of one.
    pub fn of(keytab: &Keytab) -> Result<Self, KerberosError> {
        let (realm, name) = keytab.computer().ok_or(KerberosError::NotAComputer)?;
        Self::named(keytab, realm, name)
    }

    /// A principal of a keytab.
    ///
    /// # Errors
    /// [`KerberosError::NotAComputer`] when the keytab has no AES key of it.
    pub fn named(keytab: &Keytab, realm: &str, name: &str) -> Result<Self, KerberosError> {
        let keys = keytab.keys(realm, name);
        let newest = keys.first().ok_or(KerberosError::NotAComputer)?;
        let principal = Principal { realm: realm.to_owned(), name: newest.principal.clone() };
        Ok(Self { principal, key: newest.key.clone() })
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.principal.realm
    }

    /// The account.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.principal.name
    }

    fn granting(&self) -> String {
        format!("krbtgt/{}", self.principal.realm)
    }

    /// Asks for the ticket that tickets are got with.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn sign_in(&self, now: UnixMillis) -> Result<Exchange, KerberosError> {
        let (nonce, service) = (nonce()?, self.granting());
        let realm = &self.principal.realm;
        let asked = Asked { client: Some(&self.principal), realm, service: &service, nonce, now: seconds(now) };
        let stamp = [der::field(0, &der::time(asked.now)?), der::field(1, &der::integer(microseconds(now)))];
        let stamp = self.key.encrypt(usage::TIMESTAMP, confounder()?, &der::sequence(&stamp))?;
        let stamp = encrypted(&self.key, &stamp);
        Ok(Exchange { message: request(AS_REQUEST, (PA_TIMESTAMP, &stamp), &asked.body()?), nonce })
    }

    /// Takes the reply.
    ///
    /// # Errors
    /// [`KerberosError::Refused`] and what else is wrong with it.
    pub fn signed_in(&self, exchange: &Exchange, bytes: &[u8]) -> Result<Session, KerberosError> {
        let (ticket, part) = reply(bytes, 11)?;
        if part.kind != self.key.kind().number() {
            return Err(KerberosError::Encryption);
        }
        let service = self.granting();
        let realm = &self.principal.realm;
        let asked = Asked { client: None, realm, service: &service, nonce: exchange.nonce, now: 0 };
        let key = session_key(&self.key.decrypt(usage::AS_REPLY, part.bytes)?, 25, &asked)?;
        let (client, realm) = (self.principal.clone(), realm.clone());
        Ok(Session { client, service: Principal { realm, name: service }, ticket: ticket.to_vec(), key })
    }
}

impl Session {
    fn authenticator(
        &self,
        (plain, checksum): (u32, u32),
        bytes: &[u8],
        now: UnixMillis,
    ) -> Result<Vec<u8>, KerberosError> {
        let checksum = self.key.checksum(checksum, bytes)?;
        let authenticator = Authenticator {
            client: self.client.clone(),
            checksum: Some((self.key.kind().checksum(), &checksum)),
            microseconds: microseconds(now),
            seconds: seconds(now),
        };
        let bytes = self.key.encrypt(plain, confounder()?, &authenticator.write()?)?;
        Ok(ApRequest::write(&self.ticket, &encrypted(&self.key, &bytes)))
    }

    /// With the ticket for tickets: asks for one for a service of the same realm.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn ask(&self, service: &str, now: UnixMillis) -> Result<Exchange, KerberosError> {
        let nonce = nonce()?;
        let asked = Asked { client: None, realm: &self.client.realm, service, nonce, now: seconds(now) };
        let body = asked.body()?;
        let proof = self.authenticator((usage::TGS_AUTHENTICATOR, usage::TGS_CHECKSUM), &body, now)?;
        Ok(Exchange { message: request(TGS_REQUEST, (PA_TGS_REQUEST, &proof), &body), nonce })
    }

    /// Takes the reply.
    ///
    /// # Errors
    /// [`KerberosError::Refused`] and what else is wrong with it.
    pub fn asked(&self, exchange: &Exchange, service: &str, bytes: &[u8]) -> Result<Self, KerberosError> {
        let (ticket, part) = reply(bytes, 13)?;
        if part.kind != self.key.kind().number() {
            return Err(KerberosError::Encryption);
        }
        let asked = Asked { client: None, realm: &self.client.realm, service, nonce: exchange.nonce, now: 0 };
        let key = session_key(&self.key.decrypt(usage::TGS_REPLY, part.bytes)?, 26, &asked)?;
        let service = Principal { realm: self.client.realm.clone(), name: service.to_owned() };
        Ok(Self { client: self.client.clone(), service, ticket: ticket.to_vec(), key })
    }

    /// The proof for a service: an `AP-REQ` that is made for this [`super::binding`].
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn prove(&self, binding: &Hash, now: UnixMillis) -> Result<Vec<u8>, KerberosError> {
        self.authenticator((usage::AUTHENTICATOR, usage::CHECKSUM), &binding.0, now)
    }

    /// The service that the ticket is for.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service.name
    }
}

/// Whether bytes are a reply, or the encrypted part of one. Nothing of it is believed.
pub(super) fn inspect(bytes: &[u8]) -> bool {
    let asked = Asked { client: None, realm: "LAB.EXAMPLE", service: "muster/site.example", nonce: 1, now: 0 };
    [11, 13].into_iter().any(|number| reply(bytes, number).is_ok())
        || !matches!(session_key(bytes, 25, &asked), Err(KerberosError::Malformed | KerberosError::Encryption))
}
