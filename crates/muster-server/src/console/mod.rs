//! The console: server-rendered pages for administrators. One file per noun: its page contexts and its handlers.

mod alert;
mod application;
mod approval;
mod assets;
mod audit;
mod baseline;
mod boundary;
mod chart;
mod class;
mod client_log;
mod client_status;
mod collection;
mod collection_import;
mod confirm;
mod conflict;
mod dashboard;
mod deployment;
mod deployment_control;
mod deployment_options;
mod device;
mod discovery;
mod enrolment;
mod escape;
mod format;
mod history;
mod issuer;
mod maintenance;
mod message;
mod paging;
mod picture;
mod problem;
mod query;
mod resource;
mod settings;
mod shell;
mod sign_in;
mod site;
mod status_rule;
mod title;
mod token;
mod update;
mod update_rule;
mod visit;
mod window;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod sample_application;
#[cfg(test)]
mod sample_baseline;
#[cfg(test)]
mod sample_class;
#[cfg(test)]
mod sample_client_status;
#[cfg(test)]
mod sample_collection;
#[cfg(test)]
mod sample_evidence;
#[cfg(test)]
mod sample_history;
#[cfg(test)]
mod sample_issuer;
#[cfg(test)]
mod sample_location;
#[cfg(test)]
mod sample_phase;
#[cfg(test)]
mod sample_resource;
#[cfg(test)]
mod sample_settings;
#[cfg(test)]
mod sample_title;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;

use crate::http::{
    AppState, Body,
    respond::Refusal,
    route::{Kind, Route},
};
use axum::{handler::Handler, response::IntoResponse};
use http::{HeaderMap, Method, Response, StatusCode};
use muster_model::problem::Code;
use muster_site::authz::Access::{self, Anyone, Change, See};

fn get<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    Route::new(Kind::Console, Method::GET, path, access, handler)
}

fn post<H: Handler<T, AppState>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    Route::new(Kind::Console, Method::POST, path, access, handler)
}

/// Every page and every form of the console.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/assets/{version}/{name}", Anyone, assets::asset_show),
        get("/sign-in", Anyone, sign_in::sign_in_show),
        post("/sign-in", Anyone, sign_in::session_create),
        post("/sign-out", See, sign_in::session_end),
        post("/theme", See, sign_in::theme_update),
        get("/events", See, sign_in::events),
        get("/", See, dashboard::dashboard_show),
    ];
    routes.extend(routes_of_devices());
    routes.extend(routes_of_software());
    routes.extend([
        get("/software", See, title::title_list),
        get("/updates", See, update::update_list),
        get("/updates/rules", See, update_rule::update_rule_list),
        post("/updates/rules", Change, update_rule::update_rule_create),
        get("/updates/rules/{id}", See, update_rule::update_rule_show),
        post("/updates/rules/{id}/look", Change, update_rule::update_rule_look),
        get("/updates/rules/{id}/delete", Change, update_rule::delete_confirm),
        post("/updates/rules/{id}/delete", Change, update_rule::update_rule_delete),
        get("/software/{id}", See, title::title_show),
        get("/queries", See, query::query_show),
        post("/queries", See, query::query_run),
        post("/queries/keep", Change, query::query_save),
        get("/queries/{id}/delete", Change, query::delete_confirm),
        post("/queries/{id}/delete", Change, query::query_delete),
        get("/messages", See, message::message_list),
        get("/status-rules", See, status_rule::status_rule_list),
        post("/status-rules", Change, status_rule::status_rule_create),
        post("/status-rules/{id}/turn", Change, status_rule::status_rule_change),
        get("/status-rules/{id}/delete", Change, status_rule::delete_confirm),
        post("/status-rules/{id}/delete", Change, status_rule::status_rule_delete),
        get("/quarantine", See, message::quarantine_list),
        get("/audit", See, audit::audit_list),
        get("/audit/verify", See, audit::audit_verify),
        get("/classes", See, class::class_list),
        post("/classes", Change, class::class_add),
        get("/classes/{name}", See, class::class_show),
        get("/classes/{name}/retire", Change, class::retire_confirm),
        post("/classes/{name}/retire", Change, class::class_retire),
        get("/boundaries", See, boundary::boundary_list),
        post("/boundaries", Change, boundary::boundary_save),
        get("/boundaries/{id}/remove", Change, boundary::remove_confirm),
        post("/boundaries/{id}/remove", Change, boundary::boundary_remove),
        post("/boundary-groups", Change, boundary::group_add),
        post("/boundary-groups/{id}", Change, boundary::group_change),
        get("/boundary-groups/{id}/remove", Change, boundary::group_remove_confirm),
        post("/boundary-groups/{id}/remove", Change, boundary::group_remove),
        get("/settings", See, settings::settings_list),
        post("/settings", Change, settings::settings_create),
        get("/settings/{id}", See, settings::settings_show),
        post("/settings/{id}", Change, settings::settings_update),
        post("/settings/{id}/move", Change, settings::settings_move),
        get("/settings/{id}/delete", Change, settings::delete_confirm),
        post("/settings/{id}/delete", Change, settings::settings_delete),
        get("/approval", See, approval::approval_show),
        post("/approval", Change, approval::approval_update),
        get("/site", See, site::site_show),
    ]);
    routes
}

