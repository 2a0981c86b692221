//! Sealing secrets for devices, on the author's own machine: the site carries what it cannot read, and cannot slip in a key of its own
//! for a device that this machine knows already.

use crate::{CliError, files};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    Signed,
    api::{KeyProtection, SecretAdd, SecretRecipient},
    application::FileName,
    id::{ApplicationId, DeviceId, Hash, SiteCode},
    secret::{SealedSecret, SecretBinding},
    time::UnixMillis,
};
use muster_trust::{PrivateKey, PublicKey, envelope, secret};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where the keys of devices are kept, in the profile directory.
const KNOWN: &str = "known-devices.json";
/// Bytes of that file: a million devices.
const KNOWN_BYTES: u64 = 128 << 20;

/// A device for which can be sealed: who it is was verified.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The device.
    pub device: DeviceId,
    /// Its name, as the site says it.
    pub name: String,
    /// Id of its key, which signed the sealing key.
    pub key: Hash,
    /// To what is sealed.
    pub sealing_key: PublicKey,
    /// When the device made that.
    pub made: UnixMillis,
}

/// Devices by whether a secret can be sealed for them.
#[derive(Debug, Default)]
pub struct Recipients {
    /// It can.
    pub ready: Vec<Recipient>,
    /// Their key is in a file that can be copied; they are left out unless that is accepted.
    pub software: Vec<String>,
    /// They told no sealing key yet.
    pub silent: Vec<String>,
}

/// Sorts what the site says of its devices. What does not verify is an error: somebody put it there.
///
/// # Errors
/// [`CliError::Found`].
pub fn sort(site: SiteCode, all: Vec<SecretRecipient>, software_too: bool) -> Result<Recipients, CliError> {
    let mut sorted = Recipients::default();
    for one in all {
        if one.protection == KeyProtection::SoftwareKey && !software_too {
            sorted.software.push(one.name);
            continue;
        }
        let Some(statement) = &one.sealing_key else {
            sorted.silent.push(one.name);
            continue;
        };
        sorted.ready.push(verify(site, &one, statement)?);
    }
    Ok(sorted)
}

fn verify(site: SiteCode, one: &SecretRecipient, statement: &str) -> Result<Recipient, CliError> {
    let wrong = || {
        let device = one.device;
        CliError::Found(format!(
            "what the site says of the sealing key of device {device} is not signed by that device"
        ))
    };
    let spki = BASE64.decode(&one.key).map_err(|_| wrong())?;
    let key = PublicKey::from_spki(&spki).map_err(|_| wrong())?;
    let statement = BASE64.decode(statement).map_err(|_| wrong())?;
    let (sealing_key, said) = secret::open_statement(&statement, &key).map_err(|_| wrong())?;
    if said.site != site || said.device != one.device {
        return Err(wrong());
    }
    Ok(Recipient { device: one.device, name: one.name.clone(), key: key.id(), sealing_key, made: said.made })
}

/// What is known of a device since was sealed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// Its key, for life.
    key: Hash,
    /// The sealing key then, and when it was made. An earlier one was destroyed, and does not come back.
    sealing_key: Hash,
    made: UnixMillis,
}

/// The keys of devices for which was sealed before, at the site of this root.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    root: Hash,
    sites: BTreeMap<Hash, BTreeMap<DeviceId, Seen>>,
}

impl Known {
    /// As kept in the profile directory.
    ///
    /// # Errors
    /// [`CliError::File`].
    pub fn read(profile: &Path, root: Hash) -> Result<Self, CliError> {
        let path = profile.join(KNOWN);
        let sites = if path.exists() {
            let bytes = files::read_at_most(&path, KNOWN_BYTES)?;
            serde_json::from_slice(&bytes).map_err(|e| CliError::file(&path, e))?
        } else {
            BTreeMap::new()
        };
        Ok(Self { path, root, sites })
    }

