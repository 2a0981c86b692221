//! HTTP of the site server: `agent` for devices, `enrol` for those that want to become one,
//! `revocation` for whoever checks a certificate, `api` for administrators.

pub(crate) mod agent;
pub mod api;
pub(crate) mod body;
pub(crate) mod console;
pub(crate) mod enrol;
pub(crate) mod extract;
pub(crate) mod file;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod mobile;
pub(crate) mod rate;
pub(crate) mod respond;
pub(crate) mod revocation;
pub mod route;
pub(crate) mod security;
pub(crate) mod trace;

use crate::config;
use metrics_exporter_prometheus::PrometheusHandle;
use muster_site::Site;
use rate::Rate;
use std::sync::Arc;
use tokio::sync::watch;

/// The body of a response.
pub(crate) type Body = axum::body::Body;

/// What the handlers of the administrators' door need.
pub struct App {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// Times and limits.
    pub(crate) http: config::Http,
    /// Whether this door speaks TLS: cookies are then `Secure`, and browsers are told to stay with it.
    pub(crate) tls: bool,
    /// Whether this door listens on a loopback address only.
    pub(crate) loopback: bool,
    /// Tries to sign in.
    pub(crate) sign_ins: Rate,
    /// Becomes true when the server stops: answers without an end then end.
    pub(crate) stopping: watch::Receiver<bool>,
    /// The metrics of this process.
    pub(crate) metrics: PrometheusHandle,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("site", &self.site).finish_non_exhaustive()
    }
}

/// The administrators' door, as every handler gets it.
pub(crate) type AppState = Arc<App>;
