//! Certificates of mobile devices: by a token of their class, once, for one key; renewed by the present one; never for a computer, and
//! never from a computer's.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    api::{
        AlertQuery, CertificateQuery, MobileClass, MobileDevice, MobileTokenCreate, MobileTokenCreated, PageQuery,
        Reason, RevocationReason, Revoke,
    },
    id::Hash,
    limits::{MOBILE_CERTIFICATES_A_DAY, MOBILE_DEVICES_OF_A_USER},
    problem::Code,
    time::DAY,
};
use muster_site::{
    testing::{TestSite, claims, enrol_request},
    *,
};
use muster_trust::{
    PrivateKey,
    certificate::{CertificateError, client_identity, issued_client, signing_request},
    cms::{
        RsaKey, der,
        enveloped::{Cipher, seal},
        oid,
        request::SigningRequest,
        signed::{Attribute, Content, Sha1, SignAs, SignedData, SigningKey, sign},
    },
    mobile::{MOBILE_LIFETIME, MobileIdentity, issued_mobile},
};

const PAGE: PageQuery = PageQuery { offset: 0, limit: 100 };

fn asked(key: &PrivateKey) -> SigningRequest {
    SigningRequest::read(&signing_request(key).unwrap()).unwrap()
}

async fn token(test: &TestSite, class: MobileClass, user: &str) -> MobileTokenCreated {
    let name = |text: &str| text.parse().unwrap();
    let request = MobileTokenCreate { name: name("a telephone"), class, user: name(user), valid_seconds: 3_600 };
    mobile_token_create(&test.full(), &test.site, request).await.unwrap()
}

async fn issue(test: &TestSite, secret: &str, key: &PrivateKey) -> Result<Vec<u8>, Code> {
    let granted = mobile_certificate_issue(&test.anonymous(), &test.site, secret, &asked(key)).await;
    granted.map(|granted| granted.certificate).map_err(|error| error.code())
}

async fn renew(test: &TestSite, current: &[u8], key: &PrivateKey) -> Result<Vec<u8>, Code> {
    let granted = mobile_certificate_renew(&test.anonymous(), &test.site, current, &asked(key)).await;
    granted.map(|granted| granted.certificate).map_err(|error| error.code())
}

fn said(test: &TestSite, certificate: &[u8]) -> Result<MobileIdentity, CertificateError> {
    issued_mobile(certificate, &test.site.trust.load().bundle().issuing_certificates().unwrap(), test.now())
}

async fn devices(test: &TestSite) -> Vec<MobileDevice> {
    mobile_device_list(&test.full(), &test.site, PAGE).await.unwrap().items
}

#[tokio::test]
async fn a_token_gives_one_certificate_for_one_key_of_its_class() {
    for test in TestSite::all().await {
        let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let made = token(&test, MobileClass::Apple, "Grace").await;
        let certificate = issue(&test, &made.challenge, &key).await.unwrap();
        let says = said(&test, &certificate).unwrap();
        assert_eq!((says.class, says.site, says.key), (MobileClass::Apple, test.site.code, key.public().id()));
        assert_eq!(issue(&test, &made.challenge, &key).await.unwrap(), certificate, "the answer was lost");
        // proves I8: a token is used once, and a key has one certificate of a class.
        assert_eq!(issue(&test, &made.challenge, &other).await, Err(Code::TokenUnknown));
        let second = token(&test, MobileClass::Apple, "Grace").await;
        assert_eq!(issue(&test, &second.challenge, &key).await, Err(Code::Conflict));
        assert!(issue(&test, &second.challenge, &other).await.is_ok(), "a refusal uses no token");
        let ended = token(&test, MobileClass::Android, "Grace").await;
        test.sources.pass(3_600_000);
        assert_eq!(issue(&test, &ended.challenge, &PrivateKey::generate().unwrap()).await, Err(Code::TokenUnknown));
        let taken = token(&test, MobileClass::Android, "Grace").await;
        mobile_token_revoke(&test.full(), &test.site, taken.id).await.unwrap();
        assert_eq!(issue(&test, &taken.challenge, &PrivateKey::generate().unwrap()).await, Err(Code::TokenUnknown));
        let [.., first] = &devices(&test).await[..] else { panic!("no device") };
        assert_eq!((first.id, first.serial.as_deref()), (says.device, Some(says.serial.as_str())));
    }
}

