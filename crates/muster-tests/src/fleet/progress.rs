//! What a long run shows: a bar on a terminal, nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;

/// The bar of the step that runs.
#[derive(Debug, Default)]
pub struct Progress {
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// Shows nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self { quiet: true, bar: Mutex::default() }
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// A step of so many parts begins.
    pub fn start(&self, what: &'static str, parts: u64) {
        if self.quiet {
            return;
        }
        let bar = ProgressBar::new(parts);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        self.with(|at| *at = Some(bar));
    }

    /// So many parts of it are done.
    pub fn step(&self, parts: u64) {
        self.with(|at| {
            if let Some(bar) = at {
                bar.inc(parts);
            }
        });
    }

    /// The step is over.
    pub fn done(&self) {
        self.with(|at| {
            if let Some(bar) = at.take() {
                bar.finish_and_clear();
            }
        });
    }
}
