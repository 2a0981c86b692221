//! `muster device`: look at devices, lock them out, let them go.

use super::{
    Context, Part,
    ask::confirm,
    certificate::Why,
    client_log, find,
    history::{Compare, History},
};
use crate::{CliError, output, when};
use clap::{Args, Subcommand};
use muster_model::{
    api::{
        DEVICES_BLOCKED, Device, DeviceDetail, DeviceQuery, DeviceSort, DeviceState, DevicesBlock, DevicesBlocked,
        Reason,
    },
    time::UnixMillis,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List devices
    List(List),
    /// Show a device
    Show {
        /// Device id or host name
        device: String,
    },
    /// What happened with a device, the newest first
    Timeline {
        /// Device id or host name
        device: String,
        #[command(flatten)]
        part: Part,
    },
    /// How the inventory of a device changed, the latest first, or what a class was at a moment
    History(History),
    /// What is different on a device between two moments
    Compare(Compare),
    /// The client settings of a device, each with what says so
    Settings {
        /// Device id or host name
        device: String,
    },
    /// The baselines that a device is held against, and what is not as they say
    Compliance {
        /// Device id or host name
        device: String,
    },
    /// The log of a device: where it stands, and pieces of it
    #[command(subcommand)]
    Logs(client_log::Verb),
    /// Lock a device out at once; it can be unblocked
    Block(Block),
    /// Let a blocked device in again
    Unblock(Change),
    /// Let a device go for good; to come back it enrols anew
    Retire(Change),
    /// Revoke every certificate of a device for good; to come back it enrols anew
    Revoke {
        /// Device id or host name
        device: String,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Part of the host name or operating system, or a whole id
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    search: String,
    /// Only in this state: active, quarantined, blocked, retired
    #[arg(long)]
    state: Option<DeviceState>,
    /// Column: name, state, operating_system, last_seen, enrolled
    #[arg(long, default_value = "name", value_name = "COLUMN")]
    sort: DeviceSort,
    /// From high to low
    #[arg(long)]
    descending: bool,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Device id or host name
    device: String,
    /// Why, for the audit log
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct Block {
    /// Device ids or host names; several are locked out in one step, all of them or none
    #[arg(required = true, num_args = 1..)]
    devices: Vec<String>,
    /// Why, for the audit log
    #[arg(long)]
    reason: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Block,
    Unblock,
    Retire,
}

impl Verb {
    pub(super) async fn run(self, ctx: &Context) -> Result<(), CliError> {
        match self {
            Self::List(list) => device_list(ctx, list).await,
            Self::Show { device } => {
                let client = ctx.client().await?;
                let id = find::device(&client, &device).await?;
                ctx.out.value(&client.device_show(id).await?.value, |detail| shown(ctx.now, detail))
            }
            Self::Timeline { device, part } => device_timeline(ctx, &device, part).await,
            Self::History(history) => history.run(ctx).await,
            Self::Compare(compare) => compare.run(ctx).await,
            Self::Settings { device } => {
                let client = ctx.client().await?;
                let id = find::device(&client, &device).await?;
                ctx.out.value(&client.device_settings(id).await?, |settings| super::settings::of_device(settings))
            }
            Self::Compliance { device } => super::device_compliance::device_compliance(ctx, &device).await,
            Self::Logs(verb) => verb.run(ctx).await,
            Self::Block(block) => block.run(ctx).await,
            Self::Unblock(change) => change.run(ctx, Kind::Unblock).await,
            Self::Retire(change) => change.run(ctx, Kind::Retire).await,
            Self::Revoke { device, why } => device_revoke(ctx, &device, why).await,
        }
    }
}

async fn device_revoke(ctx: &Context, device: &str, why: Why) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::device(&client, device).await?;
    let name = client.device_show(id).await?.value.device.name;
    let about = format!(
        "{} ({id})\nIts certificates are worth nothing from now on, and it comes back only by enrolling with a new key. This \
         cannot be undone.",
        output::clean(&name)
    );
    confirm(ctx, &about)?;
    let device = client.device_revoke(id, &why.into()).await?;
    ctx.out.value(&device, |d| format!("The certificates of {} are revoked.", output::clean(&d.name)))
}

impl Block {
    async fn run(mut self, ctx: &Context) -> Result<(), CliError> {
        if self.devices.len() == 1 {
            let change = Change { device: self.devices.remove(0), reason: self.reason };
            return change.run(ctx, Kind::Block).await;
        }
        let client = ctx.client().await?;
        let mut devices = Vec::new();
        for word in &self.devices {
            devices.push(find::device(&client, word).await?);
        }
        let about = format!(
            "{} devices: {}\nTheir connections are closed now, and they get nothing until they are unblocked.",
            devices.len(),
            self.devices.iter().map(|word| output::clean(word)).collect::<Vec<_>>().join(", ")
        );
        confirm(ctx, &about)?;
        let (mut blocked, mut before) = (0, Vec::new());
        for part in devices.chunks(DEVICES_BLOCKED) {
            let request = DevicesBlock { devices: part.to_vec(), reason: self.reason.clone() };
            let done = client.device_block_many(&request).await?;
            blocked += done.blocked;
            before.extend(done.before);
        }
        ctx.out.value(&DevicesBlocked { blocked, before }, |done| {
            format!("{} devices are blocked now; {} were blocked or retired before.", done.blocked, done.before.len())
        })
    }
}

impl Change {
    async fn run(self, ctx: &Context, kind: Kind) -> Result<(), CliError> {
        let client = ctx.client().await?;
        let id = find::device(&client, &self.device).await?;
        let seen = client.device_show(id).await?;
        let device = &seen.value.device;
        let consequence = match kind {
            Kind::Block => "Its connections are closed now, and it gets nothing until it is unblocked.",
            Kind::Unblock => "It may connect again, and gets its policy.",
            Kind::Retire => "It leaves for good: its certificate is worth nothing any more. This cannot be undone.",
        };
        let about = format!(
            "{} ({id}), {}, last seen {}.\n{consequence}",
            output::clean(&device.name),
            device.state,
            seen_at(ctx.now, device.last_seen)
        );
        confirm(ctx, &about)?;
        // The ETag of what was shown: nothing happens when somebody changed the device meanwhile.
        let (reason, etag) = (Reason { reason: self.reason }, seen.etag.as_deref());
        let device = match kind {
            Kind::Block => client.device_block(id, &reason, etag).await?,
            Kind::Unblock => client.device_unblock(id, &reason, etag).await?,
            Kind::Retire => client.device_retire(id, &reason, etag).await?,
        };
        ctx.out.value(&device, |d| format!("{} is {} now.", output::clean(&d.name), d.state))
    }
}

fn seen_at(now: UnixMillis, moment: Option<UnixMillis>) -> String {
    moment.map_or_else(|| "never".to_owned(), |moment| when::human(now, moment))
}

async fn device_list(ctx: &Context, list: List) -> Result<(), CliError> {
    let wanted = DeviceQuery {
        search: list.search,
        state: list.state,
        sort: list.sort,
        descending: list.descending,
        offset: list.part.offset,
        limit: list.part.limit,
    };
    let page = ctx.client().await?.device_list(&wanted).await?;
    ctx.out.value(&page, |page| {
        let row = |d: &Device| {
            [
                d.id.to_string(),
                d.name.clone(),
                d.state.to_string(),
                d.key_protection.to_string(),
                if d.online { "yes" } else { "" }.to_owned(),
                seen_at(ctx.now, d.last_seen),
                d.operating_system.clone(),
                d.agent_version.clone(),
            ]
        };
        let head = ["ID", "NAME", "STATE", "KEY", "ONLINE", "LAST SEEN", "SYSTEM", "AGENT"];
        let table = output::table(head, page.items.iter().map(row));
        let none = "No devices. `muster token create` makes what a client is started with.";
        output::listed(&table, page.items.len(), page.total, page.offset, none)
    })
}

async fn device_timeline(ctx: &Context, device: &str, part: Part) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::device(&client, device).await?;
    let page = client.device_timeline(id, &part.query()).await?;
    ctx.out.value(&page, |page| {
        let rows = page
            .items
            .iter()
            .map(|e| [when::full(e.time), e.kind.clone(), e.severity.as_str().to_owned(), e.text.clone()]);
        let table = output::table(["TIME", "KIND", "SEVERITY", "WHAT"], rows);
        output::listed(&table, page.items.len(), page.total, page.offset, "Nothing happened yet.")
    })
}

