//! nginx on OpenSSL with the site's certificates: what the same handshakes cost in the TLS library that most servers use. It answers from
//! a constant, knows no device, and asks no revocation list.

use super::{
    host,
    process::{self, Server},
};
use crate::fleet::FleetError;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::{fs, path::Path};

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Starts it in a directory below `scratch`. `None`: there is no nginx on this machine.
///
/// # Errors
/// When it does not start.
pub async fn start(site: &Path, scratch: &Path) -> Result<Option<Server>, FleetError> {
    let there = std::process::Command::new("nginx").arg("-v").output().is_ok();
    if !there {
        return Ok(None);
    }
    let dir = scratch.join("nginx");
    fs::create_dir_all(&dir).map_err(|error| FleetError::file(&dir, error))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(|error| FleetError::file(path, error))
    };
    let shown = host::materials(site)?;
    let chain: String = shown.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    write("chain.pem", chain.as_bytes())?;
    write("key.pem", shown.key.to_pem().as_bytes())?;
    let anchors: String = shown.chain[1..].iter().map(|der| pem("CERTIFICATE", der)).collect();
    write("anchors.pem", anchors.as_bytes())?;
    write("status.der", &shown.status)?;
    let (port, place) = (process::free_port(), dir.display());
    // One process, so that its CPU time is that of its id.
    let text = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};\n\
         uwsgi_temp_path {place}; scgi_temp_path {place}; keepalive_requests 1000000000;\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.3; ssl_certificate {place}/chain.pem;\n\
         ssl_certificate_key {place}/key.pem; ssl_client_certificate {place}/anchors.pem; ssl_verify_client on;\n\
         ssl_verify_depth 3; ssl_session_tickets on; ssl_stapling on; ssl_stapling_file {place}/status.der;\n\
         location /mp/v1/content/ {{ root {place}/www; }}\n\
         location / {{ return 200 \"{}\"; }} }} }}\n",
        "x".repeat(600)
    );
    write("nginx.conf", text.as_bytes())?;
    Server::foreign("nginx", &["-c", &dir.join("nginx.conf").display().to_string()], port).await.map(Some)
}
