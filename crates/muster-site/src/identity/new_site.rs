//! The making of a site: its keys, its first trust bundle, its first administrator. Who calls it writes the files.

use super::{keys::HeldKeys, revocation, trust::BUNDLE_LIFETIME};
use crate::{Ctx, SiteError, audit};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{Admin, Role},
    id::{AdminId, Hash, Name, SiteCode},
    problem::Code,
    time::UnixMillis,
};
use muster_store::{
    Store, StoreError,
    db::{admin, site_row, trust_bundle},
    transaction,
};
use muster_trust::{
    PrivateKey, PublicKey, TrustBundle,
    bundle::{KeySet, NamedKey},
    certificate::{self, IssuingCa},
    envelope,
};
use uuid::Uuid;
use zeroize::Zeroizing;

/// The trusted root key; not needed by a running server, and better kept elsewhere.
pub const ROOT_KEY_FILE: &str = "root.key.pem";
/// The root's certificate, DER.
pub const ROOT_CERTIFICATE_FILE: &str = "root.crt.der";
/// The issuing CA's key.
pub const ISSUING_KEY_FILE: &str = "issuing.key.pem";
/// The issuing CA's certificate, DER.
pub const ISSUING_CERTIFICATE_FILE: &str = "issuing.crt.der";
/// The key that signs policy assignments.
pub const POLICY_KEY_FILE: &str = "policy.key.pem";

/// Everything of a new site, in memory.
#[derive(Debug)]
pub struct NewSite {
    /// The site code.
    pub code: SiteCode,
    /// The site's name.
    pub name: Name,
    /// When it was made.
    pub created: UnixMillis,
    /// The trusted root key.
    pub root_key: PrivateKey,
    /// Its certificate, DER.
    pub root_certificate: Vec<u8>,
    /// The issuing CA's key.
    pub issuing_key: PrivateKey,
    /// Its certificate, DER.
    pub issuing_certificate: Vec<u8>,
    /// The policy key.
    pub policy_key: PrivateKey,
    /// The first administrator.
    pub admin: Admin,
    /// The public half of the first administrator's key; it signs in, and it signs applications.
    pub admin_public: PublicKey,
    /// The private half, where it was made here and not by the administrator.
    pub admin_key: Option<PrivateKey>,
    /// The signed trust bundle.
    pub trust_bundle: Vec<u8>,
}

/// A file of a new site.
#[derive(Debug)]
pub struct SiteFile {
    /// File name.
    pub name: &'static str,
    /// Its bytes.
    pub content: Zeroizing<Vec<u8>>,
    /// Whether it holds a key: mode 0600.
    pub secret: bool,
}

fn fault(error: impl std::fmt::Display) -> SiteError {
    SiteError::Fault(error.to_string())
}

