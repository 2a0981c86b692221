//! Certificates that a site issued, and those that it revoked.

use crate::{
    id::{DeviceId, Hash},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Why a certificate was revoked: the reasons of RFC 5280 that apply to certificates of devices and servers.
    #[derive(Default)]
    enum RevocationReason {
        /// None is said.
        #[default]
        Unspecified = "unspecified",
        /// Somebody else has the key, or may have it.
        KeyCompromise = "key_compromise",
        /// The device belongs to somebody else now.
        AffiliationChanged = "affiliation_changed",
        /// There is another certificate in its place.
        Superseded = "superseded",
        /// The device is out of use; set by retiring it.
        CessationOfOperation = "cessation_of_operation",
        /// It is on hold and may come back; set by blocking its device, and lifted by unblocking it.
        CertificateHold = "certificate_hold",
        /// What the certificate allowed was taken away.
        PrivilegeWithdrawn = "privilege_withdrawn",
    }
}
api! {
    /// Whose certificate it is.
    enum CertificateKind {
        /// A device's.
        Client = "client",
        /// The site server's own.
        Server = "server",
        /// A device's that is managed by a foreign protocol.
        Mobile = "mobile",
    }
}
api! {
    /// A certificate that the site issued and that has not ended.
    struct Certificate {
        /// Serial number, hexadecimal.
        serial: String,
        /// Whose it is.
        kind: CertificateKind,
        /// The device, where it is a device's.
        device: Option<DeviceId>,
        /// When it was issued.
        issued: UnixMillis,
        /// When it ends.
        expires: UnixMillis,
        /// How it was revoked, where it was.
        revocation: Option<Revocation>,
    }
}
api! {
    /// How a certificate was revoked.
    struct Revocation {
        /// Why.
        reason: RevocationReason,
        /// When.
        revoked: UnixMillis,
        /// Who did it.
        revoked_by: String,
    }
}
api! {
    /// `GET /api/v1/certificates`.
    #[derive(Default)]
    struct CertificateQuery {
        /// Only those of this device.
        #[serde(default)] device: Option<DeviceId>,
        /// Only revoked ones.
        #[serde(default)] revoked: bool,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// `POST /api/v1/certificates/{serial}/revoke` and `POST /api/v1/devices/{id}/revoke`.
    struct Revoke {
        /// One sentence for the audit log; 1 to 500 characters.
        reason: String,
        /// What the revocation list says.
        #[serde(default)] code: RevocationReason,
    }
}
api! {
    /// A revocation list as it is published now.
    struct RevocationList {
        /// Key id of the CA that signed it.
        issuer: Hash,
        /// `issuing` or `root`.
        of: String,
        /// Its number; each list has a higher one.
        number: u64,
        /// When it was signed.
        signed: UnixMillis,
        /// When a verifier stops to believe it.
        next_update: UnixMillis,
        /// Revoked certificates in it.
        entries: u64,
        /// What is wrong with it: a sentence for people.
        warning: Option<String>,
    }
}
api! {
    /// `GET /api/v1/revocation`.
    struct RevocationState {
        /// The lists that are published.
        lists: Vec<RevocationList>,
        /// Certificates that are revoked now.
        revoked: u64,
        /// What is wrong: sentences.
        warnings: Vec<String>,
    }
}
