//! What is wrong with a configuration although every value has its type. One sentence for each problem, with what to do.

use super::Config;
use muster_model::{enrol::is_https_authority, limits::HISTORY_DAYS};

/// Every problem; empty when the server can start with it.
#[must_use]
pub fn problems(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    listen(config, &mut found);
    names(config, &mut found);
    numbers(config, &mut found);
    if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| config.site.database.starts_with(scheme)) {
        found.push("site.database must be `sqlite:<path>` or `postgres://...`.".to_owned());
    }
    found
}

fn listen(config: &Config, found: &mut Vec<String>) {
    let (listen, mobile) = (&config.listen, &config.mobile);
    if !listen.admin_tls && !listen.admin.ip().is_loopback() {
        found.push(format!(
            "listen.admin_tls is off and listen.admin is {}, which others can reach: set listen.admin_tls = true, or listen on \
             127.0.0.1 or [::1].",
            listen.admin
        ));
    }
    let mut addresses = vec![
        ("listen.management_point", listen.management_point),
        ("listen.enrolment", listen.enrolment),
        ("listen.admin", listen.admin),
    ];
    if listen.revocation_served {
        addresses.push(("listen.revocation", listen.revocation));
    }
    if mobile.est_served {
        addresses.push(("mobile.est", mobile.est));
    }
    if mobile.legacy_scep {
        addresses.push(("mobile.scep", mobile.scep));
    }
    for (at, (name, address)) in addresses.iter().enumerate() {
        for (other, taken) in &addresses[..at] {
            let overlap = address.ip() == taken.ip() || address.ip().is_unspecified() || taken.ip().is_unspecified();
            if address.port() != 0 && address.port() == taken.port() && overlap {
                found.push(format!("{name} and {other} are both {address}: give each door a port of its own."));
            }
        }
    }
}

fn names(config: &Config, found: &mut Vec<String>) {
    let names = &config.names;
    if names.server.is_empty() {
        found
            .push("names.server is empty: name the host or the address by which clients reach this server.".to_owned());
    }
    if let Err(error) = muster_trust::names_within::check(&names.within) {
        found.push(format!("names.within: {error}."));
    }
    for name in names.server.iter().filter(|name| !muster_trust::names_within::covers(&names.within, name)) {
        found.push(format!(
            "names.server has {name:?}, which is not within {}: widen names.within.",
            names.within.join(", ")
        ));
    }
    for name in &names.server {
        let plain = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        if !plain && name.parse::<std::net::IpAddr>().is_err() {
            found.push(format!("names.server has {name:?}, which is neither a DNS name nor an IP address."));
        }
    }
    for address in names.management_points.iter().chain(&names.enrolment) {
        if !is_https_authority(address) {
            found.push(format!(
                "{address:?} in [names] is not an address for clients: write it as https://host:port, without a path."
            ));
        }
    }
    if let Some(address) = names.revocation.as_ref().filter(|address| !is_http_authority(address)) {
        found.push(format!(
            "names.revocation is {address:?}: write it as http://host or http://host:port, without a path."
        ));
    }
}

/// `http://host` or `http://host:port` and nothing more.
fn is_http_authority(address: &str) -> bool {
    address.strip_prefix("http://").is_some_and(|rest| is_https_authority(&format!("https://{rest}")))
}

fn numbers(config: &Config, found: &mut Vec<String>) {
    let http = &config.http;
    let seconds = [
        ("http.handshake_seconds", http.handshake_seconds, 300),
        ("http.header_seconds", http.header_seconds, 3_600),
        ("http.body_seconds", http.body_seconds, 3_600),
        ("http.shutdown_seconds", http.shutdown_seconds, 3_600),
        ("http.ping_seconds", http.ping_seconds, 3_600),
    ];
    for (name, value, most) in seconds {
        if value == 0 || value > most {
            found.push(format!("{name} is {value}: it must be from 1 to {most}."));
        }
    }
    if !(10..=86_400).contains(&config.audit.export_seconds) {
        let seconds = config.audit.export_seconds;
        found.push(format!("audit.export_seconds is {seconds}: it must be from 10 to 86400."));
    }
    let numbers = [
        ("http.management_point_connections", http.management_point_connections),
        ("http.enrolment_connections", http.enrolment_connections),
        ("http.admin_connections", http.admin_connections),
        ("http.revocation_connections", http.revocation_connections),
        ("http.connections_per_address", http.connections_per_address),
        ("http.requests_per_minute", http.requests_per_minute as usize),
        ("http.handshakes_per_minute", http.handshakes_per_minute as usize),
        ("limits.enrol_bytes", config.limits.enrol_bytes),
        ("limits.attestation_bytes", config.limits.attestation_bytes),
        ("limits.domain_bytes", config.limits.domain_bytes),
        ("limits.report_bytes", config.limits.report_bytes),
        ("limits.api_bytes", config.limits.api_bytes),
        ("limits.object_bytes", config.limits.object_bytes),
        ("limits.page_rows", config.limits.page_rows as usize),
        ("limits.device_requests", config.limits.device_requests as usize),
        ("limits.device_connections", config.limits.device_connections),
        ("limits.device_messages", config.limits.device_messages as usize),
        ("limits.device_report_bytes", usize::try_from(config.limits.device_report_bytes).unwrap_or(usize::MAX)),
    ];
    for (name, value) in numbers {
        if value == 0 {
            found.push(format!("{name} is 0: nothing could be done; give it a number over 0."));
        }
    }
    if config.limits.history_days > HISTORY_DAYS {
        let days = config.limits.history_days;
        found.push(format!("limits.history_days is {days}: it must be from 0 to {HISTORY_DAYS}."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("ABC".parse().unwrap(), "Main site".parse().unwrap())
    }

    /// The problems after one change.
    fn after(change: impl Fn(&mut Config)) -> Vec<String> {
        let mut config = config();
        change(&mut config);
        problems(&config)
    }

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(problems(&config()), Vec::<String>::new());
    }

    #[test]
    fn administrators_are_never_served_in_plain_text_over_a_network() {
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let found = after(|c| (c.listen.admin, c.listen.admin_tls) = (address.parse().unwrap(), false));
            assert_eq!(found.len(), 1, "{address} {found:?}");
        }
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            let found = after(|c| (c.listen.admin, c.listen.admin_tls) = (address.parse().unwrap(), false));
            assert_eq!(found, Vec::<String>::new(), "{address}");
        }
    }

    #[test]
    fn each_problem_has_a_sentence() {
        for (found, expected) in [
            (after(|c| c.listen.enrolment.set_port(8440)), "a port of its own"),
            (after(|c| c.names.server.clear()), "names.server is empty"),
            (after(|c| c.names.server = vec!["a b".into()]), "neither a DNS name"),
            (after(|c| c.names.enrolment = Some("http://a".into())), "https://host:port"),
            (after(|c| c.names.revocation = Some("https://a".into())), "names.revocation"),
            (after(|c| c.listen.revocation.set_port(8442)), "a port of its own"),
            (after(|c| c.http.header_seconds = 0), "from 1 to"),
            (after(|c| c.limits.page_rows = 0), "limits.page_rows is 0"),
            (after(|c| c.limits.history_days = 3_651), "limits.history_days is 3651"),
            (after(|c| c.site.database = "mysql://x".into()), "site.database"),
        ] {
            assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
        }
    }
}
