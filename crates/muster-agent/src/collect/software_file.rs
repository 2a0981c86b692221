//! `SoftwareFile`, `SoftwareProduct` and `LastSoftwareScan`: files of the directories that the client settings name, and the packages or
//! products that they are of. Nothing is looked for where the settings name nothing, and nothing is read where they do not say so.

use super::{
    Collected,
    row::{Put, millis},
};
use crate::os::{
    Machine,
    contents::{Content, Known},
    facts::{Gaps, Package},
    pe::Version,
    scan::{Found, Scanned},
};
use muster_model::{catalogue::SOFTWARE_FILES, inventory::Row, policy::SoftwareScan, time::UnixMillis};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// The files that are wanted, and what is known of them from before.
#[derive(Debug)]
pub struct Files<'a> {
    /// Which files.
    pub wanted: &'a SoftwareScan,
    /// What was read of them; afterwards also what was read now.
    pub known: &'a mut Known,
}

impl Collected {
    /// Adds the files that are wanted.
    pub(super) fn files(&mut self, machine: &Machine, files: Files<'_>, now: UnixMillis) {
        let Files { wanted, known } = files;
        let deadline = Instant::now() + Duration::from_secs(u64::from(wanted.seconds));
        let mut scanned = crate::os::scan::scan(wanted, deadline);
        let contents = match &wanted.read {
            Some(wanted) => {
                let now = now.0.div_euclid(1_000);
                let (contents, later) = crate::os::contents::read(&scanned.files, wanted, known, deadline, now);
                if later > 0 {
                    scanned.reasons.push(format!("{later} files are read with the next inventories"));
                }
                contents
            }
            None => Vec::new(),
        };
        self.file_rows(machine, &scanned, &contents, now);
    }

    fn file_rows(&mut self, machine: &Machine, scanned: &Scanned, contents: &[Content], now: UnixMillis) {
        let owners = machine.owners(&scanned.files.iter().map(path).collect());
        let mut gaps = Gaps::new();
        let packages = if owners.is_empty() { Vec::new() } else { machine.packages(&mut gaps).unwrap_or_default() };
        let of_code = by_code(&packages);
        let [files, products, last] = SOFTWARE_FILES;
        let mut rows = Vec::with_capacity(scanned.files.len());
        let mut known: BTreeMap<String, Row> = BTreeMap::new();
        for (place, file) in scanned.files.iter().enumerate() {
            let package = owners.get(&path(file)).and_then(|code| of_code.get(code.as_str()).copied());
            let content = contents.get(place);
            let version = content.and_then(|content| content.version.as_ref());
            let mut row = Row::new();
            row.text("FileName", file.name.as_str());
            row.text("FilePath", file.directory.as_str());
            row.number("FileSize", file.mark.size);
            row.signed("FileModifiedDate", millis(file.mark.modified.0));
            // What a program says of itself is nearer to the file than what its package says.
            let said = |own: fn(&Version) -> Option<&String>| version.and_then(own).map(String::as_str);
            let description = said(|v| v.description.as_ref());
            row.text("FileDescription", description.or(package.map(|package| package.name.as_str())));
            let number = said(|v| v.file.as_ref());
            row.text("FileVersion", number.or(package.map(|package| package.version.as_str())));
            row.text("FileHash", content.and_then(|content| content.hash).map(|hash| hash.to_string()).as_deref());
            if let Some((id, product)) = package.map(of_package).or_else(|| version.and_then(of_version)) {
                row.text("ProductID", id.as_str());
                known.entry(id).or_insert(product);
            }
            rows.push(row);
        }
        let mut scan = Row::new();
        scan.signed("LastScanDate", now.0);
        scan.flag("Complete", scanned.reasons.is_empty());
        scan.number("FilesFound", scanned.files.len() as u64);
        scan.text("Reason", scanned.reasons.join("; ").as_str());
        self.keep(files, rows);
        self.keep(products, known.into_values().collect());
        self.keep(last, vec![scan]);
    }

    /// Says that there are no files: what was reported before goes.
    pub fn no_files(&mut self) {
        SOFTWARE_FILES.iter().for_each(|class| self.keep(class, Vec::new()));
    }
}

/// Packages by their codes. `dpkg:curl:amd64` also by `dpkg:curl`, as the lists of files call it where there cannot be several.
fn by_code(packages: &[Package]) -> HashMap<&str, &Package> {
    let mut of_code = HashMap::new();
    for package in packages {
        of_code.insert(package.code.as_str(), package);
        if let Some((code, _)) = package.code.rsplit_once(':').filter(|(code, _)| code.starts_with("dpkg:")) {
            of_code.insert(code, package);
        }
    }
    of_code
}

fn of_package(package: &Package) -> (String, Row) {
    let names = [Some(package.name.as_str()), Some(package.version.as_str()), package.publisher.as_deref()];
    product(package.code.clone(), names)
}

/// The product that a program says it is a part of, where it names one.
fn of_version(version: &Version) -> Option<(String, Row)> {
    let name = version.product.as_deref()?;
    let (number, company) = (version.product_version.as_deref(), version.company.as_deref());
    let id = format!("pe:{}:{name}:{}", company.unwrap_or_default(), number.unwrap_or_default());
    Some(product(id, [Some(name), number, company]))
}

fn product(id: String, [name, version, company]: [Option<&str>; 3]) -> (String, Row) {
    let mut row = Row::new();
    row.text("ProductID", id.as_str());
    row.text("ProductName", name);
    row.text("ProductVersion", version);
    row.text("CompanyName", company);
    (id, row)
}

/// The whole path of a file.
pub(crate) fn path(file: &Found) -> String {
    format!("{}/{}", file.directory.trim_end_matches('/'), file.name)
}
