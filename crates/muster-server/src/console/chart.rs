//! Charts as figures that a template can draw without any style attribute: positions and sizes, computed here.

use super::format;
use muster_model::{
    api::{Count, SeenHour},
    compliance::ComplianceState,
    status::DeploymentState,
};
use std::collections::BTreeMap;

/// Width of every drawing, in its own units; the page stretches it.
pub(crate) const WIDTH: u64 = 1_000;
/// Height of the drawing of one series.
pub(crate) const HEIGHT: u64 = 100;

/// One part of a bar: from `x`, `width` wide, both in units of [`WIDTH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Stable text of what it counts; the style gives it its colour.
    pub(crate) state: String,
    /// Left end.
    pub(crate) x: u64,
    /// Width; at least 4 where anything is counted, so that one of 100,000 is seen.
    pub(crate) width: u64,
    /// The number.
    pub(crate) count: u64,
}

/// The totals of a deployment as one bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The parts that are not empty, from succeeded to targeted.
    pub(crate) segments: Vec<Segment>,
    /// The sum.
    pub(crate) total: u64,
    /// Hundredths that succeeded, rounded down; nothing for an empty deployment.
    pub(crate) percent: Option<u64>,
    /// Whether no device has anything left to do.
    pub(crate) finished: bool,
}

impl Bar {
    /// The bar for these totals.
    pub(crate) fn new(totals: &BTreeMap<String, u64>) -> Self {
        use DeploymentState::{Downloading, Failed, Installing, RequirementsNotMet, Succeeded, Targeted, Waiting};
        let order = [Succeeded, Failed, RequirementsNotMet, Installing, Downloading, Waiting, Targeted];
        let order = order.map(DeploymentState::as_str);
        Self::of(totals, &order, &order[..1], &order[1..3])
    }

    /// The bar for the totals of a baseline: hundredths are of those that comply.
    pub(crate) fn compliance(totals: &BTreeMap<String, u64>) -> Self {
        use ComplianceState::{Compliant, Conflict, Error, NonCompliant, NotApplicable, Remediated, Unknown};
        let order = [Compliant, Remediated, NonCompliant, Conflict, Error, NotApplicable, Unknown];
        let order = order.map(ComplianceState::as_str);
        Self::of(totals, &order, &order[..2], &order[2..6])
    }

    /// `order` are the states from left to right; `good` those that count in hundredths, `ended` those that are no better and over.
    fn of(totals: &BTreeMap<String, u64>, order: &[&'static str], good: &[&str], ended: &[&str]) -> Self {
        let number = |state: &&str| totals.get(*state).copied().unwrap_or_default();
        let total: u64 = order.iter().map(number).sum();
        let mut segments = Vec::new();
        let mut x = 0;
        for state in order {
            let count = number(state);
            if count == 0 {
                continue;
            }
            let share = u128::from(count) * u128::from(WIDTH) / u128::from(total.max(1));
            let width = u64::try_from(share).unwrap_or(WIDTH).max(4).min(WIDTH.saturating_sub(x));
            segments.push(Segment { state: (*state).to_owned(), x, width, count });
            x += width;
        }
        if let Some(last) = segments.last_mut() {
            last.width = WIDTH - last.x;
        }
        Self {
            segments,
            total,
            percent: (total > 0).then(|| good.iter().map(number).sum::<u64>() * 100 / total),
            finished: good.iter().chain(ended).map(number).sum::<u64>() == total,
        }
    }

    /// The bar in words: `12 succeeded, 1 failed of 40 devices`.
    pub(crate) fn sentence(&self) -> String {
        let parts: Vec<String> =
            self.segments.iter().map(|s| format!("{} {}", format::count(s.count), format::words(&s.state))).collect();
        match parts.is_empty() {
            true => "no devices".to_owned(),
            false => format!("{} of {}", parts.join(", "), format::counted(self.total, "device")),
        }
    }
}

/// One column of a chart over hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Left end, in units of [`WIDTH`].
    pub(crate) x: u64,
    /// Upper end, in units of [`HEIGHT`].
    pub(crate) y: u64,
    /// Height.
    pub(crate) height: u64,
    /// Start of the hour, as text.
    pub(crate) hour: String,
    /// The number.
    pub(crate) count: u64,
}

/// One series over the last hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hours {
    /// What is counted, in the singular.
    pub(crate) noun: &'static str,
    /// The columns, the oldest first.
    pub(crate) columns: Vec<Column>,
    /// Width of a column.
    pub(crate) width: u64,
    /// The top of the scale.
    pub(crate) top: u64,
    /// The sum.
    pub(crate) total: u64,
}

