//! The transaction of reports: everything of many reports is committed together, or nothing is.

use super::{
    read::{Item, Report},
    suspect::{self, Suspect},
};
use crate::{
    SiteError,
    knowledge::discovery,
    knowledge::inventory::{
        apply::{self, Applied, Incoming, Stale},
        interner::Interner,
        section::{Waiting, excerpt},
    },
    site::Sources,
    truth::{
        client_log,
        compliance::{self, Said},
        rule_run::{self, Rules},
        step,
    },
};
use muster_model::{
    discovery::DiscoveryRecord,
    id::DeviceId,
    limits::{Limits, WAITING_CLASSES, WAITING_SECTIONS},
    report::{Channel, Quarantined, ReportAnswer},
    time::UnixMillis,
};
use muster_store::{
    Store, Tx,
    db::{
        assignment, boundary,
        channel::{self, ChannelRow, Standing},
        client_status::{self, HealthRow},
        conflict::ConflictRow,
        deployment, deployment_event, device,
        inventory_class::{self, WaitingRow},
        message::{self, MessageRow},
        network::{self, NetworkRow},
        quarantine::{self, QuarantineRow},
        report_hour::{self, Hour},
        timeline::{self, TimelineRow},
    },
    transaction,
};
use muster_trust::sequence::{self, Accepted, Recent, SequenceError};
use std::collections::{BTreeMap, HashMap};

/// What a report came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Committed.
    Answer(ReportAnswer),
    /// The device is not active.
    NotActive,
    /// Nothing of it was taken.
    Refused(SequenceError),
}

/// What was committed.
#[derive(Debug, Default)]
pub(super) struct Committed {
    /// One outcome per report.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) messages: u64,
    /// Whether filter rules have something sent or raised.
    pub(super) acts: bool,
    pub(super) steps: u64,
    pub(super) inventories: u64,
    pub(super) quarantined: u64,
    pub(super) heartbeats: u64,
    /// Devices that were quarantined, because a second machine has their key.
    pub(super) suspects: Vec<ConflictRow>,
}

/// What the transaction writes, collected over all reports.
#[derive(Default)]
struct Plan {
    channels: Vec<ChannelRow>,
    messages: Vec<MessageRow>,
    steps: Vec<(usize, u64, deployment::Step, muster_model::id::Hash)>,
    compliance: Vec<Said>,
    logs: Vec<client_log::Said>,
    claims: Vec<(DeviceId, muster_model::enrol::DeviceClaims)>,
    heartbeats: BTreeMap<DeviceId, UnixMillis>,
    health: BTreeMap<DeviceId, HealthRow>,
    networks: BTreeMap<DeviceId, NetworkRow>,
    discoveries: BTreeMap<DeviceId, DiscoveryRecord>,
    quarantine: Vec<(usize, QuarantineRow)>,
    waiting: BTreeMap<(DeviceId, String), WaitingRow>,
    timeline: Vec<TimelineRow>,
}

/// Commits reports, at most one per device.
///
/// # Errors
/// When the store fails; nothing is committed then.
pub(super) async fn commit(
    store: &Store,
    interner: &Interner,
    limits: &Limits,
    sources: &dyn Sources,
    rules: &Rules,
    reports: &[&Report],
) -> Result<Result<Committed, Stale>, SiteError> {
    let done =
        transaction!(store, "report_submit", |tx| { write(tx, interner, limits, sources, rules, reports).await })?;
    Ok(done.map(|(committed, applied)| {
        interner.put(&applied.sweeps, applied.known);
        committed
    }))
}

