//! Running a command that may hang, fork or print without end: own session, time limit on everything it starts, bounded output.
//!
//! Its output goes through a FIFO in the agent's directory and not through an anonymous pipe, and its standard input is a
//! locked empty file: so a kill of the agent neither breaks the command (no broken pipe) nor hides it (the lock is held as long
//! as the command runs), and the next agent takes up both.

use super::{account::Account, directory::PrivateDirectory};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags},
    process::{Pid, Resource, Rlimit, Signal},
};
use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::unix::pipe, process::Child, time::Instant};

/// How long output is still read after the command itself has ended: something it started may hold the other end for ever.
const DRAIN: Duration = Duration::from_millis(500);
/// The variable by which everything that a command started is found again.
const MARK: &str = "MUSTER_RUN";
/// Bytes of one process's environment that are searched for the mark.
const ENVIRON_BYTES: u64 = 256 << 10;

/// A command to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments, handed over as they are.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub directory: &'a Path,
    /// The user that it runs as, with no group but that user's own, and a directory of its own. `None`: the agent's, with all that it may.
    pub user: Option<(Account, &'a Path)>,
    /// Names this run; everything it starts inherits it.
    pub mark: &'a str,
    /// How long it may run.
    pub limit: Duration,
    /// Its standard input: the locked file. `None`: nothing.
    pub stdin: Option<File>,
    /// What its environment has beside the usual.
    pub environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub enum Ending {
    /// By itself, with this code; `None`: by a signal.
    Exit(Option<i32>),
    /// It ran over its limit, or printed more than it may ([`Tail::or_end`]), and was ended with everything it started.
    TimedOut,
    /// It could not be started.
    NotStarted(io::Error),
}

/// The end of what a command printed.
#[derive(Debug)]
pub struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    cut: bool,
    /// What prints more is ended.
    ends: bool,
}

impl Tail {
    /// Keeps the last `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit, cut: false, ends: false }
    }

    /// What prints more than the limit is ended as if it ran over its time: for a tool that is asked something, and whose answer is worth
    /// nothing where its beginning is lost.
    #[must_use]
    pub fn or_end(self) -> Self {
        Self { ends: true, ..self }
    }

    fn push(&mut self, bytes: &[u8]) {
        let before = bytes.len().saturating_sub(self.limit);
        let bytes = &bytes[before..];
        let over = (self.bytes.len() + bytes.len()).saturating_sub(self.limit);
        self.cut |= before > 0 || over > 0;
        self.bytes.drain(..over);
        self.bytes.extend(bytes);
    }

    /// Whether there was more before.
    #[must_use]
    pub const fn was_cut(&self) -> bool {
        self.cut
    }

    /// As it was printed.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }

    /// As text of at most the limit's bytes: what is not UTF-8 is marked, control characters other than line ends are removed.
    #[must_use]
    pub fn into_text(mut self) -> String {
        let text = printable(&String::from_utf8_lossy(self.bytes.make_contiguous()));
        let mut from = text.len().saturating_sub(self.limit);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        text[from..].trim().to_owned()
    }
}

/// A text without control characters other than line ends.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// Where a command's output goes.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    reader: pipe::Receiver,
    /// Whether standard error goes there too.
    errors: bool,
}

impl Output {
    /// Makes the FIFO `name` anew, or opens the one that a run before left, to read on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(directory: &PrivateDirectory, name: &str, anew: bool) -> io::Result<Self> {
        let path = directory.path().join(name);
        if anew {
            directory.remove(name)?;
            rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        let reader = pipe::OpenOptions::new().open_receiver(&path)?;
        Ok(Self { path, reader, errors: true })
    }

    /// Only the standard output goes there, and what is printed on standard error goes nowhere.
    #[must_use]
    pub fn without_errors(self) -> Self {
        Self { errors: false, ..self }
    }

    /// Lets a user open the other end again by its name below `/proc`, as `/dev/stdout` is.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn lend(&self, user: Account) -> io::Result<()> {
        std::os::unix::fs::lchown(&self.path, Some(user.user), None)
    }

    /// The other end. Open for reading too, so that a writer never meets a broken pipe.
    fn writer(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::open(&self.path, flags, Mode::empty())?))
    }

    /// Reads until nobody holds the other end. Dropping the future loses nothing. `true`: it was more than what prints it may print.
    pub async fn read_to_end(&mut self, tail: &mut Tail) -> bool {
        let mut buffer = [0; 8192];
        loop {
            match self.reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => tail.push(&buffer[..count]),
            }
            if tail.ends && tail.cut {
                return true;
            }
        }
    }
}