impl Hours {
    /// Devices by the hour in which they were last seen.
    pub(crate) fn devices(hours: &[SeenHour]) -> Self {
        Self::new("device", hours, |hour| hour.devices)
    }

    /// Reports by hour.
    pub(crate) fn reports(hours: &[SeenHour]) -> Self {
        Self::new("report", hours, |hour| hour.reports)
    }

    fn new(noun: &'static str, hours: &[SeenHour], number: impl Fn(&SeenHour) -> u64) -> Self {
        let top = nice_top(hours.iter().map(&number).max().unwrap_or_default());
        let step = WIDTH / (hours.len().max(1) as u64);
        let gap = step / 6;
        let column = |(at, hour): (usize, &SeenHour)| {
            let count = number(hour);
            let exact = u128::from(count) * u128::from(HEIGHT) / u128::from(top.max(1));
            let least = if count > 0 { 2 } else { 0 };
            let height = u64::try_from(exact).unwrap_or(HEIGHT).max(least).min(HEIGHT);
            Column { x: at as u64 * step + gap / 2, y: HEIGHT - height, height, hour: format::hour(hour.hour), count }
        };
        Self {
            noun,
            columns: hours.iter().enumerate().map(column).collect(),
            width: step - gap,
            top,
            total: hours.iter().map(number).sum(),
        }
    }

    /// The chart in words.
    pub(crate) fn sentence(&self) -> String {
        let most = self.columns.iter().max_by_key(|c| c.count).filter(|c| c.count > 0);
        let total = format::counted(self.total, self.noun);
        match most {
            Some(most) => format!("{total} in 24 hours; the most, {}, at {}", format::count(most.count), most.hour),
            None => format!("{total} in 24 hours"),
        }
    }
}

/// The least of 1, 2, 3, 4, 5, 6, 8, 10, 20, ... that is not below `most`: the top of a scale.
pub(super) fn nice_top(most: u64) -> u64 {
    let mut decade: u64 = 1;
    loop {
        for factor in [1, 2, 3, 4, 5, 6, 8] {
            let top = decade.saturating_mul(factor);
            if top >= most {
                return top;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

/// One line of a ranking, its bar in units of [`WIDTH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    /// The label.
    pub(crate) label: String,
    /// The number.
    pub(crate) count: u64,
    /// Length of the bar.
    pub(crate) width: u64,
}

/// A ranking, each bar relative to the longest.
pub(crate) fn ranking(counts: &[Count]) -> Vec<Rank> {
    let most = counts.iter().map(|c| c.count).max().unwrap_or_default().max(1);
    let width = |count: u64| u128::from(count) * u128::from(WIDTH) / u128::from(most);
    let rank = |c: &Count| Rank {
        label: c.label.clone(),
        count: c.count,
        width: u64::try_from(width(c.count)).unwrap_or(WIDTH).max(4),
    };
    counts.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::time::{HOUR, UnixMillis};

    fn bar(totals: &[(&str, u64)]) -> Bar {
        Bar::new(&totals.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect())
    }

    #[test]
    fn a_bar_shows_everything_that_is_counted_and_fills_its_width() {
        let one_of_many = bar(&[("succeeded", 99_998), ("failed", 1), ("targeted", 1)]);
        assert_eq!(one_of_many.segments.len(), 3);
        let (mut end, mut least) = (0, WIDTH);
        for segment in &one_of_many.segments {
            assert_eq!(segment.x, end);
            end += segment.width;
            least = least.min(segment.width);
        }
        assert_eq!(end, WIDTH);
        assert_eq!(one_of_many.percent, Some(99));
        assert!(!one_of_many.finished);
        assert_eq!(bar(&[("succeeded", 2), ("failed", 1)]).sentence(), "2 succeeded, 1 failed of 3 devices");
        assert_eq!(bar(&[]), Bar { segments: vec![], total: 0, percent: None, finished: true });
    }

    #[test]
    fn columns_reach_the_top_of_a_round_scale() {
        let hours: Vec<SeenHour> =
            (0..24).map(|h| SeenHour { hour: UnixMillis(h * HOUR), devices: h as u64, reports: 0 }).collect();
        let devices = Hours::devices(&hours);
        assert_eq!((devices.top, devices.columns.len(), devices.columns[0].height), (30, 24, 0));
        assert_eq!(devices.sentence(), "276 devices in 24 hours; the most, 23, at 23:00");
        assert_eq!(Hours::reports(&hours).top, 1);
        assert_eq!(Hours::reports(&[]).columns.len(), 0);
        assert_eq!([nice_top(0), nice_top(3), nice_top(5), nice_top(51)], [1, 3, 5, 60]);
        assert_eq!(nice_top(u64::MAX), u64::MAX);
    }
}
