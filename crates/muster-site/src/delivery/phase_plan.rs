//! What follows from how the phases of a deployment stand. No I/O: numbers in, a decision out.

use muster_model::{
    api::PhaseReach,
    id::{CollectionId, DeploymentId, DeviceId},
    status::DeploymentState,
    time::{HOUR, UnixMillis},
};
use muster_store::db::deployment_phase::PhaseRow;
use std::collections::{BTreeMap, HashSet};

/// Devices by phase and state.
pub(super) type Counts = BTreeMap<u32, BTreeMap<String, u64>>;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Wait,
    /// This phase begins.
    Begin(u32),
    /// Too much failed: why.
    Stop(String),
}

/// The devices of a phase in figures.
struct Figures {
    /// Those that it is for: all but those that do not meet a requirement.
    devices: u64,
    succeeded: u64,
    failed: u64,
}

impl Figures {
    fn of(counts: &Counts, phase: u32) -> Self {
        let of = counts.get(&phase);
        let count = |state: DeploymentState| of.and_then(|of| of.get(state.as_str())).copied().unwrap_or(0);
        let all: u64 = of.map_or(0, |of| of.values().sum());
        Self {
            devices: all - count(DeploymentState::RequirementsNotMet),
            succeeded: count(DeploymentState::Succeeded),
            failed: count(DeploymentState::Failed),
        }
    }
}

/// What follows; `current` is the number of the phase that began last, 0 where none did.
pub(super) fn decide(phases: &[PhaseRow], counts: &Counts, current: u32, now: UnixMillis) -> Decision {
    for row in phases.iter().filter(|row| row.number <= current) {
        if let Some(why) = too_much(row, &Figures::of(counts, row.number)) {
            return Decision::Stop(why);
        }
    }
    let Some(next) = phases.iter().find(|row| row.number == current + 1) else { return Decision::Wait };
    let before = phases.iter().find(|row| row.number == current);
    let may = !next.phase.manual && before.is_none_or(|row| lacks(row, &Figures::of(counts, current), now).is_none());
    if may { Decision::Begin(next.number) } else { Decision::Wait }
}

/// Why a deployment is to be stopped for this phase.
fn too_much(row: &PhaseRow, figures: &Figures) -> Option<String> {
    // What somebody has seen and let go on does not stop it once more.
    let failed = figures.failed.saturating_sub(row.forgiven);
    let by_count = row.phase.stop_count.is_some_and(|most| failed > u64::from(most));
    let by_percent = row.phase.stop_percent.is_some_and(|most| failed * 100 > u64::from(most) * figures.devices);
    (by_count || by_percent).then(|| {
        let (failed, devices) = (figures.failed, figures.devices);
        format!("Phase {}, {}: it failed on {failed} of {devices} device(s).", row.number, row.phase.name)
    })
}

/// What a phase that began lacks of its success.
fn lacks(row: &PhaseRow, figures: &Figures, now: UnixMillis) -> Option<String> {
    let Figures { devices, succeeded, failed } = *figures;
    let least = u64::from(row.phase.at_least);
    if succeeded + failed < least {
        return Some(format!("{} of at least {least} device(s) came to an end", succeeded + failed));
    }
    if succeeded * 100 < u64::from(row.phase.success_percent) * devices {
        return Some(format!(
            "{succeeded} of {devices} device(s) succeeded, {} % are wanted",
            row.phase.success_percent
        ));
    }
    let hours = i64::from(row.phase.after_hours);
    let young = row.begun.is_none_or(|begun| now.since(begun) < hours * HOUR);
    young.then(|| format!("it has to last {hours} hour(s)"))
}

/// How a phase stands, in a sentence.
pub(super) fn says(phases: &[PhaseRow], row: &PhaseRow, counts: &Counts, current: u32, now: UnixMillis) -> String {
    let figures = Figures::of(counts, row.number);
    if row.number <= current {
        if let Some(why) = too_much(row, &figures) {
            return why;
        }
        return match lacks(row, &figures, now) {
            None => "It succeeded.".to_owned(),
            Some(lacks) => format!("It goes on: {lacks}."),
        };
    }
    if row.phase.manual {
        return "It begins when an administrator says so.".to_owned();
    }
    match phases.iter().find(|before| before.number + 1 == row.number) {
        Some(before) if before.number == current => {
            let lacks = lacks(before, &Figures::of(counts, current), now);
            lacks
                .map_or_else(|| "It begins now.".to_owned(), |lacks| format!("It waits for the phase before: {lacks}."))
        }
        _ => "It waits for the phases before.".to_owned(),
    }
}

