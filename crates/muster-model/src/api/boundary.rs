//! Boundaries and boundary groups: where devices are, and which management points are near there.

use crate::{
    id::{BoundaryGroupId, BoundaryId, Name},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// Kinds of boundaries, as Configuration Manager has them.
    enum BoundaryKind {
        /// An IPv4 network: `10.1.2.0/24`.
        IpSubnet = "ip_subnet",
        /// Addresses from one to another: `10.1.2.10-10.1.2.99`.
        IpRange = "ip_range",
        /// An IPv6 network: `2001:db8:1::/48`.
        Ipv6Prefix = "ipv6_prefix",
        /// A site of Active Directory, by its name.
        DirectorySite = "directory_site",
    }
}
api! {
    /// A boundary.
    struct Boundary {
        /// The id.
        id: BoundaryId,
        /// What people call it.
        name: Name,
        /// The kind.
        kind: BoundaryKind,
        /// What is inside, in the form of its kind.
        value: String,
        /// The groups that it is in.
        groups: Vec<BoundaryGroupId>,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
    }
}
api! {
    /// `POST /api/v1/boundaries` and `PUT /api/v1/boundaries/{id}`.
    struct BoundarySet {
        /// What people call it.
        name: Name,
        /// The kind.
        kind: BoundaryKind,
        /// What is inside, in the form of its kind.
        value: String,
    }
}
api! {
    /// A boundary group: boundaries, and the management points that devices inside them use first.
    struct BoundaryGroup {
        /// The id.
        id: BoundaryGroupId,
        /// What people call it.
        name: Name,
        /// Its boundaries.
        boundaries: Vec<BoundaryId>,
        /// Management points, `https://host:port`.
        management_points: Vec<String>,
        /// When it was changed last.
        changed: UnixMillis,
        /// Who changed it.
        changed_by: String,
    }
}
api! {
    /// `POST /api/v1/boundary-groups` and `PUT /api/v1/boundary-groups/{id}`.
    struct BoundaryGroupSet {
        /// What people call it.
        name: Name,
        /// Its boundaries.
        #[serde(default)] boundaries: Vec<BoundaryId>,
        /// Management points, `https://host:port`.
        #[serde(default)] management_points: Vec<String>,
    }
}
api! {
    /// Where a device is, as far as the site knows.
    struct DeviceLocation {
        /// The address that its last report of where it is came from.
        seen_address: String,
        /// Addresses that it says it has, each with the length of its prefix.
        addresses: Vec<String>,
        /// The directory's site that it says it is in.
        directory_site: Option<String>,
        /// The boundary groups that follow from it, by name.
        groups: Vec<Name>,
        /// When it said so.
        reported: UnixMillis,
    }
}
