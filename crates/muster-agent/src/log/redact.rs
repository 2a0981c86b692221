//! What is a secret by its form does not come into the log. The agent writes none there on purpose; this is for what an error of a library,
//! an installer or a server says.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub(super) const REMOVED: &str = "[removed]";
/// Schemes of HTTP, after which a secret follows up to its end.
const SCHEMES: [&str; 3] = ["bearer ", "basic ", "negotiate "];
/// Names of what is a secret, in small letters. Between name and secret stand `=` or `:`, with quotes as in JSON or without; or a blank,
/// where the name is that of an option.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "pin-value",
    "authorization",
    "cookie",
    "pin",
];
/// What an enrolment token begins with.
const TOKEN: &str = "muster1.";
/// What a private key in a text begins and ends with.
const KEY: (&str, &str) = ("-----begin ", "-----end ");
/// Fields whose value is never written.
const FIELDS: [&str; 10] =
    ["password", "passwd", "passphrase", "secret", "token", "pin", "authorization", "api_key", "cookie", "set_cookie"];

/// Whether a value of this name is a secret, whatever it is.
pub(super) fn is_secret(field: &str) -> bool {
    FIELDS.iter().any(|name| field.eq_ignore_ascii_case(name))
}

/// The text without secrets.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    // Only ASCII changes, so that places in one are places in the other.
    let small = text.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for scheme in SCHEMES {
        cuts.extend(small.match_indices(scheme).map(|(at, _)| word(&small, at + scheme.len())));
    }
    for name in NAMES {
        cuts.extend(small.match_indices(name).filter_map(|(at, _)| after_name(&small, at, name)));
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

/// The end of what is written without quotes. Marks of punctuation are part of a secret where more of it follows them.
fn end_of_word(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    for (at, c) in rest.char_indices() {
        let ends = match c {
            ' ' | '"' | '\'' | '&' | '\n' | '\r' | '\t' => true,
            ',' | ';' | ')' | ']' | '}' => {
                let more = rest[at..].trim_start_matches([',', ';', ')', ']', '}']);
                more.is_empty() || more.starts_with([' ', '"', '\'', '\\', '\n', '\r', '\t'])
            }
            _ => false,
        };
        if ends {
            return start + at;
        }
    }
    text.len()
}

fn word(text: &str, start: usize) -> (usize, usize) {
    let start = start + blanks(&text[start..]);
    (start, end_of_word(text, start))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// A quote at the beginning, with the backslashes before it: how many bytes, and which quote.
fn quote(text: &str) -> Option<(usize, char)> {
    let slashes = text.len() - text.trim_start_matches('\\').len();
    let quote = text[slashes..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some((slashes + 1, quote))
}

/// The secret after a name, if one is there.
fn after_name(text: &str, at: usize, name: &str) -> Option<(usize, usize)> {
    if name == "pin" && text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut start = at + name.len();
    let quoted = quote(&text[start..]);
    start += quoted.map_or(0, |(length, _)| length);
    let before = blanks(&text[start..]);
    if text[start + before..].starts_with(['=', ':']) {
        start += before + 1;
        start += text[start..].len() - text[start..].trim_start_matches(['=', '>']).len();
        start += blanks(&text[start..]);
    } else {
        let begin = text[..at].rfind([' ', '"', '\'', '`']).map_or(0, |blank| blank + 1);
        let is_option = quoted.is_none() && before > 0 && text[begin..at].starts_with('-');
        start += before;
        // `--token FILE` stands in help.
        let is_help = text[start..].strip_prefix("file").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if !is_option || is_help || text[start..].starts_with(['-', '[']) {
            return None;
        }
    }
    if let Some((length, quote)) = self::quote(&text[start..]) {
        // Up to the quote that closes it: one that has no more backslashes before it than the one that opened it.
        let start = start + length;
        let closes = |end: usize| {
            let slashes = text[..end].len() - text[..end].trim_end_matches('\\').len();
            (slashes < length).then(|| end.saturating_sub(slashes).max(start))
        };
        let end = text[start..].match_indices(quote).find_map(|(end, _)| closes(start + end));
        return Some((start, end.unwrap_or(text.len())));
    }
    let line = text[start..].find(['\n', '\r']).map_or(text.len(), |end| start + end);
    if name == "cookie" {
        return Some((start, line));
    }
    // "authorization: bearer x": the word after it is not the secret.
    let scheme = SCHEMES.iter().find(|scheme| text[start..].starts_with(**scheme));
    Some(word(text, start + scheme.map_or(0, |scheme| scheme.len())))
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
            (r#"{"password":"hunter2","user":"me"}"#, r#"{"password":"[removed]","user":"me"}"#),
            (r#"{"token" : "a b\"c", "n": 1}"#, r#"{"token" : "[removed]", "n": 1}"#),
            (r#"body "{\"password\":\"hun ter2\",\"n\":1}""#, r#"body "{\"password\":\"[removed]\",\"n\":1}""#),
            (r#"{"a":{"pin":1234},"b":1}"#, r#"{"a":{"pin":[removed]},"b":1}"#),
            ("tool --password hunter2 --user me", "tool --password [removed] --user me"),
            ("tool --password 'a b' -v", "tool --password '[removed]' -v"),
            ("passphrase: x", "passphrase: [removed]"),
            ("client_secret: x; next", "client_secret: [removed]; next"),
            ("Set-Cookie: id=abc; Path=/\nnext", "Set-Cookie: [removed]\nnext"),
            ("password=a,b rest", "password=[removed] rest"),
            ("password=\"open to the end", "password=\"[removed]"),
        ];
        for (text, clean) in cases {
            assert_eq!(redact(text), clean);
        }
        let untouched = [
            "two tokens: one and another",
            "shipping: 3",
            "run `muster-agent enrol --token FILE` with a token",
            "the password is too short",
        ];
        for text in untouched {
            assert_eq!(redact(text), text);
        }
        for text in ["", "the site approved this client", "https://host:8443/a@b", "-----BEGIN CERTIFICATE-----\nMII"] {
            assert_eq!(redact(text), text);
        }
        assert!(is_secret("Password") && !is_secret("device"));
    }
}
