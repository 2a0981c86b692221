//! Maintenance: what is removed when it has been kept for long enough.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::api::{
    MaintenancePreview, MaintenanceRun, MaintenanceSettings, MaintenanceTask, MaintenanceWanted, PageQuery, TaskName,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/maintenance", Access::See, list)
            .about("maintenance_list", "The maintenance tasks of the site, each with its latest run.")
            .gives_page::<MaintenanceTask>(),
        Route::get("/api/v1/maintenance/{task}", Access::See, show)
            .about("maintenance_show", "One maintenance task.")
            .gives::<MaintenanceTask>(),
        Route::put("/api/v1/maintenance/{task}", Access::Change, set)
            .about("maintenance_set", "Change how a maintenance task is set; what is not said stays as it is.")
            .takes::<MaintenanceSettings>()
            .gives::<MaintenanceTask>(),
        Route::get("/api/v1/maintenance/{task}/preview", Access::See, preview)
            .about("maintenance_preview", "What a run would remove now. It removes nothing.")
            .query::<MaintenanceWanted>()
            .gives::<MaintenancePreview>(),
        Route::post("/api/v1/maintenance/{task}/run", Access::Change, run)
            .about(
                "maintenance_run",
                "Have a task run now, whatever its hours are. What is removed does not come back.",
            )
            .gives::<MaintenanceTask>(),
        Route::get("/api/v1/maintenance/{task}/history", Access::See, history)
            .about("maintenance_history", "Runs of a task, the latest first.")
            .query::<PageQuery>()
            .gives_page::<MaintenanceRun>(),
    ]
}

async fn list(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_list(&ctx, &app.site).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(task): Part<TaskName>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_show(&ctx, &app.site, task).await?))
}

async fn set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(task): Part<TaskName>,
    Json(wanted): Json<MaintenanceSettings>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_set(&ctx, &app.site, task, &wanted).await?))
}

async fn preview(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(task): Part<TaskName>,
    Asked(wanted): Asked<MaintenanceWanted>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_preview(&ctx, &app.site, task, wanted.keep_days).await?))
}

async fn run(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(task): Part<TaskName>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_run(&ctx, &app.site, task).await?))
}

async fn history(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(task): Part<TaskName>,
    Asked(page): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::maintenance_history(&ctx, &app.site, task, page).await?))
}
