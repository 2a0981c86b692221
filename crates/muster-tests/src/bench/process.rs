//! The programs that are measured, as child processes: `musterd` on a fresh site, and this program in its other roles.

use super::cpu::{self, Usage};
use crate::fleet::{FleetError, http::Target};
use serde::Deserialize;
use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::{sleep, timeout},
};

/// The first port that is tried; the range from 32768 on is the clients'.
const FIRST_PORT: u16 = 18_440;
/// How long a program may take to start.
const START: Duration = Duration::from_secs(60);

/// A server that is measured. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    _stdin: Option<ChildStdin>,
    /// Its process.
    pub pid: u32,
    /// The first process of its database, where that is a program of its own.
    database: Option<u32>,
    /// Where devices reach it.
    pub target: Target,
}

/// A site in a directory of its own, with its server.
#[derive(Debug)]
pub struct Site {
    /// Its directory.
    pub dir: PathBuf,
    /// Its server.
    pub server: Server,
    database: Database,
    limits: Limits,
}

/// Where a site keeps what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In a file of its directory.
    Sqlite,
    /// In an empty database of a PostgreSQL that was started for this.
    Postgres {
        /// Where it is.
        url: String,
        /// Its first process.
        pid: u32,
    },
}

/// How generous a site is to one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As it comes.
    Default,
    /// What one device may do in a time is out of the way: 32 devices stand for a fleet.
    Wide,
}

impl Database {
    /// The PostgreSQL that `scripts/with-postgres` has started.
    ///
    /// # Errors
    /// [`FleetError::Unusable`] saying how to start one.
    pub fn postgres() -> Result<Self, FleetError> {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pid = of("MUSTER_TEST_POSTGRES_PID").and_then(|pid| pid.parse().ok());
        match (of("MUSTER_TEST_POSTGRES"), pid) {
            (Some(url), Some(pid)) => Ok(Self::Postgres { url, pid }),
            _ => Err(FleetError::Unusable(
                "there is no PostgreSQL; run this as: MUSTER_POSTGRES_DURABLE=1 scripts/with-postgres muster-bench ..."
                    .to_owned(),
            )),
        }
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    const fn pid(&self) -> Option<u32> {
        match self {
            Self::Sqlite => None,
            Self::Postgres { pid, .. } => Some(*pid),
        }
    }
}

#[derive(Deserialize)]
struct Addresses {
    management_point: String,
}

/// A program that was built with this one.
///
/// # Errors
/// [`FleetError::Unusable`] saying how to build it.
pub fn program(name: &str) -> Result<PathBuf, FleetError> {
    let own = std::env::current_exe().map_err(FleetError::io("finding this program"))?;
    // A test stands one directory deeper than the programs.
    let places = own.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        FleetError::Unusable(format!(
            "{name} is not beside {}; build it with: cargo build --release -p muster-server -p muster-agent -p muster-tests",
            own.display()
        ))
    })
}

