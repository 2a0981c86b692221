//! Detection: is the application there? Asked before and after every installation; the answer decides, not the installer.

use super::arguments;
use crate::os::{
    Machine, PrivateDirectory,
    linux::files::Files,
    open_foreign,
    process::{self, Ending, Job},
    writable::Inside,
};
use muster_model::{
    application::{Command, Detection},
    id::Hash,
};
use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};

/// The exit code of `env` without a program to run.
const NO_PROGRAM: i32 = 127;
/// How long a detection command may run.
const LIMIT: Duration = Duration::from_secs(60);

/// Why it is not known whether the application is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DetectionFailed(pub String);

/// Applies the rule. `directory` has the application's files, where the rule needs them.
///
/// # Errors
/// [`DetectionFailed`] when there is no answer, which is not the same as "no".
pub async fn detect(rule: &Detection, directory: &PrivateDirectory, mark: &str) -> Result<bool, DetectionFailed> {
    detect_below(rule, directory, mark, Path::new("/"), None).await
}

/// Applies the rule to what lies below `root`: that of the machine, or of the file system below its write filter. A command runs in the view of
/// a servicing, where there is one.
///
/// # Errors
/// See [`detect`].
pub(super) async fn detect_below(
    rule: &Detection,
    directory: &PrivateDirectory,
    mark: &str,
    root: &Path,
    inside: Option<&Inside>,
) -> Result<bool, DetectionFailed> {
    let root = root.to_owned();
    match rule {
        Detection::Package { name, version } => {
            let (name, version) = (name.clone(), version.clone());
            blocking(move || package(&root, &name, version.as_deref())).await
        }
        Detection::File { path, hash } => {
            let (path, hash) = (path.clone(), *hash);
            blocking(move || below(&root, &path, hash)).await
        }
        Detection::Command { command } => run(command, directory, mark, inside).await,
        // The system's tool is asked, which this has no part in.
        Detection::Updates { .. } => Err(DetectionFailed("updates are not looked for here".into())),
        Detection::Program => Err(DetectionFailed("a program leaves nothing that could be looked for".into())),
    }
}

/// Links of the file system below lead to places in it.
fn below(root: &Path, path: &str, hash: Option<Hash>) -> Result<bool, DetectionFailed> {
    if root == Path::new("/") {
        return file(Path::new(path), hash);
    }
    let real = Files::open(root).and_then(|files| files.real_path(path));
    match real {
        Ok(real) => file(&real, hash),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(DetectionFailed(format!("{path} cannot be read: {error}"))),
    }
}

async fn blocking(
    work: impl FnOnce() -> Result<bool, DetectionFailed> + Send + 'static,
) -> Result<bool, DetectionFailed> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(DetectionFailed("the detection was broken off".into())))
}

fn package(root: &Path, name: &str, wanted: Option<&str>) -> Result<bool, DetectionFailed> {
    let mut gaps = Vec::new();
    let packages = Machine::open(root).ok().and_then(|machine| machine.packages(&mut gaps));
    let packages = packages.ok_or_else(|| DetectionFailed(gaps.join(" ")))?;
    Ok(packages.iter().filter(|package| package.name == name).any(|package| {
        wanted.is_none_or(|wanted| {
            muster_model::version::at_least(package.evidence, &package.version, wanted).unwrap_or(false)
        })
    }))
}

fn file(path: &Path, hash: Option<Hash>) -> Result<bool, DetectionFailed> {
    let failed = |error: io::Error| DetectionFailed(format!("{} cannot be read: {error}", path.display()));
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    };
    let Some(hash) = hash else { return Ok(true) };
    if !meta.is_file() {
        return Ok(false);
    }
    let mut file = open_foreign(path).map_err(failed)?;
    let (mut digest, mut buffer) = (muster_trust::Sha256::default(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(digest.finish() == hash),
            count => digest.update(&buffer[..count]),
        }
    }
}