/// Runs a command to its end. Output goes to `tail` through `output`; without them it goes nowhere.
pub async fn run(job: Job<'_>, mut output: Option<(&mut Output, &mut Tail)>) -> Ending {
    let deadline = Instant::now() + job.limit;
    let mark = job.mark.to_owned();
    let mut child = match spawn(job, output.as_ref().map(|(output, _)| &**output)) {
        Ok(child) => child,
        Err(error) => return Ending::NotStarted(error),
    };
    let session = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let ended = match output.as_mut() {
        Some((output, tail)) => {
            let mut reading = std::pin::pin!(output.read_to_end(tail));
            let mut open = true;
            loop {
                tokio::select! {
                    flooded = &mut reading, if open => {
                        if flooded {
                            break None;
                        }
                        open = false;
                    }
                    status = child.wait() => {
                        if open {
                            let _ = tokio::time::timeout(DRAIN, &mut reading).await;
                        }
                        break Some(status);
                    }
                    () = tokio::time::sleep_until(deadline) => break None,
                }
            }
        }
        None => tokio::time::timeout_at(deadline, child.wait()).await.ok(),
    };
    match ended {
        Some(Ok(status)) => Ending::Exit(code(status)),
        Some(Err(error)) => Ending::NotStarted(error),
        None => {
            end_everything(&mark, session);
            let _ = child.wait().await;
            Ending::TimedOut
        }
    }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

fn spawn(job: Job<'_>, output: Option<&Output>) -> io::Result<Child> {
    let mut command = tokio::process::Command::new(&job.program);
    command.args(&job.arguments).current_dir(job.directory).env_clear();
    command
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", job.directory)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .envs(job.environment)
        .env(MARK, job.mark);
    if let Some((user, home)) = job.user {
        // Whoever sets a user as root and names no groups has none afterwards.
        command.uid(user.user).gid(user.group).env("HOME", home).env("TMPDIR", home);
    }
    let bounds = job.user.map(|_| bounds(job.limit));
    command.stdin(job.stdin.map_or_else(Stdio::null, Stdio::from));
    match output {
        Some(output) => {
            let writer = output.writer()?;
            let errors = if output.errors { Stdio::from(writer.try_clone()?) } else { Stdio::null() };
            command.stdout(Stdio::from(writer)).stderr(errors);
        }
        None => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
    }
    // SAFETY: the closure runs between fork and exec and only makes system calls; it takes no lock and allocates nothing.
    #[expect(
        unsafe_code,
        reason = "a session of its own, without a terminal to ask, and bounds of its own are only to be had between fork and exec"
    )]
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            if let Some(bounds) = bounds {
                // No program that it starts gives it more than it has.
                nix::sys::prctl::set_no_new_privs()?;
                for (resource, most) in bounds {
                    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
                }
            }
            Ok(())
        });
    }
    command.spawn()
}

/// What a command without privileges may use, beside its time.
fn bounds(limit: Duration) -> [(Resource, u64); 6] {
    [
        (Resource::Core, 0),
        (Resource::Cpu, limit.as_secs().max(1)),
        (Resource::Data, 1 << 30),
        (Resource::Fsize, 64 << 20),
        (Resource::Nofile, 256),
        // Of all processes of that user on the machine.
        (Resource::Nproc, 512),
    ]
}

/// Ends a session and everything that carries the mark, also what went into sessions of its own.
pub fn end_everything(mark: &str, session: Option<Pid>) {
    if let Some(session) = session {
        let _ = rustix::process::kill_process_group(session, Signal::KILL);
    }
    end_marked(&|found| found == mark);
}

