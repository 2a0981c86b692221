//! Programs of baselines: commands, and scripts of the signed object. What hangs is ended with everything that it started, and what prints
//! without end is cut and counts for nothing.

use super::file::Problem;
use crate::{
    identity,
    os::{
        PrivateDirectory, Workplace,
        account::{self, Account},
        process::{self, Ending, Job, Output, Tail},
    },
};
use muster_model::{
    application::{Command, Privilege},
    baseline::{Pass, Script},
    compliance::ComplianceReason,
    id::DeploymentId,
    limits::DISCOVERED_BYTES,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Names of what is in the workplace.
const SCRIPT: &str = "script";
const STDIN: &str = "stdin";

/// What is run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program<'a> {
    /// A command.
    Command(&'a Command),
    /// A script.
    Script(&'a Script),
}

/// Where programs run: below the agent's own directories.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// Directories of what runs.
    pub(super) runs: &'a PrivateDirectory,
    /// The agent's state.
    pub(super) state: &'a PrivateDirectory,
}

/// Beside the agent's state: what runs without privileges has its directory there.
pub(super) fn beside(state: &Path) -> PathBuf {
    state.with_file_name(format!("{}-comply", state.file_name().unwrap_or_default().to_string_lossy()))
}

/// Ends what a program started, also where nobody waits for it any more.
struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        process::end_everything(&self.0, None);
    }
}

/// Ends the programs of baselines that an agent with the same directory left behind.
pub(super) fn end_left(runs: &PrivateDirectory) {
    let end = format!(".comply {}", runs.path().display());
    process::end_marked(&|mark| mark.ends_with(&end));
}

/// Runs a program to its end; what it printed on its standard output.
pub(super) async fn run(
    ground: Ground<'_>,
    deployment: DeploymentId,
    program: Program<'_>,
    privilege: Privilege,
    limit: Duration,
) -> Result<String, Problem> {
    let failed =
        |error: io::Error| Problem::new(ComplianceReason::CannotStart, format!("It cannot be started: {error}."));
    let (place, pipe) = (format!("{deployment}.comply"), format!("{deployment}.complied"));
    let user = user(ground.state, privilege).map_err(failed)?;
    // Not the collectors' place: each sweeps its own.
    let beside = beside(ground.state.path());
    let fresh = || -> io::Result<(Workplace, Output)> {
        let workplace = Workplace::open(ground.runs, &beside, &place, user)?;
        let output = Output::open(ground.runs, &pipe, true)?.without_errors();
        if let Some(user) = user {
            output.lend(user)?;
        }
        Ok((workplace, output))
    };
    let (workplace, mut output) = fresh().map_err(failed)?;
    // It names the agent's own directory too: what another agent on this machine started is not ours to end.
    let mark = format!("{place} {}", ground.runs.path().display());
    // One that was running when the agent ended is not waited for.
    process::end_everything(&mark, None);
    let guard = Guard(mark);
    let said = out(program, &workplace, &mut output, &guard.0, limit).await;
    drop(guard);
    if let Err(error) = workplace.remove(ground.runs).and_then(|()| ground.runs.remove(&pipe)) {
        tracing::warn!(%error, "what a program of a baseline left could not be removed");
    }
    said
}

/// As whom it runs: a user without privileges, where the agent can become one and the authors did not sign that it needs more.
fn user(state: &PrivateDirectory, privilege: Privilege) -> io::Result<Option<Account>> {
    if privilege == Privilege::Root || !crate::os::is_root() {
        return Ok(None);
    }
    let config = identity::config(state).map_err(io::Error::other)?;
    account::unprivileged(&config.collector_user).map(Some)
}

