//! Deployments.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, empty, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::{HeaderValue, StatusCode, header};
use muster_model::{
    api::{
        Deployment, DeploymentApprove, DeploymentCreate, DeploymentOrder, DeploymentPreview, DeviceDeployment,
        Forecast, PageQuery,
    },
    id::DeploymentId,
    status::DeploymentState,
};
use muster_site::authz::Access;
use muster_trust::sha256;
use serde::Deserialize;
use utoipa::ToSchema;

/// Which devices of a deployment, and which page of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeploymentDeviceQuery {
    /// Only those in this state.
    #[serde(default)]
    state: Option<DeploymentState>,
    /// Rows to skip.
    #[serde(default)]
    offset: u64,
    /// Rows wanted.
    #[serde(default = "rows")]
    limit: u32,
}

fn rows() -> u32 {
    PageQuery::default().limit
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/deployments", Access::See, list)
            .about("deployment_list", "Deployments with their totals, the newest first.")
            .query::<PageQuery>()
            .gives_page::<Deployment>(),
        Route::post("/api/v1/deployments", Access::Change, create)
            .about("deployment_create", "Deploy an application.")
            .takes::<DeploymentCreate>()
            .status(201)
            .gives::<Deployment>(),
        Route::post("/api/v1/deployments/preview", Access::See, preview)
            .about("deployment_preview", "What a deployment would do. Nothing is changed.")
            .takes::<DeploymentCreate>()
            .gives::<DeploymentPreview>(),
        Route::get("/api/v1/deployments/{id}", Access::See, show)
            .about("deployment_show", "One deployment with its totals. The ETag changes with them.")
            .gives::<Deployment>(),
        Route::delete("/api/v1/deployments/{id}", Access::Change, delete)
            .about("deployment_delete", "Delete a deployment: clients no longer get it.")
            .status(204),
        Route::get("/api/v1/deployments/{id}/devices", Access::See, devices)
            .about("deployment_devices", "Where a deployment stands on each of its devices.")
            .query::<DeploymentDeviceQuery>()
            .gives_page::<DeviceDeployment>(),
        Route::get("/api/v1/deployments/{id}/approval", Access::See, order)
            .about("deployment_order", "What a second key is to approve of a deployment, and who did.")
            .gives::<DeploymentOrder>(),
        Route::put("/api/v1/deployments/{id}/approval", Access::Change, approve)
            .about(
                "deployment_approve",
                "Hand in the approval of a deployment, signed by a key that signed nothing of it.",
            )
            .takes::<DeploymentApprove>()
            .gives::<DeploymentOrder>(),
        Route::delete("/api/v1/deployments/{id}/approval", Access::Change, approval_withdraw)
            .about("deployment_approval_withdraw", "Take the approval of a deployment back.")
            .status(204),
        Route::get("/api/v1/deployments/{id}/forecast", Access::See, forecast)
            .about(
                "deployment_forecast",
                "When the devices on which it did not begin can begin, by their maintenance windows.",
            )
            .gives::<Forecast>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_list(&ctx, &app.site, query).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<DeploymentCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::deployment_create(&ctx, &app.site, &request).await?))
}

async fn preview(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<DeploymentCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_preview(&ctx, &app.site, &request).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    let deployment = muster_site::deployment_show(&ctx, &app.site, id).await?;
    let mut response = json(StatusCode::OK, &deployment);
    let seen = sha256(&serde_json::to_vec(&deployment).unwrap_or_default()).to_string();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", &seen[..16])) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    muster_site::deployment_delete(&ctx, &app.site, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn order(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_order(&ctx, &app.site, id).await?))
}

async fn approve(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Json(request): Json<DeploymentApprove>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_approve(&ctx, &app.site, id, &request).await?))
}

async fn approval_withdraw(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    muster_site::deployment_approval_withdraw(&ctx, &app.site, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn forecast(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::deployment_forecast(&ctx, &app.site, id).await?))
}

async fn devices(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeploymentId>,
    Asked(query): Asked<DeploymentDeviceQuery>,
) -> Result<Response, Refusal> {
    let page = PageQuery { offset: query.offset, limit: query.limit };
    Ok(json(StatusCode::OK, &muster_site::deployment_devices(&ctx, &app.site, id, query.state, page).await?))
}
