//! The administrators' API: one file per noun, each with its routes and its thin handlers.

mod admin;
mod alert;
mod application;
mod approval;
mod audit;
mod baseline;
mod boundary;
mod certificate;
mod class;
mod client_log;
mod client_status;
mod collection;
mod conflict;
mod content;
mod dashboard;
mod deployment;
mod deployment_control;
mod device;
mod discovery;
mod enrolment;
pub(crate) mod event;
mod hardware;
mod history;
mod issuer;
mod maintenance;
mod message;
mod mobile;
pub mod openapi;
mod quarantine;
mod query;
mod resource;
mod secret;
mod serial;
mod session;
mod settings;
mod site;
mod status;
mod title;
mod token;
mod trust;
mod update;
mod window;

use super::route::Route;

/// Every route of the API, in the order of the wings.
pub(crate) fn routes() -> Vec<Route> {
    [
        session::routes(),
        site::routes(),
        trust::routes(),
        dashboard::routes(),
        admin::routes(),
        title::routes(),
        token::routes(),
        mobile::routes(),
        enrolment::routes(),
        hardware::routes(),
        history::routes(),
        issuer::routes(),
        approval::routes(),
        serial::routes(),
        device::routes(),
        client_log::routes(),
        resource::routes(),
        discovery::routes(),
        certificate::routes(),
        conflict::routes(),
        class::routes(),
        content::routes(),
        application::routes(),
        collection::routes(),
        window::routes(),
        deployment::routes(),
        deployment_control::routes(),
        alert::routes(),
        client_status::routes(),
        baseline::routes(),
        update::routes(),
        boundary::routes(),
        query::routes(),
        settings::routes(),
        maintenance::routes(),
        message::routes(),
        status::routes(),
        quarantine::routes(),
        secret::routes(),
        audit::routes(),
        event::routes(),
        openapi::routes(),
    ]
    .concat()
}
