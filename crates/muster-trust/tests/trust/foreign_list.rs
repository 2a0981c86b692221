//! Revocation lists of an issuer of the enterprise that are signed by it, and say in some way that they are not complete.

use muster_trust::enterprise::{EnterpriseIssuer, ForeignList, ListError, Serial};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SigningKey};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 4;
const CRITICAL: bool = true;
const ECDSA_SHA256: &[u8] = &[SEQUENCE, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, content].concat()
}

/// An extension below `2.5.29`.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let marked: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(SEQUENCE, &[&[6, 3, 0x55, 0x1d, number], marked, &tlv(OCTETS, &[value])])
}

fn number() -> Vec<u8> {
    extension(20, false, &[2, 2, 0x10, 0x01])
}

struct Ca {
    key: KeyPair,
    issuer: EnterpriseIssuer,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { key, issuer: EnterpriseIssuer::read(certificate.der()).unwrap() }
    }

    /// A list with these extensions, which names the certificate 7 with those.
    fn list(&self, extensions: &[Vec<u8>], of_entry: &[Vec<u8>]) -> Result<ForeignList, ListError> {
        let (_, certificate) = X509Certificate::from_der(self.issuer.certificate()).unwrap();
        let time = |text: &str| tlv(0x17, &[text.as_bytes()]);
        let (this, next) = (time("260901000000Z"), time("261001000000Z"));
        let about = if of_entry.is_empty() { Vec::new() } else { tlv(SEQUENCE, &[&of_entry.concat()]) };
        let entry = tlv(SEQUENCE, &[&[2, 1, 7], &this, &about]);
        let signed = tlv(
            SEQUENCE,
            &[
                &[2, 1, 1],
                ECDSA_SHA256,
                certificate.subject().as_raw(),
                &this,
                &next,
                &tlv(SEQUENCE, &[&entry]),
                &tlv(0xa0, &[&tlv(SEQUENCE, &[&extensions.concat()])]),
            ],
        );
        let signature = tlv(3, &[&[0], &self.key.sign(&signed).unwrap()]);
        ForeignList::read(&tlv(SEQUENCE, &[&signed, ECDSA_SHA256, &signature]), &self.issuer)
    }
}

// proves S22: a list of some certificates is never taken as one of all, however it says so.
#[test]
fn a_list_that_leaves_something_out_is_not_taken() {
    let ca = Ca::new();
    let key_id = extension(35, false, &[SEQUENCE, 3, 0x80, 1, 9]);
    let good = ca.list(&[key_id, number()], &[]).unwrap();
    assert!(good.revoked.contains(&Serial::new(&[7])) && good.number == Serial::new(&[0x10, 1]));
    for critical in [false, CRITICAL] {
        for every in [&[SEQUENCE, 0][..], &[SEQUENCE, 3, 0x81, 1, 0xff]] {
            assert!(ca.list(&[number(), extension(28, critical, every)], &[]).is_ok(), "{every:?}");
        }
        let relative = [0xa0, 12, 0xa1, 10, SEQUENCE, 8, 6, 3, 0x55, 4, 3, 0x13, 1, b'a'];
        let partial: [&[u8]; 14] = [
            // A full name; a name relative to the issuer, alone and before each of the others; CAs' only, in DER and nearly so.
            &[SEQUENCE, 7, 0xa0, 5, 0xa0, 3, 0x86, 1, b'x'],
            &tlv(SEQUENCE, &[&relative]),
            &tlv(SEQUENCE, &[&relative, &[0x82, 1, 0xff]]),
            &tlv(SEQUENCE, &[&relative, &[0x84, 1, 0xff]]),
            &tlv(SEQUENCE, &[&[0xa0, 0], &[0x84, 1, 0xff]]),
            &[SEQUENCE, 3, 0x82, 1, 0xff],
            &[SEQUENCE, 3, 0x82, 1, 1],
            &[SEQUENCE, 3, 0x81, 1, 1],
            &[SEQUENCE, 6, 0x81, 1, 0xff, 0x84, 1, 0xff],
            &[SEQUENCE, 4, 0x83, 2, 0, 0x40],
            &[SEQUENCE, 3, 0x84, 1, 0xff],
            &[SEQUENCE, 3, 0x85, 1, 0xff],
            // None at all.
            &[],
            &[SEQUENCE, 9],
        ];
        for value in partial {
            let read = ca.list(&[number(), extension(28, critical, value)], &[]);
            assert_eq!(read.unwrap_err(), ListError::Malformed, "{value:02x?}");
        }
        for delta in [&[2, 1, 1][..], &[], &[5, 0]] {
            let read = ca.list(&[number(), extension(27, critical, delta)], &[]);
            assert_eq!(read.unwrap_err(), ListError::Malformed, "{delta:02x?}");
        }
    }
    let odd = [
        vec![],
        vec![number(), number()],
        vec![extension(20, false, &[4, 1, 1])],
        vec![number(), extension(35, false, &[2, 1, 1])],
        vec![number(), extension(99, CRITICAL, &[5, 0])],
        vec![number(), extension(28, false, &[SEQUENCE, 0]), extension(28, false, &[SEQUENCE, 3, 0x82, 1, 0xff])],
    ];
    for extensions in odd {
        assert_eq!(ca.list(&extensions, &[]).unwrap_err(), ListError::Malformed, "{extensions:02x?}");
    }
}

// proves S22
#[test]
fn an_entry_says_that_its_certificate_is_revoked_and_nothing_else() {
    let ca = Ca::new();
    let date = [&[0x18, 15][..], b"20260901000000Z"].concat();
    for fine in [extension(21, false, &[0x0a, 1, 1]), extension(21, false, &[0x0a, 1, 6]), extension(24, false, &date)]
    {
        assert_eq!(ca.list(&[number()], &[fine]).unwrap().revoked.len(), 1);
    }
    for odd in [
        extension(21, false, &[0x0a, 1, 8]),
        extension(21, false, &[0x0a, 2, 0, 8]),
        extension(21, false, &[0x0a, 1, 99]),
        extension(21, false, &[2, 1, 1]),
        extension(21, CRITICAL, &[0x0a, 1, 1]),
        extension(24, false, b"x"),
        // Of another issuer.
        extension(29, CRITICAL, &[SEQUENCE, 3, 0x82, 1, b'a']),
        extension(29, false, &[SEQUENCE, 3, 0x82, 1, b'a']),
    ] {
        assert_eq!(ca.list(&[number()], std::slice::from_ref(&odd)).unwrap_err(), ListError::Malformed, "{odd:02x?}");
    }
}
