//! A real Active Directory: a Samba domain controller in a network namespace of its own, made for one test and gone with it.
//!
//! A pair of virtual links joins the namespace to the machine: the controller is reached at [`Domain::address`] from everywhere
//! on it, and by nobody else. The test ends the controller by its handle; a test that is killed takes it along.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{net::TcpStream, time::sleep};

/// The Kerberos realm.
pub const REALM: &str = "LAB.EXAMPLE";
/// The DNS name of the domain.
pub const DNS_DOMAIN: &str = "lab.example";
/// The name of the controller.
pub const CONTROLLER: &str = "dc1.lab.example";
/// Where the directory begins.
pub const BASE: &str = "DC=lab,DC=example";
/// The password of `Administrator`, in a domain that lives for seconds.
pub const ADMINISTRATOR_PASSWORD: &str = "Adm1n-of-the-lab!";
/// The password of every user that [`Domain::user_create`] makes.
pub const USER_PASSWORD: &str = "Us3r-of-the-lab!";

/// Namespaces are named after the process that made them.
const NAMESPACE: &str = "mst-dc-";
/// What must be there; the Debian packages are in `./test`.
const PROGRAMS: [&str; 7] = ["ip", "setpriv", "samba", "samba-tool", "ldbmodify", "ldapadd", "openssl"];

/// Something did not work, and what it said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DomainError(String);

impl DomainError {
    fn of(what: &str) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self(format!("{what}: {error}"))
    }
}

/// A domain with its controller.
#[derive(Debug)]
pub struct Domain {
    dir: tempfile::TempDir,
    namespace: Namespace,
    controller: Option<Child>,
}

/// A network namespace with a link to it; both go when this is dropped.
#[derive(Debug)]
struct Namespace {
    name: String,
    link: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

impl Namespace {
    fn new() -> Result<Self, DomainError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        remove_leftovers();
        // One of 32,768 networks of four addresses out of those for tests between machines (RFC 2544).
        let network = (198 << 24) | (18 << 16) | ((process + count * 7_919) % 32_768) << 2;
        let made = Self {
            name: format!("{NAMESPACE}{process}-{count}"),
            link: format!("md{process}x{count}"),
            near: Ipv4Addr::from(network + 1),
            far: Ipv4Addr::from(network + 2),
        };
        ip(&["netns", "add", &made.name])?;
        ip(&["link", "add", &made.link, "type", "veth", "peer", "name", "eth0", "netns", &made.name])?;
        ip(&["address", "add", &format!("{}/30", made.near), "dev", &made.link])?;
        ip(&["link", "set", &made.link, "up"])?;
        ip(&["-n", &made.name, "address", "add", &format!("{}/30", made.far), "dev", "eth0"])?;
        ip(&["-n", &made.name, "link", "set", "eth0", "up"])?;
        ip(&["-n", &made.name, "link", "set", "lo", "up"])?;
        Ok(made)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The link goes with its other end.
        drop(ip(&["netns", "delete", &self.name]));
        drop(ip(&["link", "delete", &self.link]));
    }
}

fn ip(arguments: &[&str]) -> Result<(), DomainError> {
    checked(Command::new("ip").args(arguments)).map(drop)
}

/// Namespaces of tests that were killed.
fn remove_leftovers() {
    let Ok(names) = std::fs::read_dir("/run/netns") else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name.strip_prefix(NAMESPACE).and_then(|rest| rest.split_once('-')).map(|(process, _)| process);
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            drop(ip(&["netns", "delete", &name]));
        }
    }
}

/// Runs a program to its end, which must be a good one.
fn checked(command: &mut Command) -> Result<Output, DomainError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(DomainError::of(&program))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned());
    Err(DomainError(format!("{command:?} ended with {}: {}", output.status, said.join(" "))))
}

