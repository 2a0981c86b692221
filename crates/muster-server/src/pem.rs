//! Certificates as browsers and other programs want them.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// A certificate in PEM.
pub(crate) fn certificate(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|b| char::from(*b)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_have_64_characters() {
        let pem = super::certificate(&[7; 100]);
        assert!(pem.lines().all(|line| line.len() <= 64) && pem.lines().count() == 5, "{pem}");
    }
}
