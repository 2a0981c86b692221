//! A real directory (OpenLDAP) with objects of the test's own, over TLS, on ports of the loopback address.

use crate::actor::machine::skip;
use muster_agent::locate::DirectoryConfig;
use muster_trust::{
    PrivateKey,
    certificate::{self, IssuingCa},
};
use std::{
    io::Write,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(crate) const BASE: &str = "CN=System Management,CN=System,DC=corp,DC=example";
const SCHEMA: &str = include_str!("directory.schema");

pub(crate) struct Directory {
    child: Child,
    temp: tempfile::TempDir,
    /// Port of LDAPS, and of LDAP with StartTLS.
    pub(crate) ports: [u16; 2],
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
    let text = BASE64.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

impl Directory {
    /// Serves these entries below [`BASE`]. Whoever binds with the right password may read; others too, unless `closed`.
    /// `None`, said loudly, where OpenLDAP is missing.
    pub(crate) async fn start(entries: &str, closed: bool) -> Option<Self> {
        let slapd = "/usr/sbin/slapd";
        if let Err(error) = Command::new(slapd).arg("-VV").stderr(Stdio::null()).status() {
            skip("a test with a directory", &format!("{slapd}: {error}; install the Debian package slapd"));
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name).display().to_string();
        std::fs::create_dir(path("data")).unwrap();
        certificates(&temp);
        std::fs::write(path("test.schema"), SCHEMA).unwrap();
        let access = if closed { "by users read by * auth" } else { "by * read" };
        let conf = format!(
            "include /etc/ldap/schema/core.schema\ninclude {dir}/test.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             pidfile {dir}/pid\nTLSCACertificateFile {dir}/ca.pem\nTLSCertificateFile {dir}/server.pem\n\
             TLSCertificateKeyFile {dir}/key.pem\nsecurity simple_bind=128\n\
             database mdb\nsuffix \"DC=corp,DC=example\"\nrootdn \"CN=reader,DC=corp,DC=example\"\nrootpw sesame\n\
             directory {dir}/data\naccess to * {access}\n",
            dir = temp.path().display()
        );
        std::fs::write(path("slapd.conf"), conf).unwrap();
        let base = "dn: DC=corp,DC=example\nobjectClass: dcObject\nobjectClass: organization\no: corp\ndc: corp\n\n\
             dn: CN=System,DC=corp,DC=example\nobjectClass: container\ncn: System\n\n\
             dn: CN=System Management,CN=System,DC=corp,DC=example\nobjectClass: container\ncn: System Management\n\n";
        let mut add = Command::new("/usr/sbin/slapadd")
            .args(["-f", &path("slapd.conf")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        add.stdin.take().unwrap().write_all(format!("{base}{entries}").as_bytes()).unwrap();
        let added = add.wait_with_output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).map(|l| l.local_addr().unwrap().port());
        let urls = format!("ldaps://127.0.0.1:{} ldap://127.0.0.1:{}", ports[0], ports[1]);
        let child = Command::new(slapd)
            .args(["-d", "0", "-h", &urls, "-f", &path("slapd.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let directory = Self { child, temp, ports };
        for port in ports {
            let mut tries = 0;
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tries += 1;
                assert!(tries < 500, "slapd does not start");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Some(directory)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// The configuration that names this directory.
    pub(crate) fn config(&self, scheme: &str) -> DirectoryConfig {
        let port = if scheme == "ldaps" { self.ports[0] } else { self.ports[1] };
        DirectoryConfig {
            server: format!("{scheme}://localhost:{port}"),
            base: BASE.to_owned(),
            authorities: self.path("ca.pem"),
            bind: None,
            sites: false,
            configmgr: false,
            configmgr_port: 443,
        }
    }
}

/// A certificate for `localhost`, of a CA that is nobody else's.
fn certificates(temp: &tempfile::TempDir) {
    let (code, now) = ("DIR".parse().unwrap(), crate::actor::now());
    let [root, ca_key, key] = [(); 3].map(|()| PrivateKey::generate().unwrap());
    let root_certificate = certificate::root(code, &root, now).unwrap();
    let ca = certificate::issuing(code, &root_certificate, &root, ca_key.public(), &[], now).unwrap();
    let server =
        IssuingCa::new(ca.clone(), &ca_key).unwrap().server(&["localhost".to_owned()], key.public(), now).unwrap();
    std::fs::write(temp.path().join("ca.pem"), pem(&root_certificate)).unwrap();
    std::fs::write(temp.path().join("server.pem"), pem(&server.der) + &pem(&ca)).unwrap();
    std::fs::write(temp.path().join("key.pem"), key.to_pem().as_bytes()).unwrap();
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
