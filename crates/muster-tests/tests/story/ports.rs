//! Ports for a server that is started, killed and started again: they stay its own for as long as the story runs.

use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    sync::Mutex,
};

/// Below the range that the kernel takes ports from for clients: none of them can get into the place of a server that was killed.
const PORTS: std::ops::Range<u16> = 18_000..20_000;

/// What this process took. The locks go with it.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Four ports that nobody listens on, and that no other story gets before this one ends.
pub(crate) fn free_ports() -> [u16; 4] {
    let locks = std::env::temp_dir().join("muster-story-ports");
    std::fs::create_dir_all(&locks).unwrap();
    // Not all begin at the same place: they would only wait for each other.
    let first = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap();
    let mut taken = TAKEN.lock().unwrap();
    let mut free =
        PORTS.map(|port| PORTS.start + (port - PORTS.start + first) % (PORTS.end - PORTS.start)).filter(|port| {
            let lock =
                File::options().create(true).write(true).truncate(false).open(locks.join(port.to_string())).unwrap();
            let mine = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            let free = mine && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
            if free {
                taken.push(lock);
            }
            free
        });
    [(); 4].map(|()| free.next().expect("a free port"))
}
