//! A file has at most 600 lines and a function at most 100, with a list of exceptions that may only shrink.

use std::collections::BTreeMap;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree::{File, files, read, report};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 100;
const EXCEPTIONS: &str = "crates/muster-tests/tests/tidy/exceptions.txt";

/// What is measured: `file <path>` or `function <path> <name>`, and its lines.
type Measures = BTreeMap<String, usize>;

struct Functions<'a> {
    path: &'a str,
    over: &'a mut Measures,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.span().end().line + 1 - signature.span().start().line;
        if lines > FUNCTION_LINES {
            self.over.insert(format!("function {} {}", self.path, signature.ident), lines);
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.measure(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Everything over its budget.
fn over_budget(files: &[File]) -> Measures {
    let mut over = Measures::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            over.insert(format!("file {}", file.path), lines);
        }
        let parsed = syn::parse_file(&file.text).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        Functions { path: &file.path, over: &mut over }.visit_file(&parsed);
    }
    over
}

/// The list: one exception per line, its lines last, `#` for comments.
fn exceptions(text: &str) -> Measures {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|line| {
            let (what, lines) = line.rsplit_once(' ').unwrap();
            (what.to_owned(), lines.parse().unwrap_or_else(|_| panic!("{EXCEPTIONS}: no number ends `{line}`")))
        })
        .collect()
}

fn breaches(over: &Measures, exceptions: &Measures) -> Vec<String> {
    let mut found = Vec::new();
    for (what, lines) in over {
        match exceptions.get(what) {
            None => found.push(format!("{what}: {lines} lines (budget {FILE_LINES} and {FUNCTION_LINES}): split it")),
            Some(granted) if lines > granted => found.push(format!("{what}: {lines} lines, granted {granted}")),
            Some(_) => {}
        }
    }
    for what in exceptions.keys().filter(|w| !over.contains_key(*w)) {
        found.push(format!("{what}: within its budget now: take the line out of {EXCEPTIONS}"));
    }
    found
}

#[test]
fn files_and_functions_stay_within_their_budgets() {
    report("budgets", &breaches(&over_budget(&files(&[".rs"])), &exceptions(&read(EXCEPTIONS))));
}

#[test]
fn an_overlong_file_and_function_are_caught_and_exceptions_only_shrink() {
    let long = format!("//! Long.\nfn tall() {{\n{}}}\n", "    let _ = 1;\n".repeat(600));
    let over = over_budget(&[File { path: "a.rs".into(), text: long }]);
    assert_eq!(over.get("file a.rs"), Some(&603));
    assert_eq!(over.get("function a.rs tall"), Some(&602));
    assert_eq!(breaches(&over, &Measures::new()).len(), 2);
    let granted = exceptions("# why\nfile a.rs 603\nfunction a.rs tall 601\nfile gone.rs 700\n");
    assert_eq!(breaches(&over, &granted).len(), 2, "one grew, one is not needed any more");
}