impl Domain {
    /// Makes a domain and starts its controller, which takes about six seconds. `None`, said loudly: this machine cannot.
    ///
    /// # Errors
    /// When the controller is there and does not start.
    pub async fn start() -> Result<Option<Self>, DomainError> {
        for program in PROGRAMS {
            if let Err(error) = Command::new(program).arg("--help").stdin(Stdio::null()).output() {
                crate::skip::loudly("a test with a Samba domain", &format!("{program}: {error}"));
                return Ok(None);
            }
        }
        let namespace = match Namespace::new() {
            Ok(namespace) => namespace,
            Err(error) => {
                crate::skip::loudly("a test with a Samba domain", &format!("no network namespace: {error}"));
                return Ok(None);
            }
        };
        let dir = tempfile::tempdir().map_err(DomainError::of("a directory"))?;
        let mut domain = Self { dir, namespace, controller: None };
        domain.provision()?;
        domain.make_certificate()?;
        domain.write("smb.conf", &domain.configuration())?;
        domain.write("krb5.conf", &domain.kerberos_configuration())?;
        domain.switch_on().await?;
        Ok(Some(domain))
    }

    fn provision(&self) -> Result<(), DomainError> {
        let mut command = self.run("samba-tool");
        command.args(["domain", "provision", "--server-role=dc", "--dns-backend=SAMBA_INTERNAL", "--use-rfc2307"]);
        command.args(["--host-name=dc1", "--domain=LAB", &format!("--realm={REALM}")]);
        command.arg(format!("--host-ip={}", self.address()));
        command.arg(format!("--adminpass={ADMINISTRATOR_PASSWORD}"));
        command.arg(format!("--targetdir={}", self.path("domain").display()));
        command.args(["--option=bind interfaces only=yes", "--option=interfaces=lo eth0"]);
        checked(&mut command).map(drop)
    }

