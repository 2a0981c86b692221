//! Signing in and out.

use crate::http::{
    AppState,
    extract::{Asking, Json},
    guard::Signed,
    respond::{Refusal, empty, json},
    route::Route,
};
use axum::{Extension, extract::State, response::Response};
use http::StatusCode;
use muster_model::{
    api::{Admin, Challenge, ChallengeRequest, Session, SessionRequest, SignInCode},
    problem::Code,
};
use muster_site::{Ctx, authz::Access};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/session/challenge", Access::Anyone, challenge)
            .about("session_challenge", "First step of signing in: something to sign with an administrator's key.")
            .takes::<ChallengeRequest>()
            .gives::<Challenge>(),
        Route::post("/api/v1/session", Access::Anyone, create)
            .about("session_create", "Second step: the signed challenge for a session.")
            .takes::<SessionRequest>()
            .status(201)
            .gives::<Session>(),
        Route::get("/api/v1/session", Access::See, show).about("session_show", "Who is signed in.").gives::<Admin>(),
        Route::delete("/api/v1/session", Access::See, end).about("session_end", "End the session.").status(204),
        Route::post("/api/v1/session/code", Access::See, code)
            .about("session_code", "A one-time code that signs a browser in as the caller.")
            .status(201)
            .gives::<SignInCode>(),
    ]
}

/// Tries to sign in are counted by address before anything is asked of the database.
fn counted(app: &AppState, ctx: &Ctx) -> Result<(), Refusal> {
    let allowed = ctx.address.parse().is_ok_and(|address| app.sign_ins.allow(address, ctx.now));
    if allowed {
        return Ok(());
    }
    Err(Refusal::new(Code::TooMany, "Too many tries to sign in from this address; wait a minute and try again."))
}

async fn challenge(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<ChallengeRequest>,
) -> Result<Response, Refusal> {
    counted(&app, &ctx)?;
    Ok(json(StatusCode::OK, &muster_site::session_challenge(&ctx, &app.site, request).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<SessionRequest>,
) -> Result<Response, Refusal> {
    counted(&app, &ctx)?;
    Ok(json(StatusCode::CREATED, &muster_site::session_create(&ctx, &app.site, request).await?))
}

async fn show(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::session_show(&ctx, &app.site).await?))
}

async fn end(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Extension(signed): Extension<Signed>,
) -> Result<Response, Refusal> {
    muster_site::session_end(&ctx, &app.site, &signed.token).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn code(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::session_code(&ctx, &app.site).await?))
}
