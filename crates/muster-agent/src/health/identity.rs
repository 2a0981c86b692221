//! Whether the client is who it was: an active identity, its own key, and a certificate of that key that does not end soon.

use super::{Finding, Scene};
use crate::{
    agent::Agent,
    enrol,
    identity::{self, Identity, Stage},
};
use muster_model::time::DAY;
use muster_trust::certificate::{CLIENT_LIFETIME, client_identity};
use std::sync::Arc;

/// The client renews at a third; what is left a day later was not renewed.
const LEAST: i64 = CLIENT_LIFETIME / 3 - DAY;

pub(super) fn detect(scene: &Scene<'_>) -> Finding {
    let beyond = |found: &str, advice: &str| Finding::Beyond(found.to_owned(), advice.to_owned());
    let again = "Enrol again: muster-agent enrol --token FILE --again";
    let identity = match Identity::load(scene.directory) {
        Ok(Some(identity)) => identity,
        Ok(None) => return beyond("This client has no site.", "Enrol it: muster-agent enrol --token FILE"),
        Err(error) => return beyond(&format!("The identity cannot be read: {error}."), again),
    };
    if !matches!(identity.stage, Stage::Active { .. }) {
        return beyond("The enrolment is not at its end.", "An administrator of the site approves the request.");
    }
    let certificate = match identity.certificates().ok().and_then(|all| client_identity(all.first()?).ok()) {
        Some(certificate) => certificate,
        None => return beyond("The client's certificate cannot be read.", again),
    };
    match identity::key_id(scene.directory) {
        Ok(Some(id)) if id == certificate.key.id() => {}
        Ok(Some(_)) => return beyond("The certificate is not of this client's key.", again),
        Ok(None) => return beyond("The client's key is gone.", again),
        Err(error) => return beyond(&format!("The client's key cannot be read: {error}."), again),
    }
    let expires = scene.agent.and_then(|agent| agent.site.certificate_expires()).unwrap_or(certificate.expires);
    let left = expires.since(scene.now);
    match left {
        ..=0 => Finding::Wrong("The client's certificate has ended.".to_owned()),
        1..LEAST => Finding::Wrong(format!("The client's certificate ends in {} days.", left / DAY)),
        _ => Finding::Sound,
    }
}

pub(super) async fn mend(agent: &Arc<Agent>) -> Result<String, String> {
    let Err(error) = crate::run::follow::renew(agent).await else {
        return Ok("The certificate was renewed.".to_owned());
    };
    match enrol::recover_certificate(&agent.directory, &agent.site).await {
        Ok(true) => Ok("A new certificate came from the enrolment door.".to_owned()),
        Ok(false) => Err(format!("The certificate could not be renewed: {error}.")),
        Err(other) => Err(format!("The certificate could not be renewed: {error}; {other}.")),
    }
}
