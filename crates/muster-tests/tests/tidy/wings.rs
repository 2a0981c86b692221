//! Five wings of the site, in order: a wing may use the wings before it, never one after it.

use proc_macro2::{TokenStream, TokenTree};

use crate::tree::{File, files, report};

const SITE: &str = "crates/muster-site/src/";
const WINGS: [&str; 5] = ["identity", "knowledge", "delivery", "truth", "mobile"];

/// Collects every word that follows `crate::` in the tokens.
fn named(tokens: TokenStream, words: &mut Vec<(String, usize)>) {
    let flat: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in flat.iter().enumerate() {
        match token {
            TokenTree::Group(group) => named(group.stream(), words),
            TokenTree::Ident(word) if word == "crate" => match flat.get(at + 3) {
                Some(TokenTree::Ident(next)) => words.push((next.to_string(), next.span().start().line)),
                Some(TokenTree::Group(group)) => {
                    for inner in group.stream() {
                        if let TokenTree::Ident(next) = inner {
                            words.push((next.to_string(), next.span().start().line));
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn breaches(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(inside) = file.path.strip_prefix(SITE) else { continue };
        let wing = inside.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = WINGS.iter().position(|w| *w == wing) else { continue };
        let mut words = Vec::new();
        named(file.text.parse().unwrap(), &mut words);
        for (word, line) in words {
            if WINGS.iter().position(|w| *w == word).is_some_and(|other| other > own) {
                found.push(format!("{}:{line}: wing `{wing}` uses `{word}`, which comes after it", file.path));
            }
        }
    }
    found
}

#[test]
fn a_wing_uses_only_the_wings_before_it() {
    report("wings of the site", &breaches(&files(&[".rs"])));
}

#[test]
fn a_wing_that_looks_forward_is_caught() {
    let sample = |text: &str| {
        breaches(&[File { path: "crates/muster-site/src/knowledge/inventory.rs".into(), text: text.into() }]).len()
    };
    assert_eq!(sample("use crate::delivery::policy;"), 1);
    assert_eq!(sample("use crate::{authz, truth::status};"), 1);
    assert_eq!(sample("use crate::identity::device; use crate::ctx::Ctx;"), 0);
}
