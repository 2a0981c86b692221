//! The messages of RFC 4120, as far as they are read and written here.

use super::{
    KerberosError, Key,
    der::{self, Reader, application},
};

/// Parts of a principal's name.
const COMPONENTS: usize = 4;
/// Bytes of a ticket: one with a PAC of a thousand groups has some 12,000.
const TICKET_BYTES: usize = 16 << 10;

pub(super) const TICKET: u8 = 1;
pub(super) const AUTHENTICATOR: u8 = 2;
pub(super) const ENCRYPTED_TICKET: u8 = 3;
pub(super) const AP_REQUEST: u8 = 14;

/// `PrincipalName` and its realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    pub(super) realm: String,
    pub(super) name: String,
}

/// `EncryptedData`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encrypted<'a> {
    pub(super) kind: i64,
    pub(super) bytes: &'a [u8],
}

/// `Ticket`.
#[derive(Debug, Clone)]
pub(super) struct Ticket<'a> {
    pub(super) service: Principal,
    pub(super) part: Encrypted<'a>,
}

/// `AP-REQ`.
#[derive(Debug, Clone)]
pub(super) struct ApRequest<'a> {
    pub(super) ticket: Ticket<'a>,
    pub(super) authenticator: Encrypted<'a>,
}

/// `EncTicketPart`.
#[derive(Debug)]
pub(super) struct TicketPart<'a> {
    pub(super) flags: u32,
    pub(super) key: Key,
    pub(super) client: Principal,
    pub(super) transited: &'a [u8],
    pub(super) authenticated: i64,
    pub(super) starts: i64,
    pub(super) ends: i64,
    pub(super) authorization: Option<&'a [u8]>,
}

/// `Authenticator`.
#[derive(Debug)]
pub(super) struct Authenticator<'a> {
    pub(super) client: Principal,
    pub(super) checksum: Option<(i64, &'a [u8])>,
    pub(super) microseconds: i64,
    pub(super) seconds: i64,
}

/// `PrincipalName` as `a/b`. No part holds a slash, so that a name is read in one way.
pub(super) fn read_name(mut reader: Reader<'_>) -> Result<String, KerberosError> {
    let mut name = reader.sequence()?;
    reader.end()?;
    name.field(0)?.integer()?;
    let mut parts = name.field(1)?;
    name.end()?;
    let mut list = parts.sequence()?;
    parts.end()?;
    let mut texts = Vec::new();
    while !list.is_empty() {
        let text = list.next_text()?;
        if text.contains(['/', '@']) || texts.len() == COMPONENTS {
            return Err(KerberosError::Malformed);
        }
        texts.push(text);
    }
    if texts.is_empty() { Err(KerberosError::Malformed) } else { Ok(texts.join("/")) }
}

/// `PrincipalName` of `a/b`.
pub(super) fn name(name: &str, kind: i64) -> Vec<u8> {
    let parts: Vec<_> = name.split('/').map(der::text).collect();
    der::sequence(&[der::field(0, &der::integer(kind)), der::field(1, &der::sequence(&parts))])
}

pub(super) fn read_encrypted(mut reader: Reader<'_>) -> Result<Encrypted<'_>, KerberosError> {
    let mut data = reader.sequence()?;
    reader.end()?;
    let kind = data.field(0)?.integer()?;
    // Its key's version is a hint that nobody signed.
    data.maybe(1)?.map(Reader::integer).transpose()?;
    let bytes = data.field(2)?.octets()?;
    data.end()?;
    Ok(Encrypted { kind, bytes })
}

pub(super) fn encrypted(key: &Key, bytes: &[u8]) -> Vec<u8> {
    der::sequence(&[der::field(0, &der::integer(key.kind().number())), der::field(2, &der::octets(bytes))])
}

/// `EncryptionKey`.
pub(super) fn read_key(mut reader: Reader<'_>) -> Result<Key, KerberosError> {
    let mut key = reader.sequence()?;
    reader.end()?;
    let kind = key.field(0)?.integer()?;
    let bytes = key.field(1)?.octets()?;
    key.end()?;
    Key::new(kind, bytes)
}

impl<'a> Ticket<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, KerberosError> {
        if bytes.len() > TICKET_BYTES {
            return Err(KerberosError::Malformed);
        }
        let mut ticket = Reader::message(bytes, TICKET)?;
        if ticket.field(0)?.integer()? != 5 {
            return Err(KerberosError::Malformed);
        }
        let realm = ticket.field(1)?.text()?.to_owned();
        let name = read_name(ticket.field(2)?)?;
        let part = read_encrypted(ticket.field(3)?)?;
        ticket.end()?;
        Ok(Self { service: Principal { realm, name }, part })
    }
}

