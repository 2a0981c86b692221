//! What the machine's administrator set: `agent.json` in the state directory, which only the agent's user can reach.

use crate::locate::{LocationConfig, assign::AnchorConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The kernel's TPM with its resource manager.
const DEVICE: &str = "/dev/tpmrm0";
/// Where a computer that joined a domain has its keys.
const KEYTAB: &str = "/etc/krb5.keytab";

/// The configuration. A word that is none of it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Whether the device's key is made in the TPM.
    pub tpm: Use,
    /// A device, `unix:<path>` or `tcp:<host>:<port>` of a software TPM.
    pub tpm_device: String,
    /// Whether the computer's account in its domain asks for it.
    pub domain: Use,
    /// The keys of that account.
    pub keytab: PathBuf,
    /// Domain controllers, `host` or `host:port`. None: those that the domain's own name leads to.
    pub kdc: Vec<String>,
    /// The site's service in the domain. None: `muster/` and the host of the enrolment door.
    pub service: Option<String>,
    /// The user as whom collectors run that need no privileges, where the agent is root. Default `nobody`; one of their own is better.
    pub collector_user: String,
    /// Whether a script policy of `bypass` is taken: what the site's own authors signed runs without a second signature. Default: it is
    /// taken for `all_signed`.
    pub script_bypass: bool,
    /// The program that restarts this machine, with its arguments: `["/usr/bin/systemctl", "reboot"]`. Empty, as by default: the client
    /// makes no restart.
    pub restart: Vec<String>,
    /// Whom to believe where a site is found by itself; absent: nobody, and none is.
    pub anchor: Option<AnchorConfig>,
    /// Where management points are looked for, beside those that the site named.
    pub location: LocationConfig,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            tpm: Use::Auto,
            tpm_device: DEVICE.to_owned(),
            domain: Use::Auto,
            keytab: KEYTAB.into(),
            kdc: Vec::new(),
            service: None,
            collector_user: "nobody".to_owned(),
            script_bypass: false,
            restart: Vec::new(),
            anchor: None,
            location: LocationConfig::default(),
        }
    }
}

/// When something is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Where it is there.
    Auto,
    /// Always: without it, and without a site that believes it, the client does not enrol.
    Required,
    /// Never.
    Off,
}

impl AgentConfig {
    /// Whether there is a TPM to open.
    #[must_use]
    pub fn has_tpm(&self) -> bool {
        self.tpm != Use::Off && (self.tpm_device != DEVICE || Path::new(DEVICE).exists())
    }

    /// Whether there is a keytab to read.
    #[must_use]
    pub fn has_keytab(&self) -> bool {
        self.domain != Use::Off && (self.domain == Use::Required || self.keytab.exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_what_is_used() {
        let config = |text: &str| serde_json::from_str::<AgentConfig>(text);
        assert_eq!(config("{}").unwrap(), AgentConfig::default());
        let off = config(r#"{"tpm": "off", "tpm_device": "unix:/run/swtpm", "domain": "off"}"#).unwrap();
        assert!(!off.has_tpm() && !off.has_keytab());
        assert!(config(r#"{"tpm_device": "unix:/run/swtpm"}"#).unwrap().has_tpm());
        assert!(config(r#"{"domain": "required", "keytab": "/nowhere"}"#).unwrap().has_keytab());
        assert!(!config(r#"{"keytab": "/nowhere"}"#).unwrap().has_keytab());
        assert!(config(r#"{"tmp": "off"}"#).is_err(), "a word that is none is an error");
        assert!(config(r#"{"location": {"wins": true}}"#).is_err(), "there is no WINS to switch on");
        let nothing = LocationConfig::default();
        assert_eq!(AgentConfig::default().location, nothing, "nothing is looked for without being told");
    }
}
