//! The rules of software titles, and how a spelling is found in them.

use super::name::clean;
use crate::{
    glob::Pattern,
    limits::{TITLE_RULES, TITLE_SPELLINGS, TITLE_TEXT_BYTES},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// A publisher and how it is spelled; `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Publisher {
    /// The name.
    pub name: String,
    /// Spellings, in any case.
    pub spellings: Vec<String>,
}

/// A product and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProductRule {
    /// The product.
    pub product: String,
    /// Its publisher; empty: whoever the package says.
    #[serde(default)]
    pub publisher: String,
    /// Names, in any case; `*` stands for any text, `?` for one character.
    pub names: Vec<String>,
    /// Only what this publisher made, after its spellings were looked up; empty: whoever made it.
    #[serde(default)]
    pub of: String,
}

/// The rules of an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnRules {
    /// Products; the first that fits counts.
    #[serde(default)]
    pub products: Vec<ProductRule>,
    /// Publishers.
    #[serde(default)]
    pub publishers: Vec<Publisher>,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too many.
    #[error("there are more than {TITLE_RULES} rules, or a rule has more than {TITLE_SPELLINGS} spellings")]
    TooMany,
    /// A text that cannot be.
    #[error("{0:?} is empty, too long, or has characters that are not seen")]
    Text(String),
    /// A rule that fits nothing, or everything.
    #[error("the rule of {0:?} has no spelling, or one that fits everything")]
    Fits(String),
}

impl OwnRules {
    /// Whether these can be rules.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), RulesError> {
        if self.products.len() + self.publishers.len() > TITLE_RULES {
            return Err(RulesError::TooMany);
        }
        let products = self.products.iter().map(|rule| (&rule.product, &rule.names, [&rule.publisher, &rule.of]));
        let publishers = self.publishers.iter().map(|rule| (&rule.name, &rule.spellings, [&rule.name, &rule.name]));
        for (name, spellings, others) in products.chain(publishers) {
            let odd = |text: &str| text.len() > TITLE_TEXT_BYTES || text.chars().any(char::is_control);
            let texts = spellings.iter().chain(others).chain([name]);
            if let Some(text) = texts.into_iter().find(|text| odd(text)) {
                return Err(RulesError::Text(text.chars().take(100).collect()));
            }
            if name.trim().is_empty() {
                return Err(RulesError::Text(name.clone()));
            }
            if spellings.len() > TITLE_SPELLINGS {
                return Err(RulesError::TooMany);
            }
            let fits_all = |text: &String| text.chars().all(|c| matches!(c, '*' | '?' | ' '));
            if spellings.is_empty() || spellings.iter().any(fits_all) {
                return Err(RulesError::Fits(name.clone()));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    publishers: Vec<Publisher>,
    legal_forms: Vec<String>,
    architectures: Vec<Publisher>,
    languages: Vec<String>,
    products: Vec<ProductRule>,
}

/// Spellings, each with the place of its rule: those without a star are found at once, the others are tried in turn.
#[derive(Debug, Clone, Default)]
struct Spellings {
    plain: HashMap<String, usize>,
    patterns: Vec<(Pattern, usize)>,
}

impl Spellings {
    fn add(&mut self, spellings: &[String], rule: usize) {
        for spelling in spellings.iter().map(|spelling| spelling.to_lowercase()) {
            if spelling.contains(['*', '?']) {
                self.patterns.push((Pattern::new(&spelling), rule));
            } else {
                self.plain.entry(spelling).or_insert(rule);
            }
        }
    }

    /// Rules that fit, those with a plain spelling first.
    fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        let characters: Vec<char> = text.chars().collect();
        let found = move |(pattern, rule): &(Pattern, usize)| pattern.fits(&characters).then_some(*rule);
        self.plain.get(text).copied().into_iter().chain(self.patterns.iter().filter_map(found))
    }
}

/// All rules, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    products: Vec<ProductRule>,
    names: Spellings,
    /// How many of the first products and publishers are an administrator's.
    own: (Spellings, Spellings),
    publishers: Vec<String>,
    spellings: Spellings,
    legal_forms: Vec<String>,
    architectures: HashMap<String, String>,
    languages: HashSet<String>,
}

/// The text of the rules that come with the program.
pub const BUILT_IN: &str = include_str!("../../data/software-titles.json");

