//! The programs that were started here: their ends are noticed, and they are stopped by their process ids and no others.

use crate::{place::Place, screen::Screen};
use rustix::process::{Pid, Signal, kill_process};
use std::{cell::RefCell, fs::File, future::Future, process::Stdio, time::Duration};
use tokio::{
    process::Command,
    sync::watch,
    time::{sleep, timeout},
};

/// How long a program may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(15);

/// One program.
#[derive(Clone)]
struct Program {
    name: String,
    pid: Pid,
    /// How it ended.
    end: watch::Receiver<Option<String>>,
}

/// All of them, in the order in which they were started.
#[derive(Default)]
pub(crate) struct Programs {
    list: RefCell<Vec<Program>>,
    changed: tokio::sync::Notify,
}

impl Programs {
    /// Starts a program in the background, its output in its log.
    pub(crate) async fn start(&self, place: &Place, name: &str, arguments: &[&str]) -> Result<(), String> {
        stop_left_over(place, name).await;
        let log = File::create(place.log(name)).map_err(|e| e.to_string())?;
        let log_too = log.try_clone().map_err(|e| e.to_string())?;
        let path = place.program(name);
        let mut child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_too)
            // Not in the terminal's group: Ctrl-C comes here, and the programs are stopped in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{name} ended at once"))?;
        let _ = std::fs::write(place.path(&format!("{name}.pid")), pid.as_raw_nonzero().to_string());
        let (tell, end) = watch::channel(None);
        tokio::spawn(async move {
            let how = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
            let _ = tell.send(Some(how));
        });
        self.list.borrow_mut().push(Program { name: name.to_owned(), pid, end });
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until one of them ends by itself.
    pub(crate) async fn ended(&self) -> (String, String) {
        loop {
            let ends: Vec<_> = self
                .list
                .borrow()
                .iter()
                .cloned()
                .map(|mut program| {
                    Box::pin(async move {
                        let how = program.end.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
                        (program.name, how.unwrap_or_default())
                    })
                })
                .collect();
            if ends.is_empty() {
                self.changed.notified().await;
                continue;
            }
            tokio::select! {
                (ended, _, _) = futures_util::future::select_all(ends) => return ended,
                () = self.changed.notified() => {}
            }
        }
    }

    /// The names of those that were started.
    pub(crate) fn names(&self) -> Vec<String> {
        self.list.borrow().iter().map(|program| program.name.clone()).collect()
    }

    /// Stops all of them, the last one first.
    pub(crate) async fn stop(&self, screen: &Screen) {
        let list: Vec<_> = self.list.borrow_mut().drain(..).collect();
        for mut program in list.into_iter().rev() {
            if program.end.borrow().is_some() {
                continue;
            }
            let _ = kill_process(program.pid, Signal::TERM);
            if timeout(PATIENCE, program.end.wait_for(Option::is_some)).await.is_err() {
                screen.line(&format!("  {} did not stop in {} s, and is ended", program.name, PATIENCE.as_secs()));
                let _ = kill_process(program.pid, Signal::KILL);
                let _ = timeout(PATIENCE, program.end.wait_for(Option::is_some)).await;
            } else {
                screen.line(&format!("  {} stopped", program.name));
            }
        }
    }
}

/// Stops a program that an earlier run started here and could not stop, because it was itself killed: only if the process of
/// that id still runs this very program on this very directory.
async fn stop_left_over(place: &Place, name: &str) {
    let Ok(text) = std::fs::read_to_string(place.path(&format!("{name}.pid"))) else { return };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
    let of_process = |file: &str| format!("/proc/{}/{file}", pid.as_raw_nonzero());
    let runs = std::fs::read_link(of_process("exe")).ok();
    let line = std::fs::read(of_process("cmdline")).unwrap_or_default();
    let here = place.path("").display().to_string();
    let is_ours = runs.as_deref() == Some(&place.program(name)) && String::from_utf8_lossy(&line).contains(&here);
    if !is_ours || kill_process(pid, Signal::KILL).is_err() {
        return;
    }
    let gone = async {
        while std::fs::read_link(of_process("exe")).is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(PATIENCE, gone).await;
}

/// Runs a program to its end; its output when it went well, the end of it when not.
pub(crate) fn finish(
    place: &Place,
    name: &str,
    arguments: &[&str],
) -> impl Future<Output = Result<String, String>> + use<> {
    let path = place.program(name);
    let ran = Command::new(&path).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let name = name.to_owned();
    async move {
        let output = ran.await.map_err(|e| format!("{}: {e}", path.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("{name} ended with {}: {}", output.status, text(&output.stderr)))
    }
}
