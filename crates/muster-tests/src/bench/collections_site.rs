//! A site in this process for measurements, and its devices: loaded through the store's bulk functions.

use crate::fleet::{
    FleetError, clock,
    software::{self, Kind, State},
};
use muster_model::{
    api::{DeviceState, PageQuery},
    catalogue::{Catalogue, Class},
    enrol::DeviceClaims,
    id::{DeviceId, Hash, ResourceId},
    inventory::{Row, Value},
    limits::Limits,
    time::{DAY, SECOND, UnixMillis},
};
use muster_site::{
    Caller, Ctx, NewSite, Site, SiteParts,
    identity::keys::HeldKeys,
    site::{Addresses, Sources},
    site_create,
};
use muster_store::{
    Store, StoreError,
    content::ContentStore,
    db::{
        admin,
        device::{self, DeviceRow},
        device_change,
        inventory::{self, NewRow, SectionRow},
    },
    transaction,
};
use muster_trust::{PrivateKey, sha256};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// Classes of which every device has rows.
pub const CLASSES: [&str; 2] = [software::CLASS, "OPERATING_SYSTEM"];
/// Devices of one transaction.
const PIECE: u64 = 250;

fn broken(error: impl std::fmt::Display) -> FleetError {
    FleetError::Unusable(format!("the site: {error}"))
}

/// What a site is opened from again.
#[derive(Debug)]
pub struct Parts {
    url: String,
    content: PathBuf,
    root: Hash,
    keys: Arc<HeldKeys>,
    /// The first administrator's key, which signs applications.
    pub author: PrivateKey,
}

#[derive(Debug)]
struct Clock;

impl Sources for Clock {
    fn now(&self) -> UnixMillis {
        clock::now()
    }
    fn id(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// Makes a site.
///
/// # Errors
/// When its database cannot be made.
pub async fn make(database: Option<&str>, scratch: &Path) -> Result<(Arc<Site>, Parts), FleetError> {
    let url = database.map_or_else(|| format!("sqlite:{}", scratch.join("site.db").display()), str::to_owned);
    let store = Store::open(&url).await.map_err(broken)?;
    let name = |text: &str| text.parse().map_err(|_| broken("a name"));
    let code = "BEN".parse().map_err(|_| broken("a site code"))?;
    let within = ["localhost".to_owned()];
    let new = NewSite::generate(code, name("Bench")?, name("Ada")?, Uuid::new_v4(), None, &within, clock::now());
    let new = new.map_err(broken)?;
    site_create(&Ctx::site(clock::now()), &store, &new).await.map_err(broken)?;
    store.close().await;
    let author = new.admin_key.as_ref().ok_or_else(|| broken("no author"))?;
    let author = PrivateKey::from_pkcs8(author.pkcs8()).map_err(broken)?;
    let root = new.root();
    let parts = Parts { url, content: scratch.join("content"), root, keys: Arc::new(new.into_keys()), author };
    Ok((Arc::new(open(&parts).await?), parts))
}

/// Opens a site, as another process would.
///
/// # Errors
/// When its database cannot be opened.
pub async fn open(parts: &Parts) -> Result<Site, FleetError> {
    let site = Site::open(SiteParts {
        store: Store::open(&parts.url).await.map_err(broken)?,
        content: ContentStore::open(parts.content.clone()).map_err(broken)?,
        keys: parts.keys.clone(),
        root: parts.root,
        endorsement_roots: Vec::new(),
        keytabs: Vec::new(),
        limits: Limits::default(),
        addresses: Addresses::default(),
        sources: Arc::new(Clock),
    });
    site.await.map_err(broken)
}

/// The first administrator asks.
///
/// # Errors
/// When there is none.
pub async fn ctx(site: &Site) -> Result<Ctx, FleetError> {
    let mut reader = site.store.reader().await.map_err(broken)?;
    let page = PageQuery { offset: 0, limit: 1 };
    let first = admin::list(&mut reader, page).await.map_err(broken)?.0.into_iter().next();
    let admin = first.ok_or_else(|| broken("no administrator"))?;
    Ok(Ctx { caller: Caller::Admin(admin), now: clock::now(), address: "127.0.0.1".to_owned() })
}

/// Names of packages.
#[must_use]
pub fn package_names() -> Vec<String> {
    let state = State { seed: 1, device: 0, generation: 0 };
    let name = |row: Row| match row.get("ProductName") {
        Some(Value::Text(name)) => name.clone(),
        _ => String::new(),
    };
    software::rows(state).into_iter().map(name).collect()
}

/// The devices.
#[derive(Debug)]
pub struct Fleet {
    seed: u64,
    ids: Mutex<HashMap<Kind, i64>>,
}

/// What a row is stored by: a hash, as of every row.
fn name(text: &str) -> String {
    sha256(text.as_bytes()).to_string()
}

fn device_id(number: u64) -> DeviceId {
    DeviceId(Uuid::from_u128(u128::from(number) + 1))
}

fn device(number: u64) -> DeviceRow {
    let site = ["BER", "HAM", "MUC", "KLN"][(number % 4) as usize];
    let systems =
        ["Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux 13 (trixie)", "Ubuntu 24.04 LTS", "Fedora Linux 44"];
    let hash = sha256(&number.to_be_bytes());
    DeviceRow {
        id: device_id(number),
        resource_id: ResourceId(0),
        state: DeviceState::Active,
        claims: DeviceClaims {
            host_name: format!("{site}-WS-{:06}", number * 7_919 % 1_000_000),
            operating_system: systems[(number % 7 % 4) as usize].to_owned(),
            agent_version: "0.1.0".to_owned(),
            hardware_id: hash,
        },
        key: hash,
        spki: Vec::new(),
        hardware: None,
        account: None,
        serial: format!("{number:032x}"),
        previous_serial: None,
        certificate_expires: clock::now().plus(30 * DAY),
        certificate: vec![0; 700],
        enrolled: clock::now(),
        last_seen: None,
        last_inventory: None,
        block_reason: None,
        key_revoked: None,
        revision: 1,
    }
}

fn system(number: u64) -> Row {
    let text = |text: String| Value::Text(text);
    let boot = clock::now().0 / DAY * DAY - (number * 7_919 % (90 * 86_400)).cast_signed() * SECOND;
    let build = 10 + number % 7;
    Row::from([
        ("Name".to_owned(), text("Linux".to_owned())),
        ("Caption".to_owned(), text(device(number).claims.operating_system)),
        ("BuildNumber".to_owned(), text(build.to_string())),
        ("Version".to_owned(), text(format!("6.{build}"))),
        ("LastBootUpTime".to_owned(), Value::Int(boot)),
    ])
}

fn class(name: &str) -> Result<&'static Arc<Class>, StoreError> {
    Catalogue::built_in().class(name).ok_or(StoreError::NotFound)
}

impl Fleet {
    /// Loads devices with their inventory.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn load(store: &Store, devices: u64, seed: u64) -> Result<Self, FleetError> {
        Self::enrol(store, devices, seed, true).await
    }

