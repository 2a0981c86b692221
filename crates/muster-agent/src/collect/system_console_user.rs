//! `SYSTEM_CONSOLE_USER` (`SMS_SystemConsoleUser`): who works at the machine itself.

use super::row::{Put, millis};
use crate::os::{
    Machine,
    facts::{ConsoleUser, Gaps},
};
use muster_model::inventory::Row;

pub(super) fn rows(machine: &Machine, gaps: &mut Gaps) -> Option<Vec<Row>> {
    Some(machine.console_users(gaps)?.iter().map(row).collect())
}

fn row(user: &ConsoleUser) -> Row {
    let mut row = Row::new();
    row.text("SystemConsoleUser", user.name.as_str());
    row.signed("LastConsoleUse", millis(user.last));
    row.number("NumberOfConsoleLogons", user.logons);
    row.number("TotalUserConsoleMinutes", user.minutes);
    row
}
