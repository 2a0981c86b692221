//! `docs/SECURITY-MATRIX.md` and the tests agree: one row per id, and the tests it names are those that say `proves`.
//!
//! The column of tests is written from the tree: `MUSTER_BLESS=1 cargo nextest run -p muster-tests --test tidy matrix`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, files, read, report, root};

const MATRIX: &str = "docs/SECURITY-MATRIX.md";
const COLUMNS: usize = 6;
const TESTS: usize = 3;

/// Every row that the matrix must have: letter, and the numbers in use.
const ROWS: [(char, &[u8]); 5] = [
    ('S', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24]),
    ('M', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
    ('X', &[1, 2, 3, 4]),
    ('I', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ('P', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
];

/// Which ids each test says it proves: id to names of test functions.
type Proofs = BTreeMap<String, BTreeSet<String>>;

fn ids() -> Vec<String> {
    ROWS.iter().flat_map(|(letter, numbers)| numbers.iter().map(move |n| format!("{letter}{n}"))).collect()
}

/// The name of the test function that a line opens, in Rust or in a browser test.
fn opened(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = match line.strip_prefix("fn ") {
        Some(rest) => rest.split(['(', '<', ' ']).next()?,
        None => line.strip_prefix("test(\"").or_else(|| line.strip_prefix("test('"))?.split(['"', '\'']).next()?,
    };
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
}

/// The test that a comment at `at` belongs to: the next one when it stands before it, the last one when inside it.
fn owner<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let next = lines[at..].iter().find(|l| opened(l).is_some());
    if let Some(next) = next.filter(|l| indent(l) == indent(lines[at])) {
        return opened(next);
    }
    lines[..at].iter().rev().find_map(|l| opened(l))
}

fn proofs(files: &[File]) -> (Proofs, Vec<String>) {
    let (mut proofs, mut found, known) = (Proofs::new(), Vec::new(), ids());
    for file in files {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(claimed) = line.trim_start().strip_prefix("// proves ") else { continue };
            let claimed = claimed.split([':', '(', '.']).next().unwrap_or_default();
            for id in claimed.split([',', ' ']).map(str::trim).filter(|id| !id.is_empty() && *id != "and") {
                match (known.iter().any(|k| k == id), owner(&lines, at)) {
                    (true, Some(test)) => drop(proofs.entry(id.to_owned()).or_default().insert(test.to_owned())),
                    (false, _) => found.push(format!("{}:{}: `{id}` is no row of the matrix", file.path, at + 1)),
                    (_, None) => found.push(format!("{}:{}: no test function here", file.path, at + 1)),
                }
            }
        }
    }
    (proofs, found)
}

/// The cells of a table row of the matrix; nothing for other lines.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = inside.split(" | ").map(str::trim).collect();
    let id = cells.first()?;
    let is_row = id.starts_with(|c: char| c.is_ascii_uppercase()) && id[1..].parse::<u8>().is_ok();
    is_row.then_some(cells)
}

fn tests_cell(tests: Option<&BTreeSet<String>>) -> String {
    let Some(tests) = tests else { return "-".into() };
    tests.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ")
}

fn breaches(matrix: &str, proofs: &Proofs) -> Vec<String> {
    let mut found = Vec::new();
    let rows: Vec<Vec<&str>> = matrix.lines().filter_map(cells).collect();
    for id in ids() {
        let count = rows.iter().filter(|r| r[0] == id).count();
        if count != 1 {
            found.push(format!("{id} has {count} rows, not one"));
        }
    }
    for row in rows {
        let id = row[0];
        if row.len() != COLUMNS {
            found.push(format!("{id}: {} cells, not {COLUMNS} (no ` | ` inside a cell)", row.len()));
            continue;
        }
        let wanted = tests_cell(proofs.get(id));
        if row[TESTS] != wanted {
            found.push(format!("{id}: the tests that say `proves {id}` are {wanted}, the row names {}", row[TESTS]));
        }
        match (row[1], proofs.contains_key(id)) {
            ("done" | "partly", false) => found.push(format!("{id}: {} without a test that says so", row[1])),
            ("done" | "partly", true) | ("not yet", false) => {}
            ("not yet", true) => found.push(format!("{id}: has a test now: say `partly` or `done`, and what is there")),
            (state, _) => found.push(format!("{id}: `{state}` is none of done, partly, not yet")),
        }
    }
    found
}

/// The matrix with its column of tests written anew.
fn blessed(matrix: &str, proofs: &Proofs) -> String {
    let rewrite = |line: &str| match cells(line) {
        Some(mut row) if row.len() == COLUMNS => {
            let tests = tests_cell(proofs.get(row[0]));
            row[TESTS] = &tests;
            format!("| {} |\n", row.join(" | "))
        }
        _ => format!("{line}\n"),
    };
    matrix.lines().map(rewrite).collect()
}

#[test]
fn the_security_matrix_agrees_with_the_tests() {
    let (proofs, mut found) = proofs(&files(&[".rs", ".mjs", ".js"]));
    let mut matrix = read(MATRIX);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        matrix = blessed(&matrix, &proofs);
        std::fs::write(root().join(MATRIX), &matrix).unwrap();
    }
    found.extend(breaches(&matrix, &proofs));
    report("security matrix (MUSTER_BLESS=1 writes the column of tests)", &found);
}

#[test]
fn a_matrix_that_disagrees_is_caught() {
    let marker = format!("// {}", "proves");
    let text = format!(
        "{marker} S9, I7\n#[test]\nfn before() {{\n}}\nfn inside() {{\n    {marker} S9: why\n}}\n{marker} Q1\n"
    );
    let (proofs, unknown) = proofs(&[File { path: "a.rs".into(), text }]);
    assert_eq!(tests_cell(proofs.get("S9")), "`before`, `inside`");
    assert_eq!(tests_cell(proofs.get("I7")), "`before`");
    assert_eq!(unknown.len(), 1);
    let row = |id: &str| format!("| {id} | not yet | - | - | - | - |\n");
    let all: String = ids().iter().map(|id| row(id)).collect();
    assert!(breaches(&all, &Proofs::new()).is_empty());
    assert_eq!(breaches(&all, &proofs).len(), 4, "two rows lack their tests and their state");
    assert_eq!(breaches(&blessed(&all, &proofs), &proofs).len(), 2, "the state is written by hand");
    assert_eq!(breaches(&all.replacen(&row("P10"), "", 1), &Proofs::new()).len(), 1);
    assert_eq!(breaches(&all.replacen("| not yet |", "| done |", 1), &Proofs::new()).len(), 1);
}
