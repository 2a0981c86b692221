//! Who is approved without being asked about: the mode of the site, and the one place that decides by it.
//!
//! Whatever the mode, a device is approved only by something that is its own and that it has proven, or by a token that was made
//! for it alone. What a device says of itself approves nobody.

use crate::{Ctx, SiteError, audit, authz, site::Site};
use muster_model::{
    api::{Approval, ApprovalMode, ApprovalSet, DomainAccount, TrustedDomain, is_made_group, is_realm, is_service},
    limits::TRUSTED_DOMAINS,
    problem::Code,
};
use muster_store::{
    Connection,
    bus::{Notice, Noun},
    db::{hardware, setting},
    transaction,
};
use serde::{Deserialize, Serialize};

/// Under this name the settings stand in the store.
const SETTING: &str = "approval";

/// The settings as they are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) mode: ApprovalMode,
    pub(super) domains: Vec<TrustedDomain>,
}

impl Settings {
    /// An account that was judged a moment ago, by the settings of now: a domain or group that was taken away since approves nobody.
    pub(super) fn as_of_now(&self, account: &DomainAccount) -> DomainAccount {
        let is_trusted = |group: &String| {
            self.domains.iter().any(|domain| domain.realm == account.realm && domain.groups.contains(group))
        };
        DomainAccount { group: account.group.clone().filter(is_trusted), ..account.clone() }
    }
}

pub(super) async fn read(conn: &mut Connection) -> Result<Settings, SiteError> {
    setting::get(conn, SETTING).await?.map_or_else(
        || Ok(Settings::default()),
        |text| {
            serde_json::from_str(&text)
                .map_err(|_| SiteError::Fault("the stored approval mode does not parse".to_owned()))
        },
    )
}

/// The approval mode in force.
///
/// # Errors
/// `unauthenticated`.
pub async fn approval_show(ctx: &Ctx, site: &Site) -> Result<Approval, SiteError> {
    authz::see(ctx)?;
    Ok(shown(site, read(&mut *site.store.reader().await?).await?))
}

fn shown(site: &Site, settings: Settings) -> Approval {
    let has_key = |domain: &&TrustedDomain| {
        !site.keytabs.iter().any(|keytab| !keytab.keys(&domain.realm, &domain.service).is_empty())
    };
    let without_key = settings.domains.iter().filter(has_key).map(|domain| domain.realm.clone()).collect();
    Approval {
        mode: settings.mode,
        warning: settings.mode.warning().to_owned(),
        without_key,
        domains: settings.domains,
    }
}

/// Changes the approval mode. Requests that wait already go on waiting.
///
/// # Errors
/// `unauthenticated`, `forbidden`; `malformed` for a domain that is none, a built-in group, or the mode `all` without a confirmation.
pub async fn approval_update(ctx: &Ctx, site: &Site, set: ApprovalSet) -> Result<Approval, SiteError> {
    authz::change(ctx)?;
    check(&set)?;
    let settings = Settings { mode: set.mode, domains: set.domains };
    let text = serde_json::to_string(&settings).map_err(|error| SiteError::Fault(error.to_string()))?;
    transaction!(site.store, "approval_update", |tx| {
        hardware::lock(tx).await?;
        let before = read(tx.conn()).await?;
        if before == settings {
            return Ok(());
        }
        setting::set(tx, SETTING, &text).await?;
        let detail = format!("Approval was: {}; it is: {}.", words(&before), words(&settings));
        audit::append(tx, ctx, "approval_update", "approval".to_owned(), detail).await
    })?;
    site.bus.publish(Notice::Changed(Noun::Enrolment));
    Ok(shown(site, settings))
}

fn words(settings: &Settings) -> String {
    let domains = settings.domains.iter().map(|domain| {
        format!("; domain {} as {} for the groups {}", domain.realm, domain.service, domain.groups.join(", "))
    });
    format!("{}{}", settings.mode, domains.collect::<String>())
}

fn check(set: &ApprovalSet) -> Result<(), SiteError> {
    let wrong = |detail: String| Err(SiteError::refused(Code::Malformed, detail));
    if set.domains.len() > TRUSTED_DOMAINS || set.domains.iter().any(|domain| domain.groups.len() > TRUSTED_DOMAINS) {
        return wrong(format!("There are at most {TRUSTED_DOMAINS} trusted domains, with as many groups each."));
    }
    for (index, domain) in set.domains.iter().enumerate() {
        if !is_realm(&domain.realm) {
            return wrong(format!("{:?} is no Kerberos realm; one is like EXAMPLE.COM.", domain.realm));
        }
        if !is_service(&domain.service) {
            return wrong(format!("{:?} is no service; one is like muster/site.example.com.", domain.service));
        }
        if set.domains[..index].iter().any(|other| other.realm == domain.realm) {
            return wrong(format!("The domain {} is named twice.", domain.realm));
        }
        if domain.groups.is_empty() {
            return wrong(format!("{} needs a group: being a member of a domain approves nobody.", domain.realm));
        }
        if let Some(group) = domain.groups.iter().find(|group| !is_made_group(group)) {
            return wrong(format!(
                "{group:?} is not the identifier of a group that somebody made (S-1-5-21-...-1000 or above). Built-in groups as \
                 Domain Computers have every computer in them, also those that ordinary users make."
            ));
        }
    }
    if set.mode == ApprovalMode::TrustedDomain && set.domains.is_empty() {
        return wrong("Name the trusted domains first.".to_owned());
    }
    if set.mode == ApprovalMode::All && !set.confirmed {
        return wrong(format!("Confirm that you have read this: {}", ApprovalMode::All.warning()));
    }
    Ok(())
}

