//! What is how frequent among the devices: models, manufacturers, software. Counting it reads a row of every device, so it is done again
//! only after thirty times as long as it took.

use crate::{Site, SiteError};
use muster_model::{
    api::{Count, ModelCount, Spread},
    time::{MINUTE, SECOND, UnixMillis},
};
use muster_store::db::{dashboard, software_title};
use std::{cmp::Reverse, collections::BTreeMap};
use tokio::sync::Mutex;

/// Entries of each list.
const SHOWN: usize = 12;
/// Models that are told apart; the rest of a site with more is not counted.
const MODELS: u32 = 10_000;
/// Counted again after this long at least, and at most.
const REST: [i64; 2] = [2 * SECOND, 10 * MINUTE];

/// The last counts, and how long they are shown.
#[derive(Debug, Default)]
pub(crate) struct LastSpread(Mutex<Option<(UnixMillis, i64, Spread)>>);

/// The counts. Whoever asks while they are made waits for them.
pub(super) async fn spread(site: &Site, now: UnixMillis) -> Result<Spread, SiteError> {
    let mut last = site.memory.spread.0.lock().await;
    if let Some((made, rest, spread)) = &*last
        && (0..*rest).contains(&now.since(*made))
    {
        return Ok(spread.clone());
    }
    let began = site.sources.now();
    let spread = count(site, now).await?;
    let rest = site.sources.now().since(began).saturating_mul(30).clamp(REST[0], REST[1]);
    *last = Some((now, rest, spread.clone()));
    Ok(spread)
}

async fn count(site: &Site, now: UnixMillis) -> Result<Spread, SiteError> {
    let mut reader = site.store.reader().await?;
    let models = dashboard::models(&mut reader, site.store.dialect(), MODELS).await?;
    let software = software_title::most_spread(&mut reader, SHOWN as u32).await?;
    let restart_pending = dashboard::restart_pending(&mut reader, site.store.dialect()).await?;
    Ok(Spread { software, restart_pending, counted: now, ..of_models(models) })
}

/// The lists of models, which are in their order, and of manufacturers.
fn of_models(models: Vec<ModelCount>) -> Spread {
    let mut makers: BTreeMap<String, u64> = BTreeMap::new();
    let (known, unknown): (Vec<_>, Vec<_>) =
        models.into_iter().partition(|model| !model.manufacturer.is_empty() || !model.model.is_empty());
    for model in known.iter().filter(|model| !model.manufacturer.is_empty()) {
        *makers.entry(model.manufacturer.clone()).or_default() += model.count;
    }
    let mut manufacturers: Vec<Count> = makers.into_iter().map(|(label, count)| Count { label, count }).collect();
    manufacturers.sort_by_key(|maker| Reverse(maker.count));
    manufacturers.truncate(SHOWN);
    Spread {
        models: known.into_iter().take(SHOWN).collect(),
        manufacturers,
        unknown: unknown.iter().map(|model| model.count).sum(),
        ..Spread::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manufacturers_are_the_sums_of_their_models() {
        let model = |manufacturer: &str, model: &str, count| ModelCount {
            manufacturer: manufacturer.to_owned(),
            model: model.to_owned(),
            count,
        };
        let mut models = vec![model("B", "1", 7), model("A", "1", 5), model("", "", 4), model("A", "2", 3)];
        models.extend((0..20).map(|number| model("C", &number.to_string(), 1)));
        let spread = of_models(models);
        let makers: Vec<_> = spread.manufacturers.iter().map(|maker| (maker.label.as_str(), maker.count)).collect();
        assert_eq!(makers, [("C", 20), ("A", 8), ("B", 7)]);
        assert_eq!((spread.models.len(), spread.models[2].model.as_str(), spread.unknown), (12, "2", 4));
    }
}
