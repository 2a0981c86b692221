//! What the devices shall run: policy, settings, content, applications, baselines, deployments.

pub mod ahead;
pub mod application;
pub mod baseline;
pub mod baseline_deployment;
pub mod chunk;
pub mod chunk_work;
pub mod content;
pub mod control;
pub mod deployment;
pub mod deployment_approval;
pub mod forecast;
pub(crate) mod kept;
mod location;
mod log_request;
pub mod phase;
mod phase_plan;
pub mod policy;
pub mod preview;
mod related;
mod revise;
pub mod rival;
pub mod secret;
pub mod settings;
mod type_preview;
mod update_draft;
pub mod update_rule;
mod window;
