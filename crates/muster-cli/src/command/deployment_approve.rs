//! `muster deployment approve`: a second person reads what would run where, and signs that with a key of their own.

use super::{Context, application, ask::confirm, deployment_options, find};
use crate::{CliError, Client, output, when};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use muster_model::{
    api::{Deployment, DeploymentApprove, DeploymentOrder, Target},
    application::Application,
    deployment_approval::{APPROVAL_LIFETIME, DeploymentApproval},
    id::Hash,
    policy::{Deferral, DeploymentPolicy},
};
use muster_trust::{envelope, sha256};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// Id or name
    deployment: String,
    /// How many devices may ever get it [default: as many as it has now]
    #[arg(long, value_name = "COUNT")]
    devices: Option<u64>,
    /// How long the approval is good for: nothing is begun by it afterwards
    #[arg(long = "for", value_parser = when::parse_length, value_name = "LENGTH", default_value = "7d")]
    lasts: i64,
    /// Your key, which signed nothing of what the deployment runs [default: the profile's]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// What is to be approved, put together from what was signed and not from what the site says of it.
struct Read {
    policy: DeploymentPolicy,
    /// Each with its hash and the keys that signed it.
    applications: Vec<(Hash, Application, Vec<Hash>)>,
}

async fn read(client: &Client, order: &DeploymentOrder) -> Result<Read, CliError> {
    let found = |what: &str| CliError::Found(format!("the site handed out {what}; nothing was signed"));
    let body = BASE64.decode(&order.body).map_err(|_| found("an order that is not base64"))?;
    if sha256(&body) != order.order {
        return Err(found("another order than it names"));
    }
    let policy: DeploymentPolicy = serde_json::from_slice(&body).map_err(|_| found("an order that does not parse"))?;
    if policy.deployment != order.deployment {
        return Err(found("the order of another deployment"));
    }
    let mut applications = Vec::new();
    for hash in [policy.application].iter().chain(&policy.related) {
        let object = client.application_object(hash).await?;
        if sha256(&object) != *hash {
            return Err(found("another application than the order names"));
        }
        let wrong = |_| found("an application that does not parse");
        let payload = envelope::unverified_payload(&object).map_err(wrong)?;
        let signers = envelope::unverified_signers(&object).map_err(wrong)?;
        let application = serde_json::from_slice(&payload).map_err(|_| found("an application that does not parse"))?;
        applications.push((*hash, application, signers));
    }
    Ok(Read { policy, applications })
}

/// In plain words.
fn described(ctx: &Context, read: &Read, deployment: &Deployment, approval: &DeploymentApproval) -> String {
    let target = match approval.target {
        Target::AllSystems => "every active device".to_owned(),
        Target::Device { device } => format!("device {device}"),
        Target::Collection { collection } => format!("the members of collection {collection}"),
    };
    let policy = &read.policy;
    let windows = match (policy.outside_windows, policy.software_update) {
        (true, _) => "not waited for",
        (false, true) => "those for updates",
        (false, false) => "kept",
    };
    let filters = match (policy.volatile, policy.purpose.is_required()) {
        (true, _) => "into the overlay: gone after the next restart",
        (false, true) => "serviced, where the client settings allow it",
        (false, false) => "into the overlay: users open none",
    };
    let mut text = output::pairs([
        ("Deployment", format!("{} ({})", output::clean(deployment.name.as_str()), approval.deployment)),
        ("Does", format!("{}, {}", policy.action.as_str(), policy.purpose.as_str())),
        ("For", target),
        ("Devices", format!("{} at most, those that come later included", approval.devices)),
        ("Available", when::both(ctx.now, policy.available)),
        ("Deadline", when::both(ctx.now, policy.deadline)),
        ("Windows", windows.to_owned()),
        ("Users", policy.deferral.map_or_else(|| "may not put it off".to_owned(), Deferral::sentence)),
        ("Write filters", filters.to_owned()),
        ("Approved until", when::both(ctx.now, approval.expires)),
    ]);
    text.push_str(&output::pairs(deployment_options::described(&policy.options)));
    for (hash, of, signers) in &read.applications {
        let keys: Vec<_> = signers.iter().map(Hash::to_string).collect();
        text.push_str(&format!("\n{}", application::described(of)));
        text.push_str(&output::pairs([("Hash", hash.to_string()), ("Signed by", keys.join(", "))]));
    }
    text.push_str("\nYou sign that this may run there.");
    text
}

pub(super) async fn deployment_approve(ctx: &Context, approve: Approve) -> Result<(), CliError> {
    if !(1..=APPROVAL_LIFETIME).contains(&approve.lasts) {
        return Err(CliError::Usage("an approval is good for at most 90 days".to_owned()));
    }
    let client = ctx.client().await?;
    let id = find::deployment(&client, &approve.deployment).await?;
    let deployment = client.deployment_show(id).await?.value;
    let order = client.deployment_order(id).await?;
    let read = read(&client, &order).await?;
    let approval = DeploymentApproval {
        site: client.site_show().await?.code,
        deployment: id,
        order: order.order,
        target: deployment.target,
        devices: approve.devices.unwrap_or(order.devices),
        issued: ctx.now,
        expires: ctx.now.plus(approve.lasts),
    };
    let key = application::author_key(ctx, approve.key.as_deref())?;
    let own = key.public().id();
    if read.applications.iter().any(|(_, _, signers)| signers.contains(&own)) {
        return Err(CliError::Usage(
            "your key signed some of what the deployment runs; another person must approve it".to_owned(),
        ));
    }
    confirm(ctx, &described(ctx, &read, &deployment, &approval))?;
    let signed = envelope::sign1_json(&key, &approval).map_err(|error| CliError::Usage(error.to_string()))?;
    let taken = client.deployment_approve(id, &DeploymentApprove { approval: BASE64.encode(signed) }).await?;
    ctx.out.value(&taken, |_| {
        format!("{} is approved for up to {} device(s).", output::clean(deployment.name.as_str()), approval.devices)
    })
}

/// `muster deployment withdraw-approval`
pub(super) async fn deployment_approval_withdraw(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::deployment(&client, word).await?;
    let seen = client.deployment_show(id).await?.value;
    let text = format!(
        "The approval of {} is taken back. Where it has more devices than need none, no client begins it any more.",
        output::clean(seen.name.as_str())
    );
    confirm(ctx, &text)?;
    client.deployment_approval_withdraw(id).await?;
    ctx.out.value(&id, |_| format!("The approval of {} is withdrawn.", output::clean(seen.name.as_str())))
}

/// Whether it waits for an approval, or who gave it; nothing where no rule holds.
pub(super) fn approval_of(order: &DeploymentOrder, now: muster_model::time::UnixMillis) -> Option<String> {
    let waits = || "waits for the approval of a second key: `muster deployment approve`".to_owned();
    let left = |text: String| match order.left_out {
        0 => text,
        count => format!("{text}; {count} device(s) of its target do not get it, for want of one"),
    };
    match &order.approval {
        Some(approval) => {
            let who = approval.name.as_ref().map_or_else(|| approval.key.to_string(), |name| output::clean(name));
            let until = when::both(now, approval.expires);
            let dead = approval.dead.as_ref().map(|dead| format!("; it does not count: {}", output::clean(dead)));
            let dead = dead.unwrap_or_default();
            Some(left(format!("by {who}, for up to {} device(s), until {until}{dead}", approval.devices)))
        }
        None if order.waits_for_approval => Some(waits()),
        None => order.reach.map(|reach| left(format!("not needed for up to {reach} device(s)"))),
    }
}
