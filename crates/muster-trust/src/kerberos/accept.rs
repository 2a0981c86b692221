//! The site's side: takes a computer's proof, or says why not.

use super::{
    KerberosError, Keytab, SKEW,
    message::{ApRequest, Authenticator, TicketPart, authorization},
    pac, usage,
};
use crate::sha256;
use muster_model::{id::Hash, time::UnixMillis};

/// `AD-IF-RELEVANT`, and `AD-WIN2K-PAC` in it.
const IF_RELEVANT: i64 = 1;
const WIN2K_PAC: i64 = 128;
/// The ticket's flag `invalid`.
const INVALID: u32 = 1 << (31 - 7);
/// The flags `forwarded` and `proxy`: every ticket has one of them that comes of a ticket which was handed to another host.
const DELEGATED: u32 = 1 << (31 - 2) | 1 << (31 - 4);
/// Keys of one keytab that are tried for one ticket.
const KEYS: usize = 8;
/// `USER_ACCOUNT_DISABLED`, `USER_WORKSTATION_TRUST_ACCOUNT`, `USER_SERVER_TRUST_ACCOUNT` (MS-SAMR, section 2.2.1.12).
const DISABLED: u32 = 0x1;
const COMPUTER: u32 = 0x80 | 0x100;

/// Takes proofs for one service of one realm.
#[derive(Debug, Clone, Copy)]
pub struct Acceptor<'a> {
    /// The keys: one keytab, or the old one and the new one side by side.
    pub keytabs: &'a [Keytab],
    /// The realm of the service and of the computers.
    pub realm: &'a str,
    /// The service: `muster/site.example`.
    pub service: &'a str,
}

/// A computer's account that has proven itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The realm.
    pub realm: String,
    /// The account's name, with its `$`.
    pub name: String,
    /// Its security identifier: `S-1-5-21-...`.
    pub sid: String,
    /// Those of its groups, in order.
    pub groups: Vec<String>,
    /// What names this proof and no other: it is taken once.
    pub proof: Hash,
}

impl Account {
    /// The computer's name as its domain knows it.
    #[must_use]
    pub fn computer(&self) -> &str {
        self.name.strip_suffix('$').unwrap_or(&self.name)
    }
}

/// The realm and the service that a proof says it is for: nothing of it is believed yet.
///
/// # Errors
/// [`KerberosError::Malformed`].
pub fn service_of(request: &[u8]) -> Result<(String, String), KerberosError> {
    let service = ApRequest::read(request)?.ticket.service;
    Ok((service.realm, service.name))
}

impl Acceptor<'_> {
    /// Takes a proof that was made for this [`super::binding`].
    ///
    /// # Errors
    /// The first reason against it.
    pub fn accept(&self, request: &[u8], binding: &Hash, now: UnixMillis) -> Result<Account, KerberosError> {
        let request = ApRequest::read(request)?;
        let service = &request.ticket.service;
        if service.realm != self.realm || !service.name.eq_ignore_ascii_case(self.service) {
            return Err(KerberosError::Service);
        }
        let kind = super::EncryptionType::new(request.ticket.part.kind)?;
        let fitting = self.keytabs.iter().flat_map(|keytab| {
            let keys = keytab.keys(self.realm, self.service).into_iter();
            keys.filter(|entry| entry.key.kind() == kind).take(KEYS)
        });
        let mut opened = fitting.filter_map(|entry| {
            let plain = entry.key.decrypt(usage::TICKET, request.ticket.part.bytes).ok()?;
            Some((&entry.key, plain))
        });
        let (key, plain) = opened.next().ok_or(KerberosError::Key)?;
        let ticket = TicketPart::read(&plain)?;
        let now = now.0.div_euclid(1_000);
        self.check_ticket(&ticket, now)?;
        if request.authenticator.kind != ticket.key.kind().number() {
            return Err(KerberosError::Encryption);
        }
        let plain = ticket.key.decrypt(usage::AUTHENTICATOR, request.authenticator.bytes);
        let plain = plain.map_err(|_| KerberosError::Client)?;
        check_authenticator(&Authenticator::read(&plain)?, &ticket, binding, now)?;
        let pac = one_pac(ticket.authorization.ok_or(KerberosError::NoPac)?)?;
        let pac = pac::read(pac, key, &ticket.client.name, ticket.authenticated)?;
        // A name that ends so, and no service or person: a computer, whoever made it.
        let is_named = pac.name.strip_suffix('$').is_some_and(|name| !name.is_empty() && !name.contains('/'));
        if !is_named || pac.control & COMPUTER == 0 {
            return Err(KerberosError::NotAComputer);
        }
        if pac.control & DISABLED != 0 {
            return Err(KerberosError::Disabled);
        }
        Ok(Account {
            realm: ticket.client.realm.clone(),
            // As the domain writes it: how the ticket does, its client has chosen.
            name: pac.name,
            sid: pac.sid,
            groups: pac.groups,
            proof: sha256(request.authenticator.bytes),
        })
    }

    fn check_ticket(&self, ticket: &TicketPart<'_>, now: i64) -> Result<(), KerberosError> {
        if ticket.client.realm != self.realm || !ticket.transited.is_empty() {
            return Err(KerberosError::Realm);
        }
        // Another host may have it, with its session key, and the account knows nothing of it.
        if ticket.flags & DELEGATED != 0 {
            return Err(KerberosError::Delegated);
        }
        if ticket.flags & INVALID != 0 || ticket.starts > now + SKEW {
            return Err(KerberosError::NotYet);
        }
        if ticket.ends < now - SKEW { Err(KerberosError::Expired) } else { Ok(()) }
    }
}

fn check_authenticator(
    authenticator: &Authenticator<'_>,
    ticket: &TicketPart<'_>,
    binding: &Hash,
    now: i64,
) -> Result<(), KerberosError> {
    if authenticator.client != ticket.client {
        return Err(KerberosError::Client);
    }
    if (authenticator.seconds - now).abs() > SKEW {
        return Err(KerberosError::Skew);
    }
    // The checksum that GSS-API puts here has another type, so that a proof for another service is none here.
    let (kind, checksum) = authenticator.checksum.ok_or(KerberosError::Binding)?;
    let expected = ticket.key.checksum(usage::CHECKSUM, &binding.0)?;
    if kind == ticket.key.kind().checksum() && crate::secret_eq(&expected, checksum) {
        Ok(())
    } else {
        Err(KerberosError::Binding)
    }
}

/// The one PAC of a ticket. Who asks for a ticket may have others put into it.
fn one_pac(bytes: &[u8]) -> Result<&[u8], KerberosError> {
    let mut found = None;
    for (kind, data) in authorization(bytes)? {
        // What is not marked as such must be understood; of a domain's ticket nothing is.
        if kind != IF_RELEVANT {
            return Err(KerberosError::NoPac);
        }
        for (kind, data) in authorization(data)? {
            if kind == WIN2K_PAC && found.replace(data).is_some() {
                return Err(KerberosError::NoPac);
            }
        }
    }
    found.ok_or(KerberosError::NoPac)
}