impl<'a> ApRequest<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, KerberosError> {
        let mut request = Reader::message(bytes, AP_REQUEST)?;
        let version = (request.field(0)?.integer()?, request.field(1)?.integer()?);
        request.field(2)?.flags()?;
        let mut ticket = request.field(3)?;
        let bytes = ticket.whole(application(TICKET))?;
        ticket.end()?;
        let authenticator = read_encrypted(request.field(4)?)?;
        request.end()?;
        if version != (5, i64::from(AP_REQUEST)) {
            return Err(KerberosError::Malformed);
        }
        Ok(Self { ticket: Ticket::read(bytes)?, authenticator })
    }

    /// `ticket` is DER already.
    pub(super) fn write(ticket: &[u8], authenticator: &[u8]) -> Vec<u8> {
        der::message(
            AP_REQUEST,
            &[
                der::field(0, &der::integer(5)),
                der::field(1, &der::integer(i64::from(AP_REQUEST))),
                der::field(2, &der::flags(0)),
                der::field(3, ticket),
                der::field(4, authenticator),
            ],
        )
    }
}

impl<'a> TicketPart<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, KerberosError> {
        let mut part = Reader::message(bytes, ENCRYPTED_TICKET)?;
        let flags = part.field(0)?.flags()?;
        let key = read_key(part.field(1)?)?;
        let realm = part.field(2)?.text()?.to_owned();
        let name = read_name(part.field(3)?)?;
        let mut transited = part.field(4)?.sequence()?;
        transited.field(0)?.integer()?;
        let transited = transited.field(1)?.octets()?;
        let authenticated = part.field(5)?.time()?;
        let starts = part.maybe(6)?.map(Reader::time).transpose()?.unwrap_or(authenticated);
        let ends = part.field(7)?.time()?;
        part.maybe(8)?.map(Reader::time).transpose()?;
        part.maybe(9)?;
        let authorization = part.maybe(10)?.map(Reader::rest);
        part.end()?;
        let client = Principal { realm, name };
        Ok(Self { flags, key, client, transited, authenticated, starts, ends, authorization })
    }
}

impl<'a> Authenticator<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, KerberosError> {
        let mut body = Reader::message(bytes, AUTHENTICATOR)?;
        if body.field(0)?.integer()? != 5 {
            return Err(KerberosError::Malformed);
        }
        let realm = body.field(1)?.text()?.to_owned();
        let name = read_name(body.field(2)?)?;
        let checksum = body.maybe(3)?.map(read_checksum).transpose()?;
        let microseconds = body.field(4)?.integer()?;
        let seconds = body.field(5)?.time()?;
        body.maybe(6)?;
        body.maybe(7)?;
        body.maybe(8)?;
        body.end()?;
        Ok(Self { client: Principal { realm, name }, checksum, microseconds, seconds })
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, KerberosError> {
        let mut parts = vec![
            der::field(0, &der::integer(5)),
            der::field(1, &der::text(&self.client.realm)),
            der::field(2, &name(&self.client.name, 1)),
        ];
        if let Some((kind, bytes)) = self.checksum {
            let checksum = [der::field(0, &der::integer(kind)), der::field(1, &der::octets(bytes))];
            parts.push(der::field(3, &der::sequence(&checksum)));
        }
        parts.push(der::field(4, &der::integer(self.microseconds)));
        parts.push(der::field(5, &der::time(self.seconds)?));
        Ok(der::message(AUTHENTICATOR, &parts))
    }
}

fn read_checksum(mut reader: Reader<'_>) -> Result<(i64, &[u8]), KerberosError> {
    let mut checksum = reader.sequence()?;
    reader.end()?;
    let read = (checksum.field(0)?.integer()?, checksum.field(1)?.octets()?);
    checksum.end()?;
    Ok(read)
}

/// The elements of `AuthorizationData`.
pub(super) fn authorization(bytes: &[u8]) -> Result<Vec<(i64, &[u8])>, KerberosError> {
    let mut outer = Reader::new(bytes);
    let mut list = outer.sequence()?;
    outer.end()?;
    let mut elements = Vec::new();
    while !list.is_empty() {
        let mut element = list.sequence()?;
        elements.push((element.field(0)?.integer()?, element.field(1)?.octets()?));
        element.end()?;
    }
    Ok(elements)
}
