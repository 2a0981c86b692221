//! A PostgreSQL server of one test's own, which the test may stop, start and starve.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Makes the data directory, where there is none, and becomes the server. With a fourth argument it has a small disk at `$1/small`: a
/// mount of this process alone, gone with it. PostgreSQL does not run as root: root becomes `postgres`, and who is root only in a
/// name space of their own becomes somebody else in a second one.
const SERVE: &str = r#"
set -e
home=$1 bin=$2 port=$3 small=$4 mine=$5
if [ -n "$small" ]; then mount -t tmpfs -o "size=$small,mode=0777" none "$home/small"; fi
as=
if [ -n "$mine" ]; then
  as="unshare -U --map-user=1000 --map-group=1000"
elif [ "$(id -u)" = 0 ]; then
  chown postgres: "$home" "$home/small"
  as="setpriv --reuid=postgres --regid=postgres --init-groups"
fi
cd "$home"
if [ ! -e data ]; then
  $as "$bin/initdb" -D "$home/data" -U muster -A trust -N -E UTF8 --locale=C >/dev/null
fi
exec $as "$bin/postgres" -D "$home/data" -h 127.0.0.1 -p "$port" -k "$home" -c fsync=off -c full_page_writes=off \
  -c max_connections=120 -c shared_buffers=32MB
"#;

/// How long a server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// A server.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    bin: PathBuf,
    port: u16,
    small: &'static str,
    child: Option<Child>,
}

#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test without its server has to stop")]
#[expect(clippy::disallowed_methods, reason = "a test waits for a process of its own")]
impl Server {
    /// Starts a server. `small`: the size of a disk for a tablespace, or nothing. `None`: this machine has no PostgreSQL, or takes no
    /// mount.
    #[must_use]
    pub fn start(small: &'static str) -> Option<Self> {
        let bin =
            std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).map(|dir| dir.path().join("bin"));
        let bin = bin.filter(|bin| bin.join("initdb").exists()).max()?;
        // It is stopped and started again: below the range from which clients get their ports, nobody takes its place meanwhile.
        let first = 16_000 + u16::try_from(std::process::id() % 1_000).ok()?;
        let port = (first..18_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())?;
        let home = TempDir::new().expect("a temporary directory");
        std::fs::create_dir(home.path().join("small")).expect("a directory");
        let mut server = Self { home, bin, port, small, child: None };
        server.again().then_some(server)
    }

    /// Starts it again, after [`Server::stop`]; whether it answers.
    pub fn again(&mut self) -> bool {
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        let mut command = match (self.small.is_empty(), root) {
            (true, _) => Command::new("sh"),
            (false, true) => {
                let mut command = Command::new("unshare");
                command.args(["-m", "sh"]);
                command
            }
            (false, false) => {
                let mut command = Command::new("unshare");
                command.args(["-rm", "sh"]);
                command
            }
        };
        let mine = if root || self.small.is_empty() { "" } else { "mine" };
        let log = std::fs::File::options().create(true).append(true).open(self.home.path().join("log")).expect("a log");
        command.args(["-c", SERVE, "sh"]).arg(self.home.path()).arg(&self.bin);
        command.args([self.port.to_string().as_str(), self.small, mine]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.expect("a process"));
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.ended() {
                return false;
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.ready() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        false
    }

    fn ready(&self) -> bool {
        let status = Command::new(self.bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    /// Stops it in the middle of what it does, as a failure of its machine would.
    pub fn stop(&mut self) {
        let pid = std::fs::read_to_string(self.home.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            // Its own process, by its own number.
            drop(Command::new("kill").args(["-QUIT", pid]).status());
        }
        let end = Instant::now() + PATIENCE;
        while !self.ended() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// A URL of a database on it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://muster@127.0.0.1:{}/{database}", self.port)
    }

    /// The directory of the small disk, as the server sees it.
    #[must_use]
    pub fn small(&self) -> String {
        self.home.path().join("small").display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