fn routes_of_devices() -> Vec<Route> {
    vec![
        get("/devices", See, device::device_list),
        get("/devices/{id}", See, device::device_show),
        get("/devices/{id}/inventory", See, device::inventory_list),
        get("/devices/{id}/inventory/{class}", See, device::inventory_show),
        get("/devices/{id}/history", See, history::history_list),
        get("/devices/{id}/compare", See, history::history_compare),
        get("/devices/{id}/messages", See, device::message_list),
        get("/devices/{id}/timeline", See, device::device_timeline),
        get("/devices/{id}/settings", See, device::device_settings),
        get("/devices/{id}/logs", See, client_log::client_log_show),
        post("/devices/{id}/logs", Change, client_log::client_log_collect),
        post("/devices/{id}/logs/{piece}", Change, client_log::client_log_download),
        get("/devices/{id}/block", Change, device::block_confirm),
        post("/devices/{id}/block", Change, device::device_block),
        get("/devices/{id}/unblock", Change, device::unblock_confirm),
        post("/devices/{id}/unblock", Change, device::device_unblock),
        get("/devices/{id}/retire", Change, device::retire_confirm),
        post("/devices/{id}/retire", Change, device::device_retire),
        get("/resources", See, resource::resource_list),
        get("/discovery", See, discovery::discovery_list),
        post("/discovery", Change, discovery::discovery_set),
        post("/discovery/{name}/run", Change, discovery::discovery_run),
        post("/discovery/network", Change, discovery::network_set),
        get("/resources/{id}", See, resource::resource_show),
        get("/resources/{id}/remove", Change, resource::remove_confirm),
        post("/resources/{id}/remove", Change, resource::resource_remove),
        get("/enrolments", See, enrolment::enrolment_list),
        post("/enrolments/{id}/approve", Change, enrolment::enrolment_approve),
        post("/enrolments/{id}/refuse", Change, enrolment::enrolment_refuse),
        get("/conflicts", See, conflict::conflict_list),
        post("/conflicts/{id}/decide", Change, conflict::conflict_decide),
        get("/issuers", See, issuer::issuer_list),
        post("/issuers", Change, issuer::issuer_add),
        get("/issuers/{id}/remove", Change, issuer::remove_confirm),
        post("/issuers/{id}/remove", Change, issuer::issuer_remove),
        get("/tokens", See, token::token_list),
        post("/tokens", Change, token::token_create),
        get("/tokens/{id}/revoke", Change, token::revoke_confirm),
    ]
}

