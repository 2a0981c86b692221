//! Status filter rules, made ready for many messages. Part, severity and type follow from the kind of a message, so that for each kind it is
//! known beforehand which rules can be about it; the texts of all rules are looked for together, in one pass over the values.

use aho_corasick::AhoCorasick;
use muster_model::{
    api::{StatusRule, StatusRuleInfo},
    id::{CollectionId, DeviceId},
    status::{MessageId, StatusMessage},
};
use std::collections::{HashMap, HashSet};

/// The rules in force, in their order.
#[derive(Debug, Default)]
pub struct RuleIndex {
    rules: Vec<StatusRuleInfo>,
    /// Which rules can be about a kind of message, in order.
    of_kind: HashMap<MessageId, Vec<usize>>,
    /// The texts of rules; which rules look for each.
    texts: Option<AhoCorasick>,
    of_text: Vec<Vec<usize>>,
    /// Collections that rules name.
    collections: HashSet<CollectionId>,
}

fn can_be(rule: &StatusRule, id: MessageId) -> bool {
    let entry = id.entry();
    rule.component.is_none_or(|component| component == entry.component)
        && rule.message.is_none_or(|message| message == id)
        && rule.severity.is_none_or(|least| entry.severity >= least)
        && rule.kind.is_none_or(|kind| kind == entry.kind)
}

impl RuleIndex {
    /// Of these rules, which stand in their order. Those that are not in force are left out.
    ///
    /// # Errors
    /// A sentence, where the texts are too many.
    pub fn new(rules: Vec<StatusRuleInfo>) -> Result<Self, String> {
        let rules: Vec<StatusRuleInfo> = rules.into_iter().filter(|info| info.rule.enabled).collect();
        let mut of_kind: HashMap<MessageId, Vec<usize>> = HashMap::new();
        for id in MessageId::ALL {
            let about = (0..rules.len()).filter(|at| can_be(&rules[*at].rule, *id)).collect();
            of_kind.insert(*id, about);
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        let (mut texts, mut of_text): (Vec<&str>, Vec<Vec<usize>>) = Default::default();
        for (at, info) in rules.iter().enumerate() {
            let Some(text) = info.rule.text.as_deref() else { continue };
            let place = *places.entry(text).or_insert_with(|| {
                texts.push(text);
                of_text.push(Vec::new());
                texts.len() - 1
            });
            of_text[place].push(at);
        }
        let made = if texts.is_empty() { None } else { Some(AhoCorasick::new(&texts)) };
        let texts =
            made.transpose().map_err(|error| format!("The texts of the rules cannot be looked for: {error}."))?;
        let collections = rules.iter().filter_map(|info| info.rule.collection).collect();
        Ok(Self { rules, of_kind, texts, of_text, collections })
    }

    /// Collections that rules in force name.
    #[must_use]
    pub const fn collections(&self) -> &HashSet<CollectionId> {
        &self.collections
    }

    /// Whether there is no rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A rule by its place in [`Self::meets`].
    #[must_use]
    pub fn rule(&self, at: usize) -> Option<&StatusRuleInfo> {
        self.rules.get(at)
    }

    /// The rules that a message meets, in order, up to the first that stops it.
    pub fn meets(
        &self,
        device: DeviceId,
        message: &StatusMessage,
        is_member: impl Fn(CollectionId) -> bool,
    ) -> Vec<usize> {
        let about = self.of_kind.get(&message.id).map_or(&[][..], Vec::as_slice);
        let mut met = Vec::new();
        if about.is_empty() {
            return met;
        }
        let found = self.found(about, message);
        for at in about {
            let Some(StatusRuleInfo { rule, .. }) = self.rules.get(*at) else { continue };
            let meets = rule.device.is_none_or(|wanted| wanted == device)
                && (rule.text.is_none() || found.get(*at).copied().unwrap_or_default())
                && rule.collection.is_none_or(&is_member);
            if meets {
                met.push(*at);
                if rule.stop {
                    break;
                }
            }
        }
        met
    }

    /// Of which rules the text is there.
    fn found(&self, about: &[usize], message: &StatusMessage) -> Vec<bool> {
        let Some(texts) = &self.texts else { return Vec::new() };
        if !about.iter().any(|at| self.rules.get(*at).is_some_and(|info| info.rule.text.is_some())) {
            return Vec::new();
        }
        let mut found = vec![false; self.rules.len()];
        let mut seen = vec![false; self.of_text.len()];
        for (name, value) in &message.values {
            seen.fill(false);
            for hit in texts.find_overlapping_iter(value) {
                let text = hit.pattern().as_usize();
                // A value that is one text many times over is looked at once.
                if std::mem::replace(&mut seen[text], true) {
                    continue;
                }
                for at in &self.of_text[text] {
                    found[*at] |= self.rules[*at].rule.value.as_ref().is_none_or(|wanted| wanted == name);
                }
            }
        }
        found
    }
}
