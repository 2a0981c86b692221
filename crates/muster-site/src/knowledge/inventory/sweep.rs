//! Maintenance: rows that no device has any more, and that no kept history names, go. What is used is read in pieces into sets in memory;
//! reports wait only while some thousand rows are removed.

use crate::{Site, SiteError};
use muster_model::{
    catalogue::Class,
    time::{HOUR, UnixMillis},
};
use muster_store::{db::inventory_sweep, transaction};
use roaring::RoaringTreemap;
use std::{collections::BTreeMap, sync::Arc};

/// Devices whose rows are read at once.
const DEVICES: u32 = 100;
/// Changes that are read at once.
const CHANGES: u32 = 5_000;
/// Rows that are looked at, and perhaps removed, at once.
const ROWS: u32 = 5_000;

/// How far a sweep is.
#[derive(Debug, Default)]
pub struct Sweep {
    at: Step,
    /// When it began; `None`: it has not.
    began: Option<UnixMillis>,
    /// Rows in use, by class.
    used: BTreeMap<String, RoaringTreemap>,
    /// The last change that was read.
    change: i64,
    classes: Vec<Arc<Class>>,
    /// How many rows went.
    pub gone: u64,
}

#[derive(Debug)]
enum Step {
    /// After this device.
    Devices(String),
    History,
    /// The class, by its number, and the row after which it goes on.
    Rows(usize, i64),
}

impl Default for Step {
    fn default() -> Self {
        Self::Devices(String::new())
    }
}

impl Sweep {
    fn use_rows(&mut self, lists: Vec<(String, Vec<i64>)>) {
        for (class, ids) in lists {
            self.used.entry(class).or_default().extend(ids.iter().map(|id| id.cast_unsigned()));
        }
    }
}

/// One piece of a sweep; whether there is more.
///
/// # Errors
/// When the store fails; the sweep may go on, or be begun again.
pub async fn inventory_sweep(site: &Site, sweep: &mut Sweep, now: UnixMillis) -> Result<bool, SiteError> {
    if sweep.began.is_none() {
        sweep.classes = site.catalogue.load().classes().to_vec();
    }
    let began = *sweep.began.get_or_insert(now);
    // What changed meanwhile is looked for by its time; when the clock went back it would not be found.
    if now < began {
        *sweep = Sweep::default();
        return Ok(false);
    }
    match &sweep.at {
        Step::Devices(after) => {
            let piece = inventory_sweep::of_devices(&mut *site.store.reader().await?, after, DEVICES).await?;
            match piece {
                Some((last, lists)) => {
                    sweep.at = Step::Devices(last);
                    sweep.use_rows(lists);
                }
                None => sweep.at = Step::History,
            }
        }
        Step::History => {
            let piece = inventory_sweep::of_history(&mut *site.store.reader().await?, sweep.change, CHANGES).await?;
            match piece {
                Some((last, lists)) => {
                    sweep.change = last;
                    sweep.use_rows(lists);
                }
                None => sweep.at = Step::Rows(0, i64::MIN),
            }
        }
        Step::Rows(at, after) => {
            let (at, after) = (*at, *after);
            let Some(class) = sweep.classes.get(at).cloned() else { return Ok(false) };
            let mut reader = site.store.reader().await?;
            let rows = inventory_sweep::after(&mut reader, site.store.dialect(), &class, after, ROWS).await?;
            drop(reader);
            sweep.at = match rows.last() {
                Some(last) => Step::Rows(at, *last),
                None => Step::Rows(at + 1, i64::MIN),
            };
            let used = sweep.used.get(&class.name);
            let is_free = |id: &i64| !used.is_some_and(|used| used.contains(id.cast_unsigned()));
            let free: Vec<i64> = rows.into_iter().filter(is_free).collect();
            if !free.is_empty() {
                let (text, since) = (site.sources.id().to_string(), (began.plus(-HOUR), sweep.change));
                sweep.gone += transaction!(site.store, "inventory_sweep", |tx| {
                    Ok::<_, SiteError>(inventory_sweep::remove(tx, &class, &free, since, &text).await?)
                })?;
            }
        }
    }
    Ok(true)
}
