//! A neighbour of the machine: a network namespace at the other end of a cable.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    time::Duration,
};

/// The machine, and the neighbour.
pub(super) const HERE: &str = "10.99.0.1";
pub(super) const THERE: &str = "10.99.0.2";

fn ip(arguments: &[&str]) {
    let output = Command::new("/usr/sbin/ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?} {output:?}");
}

/// A neighbour.
pub(super) struct Neighbour(File);

impl Neighbour {
    /// Connects one.
    pub(super) fn connect() -> Self {
        let (tell, told) = mpsc::channel();
        // A namespace begins in a thread of its own; its file keeps it.
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let path = format!("/proc/{}/task/{}/ns/net", std::process::id(), nix::unistd::gettid());
            tell.send(File::open(path).unwrap()).unwrap();
        });
        let neighbour = Self(told.recv().unwrap());
        ip(&["link", "add", "here", "type", "veth", "peer", "name", "there"]);
        let place = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&neighbour.0));
        ip(&["link", "set", "there", "netns", &place]);
        ip(&["addr", "add", &format!("{HERE}/24"), "dev", "here"]);
        ip(&["link", "set", "here", "up"]);
        neighbour.there(|| {
            ip(&["addr", "add", &format!("{THERE}/24"), "dev", "there"]);
            ip(&["link", "set", "there", "up"]);
        });
        neighbour
    }

    /// Does something over there.
    pub(super) fn there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            done.join().unwrap()
        })
    }

    /// Waits until the cable carries something.
    pub(super) fn settle(&self, address: SocketAddr) {
        let carries = (0..50).any(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok());
        assert!(carries, "nothing reaches {address}");
    }

    /// Listens over there.
    pub(super) fn listen(&self) -> TcpListener {
        self.there(|| TcpListener::bind((THERE, 0)).unwrap())
    }
}

/// Whether a connection comes about.
pub(super) fn reaches(address: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        Ok(_) => true,
        Err(error) => {
            let kinds = [io::ErrorKind::TimedOut, io::ErrorKind::PermissionDenied, io::ErrorKind::WouldBlock];
            assert!(kinds.contains(&error.kind()), "dropped, not refused by somebody: {error}");
            false
        }
    }
}
