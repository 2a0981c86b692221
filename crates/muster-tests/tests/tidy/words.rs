//! Words that do not belong in the tree: paths of one machine, numbers of some tracker, hosts of a package registry.

use crate::tree::{File, files, report};

/// What must not appear, why, and where it may all the same. In two halves, so that this file does not name them itself.
const WORDS: [(&str, &str, &str, &[&str]); 11] = [
    ("/wo", "rk/", "a path of one machine", &[]),
    ("/ho", "me/", "a path of one machine", &["crates/muster-agent/", "fuzz/seeds/"]),
    ("/tmp/w", "t/", "a path of one machine", &[]),
    ("registry.npm", "js.org", "a registry's host", &[]),
    ("index.crates", ".io", "a registry's host", &[]),
    ("static.crates", ".io", "a registry's host", &[]),
    ("pypi", ".org", "a registry's host", &[]),
    ("deb.deb", "ian.org", "a registry's host", &["crates/muster-agent/"]),
    ("\"resol", "ved\":", "a registry's address in a lock file (omit-lockfile-registry-resolved)", &[]),
    ("issu", "e #", "a number of a tracker: say the reason itself", &[]),
    ("BEGIN PRIV", "ATE KEY", "a private key", &["crates/"]),
];

fn breaches(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (line, text) in file.text.lines().enumerate().map(|(at, text)| (at + 1, text)) {
            for (head, tail, why, rooms) in WORDS {
                let word = format!("{head}{tail}");
                if text.contains(&word) && !rooms.iter().any(|r| file.path.starts_with(r)) {
                    found.push(format!("{}:{line}: `{word}` is {why}", file.path));
                }
            }
            if names_a_tracker_number(text) {
                found.push(format!("{}:{line}: a number of a tracker: say the reason itself", file.path));
            }
        }
    }
    found
}

/// Whether the word "issue" is followed by a number.
fn names_a_tracker_number(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.as_str();
    while let Some(at) = rest.find("issue ") {
        rest = &rest[at + "issue ".len()..];
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return true;
        }
    }
    false
}

#[test]
fn no_word_that_does_not_belong_here() {
    report("words", &breaches(&files(&[])));
}

#[test]
fn words_that_do_not_belong_are_caught() {
    let sample = |text: String| breaches(&[File { path: "docs/A.md".into(), text }]).len();
    assert_eq!(sample(format!("see {}{}main", WORDS[0].0, WORDS[0].1)), 1);
    assert_eq!(sample(format!("as iss{} 7 asks", "ue")), 1);
    assert_eq!(sample("an issue time and 7 days".into()), 0);
}
