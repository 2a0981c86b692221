//! `muster device compliance`: the baselines of a device, and what of it is not as they say.

use super::{
    Context,
    baseline::{RESULT_HEAD, result_row},
    find,
};
use crate::{CliError, output, when};
use muster_model::{
    api::{DeviceCompliance, ResultQuery, SettingCompliance},
    compliance::ComplianceState,
};

/// Settings that are shown of each baseline.
const SETTINGS: u32 = 50;

pub(super) async fn device_compliance(ctx: &Context, word: &str) -> Result<(), CliError> {
    let client = ctx.client().await?;
    let id = find::device(&client, word).await?;
    let baselines = client.device_compliance(id).await?;
    let mut differences: Vec<(String, Vec<SettingCompliance>, u64)> = Vec::new();
    let bad = |row: &&DeviceCompliance| {
        matches!(row.state, ComplianceState::NonCompliant | ComplianceState::Conflict | ComplianceState::Error)
    };
    for row in baselines.iter().filter(bad) {
        let query = ResultQuery { device: Some(id), differs: true, limit: SETTINGS, ..ResultQuery::default() };
        let page = client.compliance_results(row.deployment, &query).await?;
        differences.push((row.deployment_name.clone(), page.items, page.total));
    }
    let settings: Vec<_> = differences.iter().flat_map(|(_, rows, _)| rows).collect();
    let all = serde_json::json!({ "baselines": baselines, "differences": settings });
    ctx.out.value(&all, |_| {
        let rows = baselines.iter().map(|row| {
            [
                row.deployment_name.clone(),
                row.state.as_str().to_owned(),
                row.severity.map(|severity| severity.as_str().to_owned()).unwrap_or_default(),
                row.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
                row.evaluated.map(|moment| when::human(ctx.now, moment)).unwrap_or_default(),
                when::human(ctx.now, row.changed),
            ]
        });
        let mut text = output::table(["BASELINE", "STATE", "SEVERITY", "WHY", "EVALUATED", "SINCE"], rows);
        if baselines.is_empty() {
            text = "It is held against no baseline.\n".to_owned();
        }
        for (name, rows, total) in &differences {
            text.push_str(&format!("\n{name}\n"));
            let table = output::table(RESULT_HEAD, rows.iter().map(|row| result_row(ctx, row)));
            text.push_str(&output::listed(&table, rows.len(), *total, 0, "No results."));
        }
        text
    })
}
