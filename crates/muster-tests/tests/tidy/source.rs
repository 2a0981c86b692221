//! Words of the language that do not stand in this house: silenced lints, unfinished code, `unsafe` outside its room.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::tree::{File, files, report};

/// The one room where `unsafe` may stand: the agent's calls into the operating system.
const UNSAFE_ROOM: &str = "crates/muster-agent/src/os/";

/// Macros that stop the program; product code returns a typed error instead.
const STOPPERS: [&str; 3] = ["panic", "todo", "unimplemented"];

fn words(tokens: TokenStream, path: &str, found: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut attribute = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                let word = word.to_string();
                let called = matches!(tokens.peek(), Some(TokenTree::Punct(p)) if p.as_char() == '!');
                if word == "unsafe" && !path.starts_with(UNSAFE_ROOM) {
                    found.push(format!("{path}:{line}: `unsafe` stands only under {UNSAFE_ROOM}"));
                } else if called && ["todo", "unimplemented"].contains(&word.as_str()) {
                    found.push(format!(
                        "{path}:{line}: `{word}!`: finish it, or leave it out and say so in the documents"
                    ));
                }
                attribute = false;
            }
            TokenTree::Punct(mark) => attribute = mark.as_char() == '#' || (attribute && mark.as_char() == '!'),
            TokenTree::Group(group) => {
                if attribute && opens_with_allow(group.stream()) {
                    let line = group.span_open().start().line;
                    found.push(format!("{path}:{line}: use `#[expect(.., reason = \"..\")]` instead of `allow`"));
                }
                attribute = false;
                words(group.stream(), path, found);
            }
            TokenTree::Literal(_) => attribute = false,
        }
    }
}

fn opens_with_allow(attribute: TokenStream) -> bool {
    matches!(attribute.into_iter().next(), Some(TokenTree::Ident(word)) if word == "allow")
}

/// Finds macros that stop the program, outside of test code.
struct Stoppers<'a> {
    path: &'a str,
    found: &'a mut Vec<String>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        let last = a.path().segments.last();
        last.is_some_and(|s| s.ident == "test")
            || (a.path().is_ident("cfg") && a.parse_args_with(mentions_test).is_ok())
    })
}

/// Accepts the inside of a `cfg(..)` that asks for test builds.
fn mentions_test(input: syn::parse::ParseStream<'_>) -> syn::Result<()> {
    let tokens: TokenStream = input.parse()?;
    if tokens.to_string().split(|c: char| !c.is_alphanumeric()).any(|w| w == "test") {
        return Ok(());
    }
    Err(input.error("no test here"))
}

impl<'ast> Visit<'ast> for Stoppers<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_macro(&mut self, used: &'ast syn::Macro) {
        if let Some(last) = used.path.segments.last().filter(|s| STOPPERS.iter().any(|stopper| s.ident == stopper)) {
            let line = last.ident.span().start().line;
            self.found.push(format!("{}:{line}: `{}!` in product code: return a typed error", self.path, last.ident));
        }
    }
}

/// Files that only tests compile, by their place or by the name that a `#[cfg(test)] mod tests;` gives them.
fn is_test_file(path: &str) -> bool {
    path.starts_with("crates/muster-tests/")
        || path.starts_with("fuzz/")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.contains("testing")
        || path.ends_with("tests.rs")
        || path.ends_with("_test.rs")
}

fn breaches(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let tokens: TokenStream = file.text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.path));
        words(tokens, &file.path, &mut found);
        if !is_test_file(&file.path) {
            let parsed = syn::parse_file(&file.text).unwrap_or_else(|e| panic!("{}: {e}", file.path));
            Stoppers { path: &file.path, found: &mut found }.visit_file(&parsed);
        }
    }
    found
}

#[test]
fn no_silenced_lint_no_unfinished_code_no_unsafe_outside_its_room() {
    report("words of the language", &breaches(&files(&[".rs"])));
}

#[test]
fn breaches_in_source_are_caught_and_strings_and_comments_are_not() {
    let sample = |path: &str, text: &str| breaches(&[File { path: path.into(), text: text.into() }]).len();
    assert_eq!(sample("crates/x/src/a.rs", "#![allow(dead_code)]\nfn f() {}"), 1);
    assert_eq!(sample("crates/x/src/a.rs", "#[allow(dead_code)]\nfn f() { unsafe { g() } }"), 2);
    assert_eq!(sample("crates/muster-agent/src/os/linux/a.rs", "fn f() { unsafe { g() } }"), 0);
    assert_eq!(sample("crates/x/src/a.rs", "fn f() { todo!() }"), 2, "once as unfinished, once as a stop");
    assert_eq!(sample("crates/x/src/a.rs", "fn f() { panic!(\"no\") }"), 1);
    assert_eq!(sample("crates/x/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { panic!(\"yes\") } }"), 0);
    assert_eq!(sample("crates/x/src/a.rs", "// todo!() unsafe\nfn allow() -> &'static str { \"unsafe todo!()\" }"), 0);
}
