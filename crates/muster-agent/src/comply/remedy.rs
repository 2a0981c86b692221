//! Putting a setting right, as its authors signed.

use super::{
    discover::kernel_path,
    file::{self, Place, Problem, Tree},
    program::{self, Program},
    setting::{ground, tree},
};
use crate::agent::Agent;
use muster_model::{
    application::{Command, Privilege},
    baseline::{Discovery, Remediation},
    compliance::ComplianceReason,
    id::DeploymentId,
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// The program that is asked to change a service.
const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// How long one look into files, or one change of them, may take.
const FILES: Duration = Duration::from_secs(60);

/// Puts a setting right. It does no harm when it is done again. `seen`: where its file was when it was looked at.
pub(super) async fn remedy(
    agent: &Agent,
    deployment: DeploymentId,
    (discovery, remediation): (&Discovery, &Remediation),
    seen: Option<Place>,
    limit: Duration,
) -> Result<(), Problem> {
    let late = || Problem::new(ComplianceReason::TimedOut, "The time for it was over.");
    let until = Instant::now() + limit;
    let tree = tree(agent);
    match (remediation, discovery) {
        (Remediation::File { content, mode }, Discovery::File { path, .. }) => {
            let path = path.clone();
            let content = content.clone();
            let mode = mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
            blocking(agent, limit, move || file::put(&tree, &path, content.as_deref().map(str::as_bytes), mode, seen))
                .await
        }
        (Remediation::Sysctl { value }, Discovery::Sysctl { name }) => {
            let (name, value) = (name.clone(), value.clone());
            blocking(agent, limit, move || sysctl(&tree, &name, &value)).await
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
                let left =
                    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).ok_or_else(late)?;
                program::run(ground(agent), deployment, Program::Command(&command), Privilege::Root, left).await?;
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

/// Works with files on a thread of its own. A file system that does not answer keeps one thread and not two, and not the evaluation.
pub(super) async fn blocking<T: Send + 'static>(
    agent: &Agent,
    limit: Duration,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let late = || Problem::new(ComplianceReason::TimedOut, "The file system did not answer in time.");
    let hangs = agent.comply_hangs.clone();
    if hangs.swap(true, Ordering::AcqRel) {
        return Err(late());
    }
    let work = move || {
        let done = work();
        hangs.store(false, Ordering::Release);
        done
    };
    match tokio::time::timeout(limit.min(FILES), tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => {
            agent.comply_hangs.store(false, Ordering::Release);
            Err(Problem::new(ComplianceReason::Unreadable, "It was broken off."))
        }
        Err(_) => Err(late()),
    }
}

/// Now, and at every start of the system. The kernel is asked first: a value that it does not take is not kept for the next start.
fn sysctl(tree: &Tree, name: &str, value: &str) -> Result<(), Problem> {
    let line = format!("{name} = {}\n", value.trim());
    // Behind `99-sysctl.conf`, which is what an administrator wrote into `/etc/sysctl.conf`.
    let kept = format!("/etc/sysctl.d/99-zz-muster-{name}.conf");
    let seen = file::place(tree, &kept);
    file::write_kernel(tree, &kernel_path(name), value.trim().as_bytes())?;
    file::put(tree, &kept, Some(line.as_bytes()), Some(0o644), seen)
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
        let tree = Tree::of(root, []);
        sysctl(&tree, "net.ipv4.ip_forward", "0").unwrap();
        assert_eq!(std::fs::read_to_string(root.join("proc/sys/net/ipv4/ip_forward")).unwrap(), "0");
        let kept = std::fs::read_to_string(root.join("etc/sysctl.d/99-zz-muster-net.ipv4.ip_forward.conf")).unwrap();
        assert_eq!(kept, "net.ipv4.ip_forward = 0\n");
        assert!(sysctl(&tree, "net.ipv4.none", "0").is_err(), "nothing is made in the kernel's place");
        assert_eq!(
            std::fs::read_dir(root.join("etc/sysctl.d")).unwrap().count(),
            1,
            "and nothing kept for the next start"
        );
        assert!(!root.join("proc/sys/net/ipv4/none").exists());
    }
}
