//! What this machine says about itself when it asks to be enrolled and at every heartbeat.

use muster_model::{enrol::DeviceClaims, id::SiteCode};
use std::io::Read;

/// Bytes of `/etc/os-release` and `/etc/machine-id` that are read.
const FILE_BYTES: u64 = 16 << 10;

/// The claims of this machine.
#[must_use]
pub fn claims(site: SiteCode) -> DeviceClaims {
    let uname = rustix::system::uname();
    let release = text("/etc/os-release").or_else(|| text("/usr/lib/os-release")).unwrap_or_default();
    let pretty =
        release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|v| v.trim_matches(['"', '\'']));
    let host_name = clean(&uname.nodename().to_string_lossy());
    let machine = text("/etc/machine-id").filter(|id| !id.trim().is_empty()).unwrap_or_else(|| host_name.clone());
    DeviceClaims {
        operating_system: clean(pretty.unwrap_or("Linux")),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hardware_id: muster_trust::sha256(format!("{site}:{}", machine.trim()).as_bytes()),
        host_name,
    }
}

fn text(path: &str) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// At most 255 bytes, no control characters, never empty.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for character in text.chars().filter(|c| !c.is_control()) {
        if clean.len() + character.len_utf8() > 255 {
            break;
        }
        clean.push(character);
    }
    if clean.trim().is_empty() { "unknown".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claims_of_this_machine_obey_their_limits() {
        assert!(claims("ABC".parse().unwrap()).is_well_formed());
        assert_eq!(clean("\u{7}\n"), "unknown");
        assert_eq!(clean(&"\u{fc}".repeat(200)).len(), 254);
    }
}
