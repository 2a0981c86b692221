//! A message is mailed. Who sends, who gets it and the subject are words of administrators; words of a device stand in the text alone, which is
//! encoded as a whole.

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};
use muster_site::Sending;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server, and who is written to.
pub(super) struct Mail<'a> {
    pub(super) server: &'a str,
    pub(super) authorities: Vec<Vec<u8>>,
    pub(super) from: &'a str,
    pub(super) to: &'a [String],
    pub(super) login: Option<(&'a str, Zeroizing<Vec<u8>>)>,
}

/// Host, port, and whether TLS starts with the connection.
fn address(text: &str) -> Option<(String, u16, bool)> {
    let (rest, port, at_once) = match (text.strip_prefix("smtps://"), text.strip_prefix("smtp://")) {
        (Some(rest), _) => (rest, 465, true),
        (_, Some(rest)) => (rest, 587, false),
        _ => return None,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, digits)) => (host, digits.parse().ok()?),
        None => (rest, port),
    };
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_host.then(|| (host.to_owned(), port, at_once))
}

/// The mail. No header has a word of a device.
pub(super) fn message(from: &str, to: &[String], sending: &Sending) -> Result<Message, String> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is no address: {error}"));
    let mut builder = Message::builder().from(mailbox(from)?).subject(format!("[Muster] {}", sending.name));
    for one in to {
        builder = builder.to(mailbox(one)?);
    }
    let device = sending.device_name.as_ref().map(|name| format!("Device: {name}\n")).unwrap_or_default();
    let content = String::from_utf8_lossy(&sending.body);
    let text = format!("{}\n{device}\n{content}\n", sending.text);
    builder
        .message_id(Some(format!("<{}@muster.invalid>", sending.id)))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| error.to_string())
}

pub(super) async fn send(mail: Mail<'_>, sending: &Sending) -> Result<String, String> {
    let (host, port, at_once) = address(mail.server).ok_or("server is not of the form smtps://host:port")?;
    let mut tls = TlsParameters::builder(host.clone()).certificate_store(CertificateStore::None);
    for authority in mail.authorities {
        let certificate = Certificate::from_der(authority);
        tls = tls.add_root_certificate(certificate.map_err(|_| "the authorities cannot be used".to_owned())?);
    }
    let tls = tls.build_rustls().map_err(|error| format!("the authorities cannot be used: {error}"))?;
    let tls = if at_once { Tls::Wrapper(tls) } else { Tls::Required(tls) };
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).tls(tls).timeout(Some(PATIENCE));
    if let Some((user, password)) = &mail.login {
        let password = std::str::from_utf8(password).map_err(|_| "the password is no text")?;
        builder = builder.credentials(Credentials::new((*user).to_owned(), password.to_owned()));
    }
    let answer = builder.build().send(message(mail.from, mail.to, sending)?).await;
    let answer = answer.map_err(|error| format!("the mail was not taken: {error}"))?;
    Ok(answer.code().to_string())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_server_is_mail_with_tls_at_once_or_later() {
        assert_eq!(address("smtps://mail.corp.example"), Some(("mail.corp.example".to_owned(), 465, true)));
        assert_eq!(address("smtp://mail:2525"), Some(("mail".to_owned(), 2_525, false)));
        for odd in ["mail", "smtp://", "smtp://u@h", "smtp://h:99999", "https://h", "smtp://h/x"] {
            assert_eq!(address(odd), None, "{odd}");
        }
    }
}