async fn write(
    tx: &mut Tx,
    interner: &Interner,
    limits: &Limits,
    sources: &dyn Sources,
    rules: &Rules,
    reports: &[&Report],
) -> Result<Result<(Committed, Applied), Stale>, SiteError> {
    let devices: Vec<DeviceId> = reports.iter().map(|report| report.device).collect();
    let standings = channel::lock(tx, &devices).await?;
    let mut committed = Committed::default();
    let mut plan = Plan::default();
    let mut suspects = Vec::new();
    let mut incoming = Vec::new();
    // Which report, and which sequence number, each inventory message is of.
    let mut places = Vec::new();
    for (at, report) in reports.iter().enumerate() {
        let standing = standings.get(&report.device);
        let outcome = match measure(report, standing) {
            Ok((accepted, recent, answer)) => {
                suspects.extend(standing.and_then(|standing| Suspect::hardware(report, &accepted, standing)));
                plan.add(at, report, &accepted, &recent, &answer);
                collect(at, report, &accepted, &mut incoming, &mut places);
                Outcome::Answer(answer)
            }
            Err(outcome) => {
                if let (Outcome::Refused(SequenceError::Fork { .. }), Some(standing)) = (&outcome, standing) {
                    suspects.push(Suspect::fork(report, standing));
                }
                outcome
            }
        };
        committed.outcomes.push(outcome);
    }
    let applied = if incoming.is_empty() {
        Applied { sweeps: interner.sweeps(), ..Applied::default() }
    } else {
        match apply::apply(tx, interner, limits, &incoming).await? {
            Ok(applied) => applied,
            Err(stale) => return Ok(Err(stale)),
        }
    };
    plan.refused_sections(reports, &incoming, &places, &applied);
    plan.steps(tx, reports).await?;
    // What the second machine says of itself is not the device's.
    plan.claims.retain(|(device, _)| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == *device));
    plan.networks.retain(|device, _| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == *device));
    plan.discoveries.retain(|device, _| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == *device));
    plan.heartbeats.retain(|device, _| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == *device));
    plan.health.retain(|device, _| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == *device));
    plan.compliance.retain(|said| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == said.device));
    plan.logs.retain(|said| !suspects.iter().any(|suspect: &Suspect<'_>| suspect.device() == said.device));
    plan.comply(tx, reports).await?;
    plan.logs(tx, sources, reports).await?;
    let doubted = suspects.iter().map(Suspect::device).collect();
    committed.messages = plan.messages.len() as u64;
    committed.acts = rule_run::run(tx, rules, sources, &mut plan.messages, &doubted).await?;
    plan.store(tx, limits, reports, &mut committed, incoming.iter().filter(|message| !message.again).count()).await?;
    committed.suspects = suspect::quarantine(tx, sources, suspects).await?;
    for (report, outcome) in reports.iter().zip(&mut committed.outcomes) {
        if let (Outcome::Answer(answer), Channel::Inventory) = (outcome, report.batch.channel)
            && let Some(classes) = applied.resync.get(&report.device)
        {
            answer.resync = classes.iter().cloned().collect();
            // What was refused is not asked for again: it would be refused again.
            answer.resync.retain(|class| !answer.quarantined.iter().any(|item| item.class.as_deref() == Some(class)));
        }
    }
    Ok(Ok((committed, applied)))
}

fn measure(report: &Report, standing: Option<&Standing>) -> Result<(Accepted, Recent, ReportAnswer), Outcome> {
    let standing = standing.filter(|standing| standing.active).ok_or(Outcome::NotActive)?;
    let stands = standing.channels.get(&report.batch.channel);
    let (last, head) = stands.map_or((0, muster_model::id::Hash::ZERO), |stands| (stands.last, stands.head));
    let recent = stands.map(|stands| Recent::from_bytes(&stands.recent)).unwrap_or_default();
    let accepted = sequence::accept(last, head, &recent, &report.batch).map_err(Outcome::Refused)?;
    let recent = recent.after(&accepted);
    let (acknowledged, head) = accepted.answer(last, head);
    Ok((accepted, recent, ReportAnswer { acknowledged, head, resync: Vec::new(), quarantined: Vec::new() }))
}

fn collect<'a>(
    at: usize,
    report: &'a Report,
    accepted: &Accepted,
    incoming: &mut Vec<Incoming<'a>>,
    places: &mut Vec<(usize, u64)>,
) {
    for (number, item) in report.items.iter().enumerate() {
        if let Item::Inventory(inventory) = item {
            let again = number < accepted.skip;
            incoming.push(Incoming {
                device: report.device,
                received: report.received,
                again,
                late: false,
                report: inventory,
            });
            places.push((at, report.batch.first + number as u64));
        }
    }
}

