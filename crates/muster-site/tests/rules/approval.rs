//! The approval mode: no mode lets a key in that proves nothing of its device, and a serial number is not a proof.

use crate::reason;
use muster_model::{
    api::{
        ApprovalMode, ApprovalSet, EnrolmentState, PageQuery, SerialEntry, SerialImport, TokenCreate, TrustedDomain,
    },
    enrol::{DomainProof, EnrolAnswer, EnrolRequest, EnrolmentToken},
    id::Hash,
    problem::Code,
};
use muster_site::{
    testing::{TestSite, claims, enrol_request},
    *,
};
use muster_trust::PrivateKey;

fn set(mode: ApprovalMode) -> ApprovalSet {
    let domain = TrustedDomain {
        realm: "LAB.EXAMPLE".to_owned(),
        service: "muster/site.example".to_owned(),
        groups: vec!["S-1-5-21-1-2-3-1105".to_owned()],
    };
    ApprovalSet { mode, domains: vec![domain], confirmed: true }
}

async fn token(test: &TestSite, serial: Option<&str>) -> String {
    let serial = serial.map(str::to_owned);
    let request = TokenCreate { name: "laptop".parse().unwrap(), valid_seconds: 3_600, serial };
    let created = token_create(&test.full(), &test.site, request).await.unwrap();
    created.token.parse::<EnrolmentToken>().unwrap().secret
}

async fn ask(test: &TestSite, request: EnrolRequest) -> Result<EnrolAnswer, Code> {
    let channel = Channel::new(Hash([0; 32]));
    enrolment_request(&test.anonymous(), &test.site, &channel, request).await.map_err(|error| error.code())
}

fn request(secret: &str, name: &str, serial: Option<&str>) -> EnrolRequest {
    let key = PrivateKey::generate().unwrap();
    EnrolRequest { serial: serial.map(str::to_owned), ..enrol_request(secret, &key, claims(name)) }
}

async fn expect(test: &TestSite, serial: &str) {
    let entries = vec![SerialEntry { serial: serial.to_owned(), note: "desk 9".to_owned() }];
    let imported = serial_import(&test.full(), &test.site, SerialImport { entries }).await.unwrap();
    assert_eq!(imported.imported, 1);
}

// proves S3
#[tokio::test]
async fn in_every_mode_a_key_that_anybody_made_waits() {
    for test in TestSite::all().await {
        expect(&test, "5CD1").await;
        for (number, mode) in ApprovalMode::ALL.iter().enumerate() {
            approval_update(&test.full(), &test.site, set(*mode)).await.unwrap();
            for (what, serial) in [None, Some("5CD1"), Some("other")].into_iter().enumerate() {
                let name = format!("pc{number}-{what}");
                let answer = ask(&test, request(&token(&test, None).await, &name, serial)).await.unwrap();
                assert!(matches!(answer, EnrolAnswer::Pending { .. }), "{mode}, {serial:?}: {answer:?}");
            }
            // A proof of a domain that is none is refused, and its token can still be used.
            let secret = token(&test, None).await;
            let proof = Some(DomainProof { request: "bm8gcHJvb2Y=".to_owned() });
            let bad = EnrolRequest { domain: proof, ..request(&secret, "pc9", None) };
            assert_eq!(ask(&test, bad).await, Err(Code::DomainRefused));
            let huge = Some(DomainProof { request: "A".repeat(20_000) });
            let huge = EnrolRequest { domain: huge, ..request(&secret, "pc9", None) };
            assert_eq!(ask(&test, huge).await, Err(Code::DomainRefused), "so that the client asks again without");
            assert!(ask(&test, request(&secret, &format!("late{number}"), None)).await.is_ok());
        }
    }
}

// proves S3
#[tokio::test]
async fn a_token_for_an_expected_serial_number_approves_in_the_widest_mode_only() {
    for test in TestSite::all().await {
        let asked = async |name: &str, serial: &str| {
            ask(&test, request(&token(&test, Some(serial)).await, name, Some(serial))).await.unwrap()
        };
        let is_active = |answer: EnrolAnswer| matches!(answer, EnrolAnswer::Active { .. });
        approval_update(&test.full(), &test.site, set(ApprovalMode::All)).await.unwrap();
        assert!(!is_active(asked("pc1", "5CD1").await), "not on the list");
        expect(&test, "5CD2").await;
        for mode in [ApprovalMode::Manual, ApprovalMode::TrustedDomain] {
            approval_update(&test.full(), &test.site, set(mode)).await.unwrap();
            assert!(!is_active(asked(&format!("pc2 {mode}"), "5CD2").await), "{mode}");
        }
        approval_update(&test.full(), &test.site, set(ApprovalMode::All)).await.unwrap();
        assert!(is_active(asked("pc3", "5CD2").await));
        let (full, state) = (test.full(), Some(EnrolmentState::Approved));
        let approved = enrolment_list(&full, &test.site, state, PageQuery::default()).await.unwrap();
        let request_of_pc3 = approved.items[0].clone();
        assert_eq!(request_of_pc3.serial_note.as_deref(), Some("desk 9"));
        assert!(request_of_pc3.verdict.unwrap().contains("stated by the device, not proven"));

        // The name of a device that is there: whoever it is, somebody looks.
        assert!(!is_active(asked("pc3", "5CD2").await), "it resembles a device");
        // Another number, or none: refused, and the token can still be used.
        let secret = token(&test, Some("5CD2")).await;
        for serial in [None, Some("5CD3")] {
            assert_eq!(ask(&test, request(&secret, "pc4", serial)).await, Err(Code::SerialMismatch));
        }
        assert!(is_active(ask(&test, request(&secret, "pc4", Some("5CD2"))).await.unwrap()));
        assert_eq!(ask(&test, request(&token(&test, None).await, "pc5", Some("a\n"))).await, Err(Code::Malformed));
    }
}