fn routes_of_software() -> Vec<Route> {
    vec![
        post("/tokens/{id}/revoke", Change, token::token_revoke),
        get("/collections", See, collection::collection_list),
        post("/collections", Change, collection::collection_create),
        get("/collections/import", Change, collection_import::form),
        post("/collections/import", Change, collection_import::collection_import),
        get("/collections/export", See, collection_import::collection_export),
        get("/collections/{id}", See, collection::collection_show),
        get("/collections/{id}/delete", Change, collection::delete_confirm),
        post("/collections/{id}/delete", Change, collection::collection_delete),
        post("/collections/{id}/evaluate", Change, collection::collection_evaluate),
        post("/collections/{id}/rules", Change, collection::rule_add),
        post("/collections/{id}/rules/{rule}/remove", Change, collection::rule_remove),
        post("/collections/{id}/windows", Change, window::window_add),
        get("/collections/{id}/windows/{window}/delete", Change, window::delete_confirm),
        post("/collections/{id}/windows/{window}/delete", Change, window::window_delete),
        get("/applications", See, application::application_list),
        get("/applications/{hash}", See, application::application_show),
        get("/baselines", See, baseline::baseline_list),
        get("/baselines/{hash}", See, baseline::baseline_show),
        get("/baselines/{hash}/delete", Change, baseline::baseline_delete_confirm),
        post("/baselines/{hash}/delete", Change, baseline::baseline_delete),
        get("/baseline-deployments/new", Change, baseline::deployment_new),
        post("/baseline-deployments/preview", Change, baseline::deployment_preview),
        post("/baseline-deployments", Change, baseline::baseline_deploy),
        get("/baseline-deployments/{id}", See, baseline::deployment_show),
        get("/baseline-deployments/{id}/results", See, baseline::result_list),
        get("/baseline-deployments/{id}/delete", Change, baseline::delete_confirm),
        post("/baseline-deployments/{id}/delete", Change, baseline::deployment_delete),
        get("/deployments", See, deployment::deployment_list),
        get("/deployments/new", Change, deployment::deployment_new),
        post("/deployments/preview", Change, deployment::deployment_preview),
        post("/deployments", Change, deployment::deployment_create),
        get("/deployments/{id}", See, deployment::deployment_show),
        get("/deployments/{id}/delete", Change, deployment::delete_confirm),
        post("/deployments/{id}/delete", Change, deployment::deployment_delete),
        get("/deployments/{id}/pause", Change, deployment_control::pause_confirm),
        post("/deployments/{id}/pause", Change, deployment_control::deployment_pause),
        get("/deployments/{id}/resume", Change, deployment_control::resume_confirm),
        post("/deployments/{id}/resume", Change, deployment_control::deployment_resume),
        get("/deployments/{id}/cancel", Change, deployment_control::cancel_confirm),
        post("/deployments/{id}/cancel", Change, deployment_control::deployment_cancel),
        get("/deployments/{id}/retry", Change, deployment_control::retry_confirm),
        post("/deployments/{id}/retry", Change, deployment_control::deployment_retry),
        get("/deployments/{id}/phase", Change, deployment_control::phase_confirm),
        post("/deployments/{id}/phase", Change, deployment_control::phase_begin),
        get("/deployments/{id}/devices/{device}", See, deployment_control::deployment_history),
        post("/deployments/{id}/devices/{device}/retry", Change, deployment_control::device_retry),
        get("/alerts", See, alert::alert_list),
        get("/maintenance", See, maintenance::maintenance_list),
        get("/maintenance/{task}", See, maintenance::maintenance_show),
        post("/maintenance/{task}", Change, maintenance::maintenance_set),
        post("/maintenance/{task}/run", Change, maintenance::maintenance_run),
        get("/alerts/{id}", See, alert::alert_show),
        post("/alerts/{id}/acknowledge", Change, alert::alert_acknowledge),
        get("/client-status", See, client_status::client_status_summary),
        get("/client-status/devices", See, client_status::client_status_list),
        get("/client-status/devices/{id}", See, client_status::client_status_show),
        post("/client-status/settings", Change, client_status::client_status_settings_update),
        post("/client-status/thresholds/{id}", Change, client_status::client_status_threshold_set),
        post("/alerts/{id}/postpone", Change, alert::alert_postpone),
        post("/alerts/{id}/close", Change, alert::alert_close),
    ]
}

/// What a browser gets when the guard refuses its request: where signing in helps, the page for it.
pub(crate) fn refused(app: &AppState, headers: &HeaderMap, refusal: Refusal) -> Response<Body> {
    if refusal.0.code == Code::Unauthenticated {
        let fields = sign_in::CodeFields::default();
        return sign_in::page(app, headers, StatusCode::UNAUTHORIZED, fields, None);
    }
    visit::PageRefusal::new(headers, refusal).into_response()
}