impl Plan {
    fn add(&mut self, at: usize, report: &Report, accepted: &Accepted, recent: &Recent, answer: &ReportAnswer) {
        if accepted.head_after.is_empty() {
            return;
        }
        let (device, received) = (report.device, report.received);
        let (channel, last, head) = (report.batch.channel, answer.acknowledged, answer.head);
        self.channels.push(ChannelRow {
            device,
            channel,
            last,
            head,
            recent: recent.to_bytes(),
            address: report.address.clone(),
        });
        if accepted.anew {
            let text = format!(
                "The client began its {} channel anew at message {}: its outbox was lost, it was set back, or it is a copy.",
                channel.as_str(),
                accepted.next
            );
            let severity = muster_model::status::Severity::Warning;
            self.timeline.push(TimelineRow { device, happened: received, kind: "administration", severity, text });
        }
        if let Some(lost) = &accepted.lost {
            let text = format!(
                "The client lost messages {} to {} of its {} channel.",
                lost.start(),
                lost.end(),
                channel.as_str()
            );
            let severity = muster_model::status::Severity::Warning;
            self.timeline.push(TimelineRow { device, happened: received, kind: "administration", severity, text });
        }
        for (number, item) in report.items.iter().enumerate().skip(accepted.skip) {
            let sequence = report.batch.first + number as u64;
            match item {
                Item::Status(happened, message) => {
                    let (happened, message) = (*happened, message.clone());
                    self.messages.push(MessageRow { device, happened, received, message, expires: None });
                }
                Item::Step(happened, step) => {
                    let application = step.application;
                    self.steps.push((at, sequence, step::of(device, *happened, step), application));
                }
                Item::Compliance(happened, said) => self.compliance.push(Said {
                    at,
                    sequence,
                    device,
                    happened: *happened,
                    received,
                    report: said.clone(),
                }),
                Item::Heartbeat(claims) => {
                    self.claims.push((device, claims.clone()));
                    self.heartbeats.insert(device, received);
                }
                Item::Health(happened, said) => {
                    // It may have waited in the outbox; a clock that is ahead makes it no younger. The last one counts.
                    let checked = (*happened).min(received);
                    self.health.insert(device, HealthRow { device, checked, report: said.clone() });
                }
                Item::Network(said) => {
                    // The last one counts.
                    let (seen_address, said) = (report.address.clone(), said.clone());
                    self.networks.insert(device, NetworkRow { device, seen_address, report: said, reported: received });
                }
                Item::Log(happened, anchor, piece) => self.logs.push(client_log::Said {
                    at,
                    sequence,
                    device,
                    happened: *happened,
                    received,
                    anchor: anchor.clone(),
                    piece: piece.clone(),
                }),
                Item::Discovery(facts) => {
                    self.discoveries.insert(device, discovery::heartbeat(device, facts.clone(), received));
                }
                Item::Inventory(inventory) => {
                    for refused in &inventory.refused {
                        if let (Some(class), Some(waiting)) = (&refused.class, &refused.waiting) {
                            let (class, Waiting { digest, rows }) = (class.clone(), waiting.as_ref().clone());
                            // The last one of a class counts.
                            self.waiting
                                .insert((device, class.clone()), WaitingRow { device, class, digest, received, rows });
                        }
                        self.quarantine(at, report, sequence, refused.class.clone(), &refused.reason, &refused.excerpt);
                    }
                }
                Item::Refused(reason) => {
                    let text = report.batch.messages.get(number).map_or("", |message| message.get());
                    self.quarantine(at, report, sequence, None, reason, text);
                }
            }
        }
    }

