//! A clock that a story sets: Debian's `libfaketime` stands between the programs and the system's clock, in any process it is
//! loaded into, so that a day passes in seconds for a program that knows nothing of it.

use std::path::PathBuf;
use tokio::process::Command;

/// Where the library reads the time that it tells.
#[derive(Debug)]
pub(crate) struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock that goes right until it is set. `None`, said loudly: the library is not on this machine.
    pub(crate) fn new(file: PathBuf) -> Option<Self> {
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
        let Some(library) = library else {
            muster_tests::skip::loudly("a story with a clock of its own", "the Debian package libfaketime is missing");
            return None;
        };
        let clock = Self { library, file };
        clock.set(0, 1);
        Some(clock)
    }

    /// The programs that start from now on are `hours` ahead, and their time goes `pace` times as fast.
    pub(crate) fn set(&self, hours: u32, pace: u32) {
        std::fs::write(&self.file, format!("+{hours}h x{pace}\n")).unwrap();
    }

    /// Gives the clock to a program that is to be started.
    pub(crate) fn give(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", &self.file);
    }
}
