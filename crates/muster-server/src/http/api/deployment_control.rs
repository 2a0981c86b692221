//! Deployments that are paused, ended, tried again, or rolled out in phases.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{
        Deployment, DeploymentEvent, DeploymentRetried, DeploymentRetry, DeploymentRival, DeploymentStanding,
        PageQuery, PhaseBegin, PhasedDeploymentCreate, Reason,
    },
    id::{DeploymentId, DeviceId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/deployments/phased", Access::Change, create_phased)
            .about("deployment_create_phased", "Deploy an application in phases.")
            .takes::<PhasedDeploymentCreate>()
            .status(201)
            .gives::<Deployment>(),
        Route::get("/api/v1/deployments/{id}/standing", Access::See, standing)
            .about("deployment_standing", "Whether a deployment is paused or cancelled, and how its phases stand.")
            .gives::<DeploymentStanding>(),
        Route::get("/api/v1/deployments/{id}/rivals", Access::See, rivals)
            .about("deployment_rivals", "Other deployments in force that contradict it, on devices that have both.")
            .gives::<Vec<DeploymentRival>>(),
        Route::post("/api/v1/deployments/{id}/pause", Access::Change, pause)
            .about("deployment_pause", "Pause a deployment: on no device it begins any more; what has begun goes on.")
            .takes::<Reason>()
            .gives::<DeploymentStanding>(),
        Route::post("/api/v1/deployments/{id}/resume", Access::Change, resume)
            .about("deployment_resume", "Let a paused deployment go on; failures so far do not stop its phases again.")
            .gives::<DeploymentStanding>(),
        Route::post("/api/v1/deployments/{id}/cancel", Access::Change, cancel)
            .about("deployment_cancel", "End a deployment for good; what is installed stays.")
            .takes::<Reason>()
            .gives::<DeploymentStanding>(),
        Route::post("/api/v1/deployments/{id}/retry", Access::Change, retry)
            .about("deployment_retry", "Have a deployment tried again where it failed.")
            .takes::<DeploymentRetry>()
            .gives::<DeploymentRetried>(),
        Route::post("/api/v1/deployments/{id}/phase", Access::Change, phase_begin)
            .about("deployment_phase_begin", "Begin the next phase of a deployment now, whatever its criteria say.")
            .takes::<PhaseBegin>()
            .gives::<DeploymentStanding>(),
        Route::get("/api/v1/deployments/{id}/devices/{device}/history", Access::See, history)
            .about("deployment_history", "What happened to a deployment on a device, step by step, the latest first.")
            .query::<PageQuery>()
            .gives_page::<DeploymentEvent>(),
    ]
}

async fn create_phased(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<PhasedDeploymentCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::deployment_create_phased(&ctx, &app.site, &request).await?))
}

async fn standing(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_standing(&ctx, &app.site, id).await?))
}

async fn rivals(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_rivals(&ctx, &app.site, id).await?))
}

async fn pause(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_pause(&ctx, &app.site, id, reason).await?))
}

async fn resume(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_resume(&ctx, &app.site, id).await?))
}

async fn cancel(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_cancel(&ctx, &app.site, id, reason).await?))
}

async fn retry(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Json(request): Json<DeploymentRetry>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_retry(&ctx, &app.site, id, request).await?))
}

async fn phase_begin(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Json(request): Json<PhaseBegin>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_phase_begin(&ctx, &app.site, id, request).await?))
}

async fn history(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, device)): Part<(DeploymentId, DeviceId)>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_history(&ctx, &app.site, id, device, query).await?))
}
