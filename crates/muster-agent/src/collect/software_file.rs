//! `SoftwareFile`, `SoftwareProduct` and `LastSoftwareScan`: files of the directories that the client settings name, and the packages that
//! they are of. Nothing is looked for where the settings name nothing.

use super::{
    Collected,
    row::{Put, millis},
};
use crate::os::{Machine, facts::Gaps, scan::Found};
use muster_model::{catalogue::SOFTWARE_FILES, inventory::Row, policy::SoftwareScan, time::UnixMillis};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

impl Collected {
    /// Adds the files that are wanted.
    pub(super) fn files(&mut self, machine: &Machine, wanted: &SoftwareScan, now: UnixMillis) {
        let deadline = Instant::now() + Duration::from_secs(u64::from(wanted.seconds));
        let scanned = crate::os::scan::scan(wanted, deadline);
        let owners = machine.owners(&scanned.files.iter().map(path).collect());
        let mut gaps = Gaps::new();
        let packages = if owners.is_empty() { Vec::new() } else { machine.packages(&mut gaps).unwrap_or_default() };
        // `dpkg:curl:amd64`: the database of files has `curl`, or `curl:amd64` where there may be several.
        let mut of_name = HashMap::new();
        for package in &packages {
            if let Some(name) = package.code.strip_prefix("dpkg:") {
                of_name.insert(name, package);
                of_name.insert(name.split(':').next().unwrap_or(name), package);
            }
        }
        let [files, products, last] = SOFTWARE_FILES;
        let mut rows = Vec::with_capacity(scanned.files.len());
        let mut known: BTreeMap<&str, Row> = BTreeMap::new();
        for file in &scanned.files {
            let package = owners.get(&path(file)).and_then(|name| of_name.get(name.as_str()));
            let mut row = Row::new();
            row.text("FileName", file.name.as_str());
            row.text("FilePath", file.directory.as_str());
            row.number("FileSize", file.size);
            row.signed("FileModifiedDate", millis(file.modified));
            if let Some(package) = package {
                row.text("FileDescription", package.name.as_str());
                row.text("FileVersion", package.version.as_str());
                row.text("ProductID", package.code.as_str());
                known.entry(package.code.as_str()).or_insert_with(|| {
                    let mut row = Row::new();
                    row.text("ProductID", package.code.as_str());
                    row.text("ProductName", package.name.as_str());
                    row.text("ProductVersion", package.version.as_str());
                    row.text("CompanyName", package.publisher.as_deref());
                    row
                });
            }
            rows.push(row);
        }
        let mut scan = Row::new();
        scan.signed("LastScanDate", now.0);
        scan.flag("Complete", scanned.reasons.is_empty());
        scan.number("FilesFound", scanned.files.len() as u64);
        scan.text("Reason", scanned.reasons.join("; ").as_str());
        let products_rows: Vec<Row> = known.into_values().collect();
        self.keep(files, rows);
        self.keep(products, products_rows);
        self.keep(last, vec![scan]);
    }

    /// Says that there are no files: what was reported before goes.
    pub fn no_files(&mut self) {
        SOFTWARE_FILES.iter().for_each(|class| self.keep(class, Vec::new()));
    }
}

/// The whole path of a file.
pub(crate) fn path(file: &Found) -> String {
    format!("{}/{}", file.directory.trim_end_matches('/'), file.name)
}