// proves S3: what was a device is looked at, and is not refused where nobody sees it.
#[tokio::test]
async fn the_key_of_a_retired_device_and_a_name_in_other_letters_wait() {
    for test in TestSite::all().await {
        expect(&test, "5CD1").await;
        approval_update(&test.full(), &test.site, set(ApprovalMode::All)).await.unwrap();
        let device = test.enrol("pc1").await;
        let asked = async |request: EnrolRequest| ask(&test, request).await.unwrap();
        let serial = Some("5CD1");
        let same_name = request(&token(&test, serial).await, "PC1", serial);
        assert!(matches!(asked(same_name).await, EnrolAnswer::Pending { .. }), "it resembles pc1");
        device_retire(&test.full(), &test.site, device.id, reason("sold"), None).await.unwrap();
        let again = enrol_request(&token(&test, serial).await, &device.key, claims("pc2"));
        let again = asked(EnrolRequest { serial: serial.map(str::to_owned), ..again }).await;
        let EnrolAnswer::Pending { enrolment, .. } = again else { panic!("{again:?}") };
        let (full, pending) = (test.full(), Some(EnrolmentState::Pending));
        let waiting = enrolment_list(&full, &test.site, pending, PageQuery::default()).await.unwrap();
        let waiting = waiting.items.into_iter().find(|it| it.id == enrolment).unwrap();
        assert!(waiting.conflicts[0].contains("The same key as retired device pc1"), "{:?}", waiting.conflicts);
        // Of many devices of one name those that live are seen first.
        let living = test.enrol("pc3").await;
        for _ in 0..11 {
            let other = test.enrol("pc3").await;
            device_retire(&test.full(), &test.site, other.id, reason("sold"), None).await.unwrap();
        }
        let EnrolAnswer::Pending { .. } = asked(request(&token(&test, serial).await, "PC3", serial)).await else {
            panic!("{} is there", living.id);
        };
    }
}

#[tokio::test]
async fn the_mode_is_changed_by_whoever_may_and_stands_in_the_audit_log() {
    for test in TestSite::all().await {
        let shown = approval_show(&test.analyst(), &test.site).await.unwrap();
        assert_eq!((shown.mode, shown.domains.len()), (ApprovalMode::Manual, 0), "the default");
        let by = async |ctx: Ctx, set: ApprovalSet| approval_update(&ctx, &test.site, set).await.map_err(|e| e.code());
        assert_eq!(by(test.analyst(), set(ApprovalMode::All)).await, Err(Code::Forbidden));
        assert_eq!(by(test.anonymous(), set(ApprovalMode::All)).await, Err(Code::Unauthenticated));
        let unread = ApprovalSet { confirmed: false, ..set(ApprovalMode::All) };
        assert_eq!(by(test.full(), unread).await, Err(Code::Malformed));
        let changed = by(test.full(), set(ApprovalMode::TrustedDomain)).await.unwrap();
        assert_eq!(changed.without_key, ["LAB.EXAMPLE"], "there is no keytab");
        assert_eq!(approval_show(&test.analyst(), &test.site).await.unwrap(), changed);
        by(test.full(), set(ApprovalMode::TrustedDomain)).await.unwrap();
        let audit = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
        let lines: Vec<_> = audit.items.iter().filter(|line| line.action == "approval_update").collect();
        assert_eq!(lines.len(), 1, "nothing that was so before");
        assert!(lines[0].detail.contains("was: manual; it is: trusted domain"), "{}", lines[0].detail);
    }
}

#[tokio::test]
async fn the_list_of_serial_numbers_is_taken_whole_or_not_at_all() {
    for test in TestSite::all().await {
        let import = async |numbers: &[&str]| {
            let entry = |&number: &&str| SerialEntry { serial: number.to_owned(), note: "desk".to_owned() };
            let entries = numbers.iter().map(entry).collect();
            serial_import(&test.full(), &test.site, SerialImport { entries }).await.map_err(|error| error.code())
        };
        for bad in [&["A", "A"][..], &["A", ""], &["A", " B"], &[]] {
            assert_eq!(import(bad).await, Err(Code::Malformed), "{bad:?}");
        }
        let many: Vec<String> = (0..5_001).map(|number| number.to_string()).collect();
        assert_eq!(import(&many.iter().map(String::as_str).collect::<Vec<_>>()).await, Err(Code::TooLarge));
        let list = async || serial_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
        assert_eq!(list().await.total, 0, "nothing of them was kept");
        import(&["A", "B"]).await.unwrap();
        import(&["B", "C"]).await.unwrap();
        assert_eq!(list().await.total, 3);
        serial_remove(&test.full(), &test.site, "B".to_owned(), reason("sold")).await.unwrap();
        let again = serial_remove(&test.full(), &test.site, "B".to_owned(), reason("sold")).await;
        assert_eq!(again.unwrap_err().code(), Code::NotFound);
        assert_eq!(list().await.total, 2);
    }
}