#[tokio::test]
async fn a_computer_gets_no_mobile_certificate_and_a_mobile_device_none_of_a_computer() {
    for test in TestSite::all().await {
        let computer = test.enrol("pc1").await;
        // proves I4: neither a computer's token, nor its key, nor its certificate counts here.
        assert_eq!(issue(&test, &test.token().await, &PrivateKey::generate().unwrap()).await, Err(Code::TokenUnknown));
        let made = token(&test, MobileClass::Windows, "Grace").await;
        assert_eq!(issue(&test, &made.challenge, &computer.key).await, Err(Code::KeyMismatch));
        assert_eq!(renew(&test, &computer.certificate, &computer.key).await, Err(Code::DeviceNotActive));
        assert_eq!(said(&test, &computer.certificate), Err(CertificateError::NotADevice));
        // And the other way round.
        let key = PrivateKey::generate().unwrap();
        let certificate = issue(&test, &made.challenge, &key).await.unwrap();
        assert_eq!(client_identity(&certificate), Err(CertificateError::NotADevice));
        let issuing = test.site.trust.load().bundle().issuing_certificates().unwrap();
        assert_eq!(issued_client(&certificate, &issuing, test.now()), Err(CertificateError::NotADevice));
        assert!(issued_client(&computer.certificate, &issuing, test.now()).is_ok());
        let other = token(&test, MobileClass::Windows, "Grace").await;
        let request = enrol_request(&other.challenge, &PrivateKey::generate().unwrap(), claims("phone"));
        let refused = enrolment_request(&test.anonymous(), &test.site, &Channel::new(Hash([0; 32])), request).await;
        assert_eq!(refused.unwrap_err().code(), Code::TokenUnknown, "a mobile token enrols no computer");
    }
}

#[tokio::test]
async fn the_present_certificate_gives_the_next_and_whoever_asks_without_end_is_blocked() {
    for test in TestSite::all().await {
        let (key, next) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let made = token(&test, MobileClass::Equipment, "Grace").await;
        let first = issue(&test, &made.challenge, &key).await.unwrap();
        assert_eq!(renew(&test, &first, &key).await.unwrap(), first, "young, and for the same key: itself");
        let second = renew(&test, &first, &next).await.unwrap();
        assert_eq!(renew(&test, &first, &next).await.unwrap(), second, "the answer was lost");
        assert_eq!(renew(&test, &first, &key).await, Err(Code::DeviceNotActive), "the one before is at work no more");
        test.sources.pass(MOBILE_LIFETIME / 3 * 2);
        let mut present = renew(&test, &second, &next).await.unwrap();
        assert_ne!(present, second);
        let mut all = [&first, &second, &present].map(|one| said(&test, one).unwrap().serial).to_vec();
        // proves I8: beyond the quota of a day the device is blocked, all its certificates revoked, and an alert raised.
        for _ in 1..MOBILE_CERTIFICATES_A_DAY {
            present = renew(&test, &present, &PrivateKey::generate().unwrap()).await.unwrap();
            all.push(said(&test, &present).unwrap().serial);
        }
        let more = PrivateKey::generate().unwrap();
        assert_eq!(renew(&test, &present, &more).await, Err(Code::DeviceNotActive));
        let [blocked] = &devices(&test).await[..] else { panic!("one device") };
        assert!(blocked.blocked.is_some() && blocked.serial.is_none(), "{blocked:?}");
        let revoked = CertificateQuery { device: None, revoked: true, offset: 0, limit: 10 };
        let revoked = certificate_list(&test.full(), &test.site, revoked).await.unwrap();
        let mut revoked: Vec<_> = revoked.items.into_iter().map(|one| one.serial).collect();
        all.sort();
        revoked.sort();
        assert_eq!(revoked, all, "those before it too, which have not ended");
        let alerts =
            alert_list(&test.full(), &test.site, AlertQuery { limit: 10, ..AlertQuery::default() }).await.unwrap();
        assert_eq!((alerts.total, alerts.items[0].subject.clone()), (1, blocked.id.to_string()));
        test.sources.pass(DAY);
        let mut work = AlertWork::default();
        while alert_work(&test.site, &mut work, test.now()).await.unwrap() {}
        assert_eq!(alert_count(&test.site).await.unwrap(), 1, "the look at deployments leaves it open");
        assert_eq!(renew(&test, &present, &more).await, Err(Code::DeviceNotActive));
    }
}

