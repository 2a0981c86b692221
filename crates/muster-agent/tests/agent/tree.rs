//! Recorded machines: one text file holds a whole file tree, `tests/machines/<name>.tree`.
//!
//! The lines before the first `===` say what the machine is. `=== path` begins a file; `=== path @1700000000` gives it a time;
//! `=== path (hex)` is followed by its bytes in hexadecimal; `=== path -> target` is a symbolic link; `=== path/` is an empty
//! folder. What only the kernel can answer stands in `kernel.json`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// A recorded machine, unpacked into a folder of its own.
pub(crate) struct Tree {
    folder: TempDir,
}

impl Tree {
    /// Unpacks `tests/machines/<name>.tree`.
    pub(crate) fn unpack(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/machines/{name}.tree"));
        let tree = Self::empty();
        let text = fs::read_to_string(path).unwrap();
        // The first part is what is said about the machine.
        for part in format!("\n{text}").split("\n=== ").skip(1) {
            let (head, body) = part.split_once('\n').unwrap_or((part, ""));
            let body = if body.is_empty() { String::new() } else { format!("{body}\n") };
            tree.add_part(head, &body);
        }
        tree
    }

    /// A machine without any file.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where a path of the machine lies, with its folder made.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        let path = self.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.at(path), bytes).unwrap();
    }

    fn add_part(&self, head: &str, body: &str) {
        if let Some((path, target)) = head.split_once(" -> ") {
            symlink(target, self.at(path)).unwrap();
        } else if let Some(path) = head.strip_suffix('/') {
            fs::create_dir_all(self.at(path)).unwrap();
        } else if let Some(path) = head.strip_suffix(" (hex)") {
            let digits: Vec<u8> = body.bytes().filter(u8::is_ascii_hexdigit).collect();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            self.write(path, digits.chunks(2).map(byte).collect::<Vec<u8>>());
        } else if let Some((path, seconds)) = head.split_once(" @") {
            self.write(path, body);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse().unwrap());
            fs::File::options().write(true).open(self.at(path)).unwrap().set_modified(time).unwrap();
        } else {
            self.write(head, body);
        }
    }
}
