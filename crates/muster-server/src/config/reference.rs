//! The reference of the configuration, as committed in `docs/reference/configuration.md`. A test keeps both together.

use super::Config;
use std::fmt::Write;

/// What each key means. A key that is missing here, or is no key, fails a test.
const KEYS: &[(&str, &str)] = &[
    ("site.code", "The site code: three characters from A-Z and 0-9. `musterd init` sets it; it never changes."),
    ("site.name", "The site's name, as people see it."),
    (
        "site.database",
        "`sqlite:<path>` or `postgres://user@host/database`. A password belongs into the file that `PGPASSFILE` names, or into \
         this file (mode 0600).",
    ),
    ("site.content", "Directory of content files."),
    ("site.key_file", "File (mode 0600) with which the issuing key and the policy key in `keys/` are encrypted."),
    ("listen.management_point", "Address of the management point: devices with a client certificate, TLS 1.3."),
    (
        "listen.enrolment",
        "Address of the enrolment door: devices without a certificate, TLS 1.3; nothing but enrolment.",
    ),
    ("listen.admin", "Address for administrators: the API, the console, health and metrics."),
    (
        "listen.admin_tls",
        "Whether administrators are served over TLS. `false` is an error unless `listen.admin` is a loopback address. `musterd \
         init` writes `false` for a loopback address.",
    ),
    (
        "listen.revocation",
        "Address of the revocation door: revocation lists (`/crl/<key id of the CA>.crl`) and OCSP (`/ocsp`) over plain HTTP, as \
         the standards expect, and nothing else.",
    ),
    (
        "listen.revocation_served",
        "Whether there is a revocation door. Without it others cannot check certificates of this site; its own servers and \
         clients can, because they need no such door.",
    ),
    (
        "names.server",
        "DNS names and IP addresses in the server's certificate, which is issued at each start. Clients are told the first one.",
    ),
    (
        "names.within",
        "Domains (with all below them), networks and addresses of all servers of this site. The certificate of an issuing CA that is made, \
         by `musterd init` or `musterd trust rotate issuing`, is bounded to them. Empty: the domains of `server`, and what has none, itself.",
    ),
    (
        "names.management_points",
        "Addresses of management points that clients are told, `https://host:port`. Empty: the first name and the listener's port.",
    ),
    (
        "names.enrolment",
        "Address of the enrolment door in tokens, `https://host:port`. Unset: the first name and the listener's port.",
    ),
    ("names.console", "Address of the console in sign-in links. Unset: the listener's address."),
    (
        "names.revocation",
        "Address, `http://host` or `http://host:port`, that client certificates name for their revocation list and OCSP. Unset: \
         certificates name none. Set it when something else than Muster checks them.",
    ),
    (
        "mobile.est_served",
        "Whether mobile devices and network equipment get certificates by EST (RFC 7030): `https://host:port/.well-known/est/`, with a token of \
         `muster mobile token create`.",
    ),
    ("mobile.est", "Address of EST, TLS 1.3."),
    (
        "mobile.legacy_scep",
        "Whether they get them by SCEP (RFC 8894) too, `http://host:port/scep`. It is older and weaker than EST: RSA with PKCS#1 v1.5 and AES in CBC \
         mode. Single DES, triple DES and SHA-1 are refused.",
    ),
    ("mobile.scep", "Address of SCEP, plain HTTP: its messages are signed and sealed by themselves."),
    ("mobile.connections", "Connections to each of the two doors at once."),
    ("http.handshake_seconds", "Seconds that a TLS handshake may take."),
    ("http.header_seconds", "Seconds until a request's header must be there; a kept connection may be idle as long."),
    ("http.body_seconds", "Seconds in which the next piece of a body must come in or go out."),
    ("http.shutdown_seconds", "Seconds that running requests have to end when the server stops."),
    ("http.ping_seconds", "Seconds between two signs of life on an idle live channel; varied by a quarter."),
    ("http.management_point_connections", "Connections of devices at once. One more is closed at once."),
    ("http.enrolment_connections", "Connections to the enrolment door at once."),
    ("http.admin_connections", "Connections of administrators at once."),
    ("http.revocation_connections", "Connections to the revocation door at once."),
    (
        "http.connections_per_address",
        "Connections of one address at once to the enrolment, to the revocation and to the administrators' door.",
    ),
    (
        "http.requests_per_minute",
        "Requests of one address in a minute to the enrolment door, as many to the revocation door, and as many tries to sign in.",
    ),
    (
        "http.handshakes_per_minute",
        "New connections of one address in a minute to each door, a fifth of them at once. More wait their turn, up to 8 seconds. Raise it \
         where more than 10,000 devices come from one address, as behind a load balancer.",
    ),
    (
        "pkcs11.module",
        "Path of a PKCS#11 module (a shared library). With it, `musterd trust rotate` makes issuing and policy keys in the token; keys \
         that are files go on working until they are revoked. Unset: keys are encrypted files in `keys/`.",
    ),
    ("pkcs11.token", "Label of the token."),
    (
        "pkcs11.pin_file",
        "File (mode 0600) with the token's user PIN; with systemd a credential, `/run/credentials/musterd.service/pin`. A PIN that was wrong \
         is not tried again before the file changes.",
    ),
    (
        "attestation.roots",
        "Directory of the certificates of TPM vendors that are believed, PEM or DER: roots, or intermediates by themselves. A \
         directory that is not there holds none; then only TPMs that an administrator named are believed (`muster hardware \
         allow`). Read at each start.",
    ),
    (
        "approval.keytabs",
        "Directory of the keytabs of the site's service in the domains that it trusts (`muster approval`). Each file must be \
         the server's alone (mode 0600). Read at each start.",
    ),
    (
        "discovery.directories",
        "Directory of the files about the directories in which the site may look for computers, users and groups: `<name>.toml` says \
         where one is, who vouches for it, and with what the site binds there. Read at each run; what is looked for is set with \
         `muster discovery set <name>`.",
    ),
    (
        "discovery.lease_files",
        "Lease files of a DHCP server on this machine (ISC, Kea's CSV, dnsmasq), which network discovery reads where it is on \
         (`muster discovery network`).",
    ),
    (
        "status.targets",
        "Directory of the files about targets of status filter rules and subscriptions: `<name>.toml` says where a webhook or a mail \
         server is and who vouches for it, or which program is run (see the guide on status messages). Read at each try; the same on \
         every server of a site.",
    ),
    ("limits.enrol_bytes", "Bytes of a request to enrol."),
    ("limits.attestation_bytes", "Bytes of each part of an attestation."),
    ("limits.domain_bytes", "Bytes of a proof of a computer's domain."),
    ("limits.report_bytes", "Bytes of one report as sent (compressed)."),
    ("limits.report_decoded_bytes", "Bytes of one report after decompression; the decoder stops here."),
    ("limits.report_messages", "Messages in one report."),
    ("limits.section_rows", "Rows in one inventory section."),
    ("limits.value_bytes", "Bytes of one text in an inventory row."),
    ("limits.list_values", "Elements of one list in an inventory row."),
    ("limits.output_bytes", "Bytes of captured installer output in one message."),
    ("limits.api_bytes", "Bytes of a request to the administrators' API."),
    ("limits.content_bytes", "Bytes of one content file."),
    ("limits.object_bytes", "Bytes of one signed object or policy body."),
    ("limits.quarantine_items", "Quarantined items kept for one device; the oldest goes first."),
    ("limits.device_requests", "Requests that one device may make in a minute, and at once; more are refused, slowly."),
    ("limits.device_connections", "Connections that one device may have at the same time."),
    ("limits.device_messages", "Messages that one device may send in an hour, and at once."),
    (
        "limits.device_report_bytes",
        "Bytes of reports after decompression that one device may send in an hour, and at once.",
    ),
    ("limits.history_days", "Days for which changes of inventory are kept; 0 to 3650, with 0 none are."),
    ("limits.history_rows", "Rows in the kept changes of one device; the oldest change goes first."),
    ("limits.page_rows", "Rows of one page of a list."),
    (
        "audit.export",
        "Directory in which the audit log is kept a second time, in files that are written once, each with a signed head \
         (`docs/guides/audit-export.md`). Best on a disk of another machine on which this one may make files and change none. Empty: nowhere.",
    ),
    ("audit.export_seconds", "Seconds between two looks for new entries; 10 to 86400."),
    ("log.format", "`human` or `json`, one line each, on standard error."),
    ("log.level", "`error`, `warn`, `info`, `debug`, `trace`, or by part: `info,muster_site=debug`."),
];

