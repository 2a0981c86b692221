//! Renewal: for the key that holds the certificate, while the device is active, and not oftener than needed.

use crate::reason;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{enrol::RenewRequest, problem::Code, time::DAY};
use muster_site::{
    testing::{TestDevice, TestSite},
    *,
};
use muster_trust::{
    PrivateKey,
    certificate::{ClientIdentity, client_identity, signing_request},
};

fn request(key: &PrivateKey) -> RenewRequest {
    RenewRequest { csr: BASE64.encode(signing_request(key).unwrap()) }
}

async fn renewed(test: &TestSite, device: &TestDevice) -> Result<ClientIdentity, Code> {
    let answer = certificate_renew(&test.device(device), &test.site, request(&device.key)).await;
    let answer = answer.map_err(|error| error.code())?;
    assert_eq!(answer.management_points, ["https://127.0.0.1:8440"]);
    Ok(client_identity(&BASE64.decode(&answer.certificates[0]).unwrap()).unwrap())
}

#[tokio::test]
async fn a_certificate_is_renewed_when_half_of_its_life_is_over() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        let old = client_identity(&device.certificate).unwrap();
        // proves I8: asking again and again gives the same certificate.
        assert_eq!(renewed(&test, &device).await.unwrap(), old);
        test.sources.pass(20 * DAY);
        let new = renewed(&test, &device).await.unwrap();
        assert_ne!(new.serial, old.serial);
        assert_eq!((new.device, &new.key), (device.id, device.key.public()));
        // The answer was lost: the same one again, still by the old certificate.
        assert_eq!(renewed(&test, &device).await.unwrap(), new);
        for identity in [&old, &new] {
            assert!(device_connected(&test.site, identity, test.now()).await.is_ok());
        }
        test.sources.pass(11 * DAY);
        let late = device_connected(&test.site, &old, test.now()).await.unwrap_err();
        assert_eq!(late.code(), Code::DeviceNotActive, "the old one ended by itself");
        assert!(device_connected(&test.site, &new, test.now()).await.is_ok());
        test.sources.pass(9 * DAY);
        let third = renewed(&test, &device).await.unwrap();
        assert_ne!(third.serial, new.serial);
    }
}

#[tokio::test]
async fn no_certificate_for_another_key_or_a_device_that_is_not_active() {
    for test in TestSite::all().await {
        let device = test.enrol("pc1").await;
        test.sources.pass(20 * DAY);
        let code = async |ctx: Ctx, request| certificate_renew(&ctx, &test.site, request).await.unwrap_err().code();
        let other = PrivateKey::generate().unwrap();
        assert_eq!(code(test.device(&device), request(&other)).await, Code::KeyMismatch);
        assert_eq!(code(test.device(&device), RenewRequest { csr: "x".to_owned() }).await, Code::CsrInvalid);
        assert_eq!(code(test.anonymous(), request(&device.key)).await, Code::Unauthenticated);
        assert_eq!(code(test.full(), request(&device.key)).await, Code::Unauthenticated);
        device_block(&test.full(), &test.site, device.id, reason("x"), None).await.unwrap();
        assert_eq!(renewed(&test, &device).await.unwrap_err(), Code::DeviceNotActive);
        device_retire(&test.full(), &test.site, device.id, reason("x"), None).await.unwrap();
        assert_eq!(renewed(&test, &device).await.unwrap_err(), Code::DeviceNotActive);
        let serial = device_show(&test.full(), &test.site, device.id).await.unwrap().certificate_serial;
        assert_eq!(serial, device.caller.serial, "nothing was issued");
    }
}
