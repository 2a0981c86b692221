//! Software updates: what the tools of devices offer.

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
        PageQuery, SoftwareUpdate, UpdateGroupPackage, UpdateQuery, UpdateRule, UpdateRuleDetail, UpdateRuleInfo,
        UpdateRuleSigned,
    },
    id::{Hash, UpdateRuleId},
};
use muster_site::authz::Access;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/updates", Access::See, list)
            .about("update_list", "Software updates that devices miss, those that most of them miss first.")
            .query::<UpdateQuery>()
            .gives_page::<SoftwareUpdate>(),
        Route::get("/api/v1/updates/groups/{hash}", Access::See, group)
            .about(
                "update_group_show",
                "The packages of a signed group of updates, each with the later version that devices are offered.",
            )
            .gives_page::<UpdateGroupPackage>(),
        Route::get("/api/v1/updates/rules", Access::See, rule_list)
            .about(
                "update_rule_list",
                "Rules that propose groups of updates, by name, and whether a draft waits for a signature.",
            )
            .query::<PageQuery>()
            .gives_page::<UpdateRuleInfo>(),
        Route::post("/api/v1/updates/rules", Access::Change, rule_create)
            .about("update_rule_create", "Keep a rule that proposes groups of updates, and look by it at once.")
            .takes::<UpdateRule>()
            .gives::<UpdateRuleDetail>(),
        Route::get("/api/v1/updates/rules/{id}", Access::See, rule_show)
            .about("update_rule_show", "A rule with the draft that waits for a signature.")
            .gives::<UpdateRuleDetail>(),
        Route::delete("/api/v1/updates/rules/{id}", Access::Change, rule_delete)
            .about("update_rule_delete", "Remove a rule with its draft. What was signed and deployed stays.")
            .gives::<UpdateRuleInfo>(),
        Route::post("/api/v1/updates/rules/{id}/look", Access::Change, rule_look)
            .about("update_rule_look", "Look by a rule now.")
            .gives::<UpdateRuleDetail>(),
        Route::post("/api/v1/updates/rules/{id}/signed", Access::Change, rule_signed)
            .about(
                "update_rule_signed",
                "An author signed the draft: it takes its place in the deployment of the rule.",
            )
            .takes::<UpdateRuleSigned>()
            .gives::<UpdateRuleDetail>(),
    ]
}

async fn group(State(app): State<AppState>, Asking(ctx): Asking, Part(hash): Part<Hash>) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_group_show(&ctx, &app.site, hash).await?))
}

async fn rule_list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(page): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_list(&ctx, &app.site, page).await?))
}

async fn rule_create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(rule): Json<UpdateRule>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_create(&ctx, &app.site, rule).await?))
}

async fn rule_show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<UpdateRuleId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_show(&ctx, &app.site, id).await?))
}

async fn rule_delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<UpdateRuleId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_delete(&ctx, &app.site, id).await?))
}

async fn rule_look(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<UpdateRuleId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_look(&ctx, &app.site, id).await?))
}

async fn rule_signed(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<UpdateRuleId>,
    Json(signed): Json<UpdateRuleSigned>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_rule_signed(&ctx, &app.site, id, signed).await?))
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<UpdateQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::update_list(&ctx, &app.site, &query).await?))
}