/// Keys that have no default.
const SET_BY_INIT: &[&str] = &["site.code", "site.name"];

/// The text of `docs/reference/configuration.md`.
///
/// # Panics
/// Never: the defaults can be written as TOML.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of `musterd`\n\n\
         Generated from the program; `musterd config check` says what is wrong with a file, `musterd config dump` shows what is in \
         force.\n\n\
         The file is `musterd.toml` in the site's directory. A key `a.b` stands as `b` in the section `[a]`. A variable wins over \
         the file: `MUSTERD_LISTEN__ADMIN` is `listen.admin`. A key that is not in this list is an error. Relative paths start at \
         the site's directory. Port 0 takes a free port; `run/addresses.json` says which.\n",
    );
    let defaults = defaults();
    let mut section = "";
    for (key, meaning) in KEYS {
        let (of, name) = key.split_once('.').unwrap_or(("", key));
        if of != section {
            section = of;
            let _ = write!(text, "\n## `[{of}]`\n\n| key | default | meaning |\n| --- | --- | --- |\n");
        }
        let default = match defaults.get(of).and_then(|s| s.get(name)) {
            _ if SET_BY_INIT.contains(key) => "set by `musterd init`".to_owned(),
            Some(value) => format!("`{value}`"),
            None => "unset".to_owned(),
        };
        let _ = writeln!(text, "| `{key}` | {default} | {meaning} |");
    }
    text
}

fn defaults() -> toml::Table {
    let config = match ("XXX".parse(), "x".parse()) {
        (Ok(code), Ok(name)) => toml::Table::try_from(Config::new(code, name)),
        _ => Ok(toml::Table::new()),
    };
    config.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Keys without a value unless one is set.
    const UNSET: &[&str] = &["names.enrolment", "names.console", "names.revocation", "pkcs11.module"];

    #[test]
    fn every_key_is_explained_and_every_explained_key_exists() {
        let mut there: BTreeSet<String> = UNSET.iter().map(|k| (*k).to_owned()).collect();
        for (section, keys) in &defaults() {
            there.extend(keys.as_table().unwrap().keys().map(|key| format!("{section}.{key}")));
        }
        let explained: BTreeSet<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        assert_eq!(there, explained);
    }

    #[test]
    fn the_committed_reference_is_the_generated_one() {
        crate::testing::committed("docs/reference/configuration.md", &markdown());
    }
}
