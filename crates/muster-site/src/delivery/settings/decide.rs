//! All objects of settings as they stand, and what comes of them for whoever is in some collections.

use super::read;
use crate::SiteError;
use muster_model::{
    id::{CollectionId, SettingsId},
    settings::{Decided, Layer, Reach, resultant},
};
use muster_store::{
    Connection,
    db::client_settings::{SettingsRow, Target},
};

/// The objects and their collections.
#[derive(Debug, Clone)]
pub(in crate::delivery) struct Objects {
    /// The first is the default.
    pub(super) rows: Vec<SettingsRow>,
    pub(super) targets: Vec<Target>,
}

/// How a collection brings settings to its members.
pub(super) const fn reach(target: &Target) -> Reach {
    match (target.built_in, target.protected) {
        (true, _) => Reach::Everyone,
        (false, false) => Reach::Named,
        (false, true) => Reach::Protected,
    }
}

impl Objects {
    pub(in crate::delivery) async fn read(conn: &mut Connection) -> Result<Self, SiteError> {
        let (rows, targets) = read(conn).await?;
        Ok(Self { rows, targets })
    }

    /// The settings of a device that is in these collections.
    pub(in crate::delivery) fn decide(&self, collections: &[CollectionId]) -> Vec<Decided<SettingsId>> {
        let layers: Vec<_> = self.rows.iter().filter_map(|row| self.layer(row, collections)).collect();
        resultant(&layers)
    }

    fn layer<'a>(&self, row: &'a SettingsRow, collections: &[CollectionId]) -> Option<Layer<'a, SettingsId>> {
        let (source, values) = (row.id, &row.values);
        if row.id == SettingsId::DEFAULT {
            return Some(Layer { priority: u32::MAX, source, reach: Reach::Everyone, values });
        }
        let its = self.targets.iter().filter(|target| target.settings == row.id);
        let reach = its.filter(|target| collections.contains(&target.collection)).map(reach).max()?;
        Some(Layer { priority: row.place, source, reach, values })
    }

    /// Whether any object says this setting.
    pub(super) fn says(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.values.0.contains_key(name))
    }
}
