//! What a trust bundle changes, in sentences for the person who signs it: read from the bundle itself.

use crate::{TrustBundle, bundle::NamedKey, certificate, names_within};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::id::Hash;

impl TrustBundle {
    /// Every key that it names, with its purpose: `root`, `issuing`, `policy` or `author`; then the key id, and the name.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, Hash, String)> {
        let named = |purpose, keys: &[NamedKey]| -> Vec<(&'static str, Hash, String)> {
            let known = keys.iter().filter_map(|key| Some((key.public().ok()?.id(), key.name.clone())));
            known.map(|(id, name)| (purpose, id, name)).collect()
        };
        let issuing = self.issuing.iter().filter_map(|text| {
            let der = BASE64.decode(text).ok()?;
            let key = certificate::public_key(&der).ok()?;
            let within = names_within::of_certificate(&der).ok()?;
            let whom = if within.is_empty() { "any name".to_owned() } else { within.join(", ") };
            Some(("issuing", key.id(), format!("issuing CA, for servers within {whom}")))
        });
        let mut all = named("root", &self.root.keys);
        all.extend(issuing);
        all.extend(named("policy", &self.policy));
        all.extend(named("author", &self.authors.keys));
        all.into_iter()
    }

    /// What becomes different when this bundle follows `present`; without that, everything that it names. Empty: only the
    /// version and the times.
    #[must_use]
    pub fn differences(&self, present: Option<&Self>) -> Vec<String> {
        let before: Vec<_> = present.into_iter().flat_map(Self::keys).collect();
        let after: Vec<_> = self.keys().collect();
        let revoked_before = present.map_or(&[][..], |present| &present.revoked);
        let mut found = Vec::new();
        for (purpose, id, name) in after.iter().filter(|key| !before.contains(key)) {
            found.push(format!("new {purpose} key of \"{}\": {id}", printable(name)));
        }
        for (purpose, id, name) in before.iter().filter(|key| !after.contains(key)) {
            found.push(format!("no longer {purpose} key: \"{}\", {id}", printable(name)));
        }
        for id in self.revoked.iter().filter(|id| !revoked_before.contains(id)) {
            found.push(format!("revoked, believed for nothing from now on: {id}"));
        }
        for id in revoked_before.iter().filter(|id| !self.revoked.contains(id)) {
            found.push(format!("NO LONGER REVOKED: {id}"));
        }
        let thresholds = |bundle: &Self| [("root keys", bundle.root.threshold), ("authors", bundle.authors.threshold)];
        let thresholds_before = present.map(thresholds);
        for (at, (what, after)) in thresholds(self).into_iter().enumerate() {
            if thresholds_before.is_none_or(|before| before[at].1 != after) {
                found.push(format!("signatures of {what} that are needed: {after}"));
            }
        }
        if present.map_or(self.approval.is_some(), |present| present.approval != self.approval) {
            found.push(match self.approval {
                Some(rule) => format!("a second key must approve deployments to more than {} device(s)", rule.above),
                None => "NO SECOND KEY APPROVES DEPLOYMENTS ANY MORE".to_owned(),
            });
        }
        if present.is_none_or(|present| self.root_certificate != present.root_certificate) {
            let pin = self.root_certificate_key().map_or_else(|error| error.to_string(), |key| key.id().to_string());
            found.push(format!("another root certificate; what new clients pin: {pin}"));
        }
        if present.is_some_and(|present| present.site != self.site) {
            found.push(format!("ANOTHER SITE: {}", self.site));
        }
        found
    }
}

/// A name may have come from anywhere: what could move a terminal's cursor is not shown.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
