//! What this machine says about itself when it asks to be enrolled and at every heartbeat.

use super::directory::PrivateDirectory;
use muster_model::{
    enrol::DeviceClaims,
    id::{Hash, SiteCode},
};
use std::io::{self, Read};

/// Bytes of `/etc/os-release` and `/etc/machine-id` that are read.
const FILE_BYTES: u64 = 16 << 10;

/// In the state directory: the id of a machine that had none of its own when it was first asked.
const OWN_ID: &str = "hardware.id";

/// The claims of this machine; `state` is the client's state directory.
///
/// # Errors
/// When the machine's id cannot be read at this moment: another one would make it look like another machine.
pub fn claims(site: SiteCode, state: &PrivateDirectory) -> io::Result<DeviceClaims> {
    let uname = rustix::system::uname();
    let release = text("/etc/os-release").or_else(|| text("/usr/lib/os-release")).unwrap_or_default();
    let pretty =
        release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|v| v.trim_matches(['"', '\'']));
    let host_name = clean(&uname.nodename().to_string_lossy());
    let machine_id = match read_some("/etc/machine-id") {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(io::Error::new(error.kind(), format!("/etc/machine-id: {error}"))),
    };
    Ok(DeviceClaims {
        operating_system: clean(pretty.unwrap_or("Linux")),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hardware_id: hardware_id(site, state, machine_id.as_deref())?,
        host_name,
    })
}

/// The serial number of this machine as its firmware has it; only the superuser may read it. None where the maker left words instead.
#[must_use]
pub fn serial_number() -> Option<String> {
    let number = text("/sys/class/dmi/id/product_serial")?;
    let number = number.trim();
    let is_words = number.bytes().filter(u8::is_ascii_alphanumeric).all(|b| b == b'0')
        || ["none", "not specified", "default string", "system serial number", "to be filled by o.e.m."]
            .contains(&number.to_ascii_lowercase().as_str());
    (muster_model::api::is_serial(number) && !is_words).then(|| number.to_owned())
}

/// The machine's own id, hashed with the site's code. A machine without one gets a random one, which is kept and stays: a host name
/// changes, is `localhost` for a moment, and is another machine's as well.
fn hardware_id(site: SiteCode, state: &PrivateDirectory, machine_id: Option<&str>) -> io::Result<Hash> {
    let kept = state.read(OWN_ID, 64)?;
    if let Some(id) = kept.and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok()) {
        return Ok(id);
    }
    let machine_id = machine_id.unwrap_or_default().trim();
    let is_id = machine_id.len() == 32 && u128::from_str_radix(machine_id, 16).is_ok_and(|id| id != 0);
    if is_id {
        return Ok(muster_trust::sha256(format!("{site}:{machine_id}").as_bytes()));
    }
    let mut bytes = [0; 32];
    muster_trust::random(&mut bytes).map_err(io::Error::other)?;
    state.write(OWN_ID, Hash(bytes).to_string().as_bytes())?;
    Ok(Hash(bytes))
}

fn read_some(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(path: &str) -> Option<String> {
    String::from_utf8(read_some(path).ok()?).ok()
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
        let temp = tempfile::tempdir().unwrap();
        let state = PrivateDirectory::open(&temp.path().join("state")).unwrap();
        assert!(claims("ABC".parse().unwrap(), &state).unwrap().is_well_formed());
        assert_eq!(clean("\u{7}\n"), "unknown");
        assert_eq!(clean(&"\u{fc}".repeat(200)).len(), 254);
    }

    #[test]
    fn a_machine_without_an_id_keeps_the_one_that_it_was_given() {
        let temp = tempfile::tempdir().unwrap();
        let directory = |name: &str| PrivateDirectory::open(&temp.path().join(name)).unwrap();
        let (state, other, third) = (directory("one"), directory("two"), directory("three"));
        let site = "ABC".parse().unwrap();
        let good = "0123456789abcdef0123456789abcdef";
        let of = |state: &PrivateDirectory, id: Option<&str>| hardware_id(site, state, id).unwrap();
        assert_eq!(of(&third, Some(good)), of(&third, Some(&format!("{good}\n"))));
        assert!(third.names().unwrap().is_empty(), "a machine with an id is given none");
        let given = of(&state, None);
        for id in [None, Some(""), Some("uninitialized"), Some(&"0".repeat(32)), Some(good)] {
            assert_eq!(of(&state, id), given, "whatever comes later: {id:?}");
        }
        assert_ne!(of(&other, Some("uninitialized")), given, "no two machines have the same");
    }
}
