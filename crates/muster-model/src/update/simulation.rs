//! What a tool says that it would do, and how much of that could not be read.

use super::Change;
use crate::limits::UPDATE_LINES;

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OddOutput {
    /// A line of another form.
    #[error("a line of the tool's output cannot be read: {0}")]
    Line(String),
    /// More than any machine has.
    #[error("the tool names more than {UPDATE_LINES} packages")]
    TooMany,
}

/// What a simulation says, and how much of it could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulation {
    /// What the tool would do.
    pub changes: Vec<Change>,
    /// Lines of changes that cannot be read.
    pub unread: usize,
    /// The first of them.
    pub first: String,
}

impl Simulation {
    /// The changes, where all of them could be read: for whoever has to know that nothing else would happen.
    ///
    /// # Errors
    /// [`OddOutput::Line`].
    pub fn all(self) -> Result<Vec<Change>, OddOutput> {
        if self.unread > 0 { Err(OddOutput::Line(self.first)) } else { Ok(self.changes) }
    }
}

impl Simulation {
    /// A change, or a line of one that could not be read.
    ///
    /// # Errors
    /// [`OddOutput::TooMany`].
    pub(super) fn take(&mut self, change: Option<Change>, line: &str) -> Result<(), OddOutput> {
        match change {
            Some(change) => self.changes.push(change),
            None => {
                if self.unread == 0 {
                    self.first = line.chars().filter(|c| !c.is_control()).take(200).collect();
                }
                self.unread += 1;
            }
        }
        if self.changes.len() + self.unread > UPDATE_LINES { Err(OddOutput::TooMany) } else { Ok(()) }
    }
}
