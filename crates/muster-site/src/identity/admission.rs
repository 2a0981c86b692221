//! What becomes of a request to enrol when it comes: refused at once, approved at once, or it waits.

use super::{
    approval, conflict, enrolment as enrolment_rules,
    enterprise::{self, Claim},
};
use crate::{Ctx, SiteError, audit, site::Site};
use muster_model::{
    api::{ApprovalMode, DeviceState, DomainAccount, EnrolmentState, HardwareStanding},
    id::DeviceId,
    status::Severity,
};
use muster_store::{
    Tx,
    db::{
        attestation::{self, AttestationRow},
        conflict::ConflictRow,
        device::{self, Marks},
        domain_account,
        enrolment::{self, EnrolmentRow},
        enterprise::EnterpriseRow,
        hardware, serial, timeline,
    },
};

/// What stands behind a request beside its token's secret and its key.
pub(super) struct Proven {
    /// Of its TPM.
    pub(super) evidence: Option<AttestationRow>,
    /// Of the enterprise's PKI.
    pub(super) enterprise: Option<EnterpriseRow>,
    /// Of its domain.
    pub(super) account: Option<DomainAccount>,
    /// The serial number that its token was made for; it is the one that is stated.
    pub(super) made_for: Option<String>,
}

/// Keeps a request whose token was taken. One that comes from a blocked device or blocked hardware, under whatever name and key,
/// is refused at once; what the approval mode allows is approved at once; a machine that is there already is an alarm.
pub(super) async fn admit(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    mut row: EnrolmentRow,
    proven: &Proven,
) -> Result<(EnrolmentRow, Vec<ConflictRow>), SiteError> {
    let (name, hardware) = (row.claims.host_name.clone(), row.hardware);
    let blocked = device::blocked_alike(tx, marks(&row)).await?;
    let decided = match &hardware {
        Some(hardware) => hardware::get(tx, hardware).await?.map(|decided| decided.standing),
        None => None,
    };
    let alike = device::alike(tx, marks(&row)).await?;
    let resembles = alike.iter().any(|other| other.state != DeviceState::Retired);
    // Also that of a retired device: it would not become a second one, and somebody has to see why.
    let has_known_key = alike.iter().any(|other| other.common == "key");
    let twins = twins(alike);
    enrolment::insert(tx, &row).await?;
    if let Some(evidence) = &proven.evidence {
        attestation::insert(tx, row.id, evidence).await?;
    }
    if let Some(account) = &proven.account {
        domain_account::insert(tx, row.id, account).await?;
    }
    let claim = match &proven.enterprise {
        Some(certificate) => enterprise::claim(tx, ctx, site, &row, certificate).await?,
        None => Claim::default(),
    };
    let detail = if let Some(device) = blocked.or(claim.blocked) {
        refuse_at_once(tx, ctx, &mut row).await?;
        let text = format!(
            "{name} at {} tried to enrol with this device's key, hardware or domain account, and was refused.",
            ctx.address
        );
        tell(tx, ctx, device, text).await?;
        format!("{name} at {} was refused: it has key, hardware or account of blocked device {device}.", ctx.address)
    } else if decided == Some(HardwareStanding::Blocked) {
        refuse_at_once(tx, ctx, &mut row).await?;
        format!("{name} at {} was refused: its hardware identity is blocked.", ctx.address)
    } else {
        for (device, other) in &twins {
            let text = format!(
                "Two machines, or one that was enrolled twice: {name} at {} asks to be enrolled (request {}) with another \
                 key and the hardware or domain account of this device, {other}.",
                ctx.address, row.id
            );
            tell(tx, ctx, *device, text).await?;
            conflict::enrolled_again(tx, ctx, site, &row, *device).await?;
        }
        format!("{name} at {} asks to be enrolled, key {}.", ctx.address, row.key)
    };
    audit::append(tx, ctx, "enrolment_request", format!("enrolment {}", row.id), detail).await?;
    if row.state == EnrolmentState::Pending {
        let doubts = enterprise::doubts(tx, row.id).await?;
        let settings = approval::read(tx.conn()).await?;
        let account = proven.account.as_ref().map(|account| settings.as_of_now(account));
        let facts = approval::Facts {
            attested: hardware.is_some(),
            awaited: decided == Some(HardwareStanding::Awaited),
            account: account.as_ref(),
            token_serial: proven.made_for.as_deref(),
            is_listed: is_listed(tx, &row).await?,
            has_twin: has_known_key || !twins.is_empty() || !claim.suspects.is_empty() || !doubts.is_empty(),
            resembles,
        };
        decide(tx, ctx, site, &mut row, settings.mode, facts).await?;
    }
    Ok((row, claim.quarantine(tx).await?))
}

