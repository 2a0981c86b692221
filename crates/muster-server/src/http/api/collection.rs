//! Collections: devices in groups, by rules.

use crate::http::{
    AppState, body,
    extract::{Asked, Asking, IfMatch, Json, Part},
    respond::{Refusal, empty, etag, json},
    route::{BodyLimit, Route},
};
use axum::{body::Body, extract::State, response::Response};
use http::{Request, StatusCode, header};
use muster_model::{
    api::{
        Collection, CollectionCreate, CollectionDetail, CollectionExplained, CollectionExport, CollectionExported,
        CollectionImport, CollectionImported, CollectionIndex, CollectionMember, CollectionPreview, CollectionQuery,
        CollectionRule, CollectionSet, DeviceCollection, PageQuery, RuleSpec, Subject,
    },
    id::{CollectionId, DeviceId},
    limits, mof,
};
use muster_site::authz::Access;
use std::time::Duration;

/// The media type of a MOF file, whose encoding its first bytes say.
const MOF: &str = "application/octet-stream";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/collections", Access::See, list)
            .about("collection_list", "Collections, by name.")
            .query::<CollectionQuery>()
            .gives_page::<Collection>(),
        Route::post("/api/v1/collections", Access::Change, create)
            .about("collection_create", "Make a collection. It is evaluated at once.")
            .takes::<CollectionCreate>()
            .gives::<CollectionDetail>()
            .status(201),
        Route::post("/api/v1/collections/preview", Access::See, preview)
            .about("collection_preview", "Who would be in a collection. Nothing is changed.")
            .takes::<CollectionCreate>()
            .gives::<CollectionPreview>(),
        Route::post("/api/v1/collections/import", Access::Change, import)
            .about("collection_import", "Take the collections of a MOF file, in UTF-8 or UTF-16 with its mark.")
            .query::<ImportQuery>()
            .takes_bytes(MOF, BodyLimit::Import)
            .gives::<CollectionImported>(),
        Route::get("/api/v1/collections/export", Access::See, export)
            .about("collection_export", "Collections that administrators made, as a MOF file.")
            .query::<CollectionExport>()
            .gives::<CollectionExported>(),
        Route::get("/api/v1/collections/index", Access::See, index)
            .about("collection_index", "What the index in memory is like, which answers the queries of rules.")
            .gives::<CollectionIndex>(),
        Route::get("/api/v1/collections/{id}", Access::See, show)
            .about("collection_show", "One collection with its rules and what it depends on. The ETag is its revision.")
            .gives::<CollectionDetail>(),
        Route::put("/api/v1/collections/{id}", Access::Change, change)
            .about("collection_change", "Change everything but the kind and the rules. If-Match: only if unchanged.")
            .takes::<CollectionSet>()
            .gives::<CollectionDetail>(),
        Route::delete("/api/v1/collections/{id}", Access::Change, delete)
            .about("collection_delete", "Remove a collection on which nothing depends. If-Match: only if unchanged.")
            .status(204),
        Route::get("/api/v1/collections/{id}/members", Access::See, members)
            .about("collection_members", "The members of a collection, by name.")
            .query::<PageQuery>()
            .gives_page::<CollectionMember>(),
        Route::get("/api/v1/collections/{id}/explain/{device}", Access::See, explain)
            .about("collection_explain", "Why a device, or any resource by its number, is in a collection, or is not.")
            .gives::<CollectionExplained>(),
        Route::post("/api/v1/collections/{id}/evaluate", Access::Change, evaluate)
            .about("collection_evaluate", "Ask for an evaluation of the whole collection.")
            .gives::<Collection>(),
        Route::post("/api/v1/collections/{id}/rules", Access::Change, rule_add)
            .about("collection_rule_add", "Add a rule. The collection is evaluated at once.")
            .takes::<RuleSpec>()
            .gives::<CollectionRule>()
            .status(201),
        Route::delete("/api/v1/collections/{id}/rules/{rule}", Access::Change, rule_remove)
            .about("collection_rule_remove", "Remove a rule. The collection is evaluated at once.")
            .status(204),
        Route::get("/api/v1/devices/{id}/collections", Access::See, of_device)
            .about("device_collections", "The collections that a device is in, by name.")
            .gives::<Vec<DeviceCollection>>(),
    ]
}

fn tagged(status: StatusCode, detail: &CollectionDetail) -> Response {
    let mut response = json(status, detail);
    response.headers_mut().insert(header::ETAG, etag(detail.collection.revision));
    response
}

async fn list(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<CollectionQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_list(&ctx, &app.site, &query).await?))
}

async fn create(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<CollectionCreate>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::CREATED, &muster_site::collection_create(&ctx, &app.site, &request).await?))
}

async fn preview(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Json(request): Json<CollectionCreate>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_preview(&ctx, &app.site, &request).await?))
}

/// How a file is taken.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
struct ImportQuery {
    /// Only say what would be taken.
    #[serde(default)]
    what_if: bool,
}

async fn import(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(ImportQuery { what_if }): Asked<ImportQuery>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let (parts, stream) = request.into_parts();
    body::expect_type(&parts.headers, MOF)?;
    let patience = Duration::from_secs(app.http.body_seconds);
    let file = body::read(&parts.headers, stream, limits::COLLECTION_IMPORT_BYTES, patience).await?;
    let text =
        mof::text::text(&file).map_err(|error| Refusal::malformed(format!("It cannot be read: {}.", error.what)))?;
    let request = CollectionImport { text, what_if };
    Ok(json(StatusCode::OK, &muster_site::collection_import(&ctx, &app.site, &request).await?))
}

async fn index(State(app): State<AppState>, Asking(ctx): Asking) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_index(&ctx, &app.site)?))
}

async fn export(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Asked(query): Asked<CollectionExport>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_export(&ctx, &app.site, &query).await?))
}

async fn show(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
) -> Result<Response, Refusal> {
    Ok(tagged(StatusCode::OK, &muster_site::collection_show(&ctx, &app.site, id).await?))
}

async fn change(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    IfMatch(revision): IfMatch,
    Json(request): Json<CollectionSet>,
) -> Result<Response, Refusal> {
    let changed = muster_site::collection_change(&ctx, &app.site, id, request, revision).await?;
    Ok(tagged(StatusCode::OK, &changed))
}

async fn delete(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    IfMatch(revision): IfMatch,
) -> Result<Response, Refusal> {
    muster_site::collection_delete(&ctx, &app.site, id, revision).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn members(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    Asked(query): Asked<PageQuery>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_members(&ctx, &app.site, id, query).await?))
}

async fn explain(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, subject)): Part<(CollectionId, Subject)>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_explain(&ctx, &app.site, id, subject).await?))
}

async fn evaluate(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::collection_evaluate(&ctx, &app.site, id).await?))
}

async fn rule_add(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<CollectionId>,
    Json(request): Json<RuleSpec>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::CREATED, &muster_site::collection_rule_add(&ctx, &app.site, id, &request).await?))
}

async fn rule_remove(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part((id, rule)): Part<(CollectionId, u64)>,
) -> Result<Response, Refusal> {
    muster_site::collection_rule_remove(&ctx, &app.site, id, rule).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn of_device(
    State(app): State<AppState>,
    Asking(ctx): Asking,
    Part(id): Part<DeviceId>,
) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &muster_site::device_collections(&ctx, &app.site, id).await?))
}