#[tokio::test]
async fn a_user_has_a_number_of_devices_and_blocking_one_makes_room() {
    let test = TestSite::new().await;
    for _ in 0..MOBILE_DEVICES_OF_A_USER {
        let made = token(&test, MobileClass::Apple, "Grace").await;
        issue(&test, &made.challenge, &PrivateKey::generate().unwrap()).await.unwrap();
    }
    let (one, key) = (token(&test, MobileClass::Apple, "Grace").await, PrivateKey::generate().unwrap());
    assert_eq!(issue(&test, &one.challenge, &key).await, Err(Code::TooMany));
    let other = token(&test, MobileClass::Apple, "Edsger").await;
    assert!(issue(&test, &other.challenge, &PrivateKey::generate().unwrap()).await.is_ok());
    let lost = devices(&test).await.into_iter().find(|device| device.user.as_str() == "Grace").unwrap();
    let why = || Reason { reason: "lost".to_owned() };
    let analyst = mobile_device_block(&test.analyst(), &test.site, lost.id, why()).await;
    assert_eq!(analyst.unwrap_err().code(), Code::Forbidden);
    assert!(mobile_device_block(&test.full(), &test.site, lost.id, why()).await.unwrap().blocked.is_some());
    assert_eq!(mobile_device_block(&test.full(), &test.site, lost.id, why()).await.unwrap_err().code(), Code::Conflict);
    assert!(issue(&test, &one.challenge, &key).await.is_ok(), "the token was not used by the refusal");
}

/// A PKCS#10 request around a key in whatever encoding. `sign`: the signature of P-256 (`r || s`), or of RSA.
fn request(spki: &[u8], challenge: Option<&str>, sign: impl Fn(&[u8]) -> Vec<u8>, is_rsa: bool) -> Vec<u8> {
    let attribute = |text: &str| {
        let value = der::value(der::SET, &[&der::value(der::UTF8, &[text.as_bytes()])]);
        der::sequence(&[&der::oid(oid::CHALLENGE_PASSWORD), &value])
    };
    let attributes = der::value(der::context(0), &[&challenge.map(attribute).unwrap_or_default()]);
    let asked = der::sequence(&[&der::small(0), &der::sequence(&[]), spki, &attributes]);
    let signature = sign(&asked);
    let integer = |number: &[u8]| {
        let digits = &number[number.iter().position(|byte| *byte != 0).unwrap()..];
        der::value(der::INTEGER, &[&[0][..usize::from(digits[0] >= 0x80)], digits])
    };
    let (algorithm, signature) = if is_rsa {
        (der::sequence(&[&der::oid(oid::RSA_SHA256), &[der::NULL, 0]]), signature)
    } else {
        let (r, s) = signature.split_at(32);
        (der::sequence(&[&der::oid(oid::ECDSA_SHA256)]), der::sequence(&[&integer(r), &integer(s)]))
    };
    der::sequence(&[&asked, &algorithm, &der::value(der::BIT_STRING, &[&[0], &signature])])
}

