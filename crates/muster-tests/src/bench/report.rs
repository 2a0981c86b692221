//! What was measured, for people, for machines, and for the document.

use serde::Serialize;
use std::fmt::Write;

/// Whose figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The least that any server must do.
    Limit,
    /// `musterd`.
    Ours,
    /// The naive peer.
    Peer,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// One thing that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The line of the table of targets; none: a figure beside it.
    pub line: Option<u8>,
    /// What it is.
    pub what: String,
    /// Of what it is so much.
    pub unit: String,
    /// What it should be, where there is a target.
    pub target: Option<f64>,
    /// Which way is better.
    pub better: Better,
    /// Every run, in order.
    pub runs: Vec<(Subject, f64)>,
    /// What one must know to read it.
    pub note: String,
}

impl Figure {
    /// A figure without runs yet.
    #[must_use]
    pub fn new(
        line: impl Into<Option<u8>>,
        what: impl Into<String>,
        unit: &str,
        target: impl Into<Option<f64>>,
    ) -> Self {
        Self {
            line: line.into(),
            what: what.into(),
            unit: unit.to_owned(),
            target: target.into(),
            better: Better::Higher,
            runs: Vec::new(),
            note: String::new(),
        }
    }

    /// The same, where less is better.
    #[must_use]
    pub fn lower(mut self) -> Self {
        self.better = Better::Lower;
        self
    }

    /// The same, with one figure of ours.
    #[must_use]
    pub fn ours(mut self, value: f64) -> Self {
        self.runs.push((Subject::Ours, value));
        self
    }

    /// The same, with what one must know to read it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The median of a subject's runs.
    #[must_use]
    pub fn median(&self, subject: Subject) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().filter(|(of, _)| *of == subject).map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => values.get(middle).copied(),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// Our figure in parts of another's.
    #[must_use]
    pub fn ratio(&self, other: Subject) -> Option<f64> {
        Some(self.median(Subject::Ours)? / self.median(other)?)
    }

    /// Whether the target is met.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        let (ours, target) = (self.median(Subject::Ours)?, self.target?);
        Some(match self.better {
            Better::Higher => ours >= target,
            Better::Lower => ours <= target,
        })
    }

    fn cells(&self) -> Vec<String> {
        let value = |subject| self.median(subject).map_or_else(|| "-".to_owned(), number);
        let ratio = |subject| self.ratio(subject).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let sign = match self.better {
            Better::Higher => ">=",
            Better::Lower => "<=",
        };
        let target = self.target.map_or_else(|| "-".to_owned(), |target| format!("{sign} {}", number(target)));
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        vec![
            self.line.map_or_else(String::new, |line| line.to_string()),
            self.what.clone(),
            self.unit.clone(),
            target,
            value(Subject::Ours),
            met.to_owned(),
            value(Subject::Limit),
            ratio(Subject::Limit),
            value(Subject::Peer),
            ratio(Subject::Peer),
        ]
    }
}

/// A number with three significant digits, thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() < 1.0 {
            3
        } else if value.abs() < 10.0 {
            2
        } else {
            1
        };
        return format!("{value:.digits$}");
    }
    let whole = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const HEAD: [&str; 10] = ["#", "what", "unit", "target", "ours", "met", "limit", "ours/limit", "peer", "ours/peer"];

/// A table for a terminal.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(HEAD);
    for figure in figures {
        table.add_row(figure.cells());
    }
    let mut text = table.to_string();
    for figure in figures.iter().filter(|figure| !figure.note.is_empty()) {
        // Writing to a text does not fail.
        let _ = write!(text, "\n{}: {}", figure.what, figure.note);
    }
    text
}

/// A table for a document.
#[must_use]
pub fn markdown(figures: &[Figure]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), " --- |".repeat(HEAD.len()));
    for figure in figures {
        let _ = writeln!(text, "| {} |", figure.cells().join(" | "));
    }
    for figure in figures.iter().filter(|figure| !figure.note.is_empty()) {
        let _ = write!(text, "\n- {}: {}", figure.what, figure.note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_runs_beside_its_target() {
        let mut figure = Figure::new(1, "check-ins", "per CPU-second", 25_000.0);
        for (subject, value) in [
            (Subject::Limit, 80_000.0),
            (Subject::Ours, 30_000.0),
            (Subject::Ours, 50_000.0),
            (Subject::Limit, 80_000.0),
        ] {
            figure.runs.push((subject, value));
        }
        assert_eq!(figure.median(Subject::Ours), Some(40_000.0));
        assert_eq!((figure.ratio(Subject::Limit), figure.ratio(Subject::Peer)), (Some(0.5), None));
        assert_eq!(figure.met(), Some(true));
        let line = "| 1 | check-ins | per CPU-second | >= 25,000 | 40,000 | yes | 80,000 | 0.50 | - | - |";
        assert!(markdown(&[figure]).contains(line));
        assert_eq!(Figure::new(8, "memory", "kB", 14.0).lower().ours(20.0).met(), Some(false));
        assert_eq!(
            [number(0.1234), number(1.5), number(14.0), number(1_234_567.0)],
            ["0.123", "1.50", "14.0", "1,234,567"]
        );
    }
}
