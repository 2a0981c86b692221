//! The tree as the rules see it: its files, its crates, and one way to report breaches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories that hold no source of ours: build output, installed packages, run-time state.
const PASSED_OVER: [&str; 7] = ["target", "node_modules", "artifacts", ".git", "var", "corpus", "coverage"];

/// One text file of the repository.
pub(crate) struct File {
    /// Path from the repository's root, with forward slashes.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Every text file of the tree whose name ends in one of `endings` (all of them where `endings` is empty), by path.
pub(crate) fn files(endings: &[&str]) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !PASSED_OVER.contains(&name.as_str()) {
                open.push(entry.path());
            } else if kind.is_file()
                && name != ".git"
                && (endings.is_empty() || endings.iter().any(|e| name.ends_with(e)))
            {
                let Ok(text) = fs::read_to_string(entry.path()) else { continue };
                let path = entry.path().strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The text of one file of the tree, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path} cannot be read: {e}"))
}

/// What `cargo metadata` says about the workspace and everything it links.
pub(crate) fn metadata() -> serde_json::Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fails with every breach on a line of its own, or passes when there is none.
#[track_caller]
pub(crate) fn report(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}: {} breach(es)\n  {}\n", breaches.len(), breaches.join("\n  "));
}
