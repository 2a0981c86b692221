//! Finding out the value of a setting, where that needs no program.

use super::file::{self, Links, Problem};
use crate::os::{
    Machine,
    facts::{Package, Service, StartMode},
};
use muster_model::{
    baseline::{Discovery, ServiceProperty},
    compliance::ComplianceReason,
};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// The values; `None`: there is none.
    pub(super) values: Option<Vec<String>>,
    /// The package system whose versions these are.
    pub(super) order: &'static str,
}

impl Found {
    pub(super) const fn of(values: Option<Vec<String>>) -> Self {
        Self { values, order: "" }
    }
}

/// The machine as it is during one look: lists of packages and services are read once.
#[derive(Debug)]
pub(super) struct Facts {
    root: PathBuf,
    packages: OnceLock<Result<Vec<Package>, String>>,
    services: OnceLock<Result<Vec<Service>, String>>,
}

impl Facts {
    pub(super) fn new(root: PathBuf) -> Arc<Self> {
        Arc::new(Self { root, packages: OnceLock::new(), services: OnceLock::new() })
    }

    fn list<T>(&self, of: fn(&Machine, &mut Vec<String>) -> Option<Vec<T>>) -> Result<Vec<T>, String> {
        let mut gaps = Vec::new();
        let machine = Machine::open(&self.root).map_err(|error| error.to_string())?;
        of(&machine, &mut gaps).ok_or_else(|| gaps.join(" "))
    }

    /// What a discovery finds that runs no program. Reads files, and so belongs on a thread of its own.
    pub(super) fn discover(&self, discovery: &Discovery) -> Result<Found, Problem> {
        let unreadable = |why: &String| Problem::new(ComplianceReason::Unreadable, why.clone());
        match discovery {
            Discovery::File { path, read, follow_links } => {
                let links = if *follow_links { Links::Followed } else { Links::Refused };
                file::read(&self.root, path, read, links).map(Found::of)
            }
            Discovery::Sysctl { name } => {
                let text = file::text(&self.root, &kernel_path(name), Links::Refused)?;
                Ok(Found::of(text.map(|text| vec![one_line(&text)])))
            }
            Discovery::Package { name } => {
                let packages = self.packages.get_or_init(|| self.list(Machine::packages)).as_ref();
                let mut found = packages.map_err(unreadable)?.iter().filter(|package| package.name == *name).peekable();
                let order = found.peek().map_or("", |package| package.evidence);
                let versions: Vec<String> = found.map(|package| package.version.clone()).collect();
                Ok(Found { values: Some(versions).filter(|versions| !versions.is_empty()), order })
            }
            Discovery::Service { name, property } => {
                let services = self.services.get_or_init(|| self.list(Machine::services)).as_ref();
                let short = name.strip_suffix(".service").unwrap_or(name);
                let named = |service: &&Service| service.name == *name || service.name == short;
                let Some(service) = services.map_err(unreadable)?.iter().find(named) else {
                    return Ok(Found::default());
                };
                let value = match property {
                    ServiceProperty::Enabled => (service.start == StartMode::Auto).to_string(),
                    ServiceProperty::State => {
                        let running = service.running.ok_or_else(|| {
                            Problem::new(ComplianceReason::Unreadable, format!("It is not known whether {name} runs."))
                        })?;
                        if running { "running".to_owned() } else { "stopped".to_owned() }
                    }
                };
                Ok(Found::of(Some(vec![value])))
            }
            Discovery::Registry { .. } | Discovery::Command { .. } | Discovery::Script { .. } => Ok(Found::default()),
        }
    }
}

/// Where the kernel shows a parameter. Its name has no slash, so that it leads nowhere else.
pub(super) fn kernel_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// As `sysctl` shows it: values of several columns with one blank between them.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn sysctl(name: &str) -> Discovery {
        Discovery::Sysctl { name: name.to_owned() }
    }

    #[test]
    fn the_kernel_says_what_sysctl_says() {
        let facts = Facts::new("/".into());
        for name in ["kernel.ostype", "kernel.pid_max", "net.ipv4.ip_local_port_range", "kernel.none_such"] {
            let found = facts.discover(&sysctl(name)).unwrap().values.map(|values| values.join(""));
            let judge = ["/usr/sbin/sysctl", "/sbin/sysctl"].into_iter().find(|path| Path::new(path).exists());
            if let Some(judge) = judge {
                let said = std::process::Command::new(judge).args(["-n", name]).output().unwrap();
                let said = said.status.success().then(|| one_line(&String::from_utf8(said.stdout).unwrap()));
                assert_eq!(found, said, "{name}");
            }
        }
        assert_eq!(facts.discover(&sysctl("kernel.ostype")).unwrap().values, Some(vec!["Linux".to_owned()]));
    }

    #[test]
    fn a_package_has_the_version_that_dpkg_says() {
        let Ok(said) = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Version}", "libc-bin"]).output()
        else {
            return;
        };
        if !said.status.success() {
            return;
        }
        let facts = Facts::new("/".into());
        let found = facts.discover(&Discovery::Package { name: "libc-bin".to_owned() }).unwrap();
        assert_eq!(found, Found { values: Some(vec![String::from_utf8(said.stdout).unwrap()]), order: "dpkg" });
        let none = facts.discover(&Discovery::Package { name: "no-such-package".to_owned() }).unwrap();
        assert_eq!(none.values, None);
    }

    #[test]
    fn a_machine_without_a_package_database_is_no_answer() {
        let temp = tempfile::tempdir().unwrap();
        let facts = Facts::new(temp.path().to_owned());
        let error = facts.discover(&Discovery::Package { name: "x".to_owned() }).unwrap_err();
        assert_eq!(error.reason, ComplianceReason::Unreadable);
        assert_eq!(facts.discover(&sysctl("a.b")).unwrap().values, None);
    }
}
