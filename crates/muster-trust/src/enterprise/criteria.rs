//! Selection criteria: which certificates of an issuer count.

use super::{EnterpriseError, certificate::names};
use muster_model::{
    api::IssuerCriteria,
    limits::{CRITERIA, CRITERION_BYTES},
};
use std::net::IpAddr;
use x509_parser::{certificate::X509Certificate, der_parser::Oid, extensions::GeneralName};

/// Attributes of a subject by their usual short names.
const ATTRIBUTES: [(&str, &str); 12] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("street", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];
/// Purposes that the parser knows by name.
const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

/// An attribute's object identifier; `None`: neither a known name nor an identifier.
fn attribute(name: &str) -> Option<String> {
    let known = ATTRIBUTES.iter().find(|(short, _)| *short == name).map(|(_, oid)| (*oid).to_owned());
    known.or_else(|| is_oid(name).then(|| name.to_owned()))
}

fn is_oid(text: &str) -> bool {
    text.contains('.') && text.split('.').all(|part| part.parse::<u64>().is_ok_and(|n| n.to_string() == part))
}

/// The first criterion that is not one, as it was written.
#[must_use]
pub fn check(criteria: &IssuerCriteria) -> Option<String> {
    let fits = |text: &str| text.len() <= CRITERION_BYTES && !text.chars().any(char::is_control);
    let subject = |text: &&String| {
        fits(text) && text.split_once('=').is_some_and(|(name, value)| attribute(name).is_some() && !value.is_empty())
    };
    let san = |text: &&String| fits(text) && pattern(text).is_some();
    let eku = |text: &&String| fits(text) && is_oid(text);
    let too_many = [&criteria.subject, &criteria.san, &criteria.eku].into_iter().find(|list| list.len() > CRITERIA);
    let wrong = criteria.subject.iter().find(|text| !subject(text));
    let wrong = wrong.or_else(|| criteria.san.iter().find(|text| !san(text)));
    let wrong = wrong.or_else(|| criteria.eku.iter().find(|text| !eku(text)));
    wrong.or_else(|| too_many.and_then(|list| list.last())).cloned()
}

/// A pattern's kind and what must be there.
fn pattern(text: &str) -> Option<(&str, &str)> {
    let (kind, value) = text.split_once(':')?;
    let good = match kind {
        // A star is one whole label, the first, and two labels follow: it must not stand for half of the world.
        "dns" => {
            let labels = value.strip_prefix("*.").unwrap_or(value);
            let enough = !value.starts_with("*.") || labels.contains('.');
            enough && !labels.is_empty() && !labels.contains('*') && labels.split('.').all(|label| !label.is_empty())
        }
        "uri" | "email" => !value.is_empty() && !value.contains('*'),
        "ip" => value.parse::<IpAddr>().is_ok(),
        _ => false,
    };
    good.then_some((kind, value))
}

fn is_named(pattern: (&str, &str), name: &GeneralName<'_>) -> bool {
    let (kind, value) = pattern;
    match (kind, name) {
        ("dns", GeneralName::DNSName(name)) => match value.strip_prefix("*.") {
            Some(rest) => name
                .split_once('.')
                .is_some_and(|(first, tail)| !first.is_empty() && first != "*" && tail.eq_ignore_ascii_case(rest)),
            None => name.eq_ignore_ascii_case(value),
        },
        ("uri", GeneralName::URI(uri)) => *uri == value,
        ("email", GeneralName::RFC822Name(email)) => *email == value,
        ("ip", GeneralName::IPAddress(bytes)) => match value.parse() {
            Ok(IpAddr::V4(address)) => *bytes == address.octets(),
            Ok(IpAddr::V6(address)) => *bytes == address.octets(),
            Err(_) => false,
        },
        _ => false,
    }
}

/// Whether a certificate meets every list.
pub(super) fn met(criteria: &IssuerCriteria, parsed: &X509Certificate<'_>) -> Result<bool, EnterpriseError> {
    let subject = |wanted: &String| {
        let Some((name, value)) = wanted.split_once('=') else { return false };
        let Some(oid) = attribute(name) else { return false };
        parsed.subject().iter_attributes().any(|it| it.attr_type().to_id_string() == oid && it.as_str() == Ok(value))
    };
    let names = names(parsed)?;
    let named = |wanted: &String| pattern(wanted).is_some_and(|wanted| names.iter().any(|name| is_named(wanted, name)));
    let purposes = purposes(parsed)?;
    Ok(criteria.subject.iter().all(subject)
        && (criteria.san.is_empty() || criteria.san.iter().any(named))
        && criteria.eku.iter().all(|wanted| purposes.contains(wanted)))
}

fn purposes(parsed: &X509Certificate<'_>) -> Result<Vec<String>, EnterpriseError> {
    let Some(found) = parsed.extended_key_usage().map_err(|_| EnterpriseError::Malformed)? else {
        return Ok(Vec::new());
    };
    let found = found.value;
    let known = [
        (found.any, "2.5.29.37.0"),
        (found.server_auth, "1.3.6.1.5.5.7.3.1"),
        (found.client_auth, CLIENT),
        (found.code_signing, "1.3.6.1.5.5.7.3.3"),
        (found.email_protection, "1.3.6.1.5.5.7.3.4"),
        (found.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (found.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let known = known.into_iter().filter(|(there, _)| *there).map(|(_, oid)| oid.to_owned());
    Ok(known.chain(found.other.iter().map(Oid::to_id_string)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criterion_is_one_or_it_is_named() {
        let with = |subject: &str, san: &str, eku: &str| IssuerCriteria {
            subject: vec![subject.to_owned()],
            san: vec![san.to_owned()],
            eku: vec![eku.to_owned()],
        };
        let good = with("OU=Workstations", "dns:*.corp.example", "1.3.6.1.4.1.311.20.2.2");
        assert_eq!(check(&good), None);
        assert_eq!(check(&with("2.5.4.11=x", "ip:10.0.0.1", CLIENT)), None);
        for (subject, san, eku, wrong) in [
            ("OU", "dns:a.b", CLIENT, "OU"),
            ("OU=", "dns:a.b", CLIENT, "OU="),
            ("Whatever=x", "dns:a.b", CLIENT, "Whatever=x"),
            ("CN=a", "dns:*", CLIENT, "dns:*"),
            ("CN=a", "dns:*.example", CLIENT, "dns:*.example"),
            ("CN=a", "dns:a.*.b", CLIENT, "dns:a.*.b"),
            ("CN=a", "host:x", CLIENT, "host:x"),
            ("CN=a", "ip:1.2.3", CLIENT, "ip:1.2.3"),
            ("CN=a", "dns:a.b", "clientAuth", "clientAuth"),
            ("CN=a", "dns:a.b", "1.02", "1.02"),
        ] {
            assert_eq!(check(&with(subject, san, eku)).as_deref(), Some(wrong));
        }
        let many = IssuerCriteria { eku: vec![CLIENT.to_owned(); CRITERIA + 1], ..IssuerCriteria::default() };
        assert!(check(&many).is_some());
    }

    #[test]
    fn a_star_is_one_label() {
        let name = |text| is_named(("dns", "*.corp.example"), &GeneralName::DNSName(text));
        assert!(name("pc1.corp.example") && name("PC1.CORP.EXAMPLE"));
        for other in ["corp.example", ".corp.example", "a.b.corp.example", "pc1.corp.example.evil", "*.corp.example"] {
            assert!(!name(other), "{other}");
        }
    }
}