fn shown(now: UnixMillis, detail: &DeviceDetail) -> String {
    let device = &detail.device;
    let at = |moment: Option<UnixMillis>| moment.map_or_else(|| "never".to_owned(), |m| when::both(now, m));
    let mut rows = vec![
        ("Name", device.name.clone()),
        ("Id", device.id.to_string()),
        ("Resource id", device.resource_id.to_string()),
        ("State", device.state.to_string()),
        ("Online", if device.online { "yes" } else { "no" }.to_owned()),
        ("System", device.operating_system.clone()),
        ("Agent", device.agent_version.clone()),
        ("Enrolled", when::both(now, device.enrolled)),
        ("Last seen", at(device.last_seen)),
        ("Last inventory", at(device.last_inventory)),
        ("Key", format!("{} ({})", detail.key, device.key_protection)),
        (
            "Certificate",
            format!("{}, until {}", detail.certificate_serial, when::both(now, detail.certificate_expires)),
        ),
        ("Policy", format!("version {}, until {}", detail.policy_version, at(detail.policy_expires))),
        ("Policy confirmed", at(detail.policy_confirmed)),
    ];
    rows.extend(detail.restart.iter().flat_map(|restart| {
        let needed = ("Restart", if restart.pending { restart.reasons.clone() } else { "not needed".to_owned() });
        let stale = restart.programs.filter(|programs| *programs > 0);
        let stale =
            stale.map(|programs| ("Replaced files", format!("{programs} program(s): {}", restart.program_names)));
        std::iter::once(needed).chain(stale)
    }));
    rows.extend(detail.attestation.iter().map(|a| {
        ("TPM", format!("{}, vouched for by {}, verified {}", a.hardware, a.vouched_by, when::both(now, a.verified)))
    }));
    rows.extend(detail.account.iter().map(|a| {
        ("Domain account", format!("{} of {}, {}, proven {}", a.account, a.realm, a.sid, when::both(now, a.verified)))
    }));
    rows.extend(detail.location.iter().flat_map(|at| {
        let site = at.directory_site.as_ref().map(|site| format!(", directory site {site}")).unwrap_or_default();
        let groups: Vec<_> = at.groups.iter().map(ToString::to_string).collect();
        let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
        [
            ("Network", format!("{}{site}, {}", at.seen_address, when::both(now, at.reported))),
            ("Boundary groups", groups),
        ]
    }));
    rows.extend(detail.block_reason.iter().map(|reason| ("Blocked", reason.clone())));
    rows.extend(detail.key_revoked.is_some().then(|| ("Key revoked", at(detail.key_revoked))));
    rows.extend(detail.unread.iter().map(|unread| ("Not read", format!("{}: {}", unread.class, unread.reason))));
    let mut text = output::pairs(rows);
    if !detail.classes.is_empty() {
        let classes = detail.classes.iter().map(|c| [c.class.clone(), c.rows.to_string(), when::human(now, c.changed)]);
        text.push_str(&format!("\nInventory (`muster inventory show {} <CLASS>`)\n", device.id));
        text.push_str(&output::table(["CLASS", "ROWS", "CHANGED"], classes));
        text.push('\n');
    }
    if !detail.collections.is_empty() {
        let collections = detail.collections.iter().map(|c| [c.id.to_string(), c.name.to_string()]);
        text.push('\n');
        text.push_str(&output::table(["COLLECTION", "NAME"], collections));
        text.push('\n');
    }
    if !detail.deployments.is_empty() {
        let deployments = detail.deployments.iter().map(|d| {
            [
                d.deployment_name.clone(),
                d.state.as_str().to_owned(),
                d.reason.map(|r| r.as_str().to_owned()).unwrap_or_default(),
                when::human(now, d.changed),
            ]
        });
        text.push_str("\nDeployments\n");
        text.push_str(&output::table(["DEPLOYMENT", "STATE", "REASON", "CHANGED"], deployments));
    }
    text
}
