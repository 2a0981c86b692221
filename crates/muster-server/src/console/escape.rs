//! How text from outside is shown: escaped for HTML, and with the characters that hide or reorder text made visible.

use askama::filters::Escaper;
use std::fmt::{self, Write};

/// The escaper of every page (see `askama.toml`).
///
/// Besides HTML's five characters it replaces control characters, bidirectional overrides and invisible characters by their number in
/// brackets: a host name that pretends to be another one shows what it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, character) in string.char_indices() {
            let entity = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                c if hides(c) => "",
                _ => continue,
            };
            dest.write_str(&string[plain..at])?;
            plain = at + character.len_utf8();
            if entity.is_empty() {
                write!(dest, "\u{27e6}U+{:04X}\u{27e7}", u32::from(character))?;
            } else {
                dest.write_str(entity)?;
            }
        }
        dest.write_str(&string[plain..])
    }
}

/// Whether a character is not seen where it stands: controls (but line ends and tabs), bidirectional marks, joiners, tags, fillers.
fn hides(character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        Shown.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn markup_is_escaped_and_hidden_characters_are_seen() {
        assert_eq!(shown("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        assert_eq!(shown("pc\u{202e}gpj.exe"), "pc\u{27e6}U+202E\u{27e7}gpj.exe");
        assert_eq!(shown("a\u{0}b\u{200b}c\nd\u{fe0f}"), "a\u{27e6}U+0000\u{27e7}b\u{27e6}U+200B\u{27e7}c\nd\u{fe0f}");
        assert_eq!(shown("Büro 4, Köln, 東京, שלום"), "Büro 4, Köln, 東京, שלום");
    }
}
