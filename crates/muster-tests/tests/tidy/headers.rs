//! Every source file opens by saying what it is for.

use crate::tree::{files, report};

#[test]
fn every_source_file_opens_with_its_purpose() {
    let found: Vec<String> = files(&[".rs"])
        .iter()
        .filter(|f| {
            let first = f.text.lines().next().unwrap_or_default();
            first.strip_prefix("//!").is_none_or(|rest| rest.trim().is_empty())
        })
        .map(|f| format!("{}: the first line is not `//! what this file is for`", f.path))
        .collect();
    report("file headers", &found);
}
