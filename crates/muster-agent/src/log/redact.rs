//! What is a secret by its form does not come into the log. The agent writes none there on purpose; this is for what an error of a library,
//! an installer or a server says.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub(super) const REMOVED: &str = "[removed]";
/// Texts after which a secret follows, up to the next blank, quote, comma or ampersand. In small letters.
const BEFORE: [&str; 14] = [
    "bearer ",
    "basic ",
    "negotiate ",
    "password=",
    "password:",
    "passwd=",
    "passphrase=",
    "secret=",
    "token=",
    "token:",
    "apikey=",
    "api_key=",
    "pin-value=",
    "authorization:",
];
/// What an enrolment token begins with.
const TOKEN: &str = "muster1.";
/// What a private key in a text begins and ends with.
const KEY: (&str, &str) = ("-----begin ", "-----end ");
/// Fields whose value is never written.
const FIELDS: [&str; 7] = ["password", "passwd", "passphrase", "secret", "token", "pin", "authorization"];

/// Whether a value of this name is a secret, whatever it is.
pub(super) fn is_secret(field: &str) -> bool {
    FIELDS.iter().any(|name| field.eq_ignore_ascii_case(name))
}

/// The text without secrets.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    // Only ASCII changes, so that places in one are places in the other.
    let small = text.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for before in BEFORE {
        for (at, _) in small.match_indices(before) {
            let start = at + before.len();
            let start = start + small[start..].len() - small[start..].trim_start_matches([' ', '"', '\'']).len();
            // "authorization: bearer x": the word after it is not the secret.
            let scheme = ["bearer ", "basic ", "negotiate "].iter().find(|scheme| small[start..].starts_with(**scheme));
            let start = start + scheme.map_or(0, |scheme| scheme.len());
            cuts.push((start, end_of_word(&small, start)));
        }
    }
    for (at, _) in small.match_indices(TOKEN) {
        cuts.push((at, end_of_word(&small, at)));
    }
    for (at, _) in small.match_indices(KEY.0) {
        let is_private = small[at..].find("private key").is_some_and(|found| found < 40);
        if is_private {
            let end = small[at..].find(KEY.1).map_or(small.len(), |end| at + end);
            cuts.push((at, end));
        }
    }
    // https://user:password@host
    for (at, _) in small.match_indices("://") {
        let start = at + 3;
        let authority = &small[start..start + small[start..].find(['/', ' ', '?', '"']).unwrap_or(small.len() - start)];
        if let Some(end) = authority.rfind('@') {
            cuts.push((start, start + end));
        }
    }
    if cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    cuts.sort_unstable();
    let (mut clean, mut done) = (String::with_capacity(text.len()), 0);
    for (start, end) in cuts {
        if end <= done || start == end {
            continue;
        }
        if start >= done {
            clean.push_str(&text[done..start]);
            clean.push_str(REMOVED);
        }
        done = end;
    }
    clean.push_str(&text[done..]);
    Cow::Owned(clean)
}

fn end_of_word(text: &str, start: usize) -> usize {
    text[start..].find([' ', '"', '\'', ',', '&', '\n', '\r', ')', ']', '}', ';']).map_or(text.len(), |end| start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_removed_by_their_form_and_the_rest_stays() {
        let cases = [
            ("the token is muster1.eyJhIjoxfQ, take it", "the token is [removed], take it"),
            ("Authorization: Bearer abc.def rest", "Authorization: Bearer [removed] rest"),
            ("password=\"hunter2\" user=me", "password=\"[removed]\" user=me"),
            ("GET https://me:pw@host/x?token=abc&y=1", "GET https://[removed]@host/x?token=[removed]&y=1"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----",
                "[removed]-----END EC PRIVATE KEY-----",
            ),
            ("a key -----BEGIN PRIVATE KEY-----\nMHc", "a key [removed]"),
            ("Größe: Password: geheim, Ende", "Größe: Password: [removed], Ende"),
        ];
        for (text, clean) in cases {
            assert_eq!(redact(text), clean);
        }
        for text in ["", "the site approved this client", "https://host:8443/a@b", "-----BEGIN CERTIFICATE-----\nMII"] {
            assert_eq!(redact(text), text);
        }
        assert!(is_secret("Password") && !is_secret("device"));
    }
}