/// Free ports of this machine, below those that the system gives to clients.
fn free_ports(count: usize) -> Vec<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (FIRST_PORT..32_768).filter(free).take(count).collect()
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, FleetError>) -> Result<T, FleetError> {
    let waited = timeout(START, async {
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| Err(FleetError::Unusable(format!("{what} did not start in time"))))
}

impl Site {
    /// Makes a site on SQLite and starts its server, with limits per address and device out of the way of a fleet on one machine.
    ///
    /// # Errors
    /// See [`Site::start_on`].
    pub async fn start(dir: &Path) -> Result<Self, FleetError> {
        Self::start_on(dir, Database::Sqlite, Limits::Wide).await
    }

    /// Makes a site and starts its server.
    ///
    /// # Errors
    /// When `musterd` is missing or does not start; its log is `musterd.log` in the directory.
    pub async fn start_on(dir: &Path, database: Database, limits: Limits) -> Result<Self, FleetError> {
        let musterd = program("musterd")?;
        let site = dir.join("site");
        let listen: Vec<String> = free_ports(4).into_iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let [point, door, admin, revocation] = &listen[..] else {
            return Err(FleetError::Unusable("there are no free ports below 32768".to_owned()));
        };
        let mut init = Command::new(&musterd);
        init.arg("init");
        if let Database::Postgres { url, .. } = &database {
            init.args(["--database", url]);
        }
        let made = init
            .args(["--code", "BEN", "--name", "Benchmark", "--admin-name", "bench", "--unattended", "--dir"])
            .arg(&site)
            .args(["--host", "localhost", "--listen-management-point", point])
            .args(["--listen-enrolment", door, "--listen-admin", admin, "--listen-revocation", revocation])
            .output()
            .await
            .map_err(FleetError::io("musterd init"))?;
        if !made.status.success() {
            return Err(FleetError::Unusable(String::from_utf8_lossy(&made.stderr).into_owned()));
        }
        let server = Self::serve(&musterd, &site, &dir.join("musterd.log"), database.pid(), limits).await?;
        Ok(Self { dir: site, server, database, limits })
    }

    async fn serve(
        musterd: &Path,
        site: &Path,
        log: &Path,
        database: Option<u32>,
        limits: Limits,
    ) -> Result<Server, FleetError> {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| FleetError::file(log, error))?;
        let mut command = Command::new(musterd);
        if limits == Limits::Wide {
            command
                .env("MUSTERD_HTTP__HANDSHAKES_PER_MINUTE", "100000000")
                .env("MUSTERD_LIMITS__DEVICE_REQUESTS", "1000000000")
                .env("MUSTERD_LIMITS__DEVICE_MESSAGES", "1000000000")
                .env("MUSTERD_LIMITS__DEVICE_REPORT_BYTES", "1000000000000");
        }
        let mut child = command
            .args(["serve", "--dir"])
            .arg(site)
            .env("MUSTERD_LOG__LEVEL", "warn")
            .env("MUSTERD_HTTP__REQUESTS_PER_MINUTE", "1000000")
            .env("MUSTERD_HTTP__CONNECTIONS_PER_ADDRESS", "1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(FleetError::io("musterd serve"))?;
        let pid = child.id().unwrap_or_default();
        let addresses = site.join("run/addresses.json");
        let found = until("musterd", || {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(FleetError::Unusable(format!("musterd ended with {status}; see {}", log.display())));
            }
            Ok(std::fs::read(&addresses).ok().and_then(|bytes| serde_json::from_slice::<Addresses>(&bytes).ok()))
        });
        let target = Target::parse(&found.await?.management_point)?;
        Ok(Server { child, _stdin: None, pid, database, target })
    }

    /// Starts its server anew, so that its memory is that of a fresh process.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(self) -> Result<Self, FleetError> {
        let Self { dir, server, database, limits } = self;
        server.stop().await;
        let log = dir.with_file_name("musterd.log");
        let server = Self::serve(&program("musterd")?, &dir, &log, database.pid(), limits).await?;
        Ok(Self { dir, server, database, limits })
    }

    /// The directory of the first administrator's profile.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.dir.join("admin")
    }
}

impl Server {
    /// CPU time that it has used so far, with its database.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let own = cpu::usage(self.pid);
        self.database.map_or(own, |pid| own.plus(cpu::usage(pid)))
    }

    /// Starts this program in another role, with the site's certificates. It ends with this process.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn role(role: &str, site: &Path, scratch: &Path) -> Result<Self, FleetError> {
        let mut child = Command::new(program("muster-bench")?)
            .arg(role)
            .arg("--site")
            .arg(site)
            .arg("--scratch")
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(FleetError::io(role))?;
        let stdin = child.stdin.take();
        let line = match child.stdout.take() {
            Some(stdout) => {
                let mut lines = BufReader::new(stdout).lines();
                timeout(START, lines.next_line()).await.ok().and_then(Result::ok).flatten()
            }
            None => None,
        };
        let url = line.ok_or_else(|| FleetError::Unusable(format!("{role} did not start")))?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, _stdin: stdin, pid, database: None, target: Target::parse(&url)? })
    }

    /// Starts a program that is not ours and listens on this port. It ends with this process.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn foreign(program: &str, arguments: &[&str], port: u16) -> Result<Self, FleetError> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(FleetError::io(program))?;
        let pid = child.id().unwrap_or_default();
        until(program, || Ok(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())).await?;
        Ok(Self {
            child,
            _stdin: None,
            pid,
            database: None,
            target: Target::parse(&format!("https://localhost:{port}"))?,
        })
    }

    /// Ends it in good order where it can.
    pub async fn stop(mut self) {
        drop(self._stdin.take());
        if let Some(pid) = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        drop(timeout(START, self.child.wait()).await);
    }
}

/// A free port below the clients' range.
#[must_use]
pub fn free_port() -> u16 {
    free_ports(1).first().copied().unwrap_or(0)
}

/// A free address for a role of this program.
///
/// # Errors
/// [`FleetError::Io`].
pub async fn listen() -> Result<tokio::net::TcpListener, FleetError> {
    let port = free_port();
    tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(FleetError::io("listening"))
}
