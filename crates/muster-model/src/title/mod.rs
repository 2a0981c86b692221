//! Software titles: the many spellings of one product, publisher and version, by rules that are data.
//!
//! The rules that come with the program are `data/software-titles.json`; an administrator's own are asked first.

mod name;
mod rules;

pub use rules::{BUILT_IN, OwnRules, ProductRule, Publisher, Rules, RulesError};

/// What a package database or an installer says of one piece of software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Who made it.
    pub publisher: &'a str,
    /// The database: `dpkg`, `rpm`, `apk`, `flatpak`, or anything else for an installer of Windows.
    pub source: &'a str,
    /// The database's own id, `dpkg:openssl:amd64`.
    pub code: &'a str,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Title {
    /// The product.
    pub product: String,
    /// Its publisher; of a distribution's package whose maker no rule knows, the distribution.
    pub publisher: String,
    /// The version, as the database has it, or as it stood in the name.
    pub version: String,
    /// How versions of this kind follow each other: `dpkg`, `rpm`, `apk`, or empty for numbers with dots.
    pub scheme: &'static str,
    /// The architecture, where it is known.
    pub architecture: String,
    /// The language, where the name has one.
    pub language: String,
}

/// Characters of a name, a version and a publisher that are looked at and kept.
pub const TEXT_CHARACTERS: usize = 256;
/// Bytes of each: a database has an index over two of them, and PostgreSQL takes 2,700 bytes into an entry.
pub const TEXT_BYTES: usize = 512;

/// The beginning of a text, to the end of a character.
fn cut(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(TEXT_CHARACTERS);
    let end = ends.take_while(|end| *end <= TEXT_BYTES).last().unwrap_or_default();
    &text[..end]
}

