//! What the documents name exists: paths, links, scripts, and the commands of the three programs.

use crate::tree::{File, files, report, root};

/// Paths in backticks that start like this must exist.
const PLACES: [&str; 7] = ["crates/", "docs/", "fuzz/", "scripts/", "browser-tests/", ".ci/", ".config/"];

/// The programs whose help is committed under `docs/reference/`, the longest name first.
const PROGRAMS: [&str; 3] = ["muster-agent", "musterd", "muster"];

fn documents() -> Vec<File> {
    files(&[".md"]).into_iter().filter(|f| f.path.starts_with("docs/") || !f.path.contains('/')).collect()
}

/// What stands between backticks on one line.
fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A path as written, without a line number or trailing mark; nothing where it is a pattern.
fn as_path(word: &str) -> Option<&str> {
    let word = word.split(':').next()?.trim_end_matches(['.', ',', ';', '/']);
    let pattern = word.contains(['<', '*', '{', '$', ' ', '(', '…']);
    (!pattern && PLACES.iter().any(|p| word.starts_with(p))).then_some(word)
}

/// The lines of fenced `sh` and `console` blocks, with their line numbers.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let (mut inside, mut found) = (false, Vec::new());
    for (at, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => inside = !inside && ["sh", "console", "bash", "shell"].contains(&language.trim()),
            None if inside => found.push((at + 1, line.trim().trim_start_matches("$ ").trim_start_matches("# "))),
            None => {}
        }
    }
    found
}

/// The words of a command that can name a subcommand: everything up to the first option, path or value.
fn subcommands<'a>(line: &'a str, program: &str) -> Option<Vec<&'a str>> {
    let rest = line.strip_prefix(program)?.strip_prefix(' ')?;
    let plain =
        |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !w.starts_with('-');
    Some(rest.split(' ').take_while(plain).collect())
}

/// Whether the committed help knows the command: each word is looked for while the help so far still has subcommands.
fn known(help: &str, program: &str, words: &[&str]) -> bool {
    let has = |usage: &str| help.lines().any(|l| l == usage || l.starts_with(&format!("{usage} ")));
    let mut so_far = program.to_owned();
    for word in words {
        let subcommands =
            has(&format!("Usage: {so_far} <COMMAND>")) || has(&format!("Usage: {so_far} [OPTIONS] <COMMAND>"));
        if !subcommands {
            return has(&format!("Usage: {so_far}"));
        }
        so_far = format!("{so_far} {word}");
    }
    has(&format!("Usage: {so_far}"))
}

/// The committed help of a program, where there is one yet.
fn help(program: &str) -> Option<String> {
    std::fs::read_to_string(root().join(format!("docs/reference/{program}.txt"))).ok()
}

#[test]
fn every_path_named_in_a_document_exists() {
    let mut found = Vec::new();
    for document in documents() {
        for (at, line) in document.text.lines().enumerate() {
            for path in backticked(line).filter_map(as_path).filter(|p| !root().join(p).exists()) {
                found.push(format!("{}:{}: `{path}` does not exist", document.path, at + 1));
            }
        }
    }
    report("paths in documents", &found);
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut found = Vec::new();
    for document in documents() {
        let beside = root().join(&document.path).parent().unwrap().to_path_buf();
        for (at, line) in document.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = target.split('#').next().unwrap_or_default();
                let outside = target.contains("://") || target.starts_with("mailto:") || target.is_empty();
                if !outside && !beside.join(target).exists() {
                    found.push(format!("{}:{}: the link to {target} leads nowhere", document.path, at + 1));
                }
            }
        }
    }
    report("links in documents", &found);
}

#[test]
fn every_script_and_command_in_a_document_exists() {
    let mut found = Vec::new();
    for document in documents() {
        for (at, line) in commands(&document.text) {
            let script = line.split(' ').next().unwrap_or_default();
            let ours = script.starts_with("scripts/") || script.starts_with("./") && !script.starts_with("./target");
            if ours && !root().join(script).exists() {
                found.push(format!("{}:{at}: {script} does not exist", document.path));
            }
            for program in PROGRAMS {
                let (Some(words), Some(help)) = (subcommands(line, program), help(program)) else { continue };
                if !known(&help, program, &words) {
                    found.push(format!("{}:{at}: `{line}`: docs/reference/{program}.txt lacks it", document.path));
                }
            }
        }
    }
    report("commands in documents", &found);
}

#[test]
fn paths_and_commands_are_recognised() {
    assert_eq!(as_path("crates/muster-tests/src/lib.rs:3"), Some("crates/muster-tests/src/lib.rs"));
    assert_eq!(as_path("crates/<name>/src"), None);
    assert_eq!(commands("text\n```console\n$ ./test\n```\n```rust\n./no\n```\n"), [(3, "./test")]);
    assert_eq!(subcommands("muster device list --json", "muster"), Some(vec!["device", "list"]));
    assert_eq!(subcommands("musterd init", "muster"), None);
    let help =
        "Usage: muster [OPTIONS] <COMMAND>\nUsage: muster device <COMMAND>\nUsage: muster device show [OPTIONS] <ID>\n";
    assert!(known(help, "muster", &["device", "show", "kiosk"]));
    assert!(!known(help, "muster", &["device", "explode"]));
    assert!(!known(help, "muster", &["devices"]));
    assert!(!known(help, "muster", &["dev"]));
}