async fn run(
    command: &Command,
    directory: &PrivateDirectory,
    mark: &str,
    inside: Option<&Inside>,
) -> Result<bool, DetectionFailed> {
    let (mut program, mut arguments) = arguments(command, directory.path(), None);
    if let Some(inside) = inside {
        (program, arguments) = inside
            .command(&program, arguments, directory.path())
            .map_err(|error| DetectionFailed(format!("the detection command cannot be started: {error}")))?;
    }
    let job = Job {
        program,
        arguments,
        directory: directory.path(),
        user: None,
        mark,
        limit: LIMIT,
        stdin: None,
        environment: Vec::new(),
    };
    match process::run(job, None).await {
        // As `env` says that there is no such program.
        Ending::Exit(Some(NO_PROGRAM)) if inside.is_some() => Ok(false),
        Ending::Exit(Some(code)) => Ok(command.success_codes.contains(&code)),
        // The program that would answer is not there yet: it is part of what is to be installed.
        Ending::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ending::NotStarted(error) => Err(DetectionFailed(format!("the detection command cannot be started: {error}"))),
        Ending::Exit(None) => Err(DetectionFailed("the detection command was ended by a signal".into())),
        Ending::TimedOut => Err(DetectionFailed("the detection command ran for more than 60 seconds".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_there_or_not_or_has_other_bytes() {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::open(&temp.path().join("d")).unwrap();
        let path = directory.path().join("f").display().to_string();
        let rule = |hash| Detection::File { path: path.clone(), hash };
        assert_eq!(detect(&rule(None), &directory, "m").await, Ok(false));
        std::fs::write(&path, "bytes").unwrap();
        assert_eq!(detect(&rule(None), &directory, "m").await, Ok(true));
        assert_eq!(detect(&rule(Some(muster_trust::sha256(b"bytes"))), &directory, "m").await, Ok(true));
        assert_eq!(detect(&rule(Some(Hash::ZERO)), &directory, "m").await, Ok(false));
        let below = Detection::File { path: format!("{path}/x"), hash: None };
        assert_eq!(detect(&below, &directory, "m").await, Ok(false));
    }

    #[tokio::test]
    async fn a_command_answers_by_its_code() {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::open(&temp.path().join("d")).unwrap();
        let rule = |program: &str, arguments: &[&str]| Detection::Command {
            command: Command {
                program: program.into(),
                arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
                success_codes: vec![0, 7],
            },
        };
        assert_eq!(detect(&rule("/bin/sh", &["-c", "exit 7"]), &directory, "m").await, Ok(true));
        assert_eq!(detect(&rule("/bin/sh", &["-c", "exit 1"]), &directory, "m").await, Ok(false));
        assert_eq!(detect(&rule("/opt/not/there", &[]), &directory, "m").await, Ok(false));
        assert!(detect(&rule("/bin/sh", &["-c", "kill -9 $$"]), &directory, "m").await.is_err());
        assert!(rule("content/probe", &[]).needs_content() && !rule("/bin/true", &[]).needs_content());
    }

    #[test]
    fn a_package_is_found_in_the_database() {
        let temp = tempfile::tempdir().unwrap();
        let dpkg = temp.path().join("var/lib/dpkg");
        std::fs::create_dir_all(&dpkg).unwrap();
        let status = "Package: muster-sample\nStatus: install ok installed\nArchitecture: all\nVersion: 1.2-1\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 9\n";
        std::fs::write(dpkg.join("status"), status).unwrap();
        let at = |name, version| package(temp.path(), name, version);
        assert_eq!(at("muster-sample", None), Ok(true));
        assert_eq!(at("muster-sample", Some("1.2-1")), Ok(true));
        assert_eq!(at("muster-sample", Some("1.10-1")), Ok(false));
        assert_eq!(at("gone", None), Ok(false));
        std::fs::remove_dir_all(temp.path().join("var")).unwrap();
        assert!(at("muster-sample", None).is_err(), "no database is no answer");
    }
}