impl Rules {
    /// What this is. Of a text that is longer than any name the beginning counts.
    #[must_use]
    pub fn title(&self, said: &Said<'_>) -> Title {
        let said = &Said { name: cut(said.name), version: cut(said.version), publisher: cut(said.publisher), ..*said };
        let scheme = match said.source {
            "dpkg" => "dpkg",
            "rpm" => "rpm",
            "apk" => "apk",
            _ => "",
        };
        let maker = self.publisher(said.publisher);
        let mut parts = if scheme.is_empty() && said.source != "flatpak" {
            self.parts(said.name, said.version)
        } else {
            name::Parts { name: name::clean(said.name), ..name::Parts::default() }
        };
        if !scheme.is_empty() {
            let code = said.code.rsplit(':').next().unwrap_or_default();
            parts.architecture = self.architecture(code).unwrap_or_default().to_owned();
        }
        let version = match name::clean(said.version) {
            version if version.is_empty() => parts.version.clone(),
            version => version,
        };
        let spelled = [parts.name.to_lowercase(), name::clean(said.name).to_lowercase()];
        let (product, publisher) = match self.product(&spelled, &maker) {
            Some(rule) if rule.publisher.is_empty() => (rule.product.clone(), maker),
            Some(rule) => (rule.product.clone(), rule.publisher.clone()),
            None if parts.name.is_empty() => (name::clean(said.name), maker),
            None => (parts.name, maker),
        };
        let (architecture, language) = (parts.architecture, parts.language);
        Title { product, publisher, version, scheme, architecture, language }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(source: &str, name: &str, version: &str, publisher: &str, code: &str) -> [String; 5] {
        let title = Rules::built_in().title(&Said { name, version, publisher, source, code });
        [title.product, title.publisher, title.version, title.architecture, title.language]
    }

    #[test]
    fn the_spellings_of_one_product_are_one_title() {
        let cases = [
            (
                ("", "Mozilla Firefox 115.0 (x64 en-US)", "115.0", "Mozilla", ""),
                ["Mozilla Firefox", "Mozilla", "115.0"],
            ),
            (
                ("", "Mozilla Firefox (x64 de)", "118.0.1", "Mozilla Corporation", ""),
                ["Mozilla Firefox", "Mozilla", "118.0.1"],
            ),
            (
                (
                    "dpkg",
                    "firefox",
                    "118.0+build1-0ubuntu0.22.04.1",
                    "Ubuntu Mozilla Team <a@lists.ubuntu.com>",
                    "dpkg:firefox:amd64",
                ),
                ["Mozilla Firefox", "Mozilla", "118.0+build1-0ubuntu0.22.04.1"],
            ),
            (("flatpak", "org.mozilla.firefox", "118.0", "", ""), ["Mozilla Firefox", "Mozilla", "118.0"]),
            (
                (
                    "dpkg",
                    "firefox-esr",
                    "115.3.1esr-1~deb12u1",
                    "Maintainers of Mozilla-related packages <team+pkg-mozilla@tracker.debian.org>",
                    "dpkg:firefox-esr:amd64",
                ),
                ["Mozilla Firefox ESR", "Mozilla", "115.3.1esr-1~deb12u1"],
            ),
            (("", "7-Zip 22.01 (x64)", "22.01", "Igor Pavlov", ""), ["7-Zip", "7-Zip", "22.01"]),
            (
                (
                    "",
                    "Microsoft Visual C++ 2015-2022 Redistributable (x64) - 14.32.31332",
                    "14.32.31332.0",
                    "Microsoft Corporation",
                    "",
                ),
                ["Microsoft Visual C++ Redistributable", "Microsoft", "14.32.31332.0"],
            ),
            (
                ("", "Acme  Reader\u{a0}9.1", "", "Acme Software GmbH & Co. KG", ""),
                ["Acme Reader", "Acme Software", "9.1"],
            ),
            (
                ("", "Acme Reader v9.1.2 (32-bit) English", "9.1.2", "ACME Software, Inc.", ""),
                ["Acme Reader", "ACME Software", "9.1.2"],
            ),
            (("", "Office 365", "16.0", "Microsoft Corp.", ""), ["Office 365", "Microsoft", "16.0"]),
            (
                (
                    "dpkg",
                    "libssl3",
                    "3.0.17-1~deb12u3",
                    "Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>",
                    "dpkg:libssl3:amd64",
                ),
                ["libssl3", "Debian", "3.0.17-1~deb12u3"],
            ),
            (
                ("rpm", "openssl", "1:3.0.7-24.el9", "Rocky Enterprise Software Foundation", "rpm:openssl:x86_64"),
                ["OpenSSL", "OpenSSL", "1:3.0.7-24.el9"],
            ),
            (
                ("rpm", "kernel-core", "5.14.0-362.el9", "Red Hat, Inc.", "rpm:kernel-core:x86_64"),
                ["Linux kernel", "Red Hat", "5.14.0-362.el9"],
            ),
        ];
        for ((source, name, version, publisher, code), expected) in cases {
            let found = title(source, name, version, publisher, code);
            assert_eq!(&found[..3], &expected, "{name}");
        }
    }

    #[test]
    fn what_is_longer_than_a_name_is_cut_between_two_characters() {
        for (one, kept) in [("x", 256), ("\u{e9}", 256), ("\u{20ac}", 170)] {
            let long = one.repeat(3_000);
            for source in ["dpkg", "flatpak", ""] {
                let [product, publisher, version, ..] = title(source, &long, &long, &long, "");
                for text in [product, publisher, version] {
                    assert_eq!(text, one.repeat(kept), "{source}");
                }
            }
        }
    }

    #[test]
    fn architecture_and_language_come_out_of_the_name_or_the_id() {
        assert_eq!(title("", "Mozilla Firefox 115.0 (x64 en-US)", "", "", "")[2..], ["115.0", "x86_64", "en-us"]);
        assert_eq!(title("dpkg", "curl", "1", "", "dpkg:curl:arm64")[3], "arm64");
        assert_eq!(title("", "Tool (x86)", "1", "", "")[3], "x86");
        // What only looks like it is a part of the name.
        assert_eq!(title("", "Visual Studio 2022 (Preview)", "17", "", "")[0], "Visual Studio 2022 (Preview)");
        assert_eq!(title("", "", "", "", ""), [""; 5]);
        assert_eq!(title("", "7.1", "7.1", "", "")[0], "7.1", "a name is never nothing");
    }

    #[test]
    fn own_rules_are_asked_first_and_wrong_ones_are_refused() {
        let own: OwnRules = serde_json::from_str(
            r#"{"products": [{"product": "Our Browser", "publisher": "Us", "names": ["firefox*"]}],
                "publishers": [{"name": "The Us", "spellings": ["us ltd"]}]}"#,
        )
        .unwrap();
        own.check().unwrap();
        let rules = Rules::with(&own);
        let title = rules.title(&Said { name: "firefox-esr", source: "dpkg", ..Said::default() });
        assert_eq!((title.product.as_str(), title.publisher.as_str()), ("Our Browser", "Us"));
        assert_eq!(rules.title(&Said { name: "x", publisher: "US Ltd", ..Said::default() }).publisher, "The Us");
        for wrong in [
            r#"{"products": [{"product": "", "publisher": "", "names": ["a"]}]}"#,
            r#"{"products": [{"product": "A", "publisher": "", "names": []}]}"#,
            r#"{"products": [{"product": "A", "publisher": "", "names": ["*"]}]}"#,
            r#"{"products": [{"product": "A\u0007", "publisher": "", "names": ["a"]}]}"#,
            r#"{"publishers": [{"name": "A", "spellings": [""]}]}"#,
        ] {
            let own: OwnRules = serde_json::from_str(wrong).unwrap();
            assert!(own.check().is_err(), "{wrong}");
        }
    }
}
