//! Software TPMs with a vendor of their own, each started for one test and stopped by its handle.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A maker of TPMs: its CA signs the certificates of the endorsement keys.
pub(crate) struct Vendor {
    dir: tempfile::TempDir,
}

/// A TPM that is switched on.
pub(crate) struct Swtpm {
    child: Child,
    socket: PathBuf,
}

impl Vendor {
    /// A new vendor; `None`, said loudly, when this machine cannot make TPMs.
    pub(crate) fn new() -> Option<Self> {
        for program in ["swtpm", "swtpm_setup", "swtpm_localca"] {
            if let Err(error) = Command::new(program).arg("--version").output() {
                muster_tests::skip::loudly("the stories of TPMs", &format!("{program}: {error}"));
                return None;
            }
        }
        let vendor = Self { dir: tempfile::tempdir().unwrap() };
        let ca = vendor.path("ca");
        std::fs::create_dir(&ca).unwrap();
        let at = |name: &str| ca.join(name).display().to_string();
        let local = format!(
            "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
            ca.display(),
            at("signkey.pem"),
            at("issuercert.pem"),
            at("certserial")
        );
        std::fs::write(vendor.path("localca.conf"), local).unwrap();
        let options = "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n";
        std::fs::write(vendor.path("localca.options"), options).unwrap();
        let setup = format!(
            "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n\
             active_pcr_banks = sha256\n",
            vendor.path("localca.conf").display(),
            vendor.path("localca.options").display()
        );
        let tool = which("swtpm_localca");
        std::fs::write(vendor.path("setup.conf"), setup.replace("= swtpm_localca", &format!("= {}", tool.display())))
            .unwrap();
        Some(vendor)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A directory with the certificates that vouch for this vendor's TPMs. There is one once a TPM was made.
    pub(crate) fn roots(&self) -> PathBuf {
        let roots = self.path("roots");
        std::fs::create_dir_all(&roots).unwrap();
        for name in ["issuercert.pem", "swtpm-localca-rootca-cert.pem"] {
            std::fs::copy(self.path("ca").join(name), roots.join(name)).unwrap();
        }
        roots
    }

    /// Makes a TPM and switches it on.
    pub(crate) async fn tpm(&self, name: &str) -> Swtpm {
        let state = self.path(name);
        std::fs::create_dir(&state).unwrap();
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--tpmstate"])
            .arg(&state)
            .arg("--config")
            .arg(self.path("setup.conf"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stdout).into_owned() + &String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        Swtpm::start(&state).await
    }
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.exists()).unwrap()
}

impl Swtpm {
    async fn start(state: &Path) -> Self {
        let socket = state.join("socket");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if socket.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { child, socket }
    }

    /// Where commands go, as the agent's configuration names it.
    pub(crate) fn place(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