    /// A certificate for LDAP over TLS, of an authority of its own: [`Domain::ca`].
    fn make_certificate(&self) -> Result<(), DomainError> {
        let (ca, ca_key) = (self.path("ca.pem"), self.path("ca.key"));
        let (certificate, key) = (self.path("tls.pem"), self.path("tls.key"));
        let request = |key: &Path| {
            let mut command = Command::new("openssl");
            command.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "7",
            ]);
            command.arg("-keyout").arg(key);
            command
        };
        let mut root = request(&ca_key);
        root.args(["-subj", "/CN=Lab directory CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        checked(root.arg("-out").arg(&ca))?;
        let mut own = request(&key);
        own.args(["-subj", &format!("/CN={CONTROLLER}"), "-addext", "basicConstraints=critical,CA:FALSE"]);
        own.args(["-addext", &format!("subjectAltName=DNS:{CONTROLLER},IP:{}", self.address())]);
        own.args(["-addext", "extendedKeyUsage=serverAuth"]);
        checked(own.arg("-CA").arg(&ca).arg("-CAkey").arg(&ca_key).arg("-out").arg(&certificate))?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).map_err(DomainError::of("tls.key"))
    }

    fn configuration(&self) -> String {
        let at = |name: &str| self.path(name).display().to_string();
        let settings = [
            ("netbios name", "DC1".to_owned()),
            ("realm", REALM.to_owned()),
            ("workgroup", "LAB".to_owned()),
            ("server role", "active directory domain controller".to_owned()),
            ("private dir", at("domain/private")),
            ("state directory", at("domain/state")),
            ("cache directory", at("domain/cache")),
            ("lock directory", at("domain")),
            ("binddns dir", at("domain/bind-dns")),
            ("pid directory", at("run")),
            ("ncalrpc dir", at("run/ncalrpc")),
            ("winbindd socket directory", at("run/winbindd")),
            ("log file", at("samba.log")),
            ("bind interfaces only", "yes".to_owned()),
            ("interfaces", "lo eth0".to_owned()),
            ("dns forwarder", String::new()),
            ("server services", "ldap kdc dns cldap".to_owned()),
            ("kerberos encryption types", "all".to_owned()),
            ("tls keyfile", at("tls.key")),
            ("tls certfile", at("tls.pem")),
            ("tls cafile", at("ca.pem")),
        ];
        settings.iter().fold("[global]\n".to_owned(), |text, (name, value)| format!("{text}\t{name} = {value}\n"))
    }

    fn kerberos_configuration(&self) -> String {
        let realm = format!("[realms]\n {REALM} = {{\n  kdc = {}\n }}\n", self.address());
        format!("[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n rdns = false\n{realm}")
    }

    /// Starts the controller, or starts it again, and waits until it answers.
    async fn switch_on(&mut self) -> Result<(), DomainError> {
        for name in ["run", "domain/cache"] {
            std::fs::create_dir_all(self.path(name)).map_err(DomainError::of(name))?;
        }
        let log = std::fs::File::create(self.path("samba.out")).map_err(DomainError::of("samba.out"))?;
        let again = log.try_clone().map_err(DomainError::of("samba.out"))?;
        let mut command = self.run_with("setpriv", &["--pdeathsig", "KILL", "samba"]);
        command.arg("-s").arg(self.path("smb.conf")).args(["-i", "-M", "single"]);
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        self.controller = Some(command.spawn().map_err(DomainError::of("samba"))?);
        for _ in 0..300 {
            let mut open = true;
            for port in [88, 389, 636, 53] {
                open = open && TcpStream::connect((self.address(), port)).await.is_ok();
            }
            if open {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        let said = std::fs::read_to_string(self.path("samba.out")).unwrap_or_default();
        Err(DomainError(format!("the domain controller does not answer: {said}")))
    }

    /// Address of the controller: Kerberos at port 88, LDAP at 389 and 636, DNS at 53.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(self.namespace.far)
    }

    /// The address of this machine that the controller sees.
    #[must_use]
    pub fn near_address(&self) -> IpAddr {
        IpAddr::V4(self.namespace.near)
    }

    /// Address and port of the key distribution centre.
    #[must_use]
    pub fn kdc(&self) -> SocketAddr {
        SocketAddr::new(self.address(), 88)
    }

    /// The certificate (PEM) that vouches for the controller's LDAP over TLS; it names [`CONTROLLER`] and the address.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// For MIT's tools: the value of `KRB5_CONFIG`.
    #[must_use]
    pub fn krb5_conf(&self) -> PathBuf {
        self.path("krb5.conf")
    }

    /// A file in the domain's own directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, DomainError> {
        let path = self.path(name);
        std::fs::write(&path, text).map_err(DomainError::of(name))?;
        Ok(path)
    }

    /// A program inside the namespace.
    #[must_use]
    pub fn run(&self, program: &str) -> Command {
        self.run_with(program, &[])
    }

    fn run_with(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace.name, program]).args(arguments);
        command.env("KRB5_CONFIG", self.krb5_conf());
        command
    }

    /// `samba-tool` on the domain's database: with the right to everything.
    ///
    /// # Errors
    /// With what it said.
    pub fn samba_tool(&self, arguments: &[&str]) -> Result<String, DomainError> {
        let output = checked(self.run("samba-tool").args(arguments).arg("-s").arg(self.path("smb.conf")))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Changes the directory with the right to everything; LDIF.
    ///
    /// # Errors
    /// With what `ldbmodify` said.
    pub fn modify(&self, ldif: &str) -> Result<(), DomainError> {
        let file = self.write("modify.ldif", ldif)?;
        let database = self.path("domain/private/sam.ldb");
        checked(self.run("ldbmodify").arg("-H").arg(database).arg(file)).map(drop)
    }

    /// Adds objects as a user would, over LDAP with TLS; LDIF.
    ///
    /// # Errors
    /// With what `ldapadd` said.
    pub fn add_as(&self, user: &str, password: &str, ldif: &str) -> Result<(), DomainError> {
        let file = self.write("add.ldif", ldif)?;
        let mut command = Command::new("ldapadd");
        command.args(["-x", "-H", &format!("ldaps://{}", self.address()), "-D", &format!("{user}@{REALM}")]);
        command.arg("-w").arg(password).arg("-f").arg(file).env("LDAPTLS_CACERT", self.ca());
        checked(&mut command).map(drop)
    }

    /// One attribute of an account.
    ///
    /// # Errors
    /// When there is no such account or attribute.
    pub fn attribute(&self, account: &str, name: &str) -> Result<String, DomainError> {
        let database = self.path("domain/private/sam.ldb");
        let filter = format!("(sAMAccountName={account})");
        let output = checked(self.run("ldbsearch").arg("-H").arg(database).args([&filter, name]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.ok_or_else(|| DomainError(format!("{account} has no {name}: {text}")))
    }

    /// The security identifier of an account or group.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn sid(&self, account: &str) -> Result<String, DomainError> {
        self.attribute(account, "objectSid")
    }

    /// Makes a user with [`USER_PASSWORD`].
    ///
    /// # Errors
    /// With what `samba-tool` said.
    pub fn user_create(&self, name: &str) -> Result<(), DomainError> {
        self.samba_tool(&["user", "create", name, USER_PASSWORD]).map(drop)
    }

    /// Makes a computer as an administrator of the domain does, and its keytab, AES only.
    ///
    /// # Errors
    /// With what the tools said.
    pub fn computer_create(&self, name: &str) -> Result<PathBuf, DomainError> {
        self.samba_tool(&["computer", "create", name])?;
        self.modify(&format!(
            "dn: CN={name},CN=Computers,{BASE}\nchangetype: modify\nreplace: msDS-SupportedEncryptionTypes\n\
             msDS-SupportedEncryptionTypes: 24\n"
        ))?;
        // Only a password that was set makes keys, and those of the types that were allowed by then.
        let account = format!("{name}$");
        self.samba_tool(&["user", "setpassword", &account, "--newpassword=C0mputer-of-the-lab!"])?;
        self.keytab(&account)
    }

    /// Makes a computer as a user does who has the right to make some and nothing else; it has that user's word as its password.
    ///
    /// # Errors
    /// With what the tools said.
    pub fn computer_create_as(&self, user: &str, name: &str) -> Result<PathBuf, DomainError> {
        let (sid, database) = (self.sid(user)?, self.path("domain/private/sam.ldb").display().to_string());
        let right = format!("--sddl=(OA;CI;CC;bf967a86-0de6-11d0-a285-00aa003049e2;;{sid})");
        self.samba_tool(&["dsacl", "set", &format!("--objectdn=CN=Computers,{BASE}"), &right, "-H", &database])?;
        let password: Vec<u8> = "\"C0mputer-of-a-user!\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let password = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
        let ldif = format!(
            "dn: CN={name},CN=Computers,{BASE}\nobjectClass: computer\nsAMAccountName: {name}$\n\
             userAccountControl: 4096\nmsDS-SupportedEncryptionTypes: 24\nunicodePwd:: {password}\n"
        );
        self.add_as(user, USER_PASSWORD, &ldif)?;
        self.keytab(&format!("{name}$"))
    }

    /// Makes a user for a service with this principal (`muster/site.example`), and its keytab, AES only.
    ///
    /// # Errors
    /// With what the tools said.
    pub fn service_create(&self, account: &str, principal: &str) -> Result<PathBuf, DomainError> {
        self.user_create(account)?;
        self.modify(&format!(
            "dn: CN={account},CN=Users,{BASE}\nchangetype: modify\nreplace: msDS-SupportedEncryptionTypes\n\
             msDS-SupportedEncryptionTypes: 24\n"
        ))?;
        self.samba_tool(&["spn", "add", principal, account])?;
        self.samba_tool(&["user", "setpassword", account, "--newpassword=S3rvice-of-the-lab!"])?;
        self.keytab(principal)
    }

    /// Makes a security group; its security identifier.
    ///
    /// # Errors
    /// With what `samba-tool` said.
    pub fn group_create(&self, name: &str) -> Result<String, DomainError> {
        self.samba_tool(&["group", "add", name])?;
        self.sid(name)
    }

    /// Puts an account into a group.
    ///
    /// # Errors
    /// With what `samba-tool` said.
    pub fn group_add(&self, group: &str, account: &str) -> Result<(), DomainError> {
        self.samba_tool(&["group", "addmembers", group, account]).map(drop)
    }

    /// The keys of a principal, in a file that only its owner may read.
    ///
    /// # Errors
    /// With what `samba-tool` said.
    pub fn keytab(&self, principal: &str) -> Result<PathBuf, DomainError> {
        let name: String = principal.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = self.path(&format!("{name}.keytab"));
        drop(std::fs::remove_file(&path));
        let principal = format!("--principal={principal}@{REALM}");
        self.samba_tool(&["domain", "exportkeytab", &path.display().to_string(), &principal])?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(DomainError::of("keytab"))?;
        Ok(path)
    }

    /// Says on standard error what the controller said, for a test that fails.
    pub fn complain(&self) {
        let said = std::fs::read(self.path("samba.out")).unwrap_or_default();
        drop(std::io::stderr().write_all(&said));
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            drop(controller.kill());
            drop(controller.wait());
        }
    }
}