/// Ends everything whose mark fits.
pub fn end_marked(fits: &dyn Fn(&str) -> bool) {
    // Something may fork while the list is read; what was killed forks no more, so a few rounds come to an end.
    for _ in 0..20 {
        let marked = marked(fits);
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Processes that carry such a mark and are not yet dead.
fn marked(fits: &dyn Fn(&str) -> bool) -> Vec<Pid> {
    let head = format!("{MARK}=");
    let carries = |variable: &[u8]| {
        let mark = variable.strip_prefix(head.as_bytes()).and_then(|mark| std::str::from_utf8(mark).ok());
        mark.is_some_and(fits)
    };
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let mut environ = Vec::new();
        let file = File::open(format!("/proc/{pid}/environ"));
        let read = file.and_then(|f| io::Read::read_to_end(&mut io::Read::take(f, ENVIRON_BYTES), &mut environ));
        read.is_ok() && environ.split(|b| *b == 0).any(carries)
    })
    .filter_map(Pid::from_raw)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        _temp: tempfile::TempDir,
        directory: PrivateDirectory,
    }

    fn place() -> Place {
        let temp = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::open(&temp.path().join("run")).unwrap();
        Place { _temp: temp, directory }
    }

    async fn shell(place: &Place, mark: &str, script: &str, limit: Duration) -> (Ending, String) {
        let mut output = Output::open(&place.directory, "out", true).unwrap();
        let mut tail = Tail::new(1000);
        let job = Job {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            directory: place.directory.path(),
            user: None,
            mark,
            limit,
            stdin: place.directory.lock("lock").unwrap(),
            environment: Vec::new(),
        };
        let ending = run(job, Some((&mut output, &mut tail))).await;
        (ending, tail.into_text())
    }

    #[tokio::test]
    async fn a_command_has_a_bare_environment_and_nothing_to_read() {
        let place = place();
        let script = "env; cat; echo to stderr >&2; exit 3";
        let (ending, output) = shell(&place, "bare", script, Duration::from_secs(60)).await;
        assert!(matches!(ending, Ending::Exit(Some(3))), "{ending:?}");
        assert!(output.contains("to stderr") && output.contains("MUSTER_RUN=bare"), "{output}");
        assert!(!output.contains("CARGO"), "{output}");
        assert!(place.directory.lock("lock").unwrap().is_some(), "the lock is free when nothing runs");
    }

    #[tokio::test]
    async fn a_command_that_prints_without_end_is_bounded() {
        let place = place();
        let script = "head -c 60000000 /dev/zero | tr '\\0' 'x'; echo; echo the end";
        let (ending, output) = shell(&place, "print", script, Duration::from_secs(120)).await;
        assert!(matches!(ending, Ending::Exit(Some(0))), "{ending:?}");
        assert!(output.len() <= 1000 && output.ends_with("the end"), "{}", output.len());
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_everything_it_started() {
        let place = place();
        // One child in the session, one in a session of its own, both ignoring polite signals.
        let script = "trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & echo started; wait";
        let (ending, output) = shell(&place, "hang-7c1e", script, Duration::from_secs(2)).await;
        assert!(matches!(ending, Ending::TimedOut), "{ending:?}");
        assert_eq!(output, "started");
        assert!(place.directory.lock("lock").unwrap().is_some());
        // A killed process stays in the list until its parent has looked; its environment is gone at once.
        assert!(marked(&|mark| mark == "hang-7c1e").is_empty());
    }

    #[tokio::test]
    async fn a_command_that_leaves_something_behind_does_not_hold_the_agent() {
        let place = place();
        let script = "setsid sleep 1000 & echo done";
        let (ending, output) = shell(&place, "left-91f0", script, Duration::from_secs(100)).await;
        assert!(matches!(ending, Ending::Exit(Some(0))), "{ending:?}");
        assert_eq!(output, "done");
        end_everything("left-91f0", None);
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_so() {
        let place = place();
        let job = Job {
            program: "/nonexistent".into(),
            arguments: vec![],
            directory: place.directory.path(),
            user: None,
            mark: "x",
            limit: Duration::from_secs(1),
            stdin: None,
            environment: Vec::new(),
        };
        assert!(matches!(run(job, None).await, Ending::NotStarted(_)));
    }

    #[test]
    fn the_tail_is_text_of_bounded_length() {
        let mut tail = Tail::new(10);
        tail.push(b"0123456789abcdef");
        tail.push(b"\x1b[1m\xff\xfe\n");
        let text = tail.into_text();
        assert!(text.len() <= 10 && !text.contains('\x1b'), "{text:?}");
        let mut tail = Tail::new(3);
        tail.push("\u{20ac}\u{20ac}".as_bytes());
        assert_eq!(tail.into_text(), "\u{20ac}");
    }
}