    fn quarantine(
        &mut self,
        at: usize,
        report: &Report,
        sequence: u64,
        class: Option<String>,
        reason: &str,
        text: &str,
    ) {
        let row = QuarantineRow {
            device: report.device,
            received: report.received,
            channel: report.batch.channel,
            sequence,
            class,
            reason: crate::knowledge::inventory::section::clean(reason, 500),
            excerpt: excerpt(text),
        };
        self.quarantine.push((at, row));
    }

    fn refused_sections(
        &mut self,
        reports: &[&Report],
        incoming: &[Incoming<'_>],
        places: &[(usize, u64)],
        applied: &Applied,
    ) {
        for (place, refused) in &applied.refused {
            if let (Some((at, sequence)), Some(_)) = (places.get(*place), incoming.get(*place))
                && let Some(report) = reports.get(*at)
            {
                self.quarantine(*at, report, *sequence, refused.class.clone(), &refused.reason, &refused.excerpt);
            }
        }
    }

    /// Steps of deployments that the site knows of this device become its state; the others are put aside.
    async fn steps(&mut self, tx: &mut Tx, reports: &[&Report]) -> Result<(), SiteError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let mut devices: Vec<DeviceId> = self.steps.iter().map(|(_, _, step, _)| step.device).collect();
        devices.dedup();
        let known = deployment::known(tx, &devices).await?;
        let mut last: Vec<deployment::Step> = Vec::new();
        let mut all: Vec<(deployment::Step, u32, UnixMillis)> = Vec::new();
        let mut at_of: HashMap<(DeviceId, muster_model::id::DeploymentId), usize> = HashMap::new();
        let mut again: HashMap<DeviceId, UnixMillis> = HashMap::new();
        for (at, sequence, step, application) in std::mem::take(&mut self.steps) {
            let Some(report) = reports.get(at) else { continue };
            match known.get(&(step.device, step.deployment)) {
                Some(of) if of.application == application => {
                    all.push((step.clone(), of.attempt, report.received));
                    self.timeline.push(step::line(&step, &of.name, report.received));
                    // It began before it heard of the pause: what was taken out of its policy comes back.
                    if of.paused && !step::is_begun(of.state, None) && step::is_begun(step.state, step.waits) {
                        again.insert(step.device, report.received);
                    }
                    let place = *at_of.entry((step.device, step.deployment)).or_insert(last.len());
                    if place == last.len() {
                        last.push(step);
                    } else {
                        last[place] = step;
                    }
                }
                _ => {
                    let number = usize::try_from(sequence - report.batch.first).unwrap_or_default();
                    let text = report.batch.messages.get(number).map_or("", |message| message.get());
                    let reason = "The site has no such deployment of this application for this device.";
                    self.quarantine(at, report, sequence, None, reason, text);
                }
            }
        }
        deployment::report(tx, &last).await?;
        deployment_event::insert(tx, &all).await?;
        for (device, now) in again {
            assignment::ask(tx, &[device], now).await?;
        }
        Ok(())
    }

    /// How devices stand to their baselines.
    async fn comply(&mut self, tx: &mut Tx, reports: &[&Report]) -> Result<(), SiteError> {
        let taken = compliance::take(tx, std::mem::take(&mut self.compliance)).await?;
        self.timeline.extend(taken.timeline);
        self.put_aside(reports, taken.refused);
        Ok(())
    }