/// What is known of a request that waits, when it is decided whether it waits on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts<'a> {
    /// It proved a TPM that the site believes.
    pub(super) attested: bool,
    /// An administrator awaits that TPM.
    pub(super) awaited: bool,
    /// The account that it proved.
    pub(super) account: Option<&'a DomainAccount>,
    /// The serial number that its token was made for, and that it states.
    pub(super) token_serial: Option<&'a str>,
    /// The serial number that it states is on the list.
    pub(super) is_listed: bool,
    /// A device is there already with its hardware; or was there, with its key.
    pub(super) has_twin: bool,
    /// A device is there already with its key, hardware, account or name.
    pub(super) resembles: bool,
}

/// What approves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// A TPM that an administrator awaits.
    Awaited,
    /// An account in a group of a trusted domain.
    Domain,
    /// A TPM that the site believes.
    Attested,
    /// A token for one serial number of the list.
    Token,
}

/// Whether a request is approved by itself, and by what.
pub(super) fn automatic(mode: ApprovalMode, facts: &Facts<'_>) -> Option<Basis> {
    if facts.attested && facts.awaited && !facts.has_twin {
        return Some(Basis::Awaited);
    }
    // Nobody takes the place of a device without being looked at.
    if facts.has_twin || facts.resembles {
        return None;
    }
    let is_member = facts.account.is_some_and(|account| account.group.is_some());
    match mode {
        ApprovalMode::Manual => None,
        ApprovalMode::TrustedDomain | ApprovalMode::All if is_member => Some(Basis::Domain),
        ApprovalMode::TrustedDomain => None,
        ApprovalMode::All if facts.attested => Some(Basis::Attested),
        ApprovalMode::All if facts.token_serial.is_some() && facts.is_listed => Some(Basis::Token),
        ApprovalMode::All => None,
    }
}