/// By what it is known again.
pub(super) fn marks(row: &EnrolmentRow) -> Marks<'_> {
    Marks { key: &row.key, hardware: row.hardware.as_ref(), account: row.account.as_deref(), claims: &row.claims }
}

async fn is_listed(tx: &mut Tx, row: &EnrolmentRow) -> Result<bool, SiteError> {
    match &row.serial {
        Some(number) => Ok(serial::get(tx, number).await?.is_some()),
        None => Ok(false),
    }
}

/// Approves a request by itself, where the approval mode allows it, and says why or why not.
async fn decide(
    tx: &mut Tx,
    ctx: &Ctx,
    site: &Site,
    row: &mut EnrolmentRow,
    mode: ApprovalMode,
    mut facts: approval::Facts<'_>,
) -> Result<(), SiteError> {
    let mut basis = approval::automatic(mode, &facts);
    if let (Some(approval::Basis::Awaited), Some(hardware)) = (basis, &row.hardware)
        && !hardware::arrived(tx, hardware).await?
    {
        // Not any more; what else speaks for it still does.
        facts.awaited = false;
        basis = approval::automatic(mode, &facts);
    }
    row.verdict = approval::verdict(mode, &facts, basis);
    if let Some(verdict) = &row.verdict {
        enrolment::set_verdict(tx, row.id, verdict).await?;
        let object = format!("enrolment {}", row.id);
        audit::append(tx, &Ctx::site(ctx.now), "enrolment_judge", object, verdict.clone()).await?;
    }
    if basis.is_some() {
        let device = enrolment_rules::new_device(ctx, site, row)?;
        enrolment_rules::approve(tx, &Ctx::site(ctx.now), row, &device, "site").await?;
        (row.state, row.device) = (EnrolmentState::Approved, Some(device.0.id));
    }
    Ok(())
}

/// Active devices with the same hardware or account and another key: by proof where there is one, else by what the client says.
fn twins(alike: Vec<device::Alike>) -> Vec<(DeviceId, String)> {
    let same = |other: &device::Alike| {
        matches!(other.state, DeviceState::Active | DeviceState::Quarantined)
            && matches!(other.common, "TPM" | "domain account" | "hardware id")
    };
    let mut twins: Vec<_> = alike.into_iter().filter(same).map(|other| (other.id, other.name)).collect();
    twins.sort_by_key(|(id, _)| id.0);
    twins.dedup_by_key(|(id, _)| *id);
    twins
}

async fn refuse_at_once(tx: &mut Tx, ctx: &Ctx, row: &mut EnrolmentRow) -> Result<(), SiteError> {
    enrolment::decide(tx, row.id, EnrolmentState::Refused, None, "site", ctx.now).await?;
    row.state = EnrolmentState::Refused;
    Ok(())
}

/// A warning in the history of a device.
async fn tell(tx: &mut Tx, ctx: &Ctx, device: DeviceId, text: String) -> Result<(), SiteError> {
    let line = super::device::line(device, ctx.now, "enrolment", Severity::Warning, text);
    Ok(timeline::insert(tx, &line).await?)
}
