//! `SoftwareUpdate` and `LastUpdateScan`: what the last scan for updates found. The scan itself asks the system's tool, and is not made here.

use super::{Collected, row::Put};
use crate::updates::Scan;
use muster_model::{catalogue::SOFTWARE_UPDATES, inventory::Row};

impl Collected {
    /// Adds what a scan found. One that failed says so, and leaves to the site what it has.
    pub fn updates(&mut self, scan: &Scan) {
        let [updates, last] = SOFTWARE_UPDATES;
        let tool = scan.tool.as_str();
        let mut row = Row::new();
        row.signed("LastScanDate", scan.time.0);
        row.text("Tool", tool);
        row.text("State", scan.state.as_str());
        row.text("Reason", scan.reason.as_str());
        if scan.state.is_known() {
            let there = || scan.updates.iter().filter(|update| update.installed.is_some());
            row.number("Missing", there().count() as u64);
            row.number("MissingSecurity", there().filter(|update| update.security).count() as u64);
            let rows = there().map(|update| {
                let mut row = Row::new();
                row.text("Package", update.package.as_str());
                row.text("Architecture", update.architecture.as_str());
                row.text("InstalledVersion", update.installed.as_deref());
                row.text("CandidateVersion", update.candidate.as_str());
                row.text("Origin", update.origins.join(", ").as_str());
                row.flag("Security", update.security);
                row.text("Tool", tool);
                row
            });
            self.keep(updates, rows.collect());
        }
        self.keep(last, vec![row]);
    }
}
