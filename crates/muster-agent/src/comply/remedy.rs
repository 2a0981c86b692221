//! Putting a setting right, as its authors signed.

use super::{
    discover::kernel_path,
    file::{self, Problem},
    program::{self, Program},
    setting::ground,
};
use crate::agent::Agent;
use muster_model::{
    application::{Command, Privilege},
    baseline::{Discovery, Remediation},
    compliance::ComplianceReason,
    id::DeploymentId,
};
use std::{path::Path, time::Duration};

/// The program that is asked to change a service.
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Puts a setting right. It does no harm when it is done again.
pub(super) async fn remedy(
    agent: &Agent,
    deployment: DeploymentId,
    discovery: &Discovery,
    remediation: &Remediation,
    limit: Duration,
) -> Result<(), Problem> {
    let root = agent.collector.root();
    match (remediation, discovery) {
        (Remediation::File { content, mode }, Discovery::File { path, .. }) => {
            let (root, path) = (root.to_owned(), path.clone());
            let content = content.clone();
            let mode = mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
            blocking(move || file::put(&root, &path, content.as_deref().map(str::as_bytes), mode)).await
        }
        (Remediation::Sysctl { value }, Discovery::Sysctl { name }) => {
            let (root, name, value) = (root.to_owned(), name.clone(), value.clone());
            blocking(move || sysctl(&root, &name, &value)).await
        }
        (Remediation::Service { enabled, running }, Discovery::Service { name, .. }) => {
            let verbs = [
                enabled.map(|enabled| if enabled { "enable" } else { "disable" }),
                running.map(|running| if running { "start" } else { "stop" }),
            ];
            for verb in verbs.into_iter().flatten() {
                let command = Command {
                    program: SYSTEMCTL.to_owned(),
                    arguments: ["--no-ask-password", verb, "--", name].map(str::to_owned).to_vec(),
                    success_codes: vec![0],
                };
                program::run(ground(agent), deployment, Program::Command(&command), Privilege::Root, limit).await?;
            }
            Ok(())
        }
        (Remediation::Command { command }, _) => {
            program::run(ground(agent), deployment, Program::Command(command), Privilege::Root, limit).await.map(drop)
        }
        (Remediation::Script { script }, _) => {
            program::run(ground(agent), deployment, Program::Script(script), Privilege::Root, limit).await.map(drop)
        }
        // The author's check allows no other pair.
        _ => Err(Problem::new(ComplianceReason::RemediationFailed, "This remediation is for another discovery.")),
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), Problem> + Send + 'static) -> Result<(), Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Problem::new(ComplianceReason::RemediationFailed, "It was broken off.")))
}

/// Now, and at every start of the system. What stays is written first: where that is not possible nothing is changed.
fn sysctl(root: &Path, name: &str, value: &str) -> Result<(), Problem> {
    let line = format!("{name} = {}\n", value.trim());
    file::put(root, &format!("/etc/sysctl.d/99-muster-{name}.conf"), Some(line.as_bytes()), Some(0o644))?;
    file::write_kernel(root, &kernel_path(name), value.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_parameter_is_set_now_and_for_the_next_start() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        for directory in ["etc/sysctl.d", "proc/sys/net/ipv4"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("proc/sys/net/ipv4/ip_forward"), "1").unwrap();
        sysctl(root, "net.ipv4.ip_forward", "0").unwrap();
        assert_eq!(std::fs::read_to_string(root.join("proc/sys/net/ipv4/ip_forward")).unwrap(), "0");
        let kept = std::fs::read_to_string(root.join("etc/sysctl.d/99-muster-net.ipv4.ip_forward.conf")).unwrap();
        assert_eq!(kept, "net.ipv4.ip_forward = 0\n");
        assert!(sysctl(root, "net.ipv4.none", "0").is_err(), "nothing is made in the kernel's place");
        assert!(!root.join("proc/sys/net/ipv4/none").exists());
    }
}