/// The decision in words, where there is something to say.
pub(super) fn verdict(mode: ApprovalMode, facts: &Facts<'_>, basis: Option<Basis>) -> Option<String> {
    let account = |account: &DomainAccount| format!("trusted domain {}, account {}", account.realm, account.account);
    match (basis, facts.account) {
        (Some(Basis::Awaited), _) => Some("approved: awaited TPM".to_owned()),
        (Some(Basis::Domain), found) => Some(format!("approved: {}", found.map(account).unwrap_or_default())),
        (Some(Basis::Attested), _) => Some("approved: mode all, key in a TPM that this site believes".to_owned()),
        (Some(Basis::Token), _) => Some(format!(
            "approved: mode all, token made for serial number {} (stated by the device, not proven)",
            facts.token_serial.unwrap_or_default()
        )),
        (None, Some(found)) => {
            let why = if facts.has_twin || facts.resembles {
                "another device has the same key, TPM, account, hardware id or name"
            } else if found.group.is_none() {
                "it is in no group that this site approves"
            } else if mode == ApprovalMode::Manual {
                "the approval mode is manual"
            } else {
                "the approval mode does not approve it"
            };
            Some(format!("waits: {}: {why}", account(found)))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of what can be known of a request.
    fn all_facts(mut each: impl FnMut(&Facts<'_>)) {
        let account = |group: bool| DomainAccount {
            realm: "LAB.EXAMPLE".to_owned(),
            account: "PC1$".to_owned(),
            sid: "S-1-5-21-1-2-3-1104".to_owned(),
            group: group.then(|| "S-1-5-21-1-2-3-1105".to_owned()),
            verified: muster_model::time::UnixMillis(0),
        };
        let accounts = [None, Some(account(false)), Some(account(true))];
        for bits in 0_u8..64 {
            let bit = |number: u8| bits >> number & 1 == 1;
            for account in &accounts {
                each(&Facts {
                    attested: bit(0),
                    awaited: bit(1),
                    account: account.as_ref(),
                    token_serial: bit(2).then_some("X1"),
                    is_listed: bit(3),
                    has_twin: bit(4),
                    resembles: bit(5),
                });
            }
        }
    }

    // proves S3
    #[test]
    fn no_mode_approves_a_key_that_proves_nothing_of_its_device() {
        let mut approved = 0;
        for mode in ApprovalMode::ALL {
            all_facts(|facts| {
                let basis = automatic(*mode, facts);
                approved += usize::from(basis.is_some());
                let is_member = facts.account.is_some_and(|account| account.group.is_some());
                match basis {
                    None => {}
                    Some(Basis::Awaited) => assert!(facts.attested && facts.awaited && !facts.has_twin),
                    Some(Basis::Domain) => assert!(is_member && *mode != ApprovalMode::Manual),
                    Some(Basis::Attested) => assert!(facts.attested && *mode == ApprovalMode::All),
                    Some(Basis::Token) => {
                        assert!(facts.token_serial.is_some() && facts.is_listed && *mode == ApprovalMode::All);
                    }
                }
                // A key made by anybody, with whatever name, number or directory account: it waits.
                if !facts.attested && !is_member && facts.token_serial.is_none() {
                    assert_eq!(basis, None, "{mode}: {facts:?}");
                }
                // What resembles a device never becomes one by itself, but awaited hardware that is nobody else's.
                if facts.has_twin || facts.resembles && basis != Some(Basis::Awaited) {
                    assert_eq!(basis, None, "{mode}: {facts:?}");
                }
            });
        }
        assert!(approved > 10, "the modes approve somebody");
    }

    // proves S3
    #[test]
    fn a_group_or_domain_that_was_taken_away_approves_nobody() {
        let account = DomainAccount {
            realm: "LAB.EXAMPLE".to_owned(),
            account: "PC1$".to_owned(),
            sid: "S-1-5-21-1-2-3-1104".to_owned(),
            group: Some("S-1-5-21-1-2-3-1105".to_owned()),
            verified: muster_model::time::UnixMillis(0),
        };
        let group_of = |domains: &[(&str, &str)]| {
            let domain = |&(realm, group): &(&str, &str)| TrustedDomain {
                realm: realm.to_owned(),
                service: "muster/site.example".to_owned(),
                groups: vec![group.to_owned()],
            };
            let settings = Settings { mode: ApprovalMode::All, domains: domains.iter().map(domain).collect() };
            settings.as_of_now(&account).group
        };
        assert_eq!(group_of(&[("LAB.EXAMPLE", "S-1-5-21-1-2-3-1105")]), account.group);
        for now in [
            &[][..],
            &[("LAB.EXAMPLE", "S-1-5-21-1-2-3-1106")],
            &[("OTHER.EXAMPLE", "S-1-5-21-1-2-3-1105")],
            &[("OTHER.EXAMPLE", "S-1-5-21-1-2-3-1105"), ("LAB.EXAMPLE", "S-1-5-21-1-2-3-1106")],
        ] {
            assert_eq!(group_of(now), None, "{now:?}");
        }
    }

    #[test]
    fn what_is_decided_is_said() {
        for mode in ApprovalMode::ALL {
            all_facts(|facts| {
                let basis = automatic(*mode, facts);
                let verdict = verdict(*mode, facts, basis);
                assert_eq!(verdict.is_some(), basis.is_some() || facts.account.is_some());
                if basis == Some(Basis::Domain) {
                    assert_eq!(verdict.unwrap(), "approved: trusted domain LAB.EXAMPLE, account PC1$");
                }
            });
        }
    }

    #[test]
    fn a_mode_that_would_be_a_mistake_is_refused() {
        let domain = |realm: &str, service: &str, groups: &[&str]| TrustedDomain {
            realm: realm.to_owned(),
            service: service.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        };
        let (service, group) = ("muster/site.example", "S-1-5-21-1-2-3-1105");
        let good = domain("LAB.EXAMPLE", service, &[group]);
        let set = |mode, domains: &[TrustedDomain], confirmed| {
            check(&ApprovalSet { mode, domains: domains.to_vec(), confirmed }).is_ok()
        };
        assert!(set(ApprovalMode::Manual, &[], false));
        assert!(set(ApprovalMode::TrustedDomain, std::slice::from_ref(&good), false));
        assert!(set(ApprovalMode::All, &[], true));
        assert!(!set(ApprovalMode::All, &[], false), "without a confirmation");
        assert!(!set(ApprovalMode::TrustedDomain, &[], false), "without a domain");
        assert!(!set(ApprovalMode::TrustedDomain, &[good.clone(), good.clone()], false), "one domain twice");
        for bad in [
            domain("lab.example", service, &[group]),
            domain("LAB.EXAMPLE", "muster", &[group]),
            domain("LAB.EXAMPLE", service, &[]),
            domain("LAB.EXAMPLE", service, &["S-1-5-21-1-2-3-515"]),
            domain("LAB.EXAMPLE", service, &["Domain Computers"]),
        ] {
            assert!(!set(ApprovalMode::TrustedDomain, std::slice::from_ref(&bad), false), "{bad:?}");
        }
    }
}
