//! Who asks, when, and from where: the first argument of every rule.

use muster_model::{
    api::{Admin, Role},
    id::{DeviceId, Hash, Name},
    time::UnixMillis,
};
use muster_trust::PublicKey;

/// The caller's context.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// Who asks, as the channel says; never as a body says.
    pub caller: Caller,
    /// When, by the site's clock.
    pub now: UnixMillis,
    /// The network address of the caller, for the record.
    pub address: String,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody that is known: the enrolment door, and signing in.
    Anonymous,
    /// A device, by the certificate of its connection.
    Device(DeviceCaller),
    /// An administrator, by a session.
    Admin(Admin),
    /// The site itself: background work.
    Site,
}

/// A device that speaks over a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCaller {
    /// The device.
    pub id: DeviceId,
    /// The key of the connection's certificate.
    pub key: PublicKey,
    /// Its key id.
    pub key_id: Hash,
    /// Serial number of the connection's certificate.
    pub serial: String,
}

impl Ctx {
    /// The context of the site's own work.
    #[must_use]
    pub fn site(now: UnixMillis) -> Self {
        Self { caller: Caller::Site, now, address: String::new() }
    }

    /// The name under which the caller stands in the audit log.
    #[must_use]
    pub fn actor(&self) -> String {
        match &self.caller {
            Caller::Anonymous => "anonymous".to_owned(),
            Caller::Device(device) => format!("device {}", device.id),
            Caller::Admin(admin) => admin.name.to_string(),
            Caller::Site => "site".to_owned(),
        }
    }

    /// The administrator's name, where one asks.
    #[must_use]
    pub fn admin_name(&self) -> Option<&Name> {
        match &self.caller {
            Caller::Admin(admin) => Some(&admin.name),
            _ => None,
        }
    }

    /// The administrator's role, where one asks.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match &self.caller {
            Caller::Admin(admin) => Some(admin.role),
            _ => None,
        }
    }
}
