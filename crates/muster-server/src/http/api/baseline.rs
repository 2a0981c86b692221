//! Configuration baselines: signed by their authors, distributed by the site; and how devices stand to them.

use crate::http::{
    AppState, Body, body,
    extract::{Asked, Asking, Json, Part},
    respond::{self, Refusal, empty, json},
    route::{BodyLimit, Route},
};
use axum::{extract::State, response::Response};
use http::{HeaderValue, Request, StatusCode};
use muster_model::{
    api::{
        BaselineDeploy, BaselineDeployment, BaselineInfo, BaselinePreview, ComplianceQuery, DeviceCompliance,
        PageQuery, ResultQuery, SettingCompliance, SettingTotals,
    },
    id::{DeploymentId, DeviceId, Hash},
};
use muster_site::authz::Access;
use std::time::Duration;

const COSE: &str = "application/cose";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/baselines", Access::See, list)
            .about("baseline_list", "Configuration baselines, by name.")
            .query::<PageQuery>()
            .gives_page::<BaselineInfo>(),
        Route::post("/api/v1/baselines", Access::Change, create)
            .about("baseline_create", "Add a configuration baseline: the object that its authors signed.")
            .takes_bytes(COSE, BodyLimit::Object)
            .status(201)
            .gives::<BaselineInfo>(),
        Route::get("/api/v1/baselines/{hash}", Access::See, show)
            .about("baseline_show", "One configuration baseline, by the hash of its signed object.")
            .gives::<BaselineInfo>(),
        Route::delete("/api/v1/baselines/{hash}", Access::Change, remove)
            .about("baseline_delete", "Delete a configuration baseline that no deployment in force names.")
            .status(204),
        Route::get("/api/v1/baselines/{hash}/object", Access::See, object)
            .about("baseline_object", "The signed object itself, for whoever verifies what its authors signed.")
            .gives_bytes(COSE),
        Route::get("/api/v1/baseline-deployments", Access::See, deployments)
            .about("baseline_deployment_list", "Deployments of baselines with their totals, the newest first.")
            .query::<PageQuery>()
            .gives_page::<BaselineDeployment>(),
        Route::post("/api/v1/baseline-deployments", Access::Change, deploy)
            .about("baseline_deploy", "Hold devices against a baseline.")
            .takes::<BaselineDeploy>()
            .status(201)
            .gives::<BaselineDeployment>(),
        Route::post("/api/v1/baseline-deployments/preview", Access::See, preview)
            .about("baseline_preview", "What deploying a baseline would do. Nothing is changed.")
            .takes::<BaselineDeploy>()
            .gives::<BaselinePreview>(),
        Route::get("/api/v1/baseline-deployments/{id}", Access::See, deployment)
            .about("baseline_deployment_show", "One deployment of a baseline with its totals.")
            .gives::<BaselineDeployment>(),
        Route::delete("/api/v1/baseline-deployments/{id}", Access::Change, delete)
            .about("baseline_deployment_delete", "Delete a deployment of a baseline: clients no longer evaluate it.")
            .status(204),
        Route::get("/api/v1/baseline-deployments/{id}/settings", Access::See, settings)
            .about("compliance_settings", "Each setting of a deployed baseline, over all devices.")
            .gives::<Vec<SettingTotals>>(),
        Route::get("/api/v1/baseline-deployments/{id}/devices", Access::See, devices)
            .about(
                "compliance_devices",
                "How each device stands to a deployed baseline; those that do not comply first.",
            )
            .query::<ComplianceQuery>()
            .gives_page::<DeviceCompliance>(),
        Route::get("/api/v1/baseline-deployments/{id}/results", Access::See, results)
            .about("compliance_results", "Single results: of one setting the devices, of one device the settings.")
            .query::<ResultQuery>()
            .gives_page::<SettingCompliance>(),
        Route::get("/api/v1/devices/{id}/compliance", Access::See, device)
            .about("device_compliance", "How a device stands to each baseline that is deployed to it.")
            .gives::<Vec<DeviceCompliance>>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::baseline_list(&ctx, &app.site, query).await?))
}

async fn create(State(app): State<AppState>, Asking(ctx): Asking, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, COSE)?;
    let patience = Duration::from_secs(app.http.body_seconds);
    let object = body::read(&parts.headers, stream, app.site.limits.object_bytes, patience).await?;
    Ok(json(StatusCode::CREATED, &muster_site::baseline_create(&ctx, &app.site, &object).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::baseline_show(&ctx, &app.site, hash).await?))
}

async fn remove(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    muster_site::baseline_delete(&ctx, &app.site, hash).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn object(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    let object = muster_site::baseline_object(&ctx, &app.site, hash).await?;
    Ok(respond::bytes(StatusCode::OK, HeaderValue::from_static(COSE), object))
}

async fn deployments(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::baseline_deployment_list(&ctx, &app.site, query).await?))
}

async fn deploy(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<BaselineDeploy>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::baseline_deploy(&ctx, &app.site, &request).await?))
}

async fn preview(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<BaselineDeploy>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::baseline_preview(&ctx, &app.site, &request).await?))
}

async fn deployment(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::baseline_deployment_show(&ctx, &app.site, id).await?))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    muster_site::baseline_deployment_delete(&ctx, &app.site, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn settings(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::compliance_settings(&ctx, &app.site, id).await?))
}

async fn devices(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Asked(query): Asked<ComplianceQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::compliance_devices(&ctx, &app.site, id, &query).await?))
}

async fn results(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Asked(query): Asked<ResultQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::compliance_results(&ctx, &app.site, id, &query).await?))
}

async fn device(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_compliance(&ctx, &app.site, id).await?))
}
