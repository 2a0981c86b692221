//! `docs/reference/limits.md` says what `limits.rs` says: every limit, its default, and why it is that.
//!
//! `MUSTER_BLESS=1 cargo nextest run -p muster-tests --test tidy limits` writes it.

use crate::tree::{read, report, root};
use std::fmt::Write as _;

const SOURCE: &str = "crates/muster-model/src/limits.rs";
const PAGE: &str = "docs/reference/limits.md";

const HEAD: &str = "# Limits

What Muster takes from outside at most. Whatever is over a limit is refused with a code before it costs more, and changes nothing.
This page is made from `crates/muster-model/src/limits.rs`.

## Of a site, which an administrator may change

In `musterd.toml` under `[limits]`, or `MUSTERD_LIMITS__<NAME>`.

";

/// A number as it is written in the source, for people: `4 << 10` is 4 KB.
fn number(text: &str) -> String {
    match text.split_once(" << ") {
        Some((count, "10")) => format!("{count} KiB"),
        Some((count, "20")) => format!("{count} MiB"),
        Some((count, "30")) => format!("{count} GiB"),
        _ => text.replace('_', ","),
    }
}

fn row(page: &mut String, name: &str, value: &str, about: &str) {
    let about = about.replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    writeln!(page, "| `{name}` | {} | {} |", number(value), about.trim()).unwrap();
}

fn page(source: &str) -> String {
    let default = |name: &str| {
        let line = format!("            {name}: ");
        let found = source.lines().find_map(|text| text.strip_prefix(&line)?.strip_suffix(','));
        found.unwrap_or_else(|| panic!("{SOURCE} has no default of {name}")).to_owned()
    };
    let mut page = String::from(HEAD);
    let table = "| name | default | what and why |\n| --- | --- | --- |\n";
    page.push_str(table);
    let (mut about, mut fixed) = (String::new(), String::from(table));
    for line in source.lines() {
        let text = line.trim();
        if let Some(doc) = text.strip_prefix("///") {
            about.push_str(doc);
            continue;
        }
        if let Some((name, _)) = line.strip_prefix("    pub ").and_then(|field| field.split_once(':')) {
            row(&mut page, name, &default(name), &about);
        } else if let Some((name, rest)) = text.strip_prefix("pub const ").and_then(|text| text.split_once(": ")) {
            let value = rest.split_once(" = ").map_or("", |(_, value)| value.trim_end_matches(';'));
            row(&mut fixed, name, value, &about);
        }
        about.clear();
    }
    format!("{page}\n## Of every site\n\n{fixed}")
}

#[test]
fn every_limit_stands_on_its_page() {
    let wanted = page(&read(SOURCE));
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(root().join(PAGE), &wanted).unwrap();
    }
    let there = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    let found = if there == wanted { Vec::new() } else { vec![format!("{PAGE} is behind {SOURCE}")] };
    report("limits (MUSTER_BLESS=1 writes the page)", &found);
}

#[test]
fn numbers_are_written_for_people() {
    assert_eq!([number("4 << 10"), number("8 << 20"), number("20_000")], ["4 KiB", "8 MiB", "20,000"]);
}
