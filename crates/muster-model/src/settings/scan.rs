//! Software inventory: which files a client reports.

use serde::{Deserialize, Serialize};

/// Directories below a configured one that a scan goes down.
pub const SCAN_DEPTH: usize = 32;
/// Directories, patterns of a directory, and exclusions of a scan.
pub const SCAN_RULES: usize = 32;
/// Bytes of one of them.
pub const SCAN_TEXT_BYTES: usize = 512;
/// Files that a scan may report at most: rows of one inventory section.
pub const SCAN_FILES: u32 = 20_000;
/// Seconds that a scan may take at most.
pub const SCAN_SECONDS: u32 = 600;

/// Bytes of one file that a scan may be told to read at most.
pub const SCAN_READ_FILE: u64 = 1 << 30;
/// Bytes that one scan may be told to read at most.
pub const SCAN_READ_BYTES: u64 = 64 << 30;

/// Which files a client reports: names, sizes and times, and what is in them only where `read` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SoftwareScan {
    /// Where is looked.
    pub paths: Vec<ScanPath>,
    /// What is passed over: patterns of names or, with a slash, of whole paths.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Files that are reported at most. Default 5,000.
    #[serde(default = "scan_files")]
    pub files: u32,
    /// Seconds that the scan may take. Default 60.
    #[serde(default = "scan_seconds")]
    pub seconds: u32,
    /// What is read of the files. Absent, the default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ScanRead>,
}

/// What a scan reads of the files that it found. A file that did not change since it was read is not read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanRead {
    /// All of it, for its SHA-256. Default: not.
    #[serde(default)]
    pub hash: bool,
    /// What a program or library for Windows says of itself: version, description, product, company. Default: not.
    #[serde(default)]
    pub versions: bool,
    /// A file of more bytes gets no hash. Default 64 MiB.
    #[serde(default = "scan_read_file")]
    pub file_bytes: u64,
    /// Bytes that one scan reads at most; the next one goes on. Default 1 GiB.
    #[serde(default = "scan_read_bytes")]
    pub total_bytes: u64,
}

impl ScanRead {
    fn check(&self) -> Result<(), String> {
        if !self.hash && !self.versions {
            return Err("`read` names `hash`, `versions`, or both.".to_owned());
        }
        if !(1..=SCAN_READ_FILE).contains(&self.file_bytes)
            || !(self.file_bytes..=SCAN_READ_BYTES).contains(&self.total_bytes)
        {
            return Err(format!(
                "A scan reads files of 1 to {SCAN_READ_FILE} bytes, and at least one such file and at most {SCAN_READ_BYTES} bytes in all."
            ));
        }
        Ok(())
    }
}

/// One directory of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScanPath {
    /// The directory, from the root on; no part of it may be a symbolic link.
    pub path: String,
    /// Patterns of names: `*` stands for any text, `?` for one character.
    pub names: Vec<String>,
    /// Directories below it too, as far as they are on the same file system.
    #[serde(default)]
    pub recursive: bool,
}

const fn scan_files() -> u32 {
    5_000
}

const fn scan_seconds() -> u32 {
    60
}

const fn scan_read_file() -> u64 {
    64 << 20
}

const fn scan_read_bytes() -> u64 {
    1 << 30
}

impl SoftwareScan {
    /// What is wrong with it, as one sentence.
    ///
    /// # Errors
    /// The first thing.
    pub fn check(&self) -> Result<(), String> {
        let names = |path: &ScanPath| path.names.len() > SCAN_RULES || path.names.is_empty();
        if self.paths.is_empty() || self.paths.len() > SCAN_RULES || self.exclude.len() > SCAN_RULES {
            return Err(format!("A scan has 1 to {SCAN_RULES} directories, and at most {SCAN_RULES} exclusions."));
        }
        if self.paths.iter().any(names) {
            return Err(format!("A directory has 1 to {SCAN_RULES} patterns of names."));
        }
        let texts = self.paths.iter().flat_map(|path| path.names.iter().chain([&path.path])).chain(&self.exclude);
        let odd = |text: &&String| {
            text.is_empty() || text.len() > SCAN_TEXT_BYTES || text.chars().any(|c| c.is_control() || c == '\u{feff}')
        };
        if let Some(odd) = texts.into_iter().find(odd) {
            let shown: String = odd.chars().take(100).collect();
            return Err(format!("{shown:?} is empty, too long, or has characters that are not seen."));
        }
        let wrong = |path: &&ScanPath| {
            !path.path.starts_with('/') || path.path.split('/').any(|part| part == ".." || part == ".")
        };
        if let Some(wrong) = self.paths.iter().find(wrong) {
            return Err(format!("{:?} is no path from the root on.", wrong.path));
        }
        if !(1..=SCAN_FILES).contains(&self.files) || !(1..=SCAN_SECONDS).contains(&self.seconds) {
            return Err(format!("A scan reports 1 to {SCAN_FILES} files and takes 1 to {SCAN_SECONDS} seconds."));
        }
        self.read.as_ref().map_or(Ok(()), ScanRead::check)
    }
}