#[tokio::test]
async fn a_computer_s_key_is_known_in_every_encoding() {
    for test in TestSite::all().await {
        let computer = test.enrol("pc1").await;
        let (spki, point) = (computer.key.public().spki(), *computer.key.public().point());
        let (x, sign) = (&point[1..33], 2 | point[64] & 1);
        let algorithm = der::sequence(&[&der::oid(oid::EC), &der::oid(oid::P256)]);
        let around = |key: &[u8]| der::sequence(&[&algorithm, &der::value(der::BIT_STRING, &[&[0], key])]);
        assert_eq!(around(&point), spki);
        let odd = [
            around(&[&[sign], x].concat()),
            around(&[&[sign | 4], &point[1..]].concat()),
            around(&spki),
            around(&[&point[..], &[0]].concat()),
            [&[0x30, 0x81, 0x59], &spki[2..]].concat(),
            [&[0x30, 0x5a, 0x30, 0x81, 0x13], &spki[4..]].concat(),
            der::sequence(&[&spki[2..], &[der::NULL, 0]]),
        ];
        let made = token(&test, MobileClass::Windows, "Grace").await;
        let user = made.id.to_string();
        let by = (&user[..], &made.challenge[..]);
        for (at, spki) in std::iter::once(&spki).chain(&odd).enumerate() {
            let asks = request(spki, None, |asked| computer.key.sign(asked).unwrap(), false);
            let refused = est_enrol(&test.anonymous(), &test.site, by, BASE64.encode(asks).as_bytes()).await;
            let expected = if at == 0 { Code::KeyMismatch } else { Code::CsrInvalid };
            assert_eq!(refused.map_err(|error| error.code()), Err(expected), "{at}");
        }
        // proves I4: neither side takes the other's key. That of one that waits, too; and no computer gets the key of a mobile device.
        let waiting = test.request("pc2").await;
        assert_eq!(issue(&test, &made.challenge, &waiting.key).await, Err(Code::KeyMismatch));
        let key = PrivateKey::generate().unwrap();
        issue(&test, &made.challenge, &key).await.unwrap();
        let secret = test.token().await;
        let asks = async |key: &PrivateKey| {
            let request = enrol_request(&secret, key, claims("phone"));
            let answer = enrolment_request(&test.anonymous(), &test.site, &Channel::new(Hash([0; 32])), request).await;
            answer.map(drop).map_err(|error| error.code())
        };
        assert_eq!(asks(&key).await, Err(Code::KeyMismatch));
        assert_eq!(asks(&PrivateKey::generate().unwrap()).await, Ok(()), "the refusal used no token");
    }
}

#[tokio::test]
async fn what_another_process_revoked_gives_no_certificate_any_more() {
    for test in TestSite::all().await {
        let (key, next) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let made = token(&test, MobileClass::Apple, "Grace").await;
        let first = issue(&test, &made.challenge, &key).await.unwrap();
        let second = renew(&test, &first, &next).await.unwrap();
        let entry =
            audit_list(&test.full(), &test.site, PageQuery { offset: 0, limit: 1 }).await.unwrap().items.remove(0);
        let serials = [&first, &second].map(|certificate| said(&test, certificate).unwrap().serial);
        assert_eq!(entry.action, "mobile_certificate_renew");
        for part in [&serials[0], &serials[1], &next.public().id().to_string()] {
            assert!(entry.detail.contains(part), "{}", entry.detail);
        }
        // proves I8: the memory of this process does not know it yet.
        let other = test.reopened().await;
        let why = || Revoke { reason: "a test".to_owned(), code: RevocationReason::KeyCompromise };
        certificate_revoke(&test.full(), &other, &serials[0], why()).await.unwrap();
        assert_eq!(renew(&test, &first, &next).await, Err(Code::DeviceNotActive), "not even the answer of before");
        assert_eq!(devices(&test).await[0].serial.as_ref(), Some(&serials[1]), "the one at work stays so");
        certificate_revoke(&test.full(), &other, &serials[1], why()).await.unwrap();
        assert_eq!(devices(&test).await[0].serial, None);
        assert_eq!(renew(&test, &second, &PrivateKey::generate().unwrap()).await, Err(Code::DeviceNotActive));
        assert_eq!(issue(&test, &made.challenge, &next).await, Err(Code::TokenUnknown));
    }
}

