//! `GET /enrol/v1/issuers`: whose certificates count at this site, so that a client can choose among those that it has.

use super::EnrolmentDoor;
use crate::http::{
    Body,
    respond::{self, Refusal},
};
use http::{Response, StatusCode};
use muster_site::Ctx;

/// Answers with the issuers and their criteria.
pub(super) async fn offer(ctx: &Ctx, door: &EnrolmentDoor) -> Result<Response<Body>, Refusal> {
    Ok(respond::json(StatusCode::OK, &muster_site::issuer_offer(ctx, &door.site).await?))
}
