//! Where a command of a signed application works: a directory with the application's files. One that runs without privileges has them
//! beside the agent's state, which no other user can pass, to read and run and not to change; and an empty directory of its own.

use super::{account::Account, directory::PrivateDirectory};
use rustix::fs::Mode;
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// The directory, until it is removed.
#[derive(Debug)]
pub struct Workplace {
    name: String,
    /// Where the files go.
    pub directory: PrivateDirectory,
    lent: Option<Lent>,
}

/// What is lent to another user.
#[derive(Debug)]
struct Lent {
    user: Account,
    /// The directory beside the agent's state.
    place: PathBuf,
    /// The user's own.
    home: PathBuf,
}

impl Workplace {
    /// Makes it anew: in `runs` for the agent's own user, and otherwise beside `state`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(runs: &PrivateDirectory, state: &Path, name: &str, user: Option<Account>) -> io::Result<Self> {
        let Some(user) = user else {
            runs.remove_directory(name)?;
            let directory = runs.directory(name).map_err(io::Error::other)?;
            return Ok(Self { name: name.to_owned(), directory, lent: None });
        };
        let place = beside(state)?;
        // Others may pass it, and not see what is in it.
        match rustix::fs::mkdir(&place, Mode::RWXU) {
            Ok(()) => fs::set_permissions(&place, fs::Permissions::from_mode(0o711))?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        sweep(&place);
        let directory = PrivateDirectory::make_below(&place, name, |_| true)?;
        let home = place.join(format!("{name}.home"));
        rustix::fs::mkdir(&home, Mode::RWXU)?;
        lchown(&home, Some(user.user), Some(user.group))?;
        Ok(Self { name: name.to_owned(), directory, lent: Some(Lent { user, place, home }) })
    }

    /// Lets the other user read and run the files that are there now, and change none.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn lend(&self) -> io::Result<()> {
        let Some(lent) = &self.lent else { return Ok(()) };
        let lend = |path: &Path, mode| {
            lchown(path, None, Some(lent.user.group))?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        for name in self.directory.names()? {
            lend(&self.directory.path().join(name), 0o550)?;
        }
        lend(self.directory.path(), 0o750)
    }

    /// The user that is to work here, and its own directory; none: the agent's.
    #[must_use]
    pub fn user(&self) -> Option<(Account, &Path)> {
        self.lent.as_ref().map(|lent| (lent.user, lent.home.as_path()))
    }

    /// Removes it with everything in it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(self, runs: &PrivateDirectory) -> io::Result<()> {
        let Some(lent) = self.lent else { return runs.remove_directory(&self.name) };
        fs::remove_dir_all(self.directory.path())?;
        fs::remove_dir_all(&lent.home)?;
        fs::remove_dir(&lent.place)
    }
}

/// Beside the agent's state, where nobody but root and the agent's user can make anything either.
fn beside(state: &Path) -> io::Result<PathBuf> {
    let name = state.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(state.with_file_name(format!("{}-collect", name.to_string_lossy())))
}

/// What an agent that was killed left.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "what a collector left could not be removed");
        }
    }
}
