//! A site of its own for each story: the programs are built once, started on free ports, and stopped by their handles.

use crate::{clock::FakeClock, ports::free_ports};
use muster_cli::{CliError, Client, profile::ProfileDir, watch};
use muster_model::{profile::PROFILE_FILE, time::UnixMillis};
use serde_json::Value;
use std::{
    future::Future,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::OnceLock,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long a story waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the programs are; they are built when this is first asked for.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // This test is target/<profile>/deps/story-....
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--bins",
                "-p",
                "muster-server",
                "-p",
                "muster-agent",
                "-p",
                "muster-cli",
            ])
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .status()
            .unwrap();
        assert!(built.success(), "the programs do not build");
        profile
    })
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What was printed as JSON, after it went well.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// The stable code of a refusal that was printed as JSON.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        let problem: Value = serde_json::from_str(self.err.trim()).unwrap_or_else(|_| panic!("no problem: {self:?}"));
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Makes a database of this story's own; the server goes with the whole test run, and the database with it.
async fn new_database(server: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    sqlx::any::install_default_drivers();
    let name = format!("story_{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::AnyConnection::connect(server).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    admin.close().await.unwrap();
    let (base, query) =
        server.split_once('?').map_or((server, String::new()), |(base, query)| (base, format!("?{query}")));
    let root = base.rsplit_once('/').unwrap().0;
    format!("{root}/{name}{query}")
}

/// A new, empty database of the PostgreSQL server that `MUSTER_TEST_POSTGRES` names, where it does.
pub(crate) async fn postgresql() -> Option<String> {
    let Ok(server) = std::env::var("MUSTER_TEST_POSTGRES") else {
        let why = "MUSTER_TEST_POSTGRES is not set; use scripts/with-postgres";
        muster_tests::skip::loudly("the story on PostgreSQL", why);
        return None;
    };
    Some(new_database(&server).await)
}

/// A site with its server.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    server: Option<Child>,
    clock: Option<FakeClock>,
    traced: bool,
    env: Option<(String, String)>,
    host: String,
}

impl Site {
    /// Makes a site and starts its server; administrators come over the loopback address, in plain HTTP.
    pub(crate) async fn start() -> Self {
        Self::start_with("127.0.0.1", &[]).await
    }

