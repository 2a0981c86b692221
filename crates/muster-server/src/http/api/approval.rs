//! Which requests are approved without an administrator.

use crate::http::{
    AppState,
    extract::{Asking, Json},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{Approval, ApprovalSet};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/approval", Access::See, show)
            .about("approval_show", "The approval mode in force, with its warning.")
            .gives::<Approval>(),
        Route::put("/api/v1/approval", Access::Change, update)
            .about(
                "approval_update",
                "Change the approval mode and the trusted domains. The mode `all` must be confirmed.",
            )
            .takes::<ApprovalSet>()
            .gives::<Approval>(),
    ]
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::approval_show(&ctx, &app.site).await?))
}

async fn update(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(set): Json<ApprovalSet>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::approval_update(&ctx, &app.site, set).await?))
}
