//! Sample issuers, and a certificate of one.

use super::sample::{NOW, ago, hash};
use muster_model::{
    api::{EnterpriseCertificate, Issuer, IssuerCriteria, IssuerList},
    time::{DAY, HOUR},
};

/// A certificate for this subject.
pub(super) fn certificate(subject: String) -> EnterpriseCertificate {
    EnterpriseCertificate {
        fingerprint: hash(50),
        issuer: hash(51),
        serial: "4a00000017c2".to_owned(),
        subject,
        expires: NOW.plus(200 * DAY),
    }
}

/// One issuer that is well, and one whose list never came. `text` makes the texts.
pub(super) fn issuers(text: &dyn Fn(&str) -> String) -> Vec<Issuer> {
    let well = Issuer {
        id: hash(51),
        name: text("C=DE, O=Example, CN=Example Machines CA 2"),
        expires: NOW.plus(900 * DAY),
        criteria: IssuerCriteria {
            subject: vec![text("O=Example")],
            san: vec![text("dns:*.corp.example")],
            eku: Vec::new(),
        },
        list_url: text("http://pki.corp.example/machines-2.crl"),
        grace_hours: 4,
        added: ago(20 * DAY),
        added_by: text("amelia"),
        list: Some(IssuerList { number: text("1f3"), signed: ago(HOUR), next_update: NOW.plus(6 * DAY), entries: 218 }),
        tried: Some(ago(HOUR)),
        failure: None,
        devices: 412,
        warning: None,
    };
    let new = Issuer {
        id: hash(52),
        criteria: IssuerCriteria::default(),
        grace_hours: 0,
        list: None,
        failure: Some(text("pki.corp.example cannot be reached")),
        devices: 0,
        warning: Some(text("There is no revocation list of this issuer yet; none of its certificates counts.")),
        ..well.clone()
    };
    vec![well, new]
}