    /// Messages that are not taken, by the place of their report and their number.
    fn put_aside(&mut self, reports: &[&Report], refused: Vec<(usize, u64, &'static str)>) {
        for (at, sequence, reason) in refused {
            let Some(report) = reports.get(at) else { continue };
            let number = usize::try_from(sequence - report.batch.first).unwrap_or_default();
            let text = report.batch.messages.get(number).map_or("", |message| message.get());
            self.quarantine(at, report, sequence, None, reason, text);
        }
    }

    /// Where logs of clients stand, and pieces of them.
    async fn logs(&mut self, tx: &mut Tx, sources: &dyn Sources, reports: &[&Report]) -> Result<(), SiteError> {
        let taken = client_log::take(tx, sources, std::mem::take(&mut self.logs)).await?;
        self.timeline.extend(taken.timeline);
        self.put_aside(reports, taken.refused);
        Ok(())
    }

    /// Where devices are; what they shall have is looked at again.
    async fn store_networks(&mut self, tx: &mut Tx, reports: &[&Report]) -> Result<(), SiteError> {
        let networks: Vec<NetworkRow> = std::mem::take(&mut self.networks).into_values().collect();
        let Some(now) = reports.iter().map(|report| report.received).max() else { return Ok(()) };
        if networks.is_empty() {
            return Ok(());
        }
        network::put(tx, &networks).await?;
        if boundary::group_count(tx.conn()).await? > 0 {
            let devices: Vec<DeviceId> = networks.iter().map(|row| row.device).collect();
            assignment::ask(tx, &devices, now).await?;
        }
        Ok(())
    }

    /// What clients say of themselves for discovery.
    async fn store_discoveries(&mut self, tx: &mut Tx, reports: &[&Report]) -> Result<(), SiteError> {
        let records: Vec<DiscoveryRecord> = std::mem::take(&mut self.discoveries).into_values().collect();
        if let (Some(now), false) = (reports.iter().map(|report| report.received).max(), records.is_empty()) {
            discovery::take(tx, &records, now).await?;
        }
        Ok(())
    }

    async fn store(
        mut self,
        tx: &mut Tx,
        limits: &Limits,
        reports: &[&Report],
        committed: &mut Committed,
        inventories: usize,
    ) -> Result<(), SiteError> {
        committed.steps = self.timeline.len() as u64;
        committed.heartbeats = self.claims.len() as u64;
        committed.inventories = inventories as u64;
        committed.quarantined = self.quarantine.len() as u64;
        message::insert(tx, &self.messages).await?;
        timeline::insert(tx, &self.timeline).await?;
        for (device, claims) in &self.claims {
            device::set_claims(tx, *device, claims).await?;
        }
        let heartbeats: Vec<_> = std::mem::take(&mut self.heartbeats).into_iter().collect();
        client_status::heartbeat(tx, &heartbeats).await?;
        let health: Vec<HealthRow> = std::mem::take(&mut self.health).into_values().collect();
        client_status::put(tx, &health).await?;
        self.store_networks(tx, reports).await?;
        self.store_discoveries(tx, reports).await?;
        let mut rows = Vec::with_capacity(self.quarantine.len());
        for (at, row) in self.quarantine {
            if let Some(Outcome::Answer(answer)) = committed.outcomes.get_mut(at) {
                let (sequence, class, reason) = (row.sequence, row.class.clone(), row.reason.clone());
                answer.quarantined.push(Quarantined { sequence, class, reason });
            }
            rows.push(row);
        }
        latest(&mut rows, limits.quarantine_items);
        quarantine::insert(tx, &rows, limits.quarantine_items).await?;
        let waiting: Vec<WaitingRow> = self.waiting.into_values().collect();
        inventory_class::wait(tx, &waiting, WAITING_CLASSES, WAITING_SECTIONS).await?;
        channel::put(tx, &self.channels).await?;
        if let (Some(hour), false) = (reports.iter().map(|report| report.received).max(), self.channels.is_empty()) {
            let (reports, messages) = (self.channels.len() as u64, committed.messages);
            report_hour::add(tx, Hour { hour, reports, messages, quarantined: committed.quarantined }).await?;
        }
        Ok(())
    }
}

/// Keeps the last `keep` items of each device: the others would be removed as soon as they are there.
fn latest(rows: &mut Vec<QuarantineRow>, keep: usize) {
    let mut left: HashMap<DeviceId, usize> = HashMap::new();
    rows.reverse();
    rows.retain(|row| {
        let left = left.entry(row.device).or_insert(keep);
        let stays = *left > 0;
        *left = left.saturating_sub(1);
        stays
    });
    rows.reverse();
}