impl Rules {
    /// The rules that come with the program.
    pub fn built_in() -> &'static Self {
        static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::with(&OwnRules::default()));
        &RULES
    }

    /// The rules that come with the program, below those of an administrator.
    #[must_use]
    pub fn with(own: &OwnRules) -> Self {
        let mut rules = Self::default();
        // A test holds the file to its form.
        let Ok(file) = serde_json::from_str::<File>(BUILT_IN) else { return rules };
        for (products, publishers, is_own) in
            [(&own.products, &own.publishers, true), (&file.products, &file.publishers, false)]
        {
            for rule in products {
                let names = if is_own { &mut rules.own.0 } else { &mut rules.names };
                names.add(&rule.names, rules.products.len());
                rules.products.push(rule.clone());
            }
            for rule in publishers {
                let spellings = if is_own { &mut rules.own.1 } else { &mut rules.spellings };
                spellings.add(&rule.spellings, rules.publishers.len());
                rules.publishers.push(rule.name.clone());
            }
        }
        rules.legal_forms = file.legal_forms;
        for rule in &file.architectures {
            rules.architectures.extend(rule.spellings.iter().map(|spelling| (spelling.clone(), rule.name.clone())));
        }
        rules.languages = file.languages.into_iter().collect();
        rules
    }

    /// The rule of a product with one of these spellings, in lower case.
    pub(super) fn product(&self, spelled: &[String], publisher: &str) -> Option<&ProductRule> {
        let fits = |rule: &&ProductRule| rule.of.is_empty() || rule.of.eq_ignore_ascii_case(publisher);
        [&self.own.0, &self.names].into_iter().find_map(|names| {
            let found = spelled.iter().flat_map(|text| names.find(text));
            found.filter_map(|rule| self.products.get(rule)).find(fits)
        })
    }

    /// The publisher of this spelling: by a rule, or without its legal form and its address.
    #[must_use]
    pub fn publisher(&self, said: &str) -> String {
        let whole = clean(said);
        let name = clean(whole.split('<').next().unwrap_or_default());
        let bare = self.without_form(&name);
        for text in [&whole, &name, &bare] {
            let lower = text.to_lowercase();
            let rule = self.own.1.find(&lower).chain(self.spellings.find(&lower)).next();
            if let Some(found) = rule.and_then(|rule| self.publishers.get(rule)) {
                return found.clone();
            }
        }
        bare
    }

    fn without_form(&self, name: &str) -> String {
        let mut rest = name.trim_end_matches([' ', ',']);
        loop {
            let lower = rest.to_lowercase();
            let form =
                self.legal_forms.iter().filter(|form| lower.ends_with(form.as_str())).max_by_key(|form| form.len());
            let Some(before) = form.and_then(|form| rest.get(..rest.len().saturating_sub(form.len()))) else {
                return rest.to_owned();
            };
            // A word of its own, and not the whole name.
            let shorter = before.trim_end_matches([' ', ',', '&', '.']);
            if shorter.is_empty() || !before.ends_with([' ', ',', '&']) || lower.len() != rest.len() {
                return rest.to_owned();
            }
            rest = shorter;
        }
    }

    /// The architecture of this spelling.
    #[must_use]
    pub fn architecture(&self, word: &str) -> Option<&str> {
        self.architectures.get(&word.to_lowercase()).map(String::as_str)
    }

    /// Whether a word names a language.
    #[must_use]
    pub fn is_language(&self, word: &str) -> bool {
        self.languages.contains(&word.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_well_formed_and_its_rules_are_too() {
        let file: File = serde_json::from_str(BUILT_IN).unwrap();
        OwnRules { products: file.products, publishers: file.publishers }.check().unwrap();
        assert!(!file.legal_forms.is_empty() && !file.languages.is_empty() && !file.architectures.is_empty());
    }

    #[test]
    fn publishers_lose_their_legal_form_and_keep_their_name() {
        let rules = Rules::built_in();
        for (said, name) in [
            ("Contoso Ltd.", "Contoso"),
            ("Contoso, Inc", "Contoso"),
            ("Contoso GmbH & Co. KG", "Contoso"),
            ("SE", "SE"),
            ("Corsica", "Corsica"),
            ("MICROSOFT CORPORATION", "Microsoft"),
            ("Jane Doe <jane@example.org>", "Jane Doe"),
            ("İnc", "İnc"),
        ] {
            assert_eq!(rules.publisher(said), name);
        }
    }
}
