//! Finding out the value of a setting, where that needs no program.

use super::file::{self, Links, Problem, Tree};
use crate::os::{
    Machine,
    facts::{Package, Service, StartMode},
};
use muster_model::{
    baseline::{Discovery, ServiceProperty},
    compliance::ComplianceReason,
};
use std::sync::{Arc, OnceLock};

/// A list, and what of it could not be read.
type Listed<T> = Result<(Vec<T>, Vec<String>), String>;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// The values; `None`: there is none.
    pub(super) values: Option<Vec<String>>,
    /// The package system whose versions these are.
    pub(super) order: &'static str,
    /// Whether the values are told to nobody: not every user of the machine may read them.
    pub(super) hidden: bool,
}

impl Found {
    pub(super) const fn of(values: Option<Vec<String>>) -> Self {
        Self { values, order: "", hidden: false }
    }
}

/// The machine as it is during one look: lists of packages and services are read once.
#[derive(Debug)]
pub(super) struct Facts {
    tree: Tree,
    packages: OnceLock<Listed<Package>>,
    services: OnceLock<Listed<Service>>,
}

impl Facts {
    pub(super) fn new(tree: Tree) -> Arc<Self> {
        Arc::new(Self { tree, packages: OnceLock::new(), services: OnceLock::new() })
    }

    fn list<T>(&self, of: fn(&Machine, &mut Vec<String>) -> Option<Vec<T>>) -> Listed<T> {
        let mut gaps = Vec::new();
        let machine = Machine::open(self.tree.root()).map_err(|error| error.to_string())?;
        match of(&machine, &mut gaps) {
            Some(list) => Ok((list, gaps)),
            None => Err(gaps.join(" ")),
        }
    }

    /// What a discovery finds that runs no program. Reads files, and so belongs on a thread of its own.
    pub(super) fn discover(&self, discovery: &Discovery) -> Result<Found, Problem> {
        let unreadable = |why: &String| Problem::new(ComplianceReason::Unreadable, why.clone());
        // What is not in a list that has gaps may be in one of them.
        let complete = |gaps: &[String]| match gaps {
            [] => Ok(()),
            gaps => Err(Problem::new(ComplianceReason::Unreadable, gaps.join(" "))),
        };
        match discovery {
            Discovery::File { path, read, follow_links } => {
                let links = if *follow_links { Links::Followed } else { Links::Refused };
                let seen = file::read(&self.tree, path, read, links)?;
                Ok(Found { hidden: !seen.open_to_all, ..Found::of(seen.values) })
            }
            Discovery::Sysctl { name } => {
                let (text, open_to_all) = match file::text(&self.tree, &kernel_path(name), Links::Refused)? {
                    Some((text, open_to_all)) => (Some(text), open_to_all),
                    None => (None, true),
                };
                Ok(Found { hidden: !open_to_all, ..Found::of(text.map(|text| vec![one_line(&text)])) })
            }
            Discovery::Package { name } => {
                let packages = self.packages.get_or_init(|| self.list(Machine::packages)).as_ref();
                let (packages, gaps) = packages.map_err(unreadable)?;
                let mut found = packages.iter().filter(|package| package.name == *name).peekable();
                let order = found.peek().map_or("", |package| package.evidence);
                let versions: Vec<String> = found.map(|package| package.version.clone()).collect();
                if versions.is_empty() {
                    complete(gaps)?;
                }
                Ok(Found { order, ..Found::of(Some(versions).filter(|versions| !versions.is_empty())) })
            }
            Discovery::Service { name, property } => {
                let services = self.services.get_or_init(|| self.list(Machine::services)).as_ref();
                let short = name.strip_suffix(".service").unwrap_or(name);
                let named = |service: &&Service| service.name == *name || service.name == short;
                let (services, gaps) = services.map_err(unreadable)?;
                let Some(service) = services.iter().find(named) else {
                    complete(gaps)?;
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
        let facts = Facts::new(Tree::of(Path::new("/"), []));
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
        let facts = Facts::new(Tree::of(Path::new("/"), []));
        let found = facts.discover(&Discovery::Package { name: "libc-bin".to_owned() }).unwrap();
        assert_eq!(
            found,
            Found { values: Some(vec![String::from_utf8(said.stdout).unwrap()]), order: "dpkg", hidden: false }
        );
        let none = facts.discover(&Discovery::Package { name: "no-such-package".to_owned() }).unwrap();
        assert_eq!(none.values, None);
    }

    #[test]
    fn a_machine_without_a_package_database_is_no_answer() {
        let temp = tempfile::tempdir().unwrap();
        let facts = Facts::new(Tree::of(temp.path(), []));
        let error = facts.discover(&Discovery::Package { name: "x".to_owned() }).unwrap_err();
        assert_eq!(error.reason, ComplianceReason::Unreadable);
        assert_eq!(facts.discover(&sysctl("a.b")).unwrap().values, None);
    }
}
