//! An enterprise's CA, run by OpenSSL, and the HTTP server that publishes its revocation list, well or badly.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A CA with its database, in a directory of its own.
pub(crate) struct EnterpriseCa {
    dir: PathBuf,
}

impl EnterpriseCa {
    /// Makes one of that name, below `parent`. Its key is RSA, as most are.
    pub(crate) fn new(parent: &Path, name: &str) -> Self {
        let ca = Self { dir: parent.join(name) };
        std::fs::create_dir_all(ca.dir.join("new")).unwrap();
        let config = format!(
            "[ca]\ndefault_ca = d\n[d]\ndir = {dir}\ndatabase = $dir/index\nnew_certs_dir = $dir/new\nserial = $dir/serial\n\
             crlnumber = $dir/crlnumber\ncertificate = $dir/ca.pem\nprivate_key = $dir/ca.key\ndefault_md = sha256\n\
             policy = p\nunique_subject = no\ncrl_extensions = list\n[p]\ncommonName = supplied\norganizationName = optional\n\
             [client]\nbasicConstraints = CA:FALSE\nkeyUsage = digitalSignature\nextendedKeyUsage = clientAuth\n\
             [server]\nbasicConstraints = CA:FALSE\nkeyUsage = digitalSignature\nextendedKeyUsage = serverAuth\n\
             [list]\nauthorityKeyIdentifier = keyid\n",
            dir = ca.dir.display()
        );
        ca.write("ca.cnf", &config);
        ca.write("index", "");
        ca.write("serial", "4A01\n");
        ca.write("crlnumber", "1000\n");
        let subject = format!("/O=Example/CN={name}");
        ca.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "90",
            "-subj",
            &subject,
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
        ca
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    /// A path in the CA's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// OpenSSL in the CA's directory; it has to go well.
    pub(crate) fn openssl(&self, arguments: &[&str]) -> String {
        let done =
            Command::new("openssl").args(arguments).current_dir(&self.dir).stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Issues a client certificate for this subject with a new key of this kind; `<file>.crt` and `<file>.key`.
    pub(crate) fn issue(&self, file: &str, subject: &str, key: &[&str]) {
        self.issue_for("client", file, subject, key);
    }

    /// The same, for the purpose of that name.
    pub(crate) fn issue_for(&self, purpose: &str, file: &str, subject: &str, key: &[&str]) {
        let [crt, key_file, csr] = ["crt", "key", "csr"].map(|ending| format!("{file}.{ending}"));
        let request = ["-nodes", "-keyout", &key_file, "-out", &csr, "-subj", subject];
        self.openssl(&[&["req", "-new", "-newkey"], key, &request].concat());
        let sign = ["ca", "-config", "ca.cnf", "-batch", "-notext", "-days", "5", "-extensions", purpose];
        self.openssl(&[&sign[..], &["-in", &csr, "-out", &crt]].concat());
    }

    /// Puts a certificate and its key into a client's directory.
    pub(crate) fn give(&self, file: &str, directory: &Path) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(directory).unwrap();
        for ending in ["crt", "key"] {
            let name = format!("{file}.{ending}");
            std::fs::copy(self.path(&name), directory.join(&name)).unwrap();
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(directory.join(&name), private).unwrap();
        }
    }

    /// Revokes a certificate; the next list names it.
    pub(crate) fn revoke(&self, file: &str) {
        self.openssl(&["ca", "-config", "ca.cnf", "-revoke", &format!("{file}.crt"), "-crl_reason", "keyCompromise"]);
    }

    /// Signs a list that lives for so many seconds; DER.
    pub(crate) fn list(&self, seconds: u32) -> Vec<u8> {
        self.openssl(&["ca", "-config", "ca.cnf", "-gencrl", "-crlsec", &seconds.to_string(), "-out", "list.pem"]);
        self.openssl(&["crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der"]);
        std::fs::read(self.path("list.der")).unwrap()
    }
}

/// How the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// With this list.
    List(Vec<u8>),
    /// With 404.
    Nothing,
}

/// A server that publishes a revocation list.
pub(crate) struct Publisher {
    /// The address of the list.
    pub(crate) url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Publisher {
    /// On a free port of the loopback address.
    pub(crate) async fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/pki/ca.crl", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(Mutex::new(Vec::new())));
        let (answering, asking) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answering, asking) = (answering.clone(), asking.clone());
                tokio::spawn(async move {
                    let mut head = vec![0; 4_096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
                    asking.lock().unwrap().push(line);
                    let answer = answering.lock().unwrap().clone();
                    // The other side may have enough of it.
                    drop(respond(&mut stream, answer).await);
                });
            }
        });
        Self { url, answer, asked }
    }

    /// Answers so from now on.
    pub(crate) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// First lines of the requests that came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn respond(stream: &mut tokio::net::TcpStream, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::List(list) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len()).as_bytes()).await?;
            stream.write_all(&list).await
        }
        Answer::Nothing => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
    }
}
