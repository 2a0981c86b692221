//! A real name server (BIND) with a zone of the test's own, on a port of the loopback address.

use crate::actor::machine::skip;
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(crate) struct NameServer {
    child: Child,
    pub(crate) address: SocketAddr,
    _temp: tempfile::TempDir,
}

/// A port that is free for both protocols, below those that the system gives to clients.
fn free() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let is_free =
        |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..32_000).find(is_free).unwrap()
}

impl NameServer {
    /// Serves `corp.example` with these records; `None`, said loudly, where BIND is missing.
    pub(crate) async fn start(records: &str) -> Option<Self> {
        let named = "/usr/sbin/named";
        if let Err(error) = Command::new(named).arg("-v").stdout(Stdio::null()).status() {
            skip("a test with a name server", &format!("{named}: {error}; install the Debian package bind9"));
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name).display().to_string();
        let zone = format!(
            "$TTL 60\n@ IN SOA ns.corp.example. admin.corp.example. 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{records}\n"
        );
        std::fs::write(path("zone"), zone).unwrap();
        let port = free();
        let options = format!(
            "options {{ directory \"{dir}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
             pid-file none; session-keyfile \"{dir}/session.key\"; managed-keys-directory \"{dir}\"; dnssec-validation no; \
             notify no; minimal-responses yes; }};\n\
             controls {{ }};\n\
             zone \"corp.example\" {{ type primary; file \"{dir}/zone\"; check-names ignore; check-srv-cname ignore; }};\n",
            dir = temp.path().display()
        );
        std::fs::write(path("named.conf"), options).unwrap();
        let child = Command::new(named)
            .args(["-g", "-n", "1", "-c", &path("named.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(temp.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _temp: temp };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(server.address).await.is_ok() {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("named does not start: {}", std::fs::read_to_string(server._temp.path().join("log")).unwrap());
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
