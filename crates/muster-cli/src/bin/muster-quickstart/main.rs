//! `muster-quickstart`: from nothing to a managed client on this machine, step by step. `./quickstart` builds and starts it.
//!
//! It does what an administrator does, through the same library as `muster`; it only starts the programs by itself.

mod place;
mod programs;
mod sample;
mod screen;
mod steps;

use clap::Parser;
use muster_model::time::UnixMillis;
use place::Place;
use programs::Programs;
use screen::Screen;
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// Makes a site, enrols this machine, takes its inventory, deploys something to it.
#[derive(Debug, Parser)]
#[command(name = "quickstart", version, about, long_about = None)]
struct Arguments {
    /// Run the whole loop in a fresh directory, stop everything, and exit 0, or non-zero naming the step that failed
    #[arg(long)]
    check: bool,
    /// Where the site and everything else goes [default: var/quickstart; with --check a fresh directory under var]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the programs are [default: beside this one]
    #[arg(long, value_name = "DIR", hide = true)]
    programs: Option<PathBuf>,
}

/// What stopped the loop.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// A step did not work.
    #[error("step {step:?} failed: {reason}")]
    Step {
        /// Its name, as shown.
        step: String,
        /// Why.
        reason: String,
    },
    /// Ctrl-C, or the end of the terminal, before everything was there.
    #[error("stopped")]
    Stopped,
}

#[expect(clippy::disallowed_methods, reason = "the one place where this program reads the time")]
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::default();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        screen.fail("the system gives no threads or no event queue");
        return ExitCode::FAILURE;
    };
    match runtime.block_on(run(&arguments, &screen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            screen.fail(&failed.to_string());
            ExitCode::from(if matches!(failed, Failed::Stopped) { 130 } else { 1 })
        }
    }
}

async fn run(arguments: &Arguments, screen: &Screen) -> Result<(), Failed> {
    let opened = |reason: String| Failed::Step { step: "directory".to_owned(), reason };
    let place =
        Place::open(arguments.dir.as_deref(), arguments.check, arguments.programs.as_deref()).map_err(opened)?;
    let programs = Programs::default();
    let done = tokio::select! {
        done = work(arguments, screen, &place, &programs) => done,
        () = told_to_stop() => Err(Failed::Stopped),
        (name, how) = programs.ended() => {
            Err(Failed::Step { step: screen.current(), reason: format!("{name} ended by itself ({how})") })
        }
    };
    screen.clear();
    if let Err(Failed::Step { .. }) = &done {
        for name in programs.names() {
            screen.log_end(&name, &place.log(&name));
        }
    }
    programs.stop(screen).await;
    if arguments.check && done.is_ok() {
        place.remove();
    }
    done
}

async fn work(arguments: &Arguments, screen: &Screen, place: &Place, programs: &Programs) -> Result<(), Failed> {
    let ready = steps::all(screen, place, programs).await?;
    if arguments.check {
        screen.line("");
        screen.line(&format!("Everything works ({}).", screen.total()));
        return Ok(());
    }
    screen.line(&ready);
    told_to_stop().await;
    screen.line("");
    Ok(())
}

/// Ctrl-C, a polite kill, or the end of the terminal.
async fn told_to_stop() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
