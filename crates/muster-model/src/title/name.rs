//! The name of a piece of software taken apart: what installers write into it beside the product.

use super::Rules;

/// The parts of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) language: String,
}

/// One space where there are several or other ones, and no control characters.
pub(super) fn clean(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a word is a version: it begins with a digit, has a dot, and digits, dots and few letters only.
fn is_version(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.contains('.')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'))
        && word.chars().filter(char::is_ascii_alphabetic).count() <= 5
}

impl Rules {
    /// Takes architecture, language and version from the end of a name, again and again.
    pub(super) fn parts(&self, name: &str, version: &str) -> Parts {
        let mut parts = Parts { name: clean(name), ..Parts::default() };
        let version = clean(version);
        while let Some(shorter) = self.shorter(&mut parts, &version) {
            parts.name = shorter;
        }
        parts
    }

    fn shorter(&self, parts: &mut Parts, version: &str) -> Option<String> {
        let name = parts.name.trim_end_matches([' ', '-', ',', '\u{2013}']).to_owned();
        let name = name.as_str();
        if name.is_empty() {
            return None;
        }
        if let Some((before, inside)) = name.strip_suffix(')').and_then(|open| open.rsplit_once('('))
            && !before.trim().is_empty()
        {
            let words: Vec<&str> = inside.split([' ', ',', ';', '/']).filter(|word| !word.is_empty()).collect();
            let whole = [inside.trim()];
            // Either the text as a whole or each word of it is known: `(64 bit)`, `(x64 en-US)`.
            let known = [&whole[..], &words[..]]
                .into_iter()
                .find(|words| !words.is_empty() && words.iter().all(|word| self.is_detail(word) || is_version(word)))?;
            for word in known {
                self.detail(parts, word);
            }
            return Some(before.trim().to_owned());
        }
        let (before, last) = name.rsplit_once(' ')?;
        let bare = last.strip_prefix(['v', 'V']).unwrap_or(last);
        if is_version(bare) || (!version.is_empty() && bare == version && bare.contains('.')) {
            if parts.version.is_empty() {
                bare.clone_into(&mut parts.version);
            }
            let before = before.trim_end();
            let word = before.rsplit(' ').next().unwrap_or_default();
            let marked = word.eq_ignore_ascii_case("version") && before.len() > word.len();
            return Some(before[..before.len() - if marked { word.len() } else { 0 }].trim_end().to_owned());
        }
        // A two-letter word may be a part of the name; in parentheses it is not.
        if self.is_detail(last) && last.len() > 2 && !last.eq_ignore_ascii_case("all") {
            self.detail(parts, last);
            return Some(before.to_owned());
        }
        (name.len() < parts.name.len()).then(|| name.to_owned())
    }

    fn is_detail(&self, word: &str) -> bool {
        self.architecture(word).is_some() || self.is_language(word)
    }

    fn detail(&self, parts: &mut Parts, word: &str) {
        if let Some(architecture) = self.architecture(word) {
            architecture.clone_into(&mut parts.architecture);
        } else if self.is_language(word) {
            parts.language = word.to_lowercase();
        } else if parts.version.is_empty() {
            word.clone_into(&mut parts.version);
        }
    }
}