/// What a request by SCEP for a certificate is answered: the text of its status.
async fn scep(test: &TestSite, authority: &MobileAuthority, by: SignAs<'_>, csr: &[u8]) -> Vec<u8> {
    let oid = |number: u8| vec![0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09, number];
    let attributes = [(2, der::PRINTABLE, &b"19"[..]), (7, der::PRINTABLE, b"one"), (5, der::OCTETS, &[7; 16])];
    let attributes = attributes.map(|(of, tag, value)| Attribute { kind: oid(of), value: der::value(tag, &[value]) });
    let sealed = seal(csr, &authority.certificate, Cipher::Aes128).unwrap();
    let message = sign(Content::Attached(&sealed), by, Some(&attributes), &[]).unwrap();
    let asked = scep_answer(&test.anonymous(), &test.site, authority, "operation=PKIOperation", Some(message)).await;
    let answer = SignedData::read(&asked.unwrap().body).unwrap();
    let none = answer.content().is_none().then_some(&b""[..]);
    let by = answer.verify(none, &[], Sha1::Refused).unwrap();
    by.attribute(&oid(3)).unwrap()[2..].to_vec()
}

#[tokio::test]
async fn by_scep_nothing_happens_for_who_cannot_read_the_answer_or_shows_a_token_to_renew() {
    let test = TestSite::new().await;
    let authority = mobile_authority_issue(&test.site, RsaKey::generate().unwrap(), None, test.now()).await.unwrap();
    let (rsa, p256, next) =
        (RsaKey::generate().unwrap(), PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let asks = |challenge| request(&next.public().spki(), challenge, |asked| next.sign(asked).unwrap(), false);
    let on_curve = token(&test, MobileClass::Equipment, "Grace").await;
    let on_curve = issue(&test, &on_curve.challenge, &p256).await.unwrap();
    let by = SignAs { certificate: &on_curve, key: SigningKey::P256(&p256) };
    assert_eq!(scep(&test, &authority, by, &asks(None)).await, b"2");
    assert_eq!(devices(&test).await[0].serial, Some(said(&test, &on_curve).unwrap().serial), "nothing has changed");

    let made = token(&test, MobileClass::Equipment, "Grace").await;
    let first = SigningRequest::read(&request(rsa.spki(), None, |asked| rsa.sign(asked).unwrap(), true)).unwrap();
    let phone = mobile_certificate_issue(&test.anonymous(), &test.site, &made.challenge, &first).await.unwrap();
    let by = SignAs { certificate: &phone.certificate, key: SigningKey::Rsa(&rsa) };
    let open = token(&test, MobileClass::Equipment, "Grace").await;
    assert_eq!(scep(&test, &authority, by, &asks(Some(&open.challenge))).await, b"2", "an open token renews nothing");
    assert_eq!(scep(&test, &authority, by, &asks(Some(&made.challenge))).await, b"0", "its own, used one does no harm");
}

#[tokio::test]
async fn of_devices_that_come_at_once_no_more_get_in_than_a_user_may_have() {
    for test in TestSite::all().await {
        for _ in 1..MOBILE_DEVICES_OF_A_USER {
            let made = token(&test, MobileClass::Apple, "Grace").await;
            issue(&test, &made.challenge, &PrivateKey::generate().unwrap()).await.unwrap();
        }
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push((token(&test, MobileClass::Apple, "Grace").await, PrivateKey::generate().unwrap()));
        }
        // proves I8: also where transactions do not see what the other one writes.
        let asks = |at: usize| issue(&test, &tokens[at].0.challenge, &tokens[at].1);
        let answers = tokio::join!(asks(0), asks(1), asks(2), asks(3));
        let answers = [answers.0, answers.1, answers.2, answers.3];
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    }
}