/// The phase of a device. Where percent decide, a draw of the site does, for each deployment another one: the id of a device is not of
/// its own choice, and that of the deployment nobody knows before.
pub(super) fn phase_of(
    deployment: DeploymentId,
    device: DeviceId,
    phases: &[PhaseRow],
    members: &HashSet<(CollectionId, DeviceId)>,
) -> Option<u32> {
    let drawn = drawn(deployment, device);
    let takes = |row: &&PhaseRow| match row.phase.reach {
        PhaseReach::Percent { percent } => drawn < u64::from(percent) * 100,
        PhaseReach::Collection { collection } => members.contains(&(collection, device)),
        PhaseReach::Rest => true,
    };
    phases.iter().find(takes).map(|row| row.number)
}

/// From 0 to 9,999.
fn drawn(deployment: DeploymentId, device: DeviceId) -> u64 {
    let bytes = [b"phase".as_slice(), deployment.0.as_bytes(), device.0.as_bytes()].concat();
    let digest = muster_trust::sha256(&bytes).0;
    digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) % 10_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::api::Phase;
    use uuid::Uuid;

    fn row(number: u32, reach: PhaseReach, change: impl FnOnce(&mut PhaseRow)) -> PhaseRow {
        let mut row = PhaseRow {
            number,
            phase: Phase {
                name: format!("{number}").parse().unwrap(),
                reach,
                success_percent: 90,
                at_least: 2,
                after_hours: 1,
                stop_percent: Some(10),
                stop_count: None,
                manual: false,
            },
            begun: (number == 1).then_some(UnixMillis(0)),
            begun_by: None,
            forgiven: 0,
        };
        change(&mut row);
        row
    }

    fn counts(of: &[(&str, u64)]) -> Counts {
        [(1, of.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect())].into()
    }

    #[test]
    fn a_phase_follows_when_the_one_before_succeeded_and_stops_when_too_much_fails() {
        let plain = |_: &mut PhaseRow| {};
        let phases = [row(1, PhaseReach::Percent { percent: 1 }, plain), row(2, PhaseReach::Rest, plain)];
        let hour = UnixMillis(HOUR);
        for (of, now, expected) in [
            (&[][..], hour, Decision::Wait),
            (&[("succeeded", 1)], hour, Decision::Wait),
            (&[("succeeded", 2)], hour, Decision::Begin(2)),
            (&[("succeeded", 2)], UnixMillis(HOUR - 1), Decision::Wait),
            (&[("succeeded", 8), ("targeted", 1)], hour, Decision::Wait),
            (&[("succeeded", 9), ("targeted", 1)], hour, Decision::Begin(2)),
            (&[("succeeded", 9), ("requirements_not_met", 5)], hour, Decision::Begin(2)),
            (&[("succeeded", 9), ("failed", 1)], hour, Decision::Begin(2)),
        ] {
            assert_eq!(decide(&phases, &counts(of), 1, now), expected, "{of:?}");
        }
        let failing = counts(&[("succeeded", 8), ("failed", 2)]);
        assert!(matches!(decide(&phases, &failing, 1, hour), Decision::Stop(why) if why.contains("2 of 10")));
        let forgiven = [row(1, PhaseReach::Percent { percent: 1 }, |row| row.forgiven = 1), phases[1].clone()];
        assert_eq!(decide(&forgiven, &failing, 1, hour), Decision::Wait, "not again for what was seen");
        let manual = [phases[0].clone(), row(2, PhaseReach::Rest, |row| row.phase.manual = true)];
        assert_eq!(decide(&manual, &counts(&[("succeeded", 9)]), 1, hour), Decision::Wait);
        assert_eq!(decide(&phases, &counts(&[]), 0, hour), Decision::Begin(1));
        assert_eq!(decide(&phases, &counts(&[("succeeded", 9)]), 2, hour), Decision::Wait, "there is no third one");
    }

    #[test]
    fn a_draw_is_fair_stays_and_is_another_one_for_each_deployment() {
        let plain = |_: &mut PhaseRow| {};
        let ten = row(1, PhaseReach::Percent { percent: 10 }, plain);
        let half = row(2, PhaseReach::Percent { percent: 50 }, plain);
        let phases = &[ten, half, row(3, PhaseReach::Rest, plain)];
        let of = |deployment: u128| {
            let device = |number| DeviceId(Uuid::from_u128(number));
            let phase = move |number| {
                phase_of(DeploymentId(Uuid::from_u128(deployment)), device(number), phases, &HashSet::new()).unwrap()
            };
            (0..10_000_u128).map(phase).collect::<Vec<_>>()
        };
        let (one, other) = (of(1), of(2));
        let count = |phase| one.iter().filter(|of| **of == phase).count();
        assert!((900..1_100).contains(&count(1)) && (3_800..4_200).contains(&count(2)), "{} {}", count(1), count(2));
        let both = one.iter().zip(&other).filter(|(a, b)| **a == 1 && **b == 1).count();
        assert!((50..200).contains(&both), "nobody is always the first: {both}");
    }
}
