//! Sealed secrets: for whom they can be sealed, taking them, forgetting them. What they say never comes here.

use crate::http::{
    AppState,
    extract::{Asked, Asking, Json, Part},
    respond::{Refusal, json},
    route::Route,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{PageQuery, Reason, SecretAdd, SecretAdded, SecretInfo, SecretRecipient},
    application::FileName,
    id::ApplicationId,
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/secrets", Access::See, list)
            .about("secret_list", "Secrets by application and name: for how many devices, never what.")
            .query::<PageQuery>()
            .gives_page::<SecretInfo>(),
        Route::get("/api/v1/secrets/{application}/recipients", Access::See, recipients)
            .about(
                "secret_recipients",
                "Devices that an application is deployed to, and what secrets for them are sealed to.",
            )
            .query::<PageQuery>()
            .gives_page::<SecretRecipient>(),
        Route::post("/api/v1/secrets", Access::Change, add)
            .about("secret_add", "Take one secret, sealed and signed by an author's client, for up to 1,000 devices.")
            .takes::<SecretAdd>()
            .gives::<SecretAdded>(),
        Route::post("/api/v1/secrets/{application}/{name}/remove", Access::Change, remove)
            .about(
                "secret_remove",
                "Forget a secret; devices throw it away and destroy the keys that it was sealed to.",
            )
            .takes::<Reason>()
            .gives::<u64>(),
    ]
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::secret_list(&ctx, &app.site, query).await?))
}

async fn recipients(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(application): Part<ApplicationId>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::secret_recipients(&ctx, &app.site, application, query).await?))
}

async fn add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<SecretAdd>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::secret_add(&ctx, &app.site, &request).await?))
}

async fn remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((application, name)): Part<(ApplicationId, FileName)>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::secret_remove(&ctx, &app.site, application, &name, reason).await?))
}
