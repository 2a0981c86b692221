//! Status filter rules, what they send, and how parts of the agents do.

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
        PageQuery, StatusAction, StatusActionQuery, StatusHour, StatusRule, StatusRuleChange, StatusRuleInfo,
        StatusTarget, StatusThreshold, Subscription, SubscriptionInfo,
    },
    id::{StatusActionId, StatusRuleId, SubscriptionId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/status/rules", Access::See, rule_list)
            .about("status_rule_list", "Status filter rules, in their order.")
            .query::<PageQuery>()
            .gives_page::<StatusRuleInfo>(),
        Route::post("/api/v1/status/rules", Access::Change, rule_create)
            .about("status_rule_create", "Keep a status filter rule, after all others.")
            .takes::<StatusRule>()
            .gives::<StatusRuleInfo>(),
        Route::get("/api/v1/status/rules/{id}", Access::See, rule_show)
            .about("status_rule_show", "A status filter rule.")
            .gives::<StatusRuleInfo>(),
        Route::put("/api/v1/status/rules/{id}", Access::Change, rule_change)
            .about("status_rule_change", "Put a rule in force or out of it, or to another place.")
            .takes::<StatusRuleChange>()
            .gives::<StatusRuleInfo>(),
        Route::delete("/api/v1/status/rules/{id}", Access::Change, rule_delete)
            .about("status_rule_delete", "Remove a rule. What it has had sent stays.")
            .gives::<StatusRuleInfo>(),
        Route::get("/api/v1/status/targets", Access::See, target_list)
            .about("target_list", "The targets that files of the server name.")
            .gives_page::<StatusTarget>(),
        Route::get("/api/v1/status/actions", Access::See, action_list)
            .about("status_action_list", "What is or was sent to targets, the latest first.")
            .query::<StatusActionQuery>()
            .gives_page::<StatusAction>(),
        Route::post("/api/v1/status/actions/{id}/retry", Access::Change, action_retry)
            .about("status_action_retry", "Send again what was given up.")
            .gives::<StatusAction>(),
        Route::get("/api/v1/status/hours", Access::See, hours)
            .about("status_hours", "Status messages of the last day by hour and part of the agents.")
            .gives_page::<StatusHour>(),
        Route::get("/api/v1/status/thresholds", Access::See, threshold_list)
            .about("status_threshold_list", "From how many messages on each part of the agents does not do well.")
            .gives_page::<StatusThreshold>(),
        Route::put("/api/v1/status/thresholds", Access::Change, threshold_set)
            .about("status_threshold_set", "Say from how many messages on a part of the agents does not do well.")
            .takes::<StatusThreshold>()
            .gives::<StatusThreshold>(),
        Route::get("/api/v1/subscriptions", Access::See, subscription_list)
            .about("subscription_list", "Which targets are told of which alerts.")
            .query::<PageQuery>()
            .gives_page::<SubscriptionInfo>(),
        Route::post("/api/v1/subscriptions", Access::Change, subscription_create)
            .about("subscription_create", "Have a target told of alerts.")
            .takes::<Subscription>()
            .gives::<SubscriptionInfo>(),
        Route::delete("/api/v1/subscriptions/{id}", Access::Change, subscription_delete)
            .about("subscription_delete", "Tell a target no more.")
            .gives::<SubscriptionInfo>(),
    ]
}

type Answer = Result<Response, Refusal>;

async fn rule_list(State(app): State<AppState>, Asking(ctx): Asking, Asked(page): Asked<PageQuery>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_rule_list(&ctx, &app.site, page).await?))
}

async fn rule_create(State(app): State<AppState>, Asking(ctx): Asking, Json(rule): Json<StatusRule>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_rule_create(&ctx, &app.site, rule).await?))
}

async fn rule_show(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<StatusRuleId>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_rule_show(&ctx, &app.site, id).await?))
}

async fn rule_change(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<StatusRuleId>,
    Json(change): Json<StatusRuleChange>,
) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_rule_change(&ctx, &app.site, id, change).await?))
}

async fn rule_delete(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<StatusRuleId>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_rule_delete(&ctx, &app.site, id).await?))
}

async fn target_list(State(app): State<AppState>, Asking(ctx): Asking) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::target_list(&ctx, &app.site)?))
}

async fn action_list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<StatusActionQuery>,
) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_action_list(&ctx, &app.site, query).await?))
}

async fn action_retry(State(app): State<AppState>, Asking(ctx): Asking, Part(id): Part<StatusActionId>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_action_retry(&ctx, &app.site, id).await?))
}

async fn hours(State(app): State<AppState>, Asking(ctx): Asking) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_hours(&ctx, &app.site).await?))
}

async fn threshold_list(State(app): State<AppState>, Asking(ctx): Asking) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_threshold_list(&ctx, &app.site).await?))
}

async fn threshold_set(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(threshold): Json<StatusThreshold>,
) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::status_threshold_set(&ctx, &app.site, threshold).await?))
}

async fn subscription_list(State(app): State<AppState>, Asking(ctx): Asking, Asked(page): Asked<PageQuery>) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::subscription_list(&ctx, &app.site, page).await?))
}

async fn subscription_create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(wanted): Json<Subscription>,
) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::subscription_create(&ctx, &app.site, wanted).await?))
}

async fn subscription_delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<SubscriptionId>,
) -> Answer {
    Ok(json(StatusCode::OK, &muster_site::subscription_delete(&ctx, &app.site, id).await?))
}
