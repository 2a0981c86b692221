//! Facts about a machine in neutral words and units. A fact that is not known is `None` or empty, never invented.

/// Sentences about what could not be read: each says what, and what would be needed.
pub type Gaps = Vec<String>;

/// Who and what the machine is as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// The host's own name, without domain.
    pub host_name: String,
    /// DNS domain.
    pub domain: Option<String>,
    /// Instruction set as the kernel names it: `x86_64`, `aarch64`, ...
    pub machine: String,
    /// Offset from UTC in minutes (east is positive), and whether daylight saving time is in effect.
    pub time_zone: Option<(i64, bool)>,
    /// The user who sits at the console now.
    pub console_user: Option<String>,
}

/// The operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatingSystem {
    /// Full name with version, for people.
    pub caption: String,
    /// Version, as the distribution counts.
    pub version: Option<String>,
    /// The distribution's short name: `debian`.
    pub id: Option<String>,
    /// Who makes it.
    pub manufacturer: Option<String>,
    /// Whether it says of itself that it is an edition for servers (true) or for workstations (false).
    pub server: Option<bool>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Identifies this installation, not the machine, and only to Muster: derived from the secret machine id by a one-way function.
    pub installation_id: Option<String>,
    /// When it was installed, Unix seconds.
    pub installed: Option<i64>,
    /// When it started, Unix seconds.
    pub booted: Option<i64>,
    /// Most processes at a time.
    pub max_processes: Option<u64>,
    /// Language tag: `de-DE`.
    pub language: Option<String>,
    /// Character set: `UTF-8`.
    pub charset: Option<String>,
    /// Device that carries the root file system.
    pub system_device: Option<String>,
    /// Device that carries the boot files.
    pub boot_device: Option<String>,
}

/// Memory, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Physical memory that the kernel manages.
    pub total: u64,
    /// Swap space.
    pub swap: u64,
}

/// One processor package (socket).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processor {
    /// Marketing name.
    pub name: Option<String>,
    /// Vendor as the processor says: `GenuineIntel`.
    pub vendor: Option<String>,
    /// Family, model, stepping.
    pub signature: Option<(u64, u64, u64)>,
    /// Physical cores.
    pub cores: u64,
    /// Threads.
    pub threads: u64,
    /// Highest clock in MHz.
    pub max_mhz: Option<u64>,
    /// Level 2 cache of the package, KiB.
    pub l2_kib: Option<u64>,
    /// Level 3 cache of the package, KiB.
    pub l3_kib: Option<u64>,
    /// Feature flags, as the kernel names them.
    pub flags: Vec<String>,
}

/// One physical (or virtual-machine) disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Device path: `/dev/sda`.
    pub device: String,
    /// Model.
    pub model: Option<String>,
    /// Manufacturer.
    pub vendor: Option<String>,
    /// `SCSI`, `IDE`, `USB`, `NVMe`, `virtio`, `MMC`.
    pub interface: Option<String>,
    /// Stable hardware id (world-wide name or serial number).
    pub hardware_id: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical sector.
    pub sector: u64,
    /// Whether the medium can be taken out.
    pub removable: bool,
    /// Host, channel, target, unit.
    pub scsi: Option<[u64; 4]>,
    /// Partitions, in number order.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Device path: `/dev/sda1`.
    pub device: String,
    /// Number, from 1.
    pub number: u64,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// `gpt` or `dos`.
    pub scheme: Option<String>,
    /// Partition type: a GUID, or `0x83`.
    pub kind: Option<String>,
    /// Label in the partition table.
    pub label: Option<String>,
    /// Whether the active flag of a DOS partition table is set.
    pub active: bool,
    /// Whether it can be written.
    pub writable: bool,
}

/// What kind of place a volume is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VolumeKind {
    /// A built-in disk.
    #[default]
    Fixed,
    /// A medium that can be taken out.
    Removable,
    /// Another machine.
    Network,
    /// An optical disc.
    Optical,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Where it is mounted.
    pub mount_point: String,
    /// Device or network source.
    pub source: String,
    /// Type: `ext4`.
    pub file_system: String,
    /// The kind of place.
    pub kind: VolumeKind,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Label.
    pub label: Option<String>,
    /// UUID or serial number.
    pub serial: Option<String>,
    /// Sizes; `None` for a network volume, which is never asked (a server that is away would hang the agent).
    pub space: Option<Space>,
}

/// Sizes of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Bytes of a block.
    pub block: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks that an ordinary user may still take.
    pub available: u64,
    /// Longest file name.
    pub name_max: u64,
}

/// One network adapter and its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Name: `eth0`.
    pub name: String,
    /// The system's number for it.
    pub index: u64,
    /// `Ethernet 802.3`, `Wireless`, `Bridge`, ...
    pub kind: String,
    /// Product name.
    pub product: Option<String>,
    /// Manufacturer.
    pub vendor: Option<String>,
    /// `52:54:00:12:34:56`, in upper case.
    pub mac: Option<String>,
    /// Driver.
    pub driver: Option<String>,
    /// Bits per second, while the link is up.
    pub speed: Option<u64>,
    /// Identifies the device on its bus.
    pub bus_id: Option<String>,
    /// Bytes of the largest packet.
    pub mtu: Option<u64>,
    /// Addresses with prefix length, IPv4 first; temporary (privacy) addresses are left out.
    pub addresses: Vec<(std::net::IpAddr, u8)>,
    /// Default gateways with their metric.
    pub gateways: Vec<(std::net::IpAddr, u64)>,
    /// Whether the address comes from DHCP.
    pub dhcp: Option<bool>,
    /// The DHCP server.
    pub dhcp_server: Option<String>,
}

/// How names are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search list.
    pub search: Vec<String>,
}

/// One installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Unique on the machine.
    pub code: String,
    /// Name.
    pub name: String,
    /// Full version.
    pub version: String,
    /// Who made it.
    pub publisher: Option<String>,
    /// When it was installed, Unix seconds.
    pub installed: Option<i64>,
    /// Which package database says so: `dpkg`, `rpm`, `apk`.
    pub evidence: &'static str,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// With the system.
    Auto,
    /// When something asks for it.
    Manual,
    /// Never.
    Disabled,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Short name.
    pub name: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// The command that it runs.
    pub command: Option<String>,
    /// The account that it runs as.
    pub account: Option<String>,
    /// When it starts.
    pub start: StartMode,
    /// Whether it runs; `None` when that could not be found out.
    pub running: Option<bool>,
}

/// Somebody's use of the console.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsoleUser {
    /// Account name.
    pub name: String,
    /// How many times.
    pub logons: u64,
    /// Minutes in sessions that have ended.
    pub minutes: u64,
    /// Begin of the last session that still lasts, else the end of the last one; Unix seconds.
    pub last: i64,
}

/// What the system itself says of a restart that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartSign {
    /// Its package manager wants one, for these packages where it says so.
    Packages(Vec<String>),
    /// A newer kernel is installed than the one that runs.
    Kernel {
        /// The one that runs.
        running: String,
        /// The newest that is installed.
        installed: String,
    },
}

/// Programs that still run what an update replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    /// How many.
    pub programs: u64,
    /// Some of their names, in order.
    pub names: Vec<String>,
    /// Whether the first program of the system is among them: only a restart of the machine helps it.
    pub system: bool,
}

impl RestartSign {
    /// What it is, with where it comes from.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Packages(names) if names.is_empty() => "the package manager wants it".to_owned(),
            Self::Packages(names) => format!("the package manager wants it for {}", names.join(", ")),
            Self::Kernel { running, installed } => format!("kernel {installed} is installed, and {running} runs"),
        }
    }
}
