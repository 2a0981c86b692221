//! What the devices shall run: policy, settings, content, applications, deployments.

pub mod ahead;
pub mod application;
pub mod chunk;
pub mod chunk_work;
pub mod content;
pub mod deployment;
pub mod forecast;
mod location;
pub mod policy;
pub mod secret;
pub mod settings;
mod window;