impl NewSite {
    /// Makes the keys and the signed trust bundle. Nothing is stored yet. `admin_public` is the key that the first administrator
    /// has already; without it, one is made. The issuing CA may name servers `within` these domains and networks.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn generate(
        code: SiteCode,
        name: Name,
        admin_name: Name,
        admin_id: Uuid,
        admin_public: Option<PublicKey>,
        within: &[String],
        now: UnixMillis,
    ) -> Result<Self, SiteError> {
        let key = || PrivateKey::generate().map_err(fault);
        let (root_key, issuing_key, policy_key) = (key()?, key()?, key()?);
        let (admin_public, admin_key) = match admin_public {
            Some(public) => (public, None),
            None => {
                let made = key()?;
                (made.public().clone(), Some(made))
            }
        };
        let root_certificate = certificate::root(code, &root_key, now).map_err(fault)?;
        let issuing_certificate =
            certificate::issuing(code, &root_certificate, &root_key, issuing_key.public(), within, now)
                .map_err(fault)?;
        let bundle = TrustBundle {
            site: code,
            version: 1,
            issued: now,
            expires: now.plus(BUNDLE_LIFETIME),
            root: KeySet { threshold: 1, keys: vec![NamedKey::new("trusted root", root_key.public())] },
            root_certificate: BASE64.encode(&root_certificate),
            issuing: vec![BASE64.encode(&issuing_certificate)],
            policy: vec![NamedKey::new("policy", policy_key.public())],
            authors: KeySet { threshold: 1, keys: vec![NamedKey::new(admin_name.as_str(), &admin_public)] },
            revoked: Vec::new(),
            approval: None,
        };
        let trust_bundle = envelope::sign_json(&[&root_key], &bundle).map_err(fault)?;
        let admin = Admin {
            id: AdminId(admin_id),
            name: admin_name,
            role: Role::FullAdministrator,
            key: admin_public.id(),
            created: now,
        };
        Ok(Self {
            code,
            name,
            created: now,
            root_key,
            root_certificate,
            issuing_key,
            issuing_certificate,
            policy_key,
            admin,
            admin_public,
            admin_key,
            trust_bundle,
        })
    }

    /// What clients pin: SHA-256 of the root key's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root_key.public().id()
    }

    /// The files of the site server. `root_secret` encrypts the root key, `site_secret` what the server needs at every start.
    /// The administrator's key is not among them: it goes with the administrator's profile.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn files(&self, root_secret: &[u8], site_secret: &[u8]) -> Result<Vec<SiteFile>, SiteError> {
        let key = |name, key: &PrivateKey, secret: &[u8]| {
            let pem = key.to_encrypted_pem(secret).map_err(fault)?;
            Ok::<_, SiteError>(SiteFile { name, content: Zeroizing::new(pem.as_bytes().to_vec()), secret: true })
        };
        let certificate = |name, der: &[u8]| SiteFile { name, content: Zeroizing::new(der.to_vec()), secret: false };
        Ok(vec![
            key(ROOT_KEY_FILE, &self.root_key, root_secret)?,
            certificate(ROOT_CERTIFICATE_FILE, &self.root_certificate),
            key(ISSUING_KEY_FILE, &self.issuing_key, site_secret)?,
            certificate(ISSUING_CERTIFICATE_FILE, &self.issuing_certificate),
            key(POLICY_KEY_FILE, &self.policy_key, site_secret)?,
        ])
    }

    /// The keys that a running server holds.
    #[must_use]
    pub fn into_keys(self) -> HeldKeys {
        let held = HeldKeys::default();
        held.add(self.issuing_key);
        held.add(self.policy_key);
        held
    }
}

/// Stores a new site: all of it, or nothing.
///
/// # Errors
/// `conflict` when this database has a site already; nothing of it is touched.
pub async fn site_create(ctx: &Ctx, store: &Store, new: &NewSite) -> Result<(), SiteError> {
    let row = site_row::SiteRow { code: new.code, name: new.name.clone(), created: new.created };
    let spki = new.admin_public.spki();
    let expires = new.created.plus(BUNDLE_LIFETIME);
    let issuing = IssuingCa::new(new.issuing_certificate.clone(), &new.issuing_key).map_err(fault)?;
    transaction!(store, "site_create", |tx| {
        match site_row::insert(tx, &row).await {
            Err(StoreError::Exists) => {
                let detail = "This database holds a site already; `musterd init` never replaces one.";
                return Err(SiteError::refused(Code::Conflict, detail));
            }
            other => other?,
        }
        trust_bundle::insert(tx, 1, expires, &new.trust_bundle).await?;
        admin::insert(tx, &new.admin, &spki).await?;
        revocation::sign_first_list(tx, &issuing, new.created).await?;
        revocation::sign_first_root_list(tx, &new.root_certificate, &new.root_key, new.created, expires).await?;
        let detail = format!("Site {} \"{}\" was made; root key {}.", new.code, new.name, new.root());
        audit::append(tx, ctx, "site_create", format!("site {}", new.code), detail).await
    })
}