    /// Those for which was never sealed before. The site could show a key of its own for them, and nothing here would tell.
    ///
    /// # Errors
    /// [`CliError::Found`] where a device has another key than before: a device never has.
    pub fn new_ones<'a>(&self, recipients: &'a [Recipient]) -> Result<Vec<&'a Recipient>, CliError> {
        let known = self.sites.get(&self.root);
        let known = |device| known.and_then(|known| known.get(device));
        for recipient in recipients {
            let Some(seen) = known(&recipient.device) else { continue };
            let Recipient { device, name, key, .. } = recipient;
            let same = seen.sealing_key == recipient.sealing_key.id();
            if !same && recipient.made <= seen.made {
                return Err(CliError::Found(format!(
                    "the site shows an earlier sealing key of device {name} ({device}) than it did before, which the device has destroyed: \
                     the site was restored from a backup (wait until the device was in contact), or taken over. Nothing was sealed"
                )));
            }
            if seen.key != recipient.key {
                return Err(CliError::Found(format!(
                    "the site shows key {key} for device {name} ({device}), which had another key when a secret was sealed for it \
                     before. A device keeps its key for life, so the site may have been taken over: nothing was sealed"
                )));
            }
        }
        Ok(recipients.iter().filter(|recipient| known(&recipient.device).is_none()).collect())
    }

    /// Keeps their keys.
    ///
    /// # Errors
    /// [`CliError::File`].
    pub fn keep(&mut self, recipients: &[Recipient]) -> Result<(), CliError> {
        let known = self.sites.entry(self.root).or_default();
        known.extend(recipients.iter().map(|recipient| {
            let (key, sealing_key) = (recipient.key, recipient.sealing_key.id());
            (recipient.device, Seen { key, sealing_key, made: recipient.made })
        }));
        let bytes = serde_json::to_vec(&self.sites).map_err(|e| CliError::file(&self.path, e))?;
        files::write_private(&self.path, &bytes, false)
    }
}

/// Which secret is sealed.
#[derive(Debug, Clone)]
pub struct What {
    /// The site.
    pub site: SiteCode,
    /// The application.
    pub application: ApplicationId,
    /// Its name.
    pub name: FileName,
    /// Now.
    pub version: UnixMillis,
}

/// Seals and signs, one envelope for each.
///
/// # Errors
/// [`CliError::Usage`] for a secret that is empty or too long.
pub fn seal(what: &What, value: &[u8], to: &[Recipient], author: &PrivateKey) -> Result<SecretAdd, CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    let one = |recipient: &Recipient| {
        let What { site, application, name, version } = what.clone();
        let binding = SecretBinding { site, device: recipient.device, application, name, version };
        let sealed = secret::seal(value, &recipient.sealing_key, binding).map_err(|e| usage(&e))?;
        let signed = envelope::sign_json(&[author], &sealed).map_err(|e| usage(&e))?;
        Ok(BASE64.encode(signed))
    };
    Ok(SecretAdd { secrets: to.iter().map(one).collect::<Result<_, CliError>>()? })
}

/// Adds the signature of another author to each.
///
/// # Errors
/// [`CliError::Usage`].
pub fn cosign(sealed: &SecretAdd, author: &PrivateKey) -> Result<SecretAdd, CliError> {
    let one = |text: &String| {
        let bytes = BASE64.decode(text).map_err(|_| CliError::Usage("a sealed secret is not base64".to_owned()))?;
        let signed = envelope::add_signature(&bytes, author, SealedSecret::TYPE);
        signed.map(|signed| BASE64.encode(signed)).map_err(|e| CliError::Usage(e.to_string()))
    };
    Ok(SecretAdd { secrets: sealed.secrets.iter().map(one).collect::<Result<_, CliError>>()? })
}

