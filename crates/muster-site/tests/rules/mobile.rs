//! Certificates of mobile devices: by a token of their class, once, for one key; renewed by the present one; never for a computer, and
//! never from a computer's.

use muster_model::{
    api::{
        AlertQuery, CertificateQuery, MobileClass, MobileDevice, MobileTokenCreate, MobileTokenCreated, PageQuery,
        Reason,
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
    cms::request::SigningRequest,
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
        // proves I8: beyond the quota of a day the device is blocked, its certificate revoked, and an alert raised.
        for _ in 1..MOBILE_CERTIFICATES_A_DAY {
            present = renew(&test, &present, &PrivateKey::generate().unwrap()).await.unwrap();
        }
        let last = said(&test, &present).unwrap();
        let more = PrivateKey::generate().unwrap();
        assert_eq!(renew(&test, &present, &more).await, Err(Code::DeviceNotActive));
        let [blocked] = &devices(&test).await[..] else { panic!("one device") };
        assert!(blocked.blocked.is_some() && blocked.serial.is_none(), "{blocked:?}");
        let revoked = CertificateQuery { device: None, revoked: true, offset: 0, limit: 10 };
        let revoked = certificate_list(&test.full(), &test.site, revoked).await.unwrap();
        assert_eq!(revoked.items.iter().map(|one| one.serial.as_str()).collect::<Vec<_>>(), [last.serial.as_str()]);
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
