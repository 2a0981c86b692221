//! Disks, partitions and mounted volumes: `/sys/block`, the mount table, and udev's database.

use super::{
    assignments::parse_udev,
    files::{Files, TABLE_BYTES, TEXT_BYTES, unread},
    kernel::Kernel,
    proc::{Mount, parse_mountinfo},
};
use crate::os::facts::{Disk, Gaps, Partition, Volume, VolumeKind};
use std::collections::BTreeMap;

/// The kernel counts in these, whatever the disk's own sector has.
const UNIT: u64 = 512;
/// Disks that are taken.
const DISKS: usize = 1_000;
/// Partitions of one disk that are taken.
const PARTITIONS: usize = 256;
/// Block devices that are no disks: made by software, or drives for media that are inventoried elsewhere.
const NO_DISKS: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];
/// File systems that another machine serves, or a program of an ordinary user.
const NETWORK: [&str; 12] =
    ["nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "virtiofs", "afs", "lustre", "ocfs2"];

/// The disks with their partitions; `None` when the kernel does not show any device at all.
pub fn disks(files: &Files, gaps: &mut Gaps) -> Option<Vec<Disk>> {
    let names = match files.names("/sys/block") {
        Ok(names) => names,
        Err(error) => {
            gaps.push(unread("The disks are not known", "/sys/block", &error));
            return None;
        }
    };
    let disks = names.iter().filter(|name| !NO_DISKS.iter().any(|prefix| name.starts_with(prefix)));
    Some(disks.take(DISKS).map(|name| disk(files, name)).collect())
}

fn disk(files: &Files, name: &str) -> Disk {
    let base = format!("/sys/block/{name}");
    let text = |file: &str| files.line(&format!("{base}/{file}"));
    let udev = udev(files, &base);
    let bus = files.link(&base).unwrap_or_default();
    Disk {
        device: format!("/dev/{name}"),
        model: text("device/model").or_else(|| text("device/name")),
        // "ATA" is the bus and "0x1af4" a number, neither is a manufacturer.
        vendor: text("device/vendor").filter(|v| v != "ATA" && !v.starts_with("0x")),
        interface: Some(interface(name, &bus).to_owned()),
        hardware_id: text("wwid")
            .or_else(|| text("device/wwid"))
            .or_else(|| udev.get("ID_SERIAL").cloned())
            .or_else(|| text("serial"))
            .or_else(|| text("device/serial")),
        size: files.number(&format!("{base}/size")).unwrap_or(0).saturating_mul(UNIT),
        sector: files.number(&format!("{base}/queue/logical_block_size")).unwrap_or(UNIT).max(1),
        removable: files.number(&format!("{base}/removable")) == Some(1),
        scsi: files.link_name(&format!("{base}/device")).and_then(|name| scsi_address(&name)),
        partitions: partitions(files, name, &base),
    }
}

fn interface(name: &str, bus: &str) -> &'static str {
    let by_bus = [
        ("/usb", "USB"),
        ("/virtio", "virtio"),
        ("/nvme", "NVMe"),
        ("/ata", "IDE"),
        ("/mmc_host", "MMC"),
        ("/vbd-", "Xen"),
    ];
    let by_name = [("nvme", "NVMe"), ("vd", "virtio"), ("mmcblk", "MMC"), ("xvd", "Xen"), ("hd", "IDE")];
    let found = by_bus.iter().find(|(part, _)| bus.contains(part));
    found.or_else(|| by_name.iter().find(|(start, _)| name.starts_with(start))).map_or("SCSI", |(_, kind)| kind)
}

