//! Inventory classes: what there is, and what administrators add.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

api! {
    /// One attribute of a class.
    #[derive(Eq)]
    struct ClassAttribute {
        /// Its name.
        name: String,
        /// Its type as Configuration Manager writes it: `String`, `UInt32`, `DateTime`, ...; with `[]` a list.
        #[serde(rename = "type")] kind: String,
        /// Whether it is one of those that tell the rows of a device apart.
        #[serde(default)] key: bool,
    }
}
api! {
    /// `POST /api/v1/classes`: a class, or what its next version has more.
    #[derive(Eq)]
    struct ClassAdd {
        /// The name, as in `SMS_G_System_<NAME>` and `v_GS_<NAME>`.
        name: String,
        /// The provider's class, where there is one.
        #[serde(default)] provider: String,
        /// The attributes.
        attributes: Vec<ClassAttribute>,
    }
}
api! {
    /// A class of the catalogue.
    struct InventoryClass {
        /// The name, as in `SMS_G_System_<NAME>` and `v_GS_<NAME>`.
        name: String,
        /// The provider's class.
        provider: String,
        /// How often an administrator defined it; 0: it is built in.
        version: u32,
        /// The attributes; those of the key first.
        attributes: Vec<ClassAttribute>,
        /// When it was changed last; absent where it is built in.
        changed: Option<UnixMillis>,
        /// Who changed it.
        changed_by: Option<String>,
        /// When it was retired: it takes no more reports. What was reported stays.
        retired: Option<UnixMillis>,
    }
}
api! {
    /// A class in the list of all.
    struct ClassOverview {
        /// The name, as in `SMS_G_System_<NAME>` and `v_GS_<NAME>`.
        name: String,
        /// The provider's class.
        provider: String,
        /// How often an administrator defined it; 0: it is built in.
        version: u32,
        /// How many attributes it has.
        attributes: u64,
        /// When it was changed last; absent where it is built in.
        changed: Option<UnixMillis>,
        /// Who changed it.
        changed_by: Option<String>,
        /// When it was retired.
        retired: Option<UnixMillis>,
    }
}
api! {
    /// A class that devices report and the site does not know: what came waits until somebody adds the class.
    struct WaitingClass {
        /// The name that the devices say.
        name: String,
        /// Devices of which a section waits.
        devices: u64,
        /// Bytes that wait.
        bytes: u64,
        /// When the last one came.
        received: UnixMillis,
    }
}
api! {
    /// `GET /api/v1/classes`.
    struct Classes {
        /// Every class, by name.
        items: Vec<ClassOverview>,
        /// What waits.
        waiting: Vec<WaitingClass>,
    }
}
