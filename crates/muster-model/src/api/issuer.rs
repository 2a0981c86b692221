//! Issuers: CAs of the enterprise whose client certificates a device may talk with, once it was let in.

use crate::{id::Hash, time::UnixMillis};
use serde::{Deserialize, Serialize};

api! {
    /// Which certificates of an issuer count. Each list that is not empty has to be met.
    #[derive(Eq, Default)]
    struct IssuerCriteria {
        /// Attributes that the subject must have, every one: `CN=pc1`, `OU=Workstations`, or with a dotted OID. Case matters.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] subject: Vec<String>,
        /// Alternative names of which the certificate must have one: `dns:*.corp.example`, `dns:pc1.corp.example`, `uri:...`,
        /// `email:...`, `ip:...`. A star stands for exactly the first label.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] san: Vec<String>,
        /// Extended key usages (dotted OIDs) that it must have, every one, beside `clientAuth`, which it must always have.
        #[serde(default, skip_serializing_if = "Vec::is_empty")] eku: Vec<String>,
    }
}
api! {
    /// The revocation list of an issuer, as it was last taken.
    #[derive(Eq)]
    struct IssuerList {
        /// Its number, hexadecimal.
        number: String,
        /// When the issuer signed it.
        signed: UnixMillis,
        /// Until when it says that it is believed.
        next_update: UnixMillis,
        /// How many certificates it names.
        entries: u64,
    }
}
api! {
    /// A CA of the enterprise.
    struct Issuer {
        /// SHA-256 of its `SubjectPublicKeyInfo`.
        id: Hash,
        /// Its name, as its certificate has it.
        name: String,
        /// When its certificate ends.
        expires: UnixMillis,
        /// Which of its certificates count.
        criteria: IssuerCriteria,
        /// Where its revocation list is fetched. What certificates say about that is never looked at.
        list_url: String,
        /// Hours after its end for which a list is still believed.
        grace_hours: u32,
        /// When it was added.
        added: UnixMillis,
        /// Who added it.
        added_by: String,
        /// Its revocation list; none: none was taken yet, and no certificate of this issuer counts.
        list: Option<IssuerList>,
        /// When the list was last fetched, whatever came of it.
        tried: Option<UnixMillis>,
        /// Why the last try brought no list.
        failure: Option<String>,
        /// Devices that talk with its certificates.
        devices: u64,
        /// What is wrong with its list, or with itself.
        warning: Option<String>,
    }
}
api! {
    /// `POST /api/v1/issuers`.
    struct IssuerAdd {
        /// The CA's own certificate: PEM, or DER in base64. The one that signs the devices' certificates, not one above it.
        certificate: String,
        /// Which of its certificates count.
        #[serde(default)] criteria: IssuerCriteria,
        /// Where its revocation list is: `http://host/path`. Signed lists need no TLS, and a list that is not the issuer's is refused.
        list_url: String,
        /// Hours after its end for which a list is still believed: 0 to 168. Default: 0, refused at once.
        #[serde(default)] grace_hours: u32,
    }
}
api! {
    /// The enterprise's certificate with which a device talks.
    #[derive(Eq)]
    struct EnterpriseCertificate {
        /// SHA-256 of the certificate.
        fingerprint: Hash,
        /// Which issuer it is of.
        issuer: Hash,
        /// Its serial number, hexadecimal.
        serial: String,
        /// Its subject.
        subject: String,
        /// When it ends.
        expires: UnixMillis,
    }
}