/// Program, arguments and standard input.
fn prepare(program: Program<'_>, workplace: &Workplace) -> io::Result<(PathBuf, Vec<String>, Option<File>)> {
    let script = match program {
        Program::Command(command) => {
            // It begins in that directory.
            workplace.lend()?;
            return Ok((command.program.clone().into(), command.arguments.clone(), None));
        }
        Program::Script(script) => script,
    };
    let directory = &workplace.directory;
    directory.new_file(SCRIPT, 0o700)?.write_all(script.text.as_bytes())?;
    let mut arguments = vec![directory.path().join(SCRIPT).display().to_string()];
    let mut stdin = None;
    match script.pass {
        Pass::Arguments => arguments.extend(script.parameters.iter().map(|parameter| parameter.value.argument())),
        Pass::Stdin => {
            let object: BTreeMap<&str, _> =
                script.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.value)).collect();
            directory.new_file(STDIN, 0o600)?.write_all(&serde_json::to_vec(&object).map_err(io::Error::other)?)?;
            stdin = directory.open_file(STDIN)?;
        }
    }
    workplace.lend()?;
    Ok((script.interpreter.program().into(), arguments, stdin))
}

async fn out(
    program: Program<'_>,
    workplace: &Workplace,
    output: &mut Output,
    mark: &str,
    limit: Duration,
) -> Result<String, Problem> {
    let failed =
        |error: io::Error| Problem::new(ComplianceReason::CannotStart, format!("It cannot be started: {error}."));
    let (path, arguments, stdin) = prepare(program, workplace).map_err(failed)?;
    let codes = match program {
        Program::Command(command) => command.success_codes.as_slice(),
        Program::Script(_) => &[0],
    };
    let mut tail = Tail::new(DISCOVERED_BYTES);
    let directory = workplace.directory.path();
    let job = Job {
        program: path,
        arguments,
        directory,
        user: workplace.user(),
        mark,
        limit,
        stdin,
        environment: Vec::new(),
    };
    let bad = |reason, detail: String| Err(Problem::new(reason, detail));
    match process::run(job, Some((output, &mut tail))).await {
        Ending::Exit(Some(code)) if codes.contains(&code) => {}
        Ending::Exit(Some(code)) => return bad(ComplianceReason::ExitCode, format!("It ended with code {code}.")),
        Ending::Exit(None) => return bad(ComplianceReason::ExitCode, "It was ended by a signal.".to_owned()),
        Ending::TimedOut => {
            return bad(ComplianceReason::TimedOut, format!("It ran for more than {} seconds.", limit.as_secs()));
        }
        Ending::NotStarted(error) => return Err(failed(error)),
    }
    if tail.was_cut() {
        return bad(ComplianceReason::TooLarge, format!("It printed more than {DISCOVERED_BYTES} bytes."));
    }
    let text = String::from_utf8(tail.into_bytes());
    let text = text.ok().filter(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')));
    let text = text.ok_or_else(|| {
        Problem::new(ComplianceReason::NotText, "What it printed is no text in UTF-8 without control characters.")
    })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::baseline::{Interpreter, Parameter, ParameterValue};
    use std::os::unix::fs::PermissionsExt;

    struct Place {
        _temp: tempfile::TempDir,
        state: PrivateDirectory,
        runs: PrivateDirectory,
    }

    fn place() -> Place {
        let temp = tempfile::tempdir().unwrap();
        // As below `/var/lib`: others may pass the directory that the state is in, and not the state.
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let state = PrivateDirectory::open(&temp.path().join("state")).unwrap();
        let runs = state.directory("run").unwrap();
        Place { _temp: temp, state, runs }
    }

    fn script(text: &str, pass: Pass) -> Script {
        let parameter = |name: &str, value| Parameter { name: name.parse().unwrap(), value };
        let parameters = vec![
            parameter("text", ParameterValue::String("two words; $(id) `id`".to_owned())),
            parameter("most", ParameterValue::Integer(-7)),
            parameter("flag", ParameterValue::Boolean(true)),
        ];
        Script { interpreter: Interpreter::Sh, text: text.to_owned(), parameters, pass, privilege: Privilege::None }
    }

    async fn said(place: &Place, text: &str, pass: Pass, seconds: u64) -> Result<String, ComplianceReason> {
        let script = script(text, pass);
        let ground = Ground { runs: &place.runs, state: &place.state };
        let id = DeploymentId(uuid::Uuid::from_u128(5));
        let limit = Duration::from_secs(seconds);
        run(ground, id, Program::Script(&script), Privilege::None, limit).await.map_err(|problem| problem.reason)
    }

    #[tokio::test]
    async fn parameters_arrive_as_they_are_and_no_shell_looks_at_them() {
        let place = place();
        let by_arguments = said(&place, "printf '%s|' \"$@\"; echo error >&2", Pass::Arguments, 60).await;
        assert_eq!(by_arguments.as_deref(), Ok("two words; $(id) `id`|-7|true|"));
        let by_stdin = said(&place, "cat; echo \"$#\"", Pass::Stdin, 60).await;
        assert_eq!(by_stdin.as_deref(), Ok(r#"{"flag":true,"most":-7,"text":"two words; $(id) `id`"}0"#));
        assert_eq!(place.runs.names().unwrap(), Vec::<String>::new(), "nothing is left");
    }

    // proves S19: as far as a script that does harm to who runs it is concerned.
    #[tokio::test]
    async fn a_script_that_misbehaves_is_a_clear_reason() {
        let place = place();
        for (text, reason) in [
            ("if then (", ComplianceReason::ExitCode),
            ("exit 3", ComplianceReason::ExitCode),
            ("kill -9 $$", ComplianceReason::ExitCode),
            ("head -c 100000 /dev/zero | tr '\\0' x", ComplianceReason::TooLarge),
            ("printf '\\377\\376'", ComplianceReason::NotText),
            ("printf 'a\\033[2Jb'", ComplianceReason::NotText),
        ] {
            assert_eq!(said(&place, text, Pass::Arguments, 60).await, Err(reason), "{text}");
        }
        // It asks, and nobody answers.
        assert_eq!(said(&place, "read answer || echo nobody", Pass::Arguments, 60).await.as_deref(), Ok("nobody"));
        let hanging = "trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & sleep 1000";
        assert_eq!(said(&place, hanging, Pass::Arguments, 1).await, Err(ComplianceReason::TimedOut));
        let command = Command { program: "/nonexistent".to_owned(), arguments: Vec::new(), success_codes: vec![0] };
        let ground = Ground { runs: &place.runs, state: &place.state };
        let id = DeploymentId(uuid::Uuid::from_u128(6));
        let limit = Duration::from_secs(60);
        let none = run(ground, id, Program::Command(&command), Privilege::Root, limit).await;
        assert_eq!(none.map_err(|problem| problem.reason), Err(ComplianceReason::CannotStart));
        assert_eq!(place.runs.names().unwrap(), Vec::<String>::new(), "nothing is left");
    }

    #[tokio::test]
    async fn a_program_that_only_looks_has_no_privileges() {
        if !crate::os::is_root() {
            return;
        }
        let place = place();
        assert_ne!(said(&place, "id -u", Pass::Arguments, 60).await.as_deref(), Ok("0"));
        let wanted = format!("cat {}/run 2>/dev/null || echo no", place.state.path().display());
        assert_eq!(said(&place, &wanted, Pass::Arguments, 60).await.as_deref(), Ok("no"));
        let ground = Ground { runs: &place.runs, state: &place.state };
        let command =
            Command { program: "/usr/bin/id".to_owned(), arguments: vec!["-u".to_owned()], success_codes: vec![0] };
        let id = DeploymentId(uuid::Uuid::from_u128(7));
        let limit = Duration::from_secs(60);
        let by_command = run(ground, id, Program::Command(&command), Privilege::None, limit).await.unwrap();
        assert_ne!(by_command, "0");
    }
}
