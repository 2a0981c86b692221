//! The rules, asked as callers ask them, on both databases. One binary for the crate; one module for each noun.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

mod admin;
mod application;
mod approval;
mod audit;
mod baseline;
mod boundary;
mod certificate;
mod chunk;
mod class;
mod client;
mod client_log;
mod client_status;
mod collection;
mod collection_failure;
mod collection_random;
mod collection_time;
mod collection_transfer;
mod compliance;
mod conflict;
mod content;
mod content_peer;
mod control;
mod deployment;
mod deployment_approval;
mod deployment_options;
mod device;
mod discovery;
mod enrolment;
mod enterprise;
mod fault;
mod forecast;
mod foreign;
mod hardware;
mod history;
mod inventory;
mod loop_story;
mod maintenance;
mod mobile;
mod outbox;
mod pending_restart;
mod phase;
mod policy;
mod query;
mod related;
mod report;
mod revocation;
mod secret;
mod session;
mod settings;
mod site;
mod status_rule;
mod title;
mod trust;
mod update;
mod update_rule;
mod window;
mod wql_oracle;
mod wql_random;

use muster_model::api::Reason;

fn reason(text: &str) -> Reason {
    Reason { reason: text.to_owned() }
}
