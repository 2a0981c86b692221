//! What fits into the windows of a device, and when at the earliest.
//!
//! Windows that overlap or touch are one. Something fits where its longest run time and [`AFTERWARDS`] are no more than what is
//! left. Whatever was started in a window goes on to its end.

use super::{
    MOST_MINUTES, MaintenanceWindow, WindowKind,
    opening::{Opening, Openings, openings},
};
use crate::time::{DAY, MINUTE, SECOND, UnixMillis};
use jiff::tz::TimeZone;
use std::{cmp::Reverse, collections::BinaryHeap};

/// What must be left of a window besides the longest run time, in milliseconds: for a restart.
pub const AFTERWARDS: i64 = 5 * MINUTE;
/// How far ahead is looked. What does not fit so long never does.
pub const HORIZON: i64 = 5 * 366 * DAY;
/// Windows that follow one another without end are looked at in pieces of this length: more than a day before the first moment,
/// and the longest that anything may run.
const PIECE: i64 = 3 * DAY;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// An application.
    Application,
    /// A software update.
    Update,
    /// A software update that may be installed in general windows too.
    UpdateAnywhere,
}

/// When something may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// At any time: there is no window for it.
    Free,
    /// Now: a window is open and long enough until then.
    Now {
        /// Until when at least.
        closes: UnixMillis,
    },
    /// Later: the first window that is long enough.
    Later {
        /// When it opens.
        opens: UnixMillis,
        /// Until when at least.
        closes: UnixMillis,
    },
    /// Never: no window is long enough, or none opens again.
    Never,
}

/// The windows that hold for some work: updates have their own where there are any.
pub fn applying(windows: &[MaintenanceWindow], work: Work) -> impl Iterator<Item = &MaintenanceWindow> + Clone {
    let own = work != Work::Application && windows.iter().any(|window| window.kind == WindowKind::Updates);
    let general = work != Work::Update || !own;
    windows.iter().filter(move |window| match window.kind {
        WindowKind::General => general,
        WindowKind::Updates => own,
    })
}

/// When something that may run for `seconds` may begin, on a device with these windows and in that zone, at a moment or later.
#[must_use]
pub fn chance(windows: &[MaintenanceWindow], work: Work, zone: &TimeZone, now: UnixMillis, seconds: u32) -> Chance {
    let windows = applying(windows, work);
    if windows.clone().next().is_none() {
        return Chance::Free;
    }
    let needed = i64::from(seconds) * SECOND + AFTERWARDS;
    // Together they are shorter, and no chain of them is as long as a day: nothing has to be looked for.
    let together: i64 = windows.clone().map(MaintenanceWindow::length).sum();
    if together < needed.min(i64::from(MOST_MINUTES) * MINUTE) {
        return Chance::Never;
    }
    for Opening { from, to } in pieces(windows, zone, now).take_while(|opening| opening.from.since(now) <= HORIZON) {
        if to.since(from.max(now)) >= needed {
            return if from <= now { Chance::Now { closes: to } } else { Chance::Later { opens: from, closes: to } };
        }
    }
    Chance::Never
}

/// The openings of windows, put together where they overlap or touch.
pub(super) fn pieces<'a>(
    windows: impl Iterator<Item = &'a MaintenanceWindow>,
    zone: &'a TimeZone,
    after: UnixMillis,
) -> Pieces<'a> {
    let windows: Vec<_> = windows.map(|window| openings(window, zone, after)).collect();
    let mut pieces = Pieces { next: BinaryHeap::with_capacity(windows.len()), windows };
    for at in 0..pieces.windows.len() {
        pieces.wait(at);
    }
    pieces
}

pub(super) struct Pieces<'a> {
    windows: Vec<Openings<'a>>,
    /// The next opening of each window, with the window's place: the first on top.
    next: BinaryHeap<Reverse<(UnixMillis, UnixMillis, usize)>>,
}

impl Pieces<'_> {
    fn wait(&mut self, at: usize) {
        if let Some(Opening { from, to }) = self.windows.get_mut(at).and_then(Iterator::next) {
            self.next.push(Reverse((from, to, at)));
        }
    }

    /// Takes the opening that comes first, where it comes no later than that.
    fn first(&mut self, latest: UnixMillis) -> Option<Opening> {
        let Reverse((from, to, at)) = *self.next.peek()?;
        if from > latest {
            return None;
        }
        self.next.pop();
        self.wait(at);
        Some(Opening { from, to })
    }
}

impl Iterator for Pieces<'_> {
    type Item = Opening;

    fn next(&mut self) -> Option<Opening> {
        let mut whole = self.first(UnixMillis(i64::MAX))?;
        while whole.to.since(whole.from) < PIECE {
            match self.first(whole.to) {
                Some(more) => whole.to = whole.to.max(more.to),
                None => break,
            }
        }
        Some(whole)
    }
}
