//! Enrolment of a simulated fleet, by the doors that real devices and administrators use.

use super::{
    clock,
    device::{Device, Position},
    error::FleetError,
    http::{Connection, Target},
    progress::Progress,
    random::Stream,
    store::Fleet,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use futures_util::{StreamExt, stream};
use muster_cli::{Client, profile::ProfileDir};
use muster_model::{
    api::TokenCreate,
    enrol::{DeviceClaims, EnrolAnswer, EnrolPoll, EnrolRequest, EnrolmentToken},
    id::{DeviceId, Hash, Name},
    time::UnixMillis,
};
use muster_trust::{PrivateKey, TrustBundle, certificate, envelope, sha256, tls};
use rustls::ClientConfig;
use std::{path::Path, sync::Arc};

/// What is to be enrolled.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How many devices.
    pub count: u64,
    /// The seed.
    pub seed: u64,
    /// How many at once.
    pub concurrency: usize,
}

/// An enrolment at work.
struct Enrolment {
    client: Client,
    tls: Arc<ClientConfig>,
    seed: u64,
    now: UnixMillis,
}

/// One device with what the site told it.
struct Enrolled {
    device: Device,
    management_point: String,
}

/// Enrols a new fleet with the administrator's profile in a directory.
///
/// # Errors
/// The first thing that fails; devices that were enrolled before stay at the site.
pub async fn enrol(profile: &Path, wanted: Wanted, progress: &Progress) -> Result<Fleet, FleetError> {
    let profile = ProfileDir::read(profile, None)?;
    let now = clock::now();
    let client = profile.client(now).await?;
    let root = profile.profile.root;
    let enrolment = Arc::new(Enrolment { client, tls: Arc::new(tls::client_pinned(root)?), seed: wanted.seed, now });
    progress.start("enrolling", wanted.count);
    let mut enrolled: Vec<Enrolled> = Vec::with_capacity(usize::try_from(wanted.count).unwrap_or(0));
    let mut running = stream::iter(0..wanted.count)
        .map(|number| {
            let enrolment = enrolment.clone();
            async move { tokio::spawn(async move { enrolment.device(number).await }).await }
        })
        .buffer_unordered(wanted.concurrency.max(1));
    while let Some(done) = running.next().await {
        enrolled.push(done.map_err(|error| FleetError::Unusable(error.to_string()))??);
        progress.step(1);
    }
    drop(running);
    progress.done();
    let Some(url) = enrolled.first().map(|first| first.management_point.clone()) else {
        return Err(FleetError::Unusable("a fleet has at least one device".to_owned()));
    };
    let root = enrolment.root_certificate(root).await?;
    let mut devices: Vec<Device> = enrolled.into_iter().map(|enrolled| enrolled.device).collect();
    devices.sort_by_key(|device| device.number);
    Ok(Fleet { seed: wanted.seed, root, management_point: Target::parse(&url)?, url, devices })
}

impl Enrolment {
    /// A token of the administrator.
    async fn token(&self, number: u64) -> Result<EnrolmentToken, FleetError> {
        let unusable = |error: &dyn std::fmt::Display| FleetError::Unusable(error.to_string());
        let name: Name = format!("fleet {number}").parse().map_err(|error| unusable(&error))?;
        let created = self.client.token_create(&TokenCreate { name, valid_seconds: 3_600, serial: None }).await?;
        created.token.parse().map_err(|error| unusable(&error))
    }

    /// One device from nothing to its certificate.
    async fn device(&self, number: u64) -> Result<Enrolled, FleetError> {
        let token = self.token(number).await?;
        let key = PrivateKey::generate()?;
        let door = Target::parse(&token.enrol)?;
        let mut connection = Connection::open(self.tls.clone(), &door, number).await?;
        let request = EnrolRequest {
            secret: token.secret.clone(),
            csr: BASE64.encode(certificate::signing_request(&key)?),
            claims: claims(self.seed, number),
            attestation: None,
            enterprise: None,
            domain: None,
            serial: None,
        };
        let body = serde_json::to_vec(&request)?;
        let answer = connection.post("/enrol/v1/requests", "application/json", &body).await?;
        let answer: EnrolAnswer = serde_json::from_slice(&answer.expect(200, "a request to enrol")?.body)?;
        let EnrolAnswer::Pending { enrolment, .. } = answer else {
            return Err(FleetError::Unusable("the site did not keep the request for approval".to_owned()));
        };
        self.client.enrolment_approve(enrolment).await?;
        let poll = envelope::sign1_json(&key, &EnrolPoll { site: token.site, enrolment, time: self.now })?;
        let answer = connection.post("/enrol/v1/requests/poll", "application/cose", &poll).await?;
        let answer: EnrolAnswer = serde_json::from_slice(&answer.expect(200, "an enrolment poll")?.body)?;
        connection.close().await;
        let EnrolAnswer::Active { device, certificates, management_points } = answer else {
            return Err(FleetError::Unusable("the site approved the device and does not say so".to_owned()));
        };
        let management_point = management_points
            .into_iter()
            .next()
            .ok_or_else(|| FleetError::Unusable("the site names no management point".to_owned()))?;
        let device = enrolled(number, token.site, device, key, &certificates)?;
        Ok(Enrolled { device, management_point })
    }

    /// The root's certificate, out of the trust bundle.
    async fn root_certificate(&self, pin: Hash) -> Result<Vec<u8>, FleetError> {
        let token = self.token(0).await?;
        let door = Target::parse(&token.enrol)?;
        let mut connection = Connection::open(self.tls.clone(), &door, 0).await?;
        let answer = connection.get("/enrol/v1/trust-bundle", None).await?.expect(200, "the trust bundle")?;
        let bundle = TrustBundle::first(&answer.body, &pin, token.site, self.now)
            .map_err(|error| FleetError::Unusable(error.to_string()))?;
        Ok(bundle.value().root_certificate()?)
    }
}

fn enrolled(
    number: u64,
    site: muster_model::id::SiteCode,
    id: DeviceId,
    key: PrivateKey,
    certificates: &[String],
) -> Result<Device, FleetError> {
    let decode = |text: &String| BASE64.decode(text).map_err(|error| FleetError::Unusable(error.to_string()));
    Ok(Device {
        number,
        site,
        id,
        key,
        certificates: certificates.iter().map(decode).collect::<Result<_, _>>()?,
        generation: None,
        status: Position::default(),
        inventory: Position::default(),
    })
}

/// What the device of this number says about itself.
#[must_use]
pub fn claims(seed: u64, number: u64) -> DeviceClaims {
    const SYSTEMS: [&str; 4] = [
        "Debian GNU/Linux 12 (bookworm)",
        "Debian GNU/Linux 12 (bookworm)",
        "Debian GNU/Linux 13 (trixie)",
        "Ubuntu 24.04.2 LTS",
    ];
    let mut stream = Stream::of(seed, &[2, number]);
    let system = SYSTEMS[usize::try_from(stream.below(SYSTEMS.len() as u64)).unwrap_or(0)];
    DeviceClaims {
        host_name: format!("fleet-{seed}-{number:05}"),
        operating_system: system.to_owned(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hardware_id: sha256(format!("fleet {seed} {number}").as_bytes()),
    }
}
