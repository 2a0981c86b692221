//! The administrators' API: one file per noun, each with its routes and its thin handlers.

mod admin;
mod audit;
mod enrolment;
mod event;
pub mod openapi;
mod session;
mod site;
mod token;

use super::route::Route;

/// Every route of the API, in the order of the wings.
pub(crate) fn routes() -> Vec<Route> {
    [
        session::routes(),
        site::routes(),
        admin::routes(),
        token::routes(),
        enrolment::routes(),
        audit::routes(),
        event::routes(),
        openapi::routes(),
    ]
    .concat()
}