    /// Loads devices, with their inventory or without.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn enrol(store: &Store, devices: u64, seed: u64, inventory: bool) -> Result<Self, FleetError> {
        let fleet = Self { seed, ids: Mutex::default() };
        for from in (0..devices).step_by(usize::try_from(PIECE).unwrap_or(1)) {
            let numbers: Vec<u64> = (from..(from + PIECE).min(devices)).collect();
            let rows: Vec<DeviceRow> = numbers.iter().map(|number| device(*number)).collect();
            let done: Result<(), StoreError> = transaction!(store, "bench", |tx| {
                for row in &rows {
                    device::insert(tx, row).await?;
                }
                Ok(())
            });
            done.map_err(broken)?;
            if inventory {
                fleet.put(store, &numbers, 0, true).await.map_err(broken)?;
            }
        }
        Ok(fleet)
    }

    /// The number by which queries know a device.
    #[must_use]
    pub fn resource(&self, number: u64) -> i64 {
        16_777_217 + number.cast_signed()
    }

    /// Gives devices the packages of another generation: five are different on each.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn change(&self, store: &Store, from: u64, count: u64, generation: u64) -> Result<(), FleetError> {
        let numbers: Vec<u64> = (from..from + count).collect();
        for numbers in numbers.chunks(usize::try_from(PIECE).unwrap_or(1)) {
            self.put(store, numbers, generation, false).await.map_err(broken)?;
        }
        Ok(())
    }

    /// Notes that something changed in the rows of devices themselves.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn touch(&self, store: &Store, count: u64) -> Result<(), FleetError> {
        let done: Result<(), StoreError> = transaction!(store, "bench", |tx| {
            let changes: Vec<_> = (0..count).map(|number| (device_id(number), vec![device_change::SYSTEM])).collect();
            device_change::note(tx, &changes).await
        });
        done.map_err(broken)
    }

    async fn put(&self, store: &Store, numbers: &[u64], generation: u64, whole: bool) -> Result<(), StoreError> {
        let kinds: Vec<Vec<Kind>> = numbers
            .iter()
            .map(|device| software::kinds(State { seed: self.seed, device: *device, generation }))
            .collect();
        let mut known = self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let new: BTreeSet<Kind> = kinds.iter().flatten().filter(|kind| !known.contains_key(kind)).copied().collect();
        let new: Vec<(Kind, String, Row)> =
            new.into_iter().map(|kind| (kind, name(&format!("{kind:?}")), software::row_of(kind))).collect();
        let systems: Vec<(String, Row)> =
            numbers.iter().map(|number| (name(&format!("system {number}")), system(*number))).collect();
        let done: Result<HashMap<Kind, i64>, StoreError> = transaction!(store, "bench", |tx| {
            let rows: Vec<NewRow<'_>> =
                new.iter().map(|(kind, hash, row)| NewRow { hash, key: i64::from(kind.package), row }).collect();
            let ids = inventory::intern(tx, class(software::CLASS)?, &rows).await?;
            let mut found = known.clone();
            found.extend(new.iter().filter_map(|(kind, hash, _)| Some((*kind, *ids.get(hash)?))));
            let mut sections = Vec::new();
            for (number, kinds) in numbers.iter().zip(&kinds) {
                sections.push(SectionRow {
                    device: device_id(*number),
                    class: software::CLASS.to_owned(),
                    digest: Hash([u8::try_from(generation % 256).unwrap_or_default(); 32]),
                    row_ids: kinds.iter().filter_map(|kind| found.get(kind).copied()).collect(),
                    changed: clock::now(),
                });
            }
            if whole {
                let rows: Vec<NewRow<'_>> = systems.iter().map(|(hash, row)| NewRow { hash, key: 1, row }).collect();
                let ids = inventory::intern(tx, class("OPERATING_SYSTEM")?, &rows).await?;
                for (number, (hash, _)) in numbers.iter().zip(&systems) {
                    sections.push(SectionRow {
                        device: device_id(*number),
                        class: "OPERATING_SYSTEM".to_owned(),
                        digest: Hash([7; 32]),
                        row_ids: ids.get(hash).copied().into_iter().collect(),
                        changed: clock::now(),
                    });
                }
            }
            inventory::put(tx, &sections).await?;
            Ok(found)
        });
        known = done?;
        *self.ids.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}