/// What sealed secrets are for, believed by nobody: for looking at it.
///
/// # Errors
/// [`CliError::Usage`].
pub fn look(sealed: &SecretAdd) -> Result<Vec<SecretBinding>, CliError> {
    let one = |text: &String| {
        let bytes = BASE64.decode(text).ok()?;
        let payload = envelope::unverified_payload(&bytes).ok()?;
        Some(serde_json::from_slice::<SealedSecret>(&payload).ok()?.binding)
    };
    let bindings: Option<Vec<_>> = sealed.secrets.iter().map(one).collect();
    bindings.filter(|all| !all.is_empty()).ok_or_else(|| CliError::Usage("these are not sealed secrets".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::secret::SealingKey;
    use muster_trust::secret::SealingPrivateKey;

    fn device(number: u128) -> (PrivateKey, SealingPrivateKey, SecretRecipient) {
        let (key, sealing) = (PrivateKey::generate().unwrap(), SealingPrivateKey::generate().unwrap());
        let device = DeviceId(uuid::Uuid::from_u128(number));
        let text = secret::statement_key(sealing.public());
        let said = SealingKey { site: "ABC".parse().unwrap(), device, key: text, made: UnixMillis(1) };
        let recipient = SecretRecipient {
            device,
            name: format!("pc{number}"),
            key: BASE64.encode(key.public().spki()),
            protection: KeyProtection::Attested,
            sealing_key: Some(BASE64.encode(envelope::sign1_json(&key, &said).unwrap())),
        };
        (key, sealing, recipient)
    }

    #[test]
    fn a_site_cannot_slip_in_a_key_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (_, sealing, honest) = device(1);
        let site = "ABC".parse().unwrap();
        let ready = sort(site, vec![honest.clone()], false).unwrap().ready;
        let mut known = Known::read(dir.path(), Hash([1; 32])).unwrap();
        assert_eq!(known.new_ones(&ready).unwrap().len(), 1);
        known.keep(&ready).unwrap();
        let known = Known::read(dir.path(), Hash([1; 32])).unwrap();
        assert!(known.new_ones(&ready).unwrap().is_empty());
        assert_eq!(Known::read(dir.path(), Hash([2; 32])).unwrap().new_ones(&ready).unwrap().len(), 1, "another site");

        // The site's own key, signed by nobody, by its own, under the device's id.
        let (_, _, other) = device(1);
        let swapped = SecretRecipient { sealing_key: other.sealing_key.clone(), ..honest.clone() };
        assert!(sort(site, vec![swapped], false).is_err(), "a sealing key that the device did not sign");
        let ready_other = sort(site, vec![other], false).unwrap().ready;
        assert!(known.new_ones(&ready_other).unwrap_err().to_string().contains("taken over"));
        let (_, _, second) = device(2);
        let moved = SecretRecipient { device: honest.device, ..second };
        assert!(sort(site, vec![moved], false).is_err(), "another device's statement");
        assert!(sort("XYZ".parse().unwrap(), vec![honest.clone()], false).is_err(), "another site's statement");

        // An earlier sealing key of the very device: it was destroyed, and somebody has it from a backup.
        let mut earlier = ready.clone();
        (earlier[0].sealing_key, earlier[0].made) =
            (SealingPrivateKey::generate().unwrap().public().clone(), UnixMillis(0));
        assert!(known.new_ones(&earlier).unwrap_err().to_string().contains("earlier sealing key"));
        earlier[0].made = UnixMillis(2);
        assert!(known.new_ones(&earlier).unwrap().is_empty(), "a later one is the device's next");

        let soft = SecretRecipient { protection: KeyProtection::SoftwareKey, ..honest.clone() };
        assert_eq!(sort(site, vec![soft.clone()], false).unwrap().software, ["pc1"]);
        assert_eq!(sort(site, vec![soft], true).unwrap().ready.len(), 1);
        let silent = SecretRecipient { sealing_key: None, ..honest };
        assert_eq!(sort(site, vec![silent], false).unwrap().silent, ["pc1"]);

        let author = PrivateKey::generate().unwrap();
        let what = What {
            site,
            application: ApplicationId(uuid::Uuid::from_u128(3)),
            name: "token".parse().unwrap(),
            version: UnixMillis(5),
        };
        let sealed = cosign(&seal(&what, b"x", &ready, &author).unwrap(), &PrivateKey::generate().unwrap()).unwrap();
        assert_eq!(look(&sealed).unwrap()[0].name, what.name);
        let bytes = BASE64.decode(&sealed.secrets[0]).unwrap();
        let opened: SealedSecret = serde_json::from_slice(&envelope::unverified_payload(&bytes).unwrap()).unwrap();
        assert_eq!(sealing.open(&opened).unwrap().as_slice(), b"x");
        assert!(seal(&what, b"", &ready, &author).is_err());
    }
}
