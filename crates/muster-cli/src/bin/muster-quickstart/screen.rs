//! What a newcomer sees: one line a step, with how long it took.

use crate::Failed;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::RefCell,
    future::Future,
    io::{IsTerminal, Write},
    path::Path,
    time::Duration,
};
use tokio::time::Instant;

/// Lines of a log that are shown when a step failed.
const LOG_LINES: usize = 15;
/// Columns of the step's own sentence, so that times stand under each other.
const WIDTH: usize = 70;

/// The screen, or a log of a machine.
pub(crate) struct Screen {
    started: Instant,
    step: RefCell<String>,
    bar: RefCell<ProgressBar>,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            step: RefCell::new("start".to_owned()),
            bar: RefCell::new(ProgressBar::hidden()),
        }
    }
}

impl Screen {
    /// Runs a step; `work` gives the sentence that stays on the screen.
    pub(crate) async fn step<T, E: std::fmt::Display>(
        &self,
        name: &str,
        work: impl Future<Output = Result<(String, T), E>>,
    ) -> Result<T, Failed> {
        self.step.replace(name.to_owned());
        let began = Instant::now();
        if std::io::stdout().is_terminal() {
            let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed}");
            let bar = ProgressBar::new_spinner().with_message(format!("{name} …"));
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            self.bar.replace(bar);
        }
        let done = work.await;
        self.clear();
        let took = format!("{:.1} s", began.elapsed().as_secs_f64());
        match done {
            Ok((sentence, value)) => {
                self.line(&format!("  ✓ {sentence:WIDTH$} {took:>8}"));
                Ok(value)
            }
            Err(error) => {
                self.line(&format!("  ✗ {name:WIDTH$} {took:>8}"));
                Err(Failed::Step { step: name.to_owned(), reason: error.to_string() })
            }
        }
    }

    /// A line under a step.
    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("    {text}"));
    }

    /// A line.
    pub(crate) fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Why it ended.
    pub(crate) fn fail(&self, text: &str) {
        self.clear();
        let _ = writeln!(std::io::stderr().lock(), "quickstart: {text}");
    }

    /// The end of a program's log.
    pub(crate) fn log_end(&self, name: &str, path: &Path) {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let lines: Vec<_> = text.lines().collect();
        if lines.is_empty() {
            return;
        }
        self.line(&format!("\nThe last lines of {name} ({}):", path.display()));
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            self.note(&muster_cli::output::clean(line));
        }
    }

    /// The step that runs, by name.
    pub(crate) fn current(&self) -> String {
        self.step.borrow().clone()
    }

    /// Takes the spinner away.
    pub(crate) fn clear(&self) {
        self.bar.replace(ProgressBar::hidden()).finish_and_clear();
    }

    /// How long everything took.
    pub(crate) fn total(&self) -> String {
        format!("{:.1} s", self.started.elapsed().as_secs_f64())
    }
}
