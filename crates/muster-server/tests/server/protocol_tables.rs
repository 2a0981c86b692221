//! The tables of `docs/PROTOCOL.md` that the programs themselves know.

use muster_model::{limits::Limits, problem::Code, status::MessageId};
use std::fmt::Write;

pub(crate) fn codes() -> String {
    let mut text = String::from("| code | status | meaning |\n| --- | --- | --- |\n");
    for code in Code::ALL {
        let _ = writeln!(text, "| `{code}` | {} | {} |", code.status(), code.meaning().trim());
    }
    text
}

pub(crate) fn limits() -> String {
    let limits = Limits::default();
    let mut text = String::from("| limit | default | of what |\n| --- | --- | --- |\n");
    for (name, value, what) in [
        (
            "enrol_bytes",
            limits.enrol_bytes as u64,
            "bytes of a request to enrol, of an offer, of a poll, and of a renewal",
        ),
        ("attestation_bytes", limits.attestation_bytes as u64, "bytes of each part of an attestation"),
        ("report_bytes", limits.report_bytes as u64, "bytes of a report envelope as sent"),
        ("report_decoded_bytes", limits.report_decoded_bytes as u64, "bytes of the batch after decompression"),
        ("report_messages", limits.report_messages as u64, "messages of one batch"),
        ("section_rows", limits.section_rows as u64, "rows of one inventory section"),
        ("value_bytes", limits.value_bytes as u64, "bytes of one text in an inventory row"),
        ("list_values", limits.list_values as u64, "elements of one list in an inventory row"),
        ("device_requests", u64::from(limits.device_requests), "requests of one device in a minute, and at once"),
        ("device_connections", limits.device_connections as u64, "connections of one device at the same time"),
        ("device_messages", u64::from(limits.device_messages), "messages of one device in an hour, and at once"),
        (
            "device_report_bytes",
            limits.device_report_bytes,
            "bytes of reports of one device after decompression in an hour, and at once",
        ),
        ("output_bytes", limits.output_bytes as u64, "bytes of installer output in one message"),
        ("content_bytes", limits.content_bytes, "bytes of one content file"),
        ("object_bytes", limits.object_bytes as u64, "bytes of a signed object or policy body"),
    ] {
        let _ = writeln!(text, "| `{name}` | {value} | {what} |");
    }
    text
}

pub(crate) fn status_messages() -> String {
    let mut text = String::from("| id | sentence |\n| --- | --- |\n");
    for id in MessageId::ALL {
        let _ = writeln!(text, "| `{}` | {} |", id.as_str(), id.sentence());
    }
    text
}