    /// As [`Site::start`], with doors for clients at an address of a network, where this machine is in one: on loopback nobody is a
    /// neighbour.
    pub(crate) async fn start_in_network() -> Self {
        // Nothing is sent; the kernel says from which address it would be.
        let from = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        });
        let host = from.ok().map(|from| from.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
        let mut site =
            Self::at(&host.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string()), "127.0.0.1", &[]).await;
        site.serve().await;
        site
    }

    /// Whether its clients come from a network and not over loopback.
    pub(crate) fn is_in_network(&self) -> bool {
        self.host != "127.0.0.1"
    }

    /// As [`Site::start`], with another address for administrators.
    pub(crate) async fn start_for(admin: &str) -> Self {
        Self::start_with(admin, &[]).await
    }

    /// As [`Site::start`], on a new database of the PostgreSQL server that `MUSTER_TEST_POSTGRES` names, where it does.
    pub(crate) async fn start_on_postgresql() -> Option<Self> {
        let url = postgresql().await?;
        Some(Self::start_with("127.0.0.1", &["--database", &url]).await)
    }

    /// As [`Site::start`], with a clock for all programs that the story sets. `None`: there is none on this machine.
    pub(crate) async fn start_with_clock() -> Option<Self> {
        let mut site = Self::start().await;
        site.clock = Some(FakeClock::new(site.path("clock"))?);
        site.kill_server().await;
        site.serve().await;
        Some(site)
    }

    /// As [`Site::start`], with every call of server and clients to the network written down. `None`: `strace` is not on this machine.
    pub(crate) async fn start_traced() -> Option<Self> {
        if std::process::Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
            muster_tests::skip::loudly("a story that watches system calls", "the Debian package strace is missing");
            return None;
        }
        let mut site = Self::start().await;
        site.traced = true;
        site.kill_server().await;
        site.serve().await;
        Some(site)
    }

    /// Every program finds this in its environment from now on.
    pub(crate) fn with_env(&mut self, name: &str, value: &str) {
        self.env = Some((name.to_owned(), value.to_owned()));
    }

    /// `musterd` to its end, in the story's environment.
    pub(crate) async fn musterd_run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.program("musterd", "musterd").args(arguments).stdin(Stdio::null()).output().await.unwrap())
    }

    /// The calls of a program, as `strace` writes them.
    pub(crate) fn trace(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.trace"))).unwrap_or_default()
    }

    /// The clock of a story that sets it.
    pub(crate) fn clock(&self) -> &FakeClock {
        self.clock.as_ref().unwrap()
    }

    /// Starts the server again, and everything from now on, so many hours ahead. `false`: this machine has no clock to set.
    pub(crate) async fn restart_after(&mut self, hours: u32) -> bool {
        let Some(clock) = FakeClock::new(self.path("clock")) else { return false };
        clock.set(hours, 1);
        self.clock = Some(clock);
        self.kill_server().await;
        self.serve().await;
        true
    }

    /// A program with the story's clock, or watched: its calls are in the trace of that name.
    fn program(&self, name: &str, trace: &str) -> Command {
        let program = programs().join(name);
        if !self.traced {
            let mut command = self.with_clock(Command::new(program));
            command.envs(self.env.clone());
            return command;
        }
        let mut command = Command::new("strace");
        // With -D the program is this process's child, and the tracer a process of its own that ends with it.
        command.args([
            "-D",
            "-f",
            "-qq",
            "-e",
            "trace=bind,connect,sendto,sendmsg,sendmmsg",
            "-e",
            "signal=none",
            "-o",
        ]);
        command.arg(self.path(&format!("{trace}.trace"))).arg(program);
        command
    }

    fn with_clock(&self, mut command: Command) -> Command {
        if let Some(clock) = &self.clock {
            clock.give(&mut command);
        }
        command
    }

    /// As [`Site::start`], with the certificates of `directory` as vendors of TPMs that the site believes.
    pub(crate) async fn start_believing(directory: &Path) -> Self {
        let mut site = Self::made("127.0.0.1", &[]).await;
        let roots = site.path("site/tpm-roots");
        std::fs::create_dir(&roots).unwrap();
        for file in std::fs::read_dir(directory).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), roots.join(file.file_name())).unwrap();
        }
        site.serve().await;
        site
    }

    /// As [`Site::start`], with these keytabs of its service.
    pub(crate) async fn start_in_domain(keytabs: &[&Path]) -> Self {
        let mut site = Self::made("127.0.0.1", &[]).await;
        let directory = site.path("site/keytabs");
        std::fs::create_dir(&directory).unwrap();
        for keytab in keytabs {
            std::fs::copy(keytab, directory.join(keytab.file_name().unwrap())).unwrap();
        }
        site.serve().await;
        site
    }

    async fn start_with(admin: &str, more: &[&str]) -> Self {
        let mut site = Self::made(admin, more).await;
        site.serve().await;
        site
    }

    async fn made(admin: &str, more: &[&str]) -> Self {
        Self::at("127.0.0.1", admin, more).await
    }

    async fn at(host: &str, admin: &str, more: &[&str]) -> Self {
        let (dir, host) = (tempfile::tempdir().unwrap(), host.to_owned());
        let site = Self { dir, server: None, clock: None, traced: false, env: None, host };
        let [management_point, enrolment, console, revocation] = free_ports();
        let local = |port: u16| format!("{}:{port}", site.host);
        let listen = [local(management_point), local(enrolment), format!("{admin}:{console}"), local(revocation)];
        let dir = site.path("site").display().to_string();
        let made = run(
            "musterd",
            &[
                &[
                    "init",
                    "--dir",
                    &dir,
                    "--code",
                    "TST",
                    "--name",
                    "Story",
                    "--admin-name",
                    "Ada",
                    "--unattended",
                    "--host",
                    &site.host,
                    "--listen-management-point",
                    &listen[0],
                    "--listen-enrolment",
                    &listen[1],
                    "--listen-admin",
                    &listen[2],
                    "--listen-revocation",
                    &listen[3],
                ][..],
                more,
            ]
            .concat(),
        )
        .await;
        assert_eq!(made.code, Some(0), "{made:?}");
        site
    }

    /// Starts the server, and waits until it says where it listens.
    pub(crate) async fn serve(&mut self) {
        self.server = Some(self.started("musterd", "site").await);
    }

    /// A second server of the same site on the same database, with doors of its own; and the address of its management point.
    pub(crate) async fn second_server(&self) -> (Child, String) {
        let (from, to) = (self.path("site"), self.path("second"));
        let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap();
        assert!(copied.success());
        let file = to.join("musterd.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let old: Vec<String> = ["management_point", "enrolment", "admin", "revocation"]
            .map(|door| {
                let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{door} = ")));
                let line = line.unwrap_or_else(|| panic!("no {door}: {text}"));
                line.rsplit_once(':').unwrap().1.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()
            })
            .into();
        let new = free_ports();
        for file in [file, to.join("admin").join(PROFILE_FILE)] {
            let mut text = std::fs::read_to_string(&file).unwrap();
            for (old, new) in old.iter().zip(new) {
                text = text.replace(&format!(":{old}"), &format!(":{new}"));
            }
            std::fs::write(&file, text).unwrap();
        }
        (self.started("second", "second").await, format!("https://127.0.0.1:{}", new[0]))
    }

    async fn started(&self, name: &str, dir: &str) -> Child {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let mut child = self
            .program("musterd", name)
            .args(["serve", "--dir"])
            .arg(self.path(dir))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("{name} ended: {}", self.log(name)));
            if line.starts_with("Console and API") {
                return child;
            }
        }
    }

    /// Ends the server as a power failure would: SIGKILL, at whatever it is doing.
    pub(crate) async fn kill_server(&mut self) {
        self.server.take().unwrap().kill().await.unwrap();
    }

    /// A path in the story's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a program wrote to its log.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// `muster` as the first administrator, with nobody at the terminal.
    pub(crate) async fn muster(&self, arguments: &[&str]) -> Ran {
        self.muster_as("site/admin", arguments).await
    }

    /// `muster` with the profile in that directory.
    pub(crate) async fn muster_as(&self, profile: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(programs().join("muster"));
        command.env_clear();
        let output = self
            .with_clock(command)
            .args(arguments)
            .current_dir(self.dir.path())
            .env("MUSTER_PROFILE_DIR", self.path(profile))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        Ran::of(&output)
    }

    /// The API client of the first administrator: for waiting, not for acting.
    pub(crate) async fn client(&self) -> Client {
        ProfileDir::read(&self.path("site/admin"), None).unwrap().client(UnixMillis(i64::MIN)).await.unwrap()
    }

    /// A token, in a file.
    pub(crate) async fn token(&self, name: &str) -> PathBuf {
        let made = self.muster(&["token", "create", "--name", name, "--json"]).await.json();
        let file = self.path(&format!("{name}.token"));
        std::fs::write(&file, made["token"].as_str().unwrap()).unwrap();
        file
    }

    /// `muster-agent` with a state directory of that name.
    pub(crate) async fn agent(&self, name: &str, arguments: &[&str]) -> Ran {
        let state = self.path(name).display().to_string();
        run("muster-agent", &[&["--state", &state], arguments].concat()).await
    }

    /// Starts `muster-agent run`.
    pub(crate) fn agent_run(&self, name: &str) -> Child {
        self.agent_traced(name, &["run"])
    }

    /// Starts `muster-agent` with a state directory of that name; what it does to the network is in the trace of that name.
    pub(crate) fn agent_traced(&self, name: &str, arguments: &[&str]) -> Child {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        self.program("muster-agent", name)
            .arg("--state")
            .arg(self.path(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Enrols a client and approves it; its device id, and the running agent.
    pub(crate) async fn managed(&self, name: &str) -> (String, Child) {
        let token = self.token(name).await;
        let asked = self.agent(name, &["enrol", "--token", &token.display().to_string()]).await;
        assert_eq!(asked.code, Some(0), "{asked:?}");
        let pending = self.muster(&["enrolment", "list", "--state", "pending", "--json"]).await.json();
        let id = pending["items"][0]["id"].as_str().unwrap().to_owned();
        let device = self.muster(&["enrolment", "approve", &id, "--yes", "--json"]).await.json();
        let device = device["id"].as_str().unwrap().to_owned();
        let agent = self.agent_run(name);
        self.until("the agent's live channel", async |client| {
            let seen = client.device_show(device.parse().unwrap()).await?.value;
            Ok(seen.device.online.then_some(()))
        })
        .await;
        (device, agent)
    }

    /// Waits for something at the site.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn(&Client) -> Result<Option<T>, CliError>) -> T {
        let client = self.client().await;
        let found = watch::until(&client, Some(PATIENCE), what, || look(&client)).await;
        found.unwrap_or_else(|error| panic!("{error}\nmusterd: {}\nagent: {}", self.log("musterd"), self.log("agent")))
    }
}

/// Runs a program to its end.
pub(crate) fn run<'a>(program: &'a str, arguments: &'a [&'a str]) -> impl Future<Output = Ran> + 'a {
    let ran = Command::new(programs().join(program)).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    async move { Ran::of(&ran.await.unwrap()) }
}