/// `2:0:0:1`: host, channel, target, unit.
fn scsi_address(name: &str) -> Option<[u64; 4]> {
    let parts: Vec<u64> = name.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

fn partitions(files: &Files, disk: &str, base: &str) -> Vec<Partition> {
    let names = files.names(base).unwrap_or_default();
    let mut found: Vec<Partition> = names
        .iter()
        .filter(|name| name.starts_with(disk))
        .take(PARTITIONS)
        .filter_map(|name| partition(files, name, &format!("{base}/{name}")))
        .collect();
    found.sort_by_key(|p| p.number);
    found
}

fn partition(files: &Files, name: &str, base: &str) -> Option<Partition> {
    let number = |file: &str| files.number(&format!("{base}/{file}"));
    let udev = udev(files, base);
    let entry = |name: &str| udev.get(&format!("ID_PART_ENTRY_{name}")).cloned();
    Some(Partition {
        device: format!("/dev/{name}"),
        number: number("partition")?,
        start: number("start").unwrap_or(0).saturating_mul(UNIT),
        size: number("size").unwrap_or(0).saturating_mul(UNIT),
        scheme: entry("SCHEME"),
        kind: entry("TYPE"),
        label: entry("NAME"),
        active: entry("FLAGS").is_some_and(|flags| flags == "0x80"),
        writable: number("ro") != Some(1),
    })
}

/// What udev knows about a block device; nothing when udev does not run.
fn udev(files: &Files, base: &str) -> BTreeMap<String, String> {
    match files.line(&format!("{base}/dev")) {
        Some(number) => udev_of(files, &number),
        None => BTreeMap::new(),
    }
}

fn udev_of(files: &Files, number: &str) -> BTreeMap<String, String> {
    files.bytes(&format!("/run/udev/data/b{number}"), TEXT_BYTES).map(|b| parse_udev(&b)).unwrap_or_default()
}

/// The mount table, one line for each file system: what is mounted several times (bind mounts, subvolumes) counts once,
/// at its shortest mount point.
pub fn mounts(files: &Files) -> std::io::Result<Vec<Mount>> {
    let table = parse_mountinfo(&files.bytes("/proc/self/mountinfo", TABLE_BYTES)?);
    let mut by_device: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in table.into_iter().filter(is_volume) {
        match by_device.get(&mount.device) {
            Some(known) if known.point.len() <= mount.point.len() => {}
            _ => {
                by_device.insert(mount.device.clone(), mount);
            }
        }
    }
    let mut mounts: Vec<Mount> = by_device.into_values().collect();
    mounts.sort_by(|a, b| a.point.cmp(&b.point));
    Ok(mounts)
}

/// Whether a mount holds somebody's files: on a device, on another machine, or as the root of a container.
fn is_volume(mount: &Mount) -> bool {
    // Packages of snapd and parts of appliances are read-only images: software, not volumes.
    let image = matches!(mount.kind.as_str(), "squashfs" | "erofs");
    let device = mount.source.starts_with("/dev/") && mount.kind != "devtmpfs" && !image;
    device || is_network(&mount.kind) || mount.kind == "zfs" || mount.point == "/"
}

fn is_network(kind: &str) -> bool {
    NETWORK.contains(&kind) || kind.starts_with("fuse.")
}

/// The mounted volumes; `None` when the mount table cannot be read.
pub fn volumes(files: &Files, kernel: &Kernel, gaps: &mut Gaps) -> Option<Vec<Volume>> {
    let mounts = match mounts(files) {
        Ok(mounts) => mounts,
        Err(error) => {
            gaps.push(unread("The mounted volumes are not known", "/proc/self/mountinfo", &error));
            return None;
        }
    };
    Some(mounts.into_iter().map(|mount| volume(files, kernel, mount)).collect())
}

fn volume(files: &Files, kernel: &Kernel, mount: Mount) -> Volume {
    let network = is_network(&mount.kind);
    let name = mount.source.rsplit('/').next().unwrap_or_default();
    // btrfs has a number of its own, which is not that of its device.
    let number = files.line(&format!("/sys/class/block/{name}/dev")).unwrap_or_else(|| mount.device.clone());
    let udev = if network { BTreeMap::new() } else { udev_of(files, &number) };
    // A partition has no "removable" of its own; its disk is the folder above it.
    let removable = [format!("/sys/class/block/{name}/removable"), format!("/sys/class/block/{name}/../removable")]
        .iter()
        .find_map(|path| files.number(path));
    let kind = match mount.kind.as_str() {
        _ if network => VolumeKind::Network,
        "iso9660" | "udf" => VolumeKind::Optical,
        _ if removable == Some(1) => VolumeKind::Removable,
        _ => VolumeKind::Fixed,
    };
    Volume {
        space: if network { None } else { kernel.space(&mount.point) },
        mount_point: mount.point,
        source: mount.source,
        file_system: mount.kind,
        kind,
        read_only: mount.read_only,
        label: udev.get("ID_FS_LABEL").cloned(),
        serial: udev.get("ID_FS_UUID").cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_known_by_the_way_to_the_device() {
        assert_eq!(
            interface("sda", "../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"),
            "IDE"
        );
        assert_eq!(interface("sdb", "../devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host4/block/sdb"), "USB");
        assert_eq!(interface("nvme0n1", ""), "NVMe");
        assert_eq!(interface("sda", ""), "SCSI");
        assert_eq!(scsi_address("2:0:1:3"), Some([2, 0, 1, 3]));
        assert_eq!(scsi_address("virtio1"), None);
    }
}
