//! The socket to which users of this machine connect: in a directory of its own that only the agent can write to.

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    io,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
};

/// The user as whom this process runs.
#[must_use]
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Listens at `path`. Its directory is made where it is not there; one that others can write to is refused, because they could put
/// a socket of their own there. What an agent before this one left is replaced; that no other one runs, its lock says.
///
/// # Errors
/// When the directory is not fit, something that is no socket is there, or the system refuses.
pub fn local_socket(path: &Path) -> io::Result<UnixListener> {
    let place =
        path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a socket needs a directory"))?;
    match rustix::fs::mkdir(place, Mode::from_raw_mode(0o755)) {
        // Whatever this process masks: users have to pass it.
        Ok(()) => std::fs::set_permissions(place, PermissionsExt::from_mode(0o755))?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(place, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&handle)?;
    if stat.st_uid != own_user() || stat.st_mode & 0o022 != 0 {
        let text = format!("{} is not this agent's own, or others can write to it", place.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    match std::fs::symlink_metadata(path) {
        Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // To connect is to write.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o666))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_only_where_nobody_else_can_put_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("run/software.sock");
        drop(local_socket(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o755);
        local_socket(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(local_socket(&path).is_err() && std::fs::read(&path).unwrap() == b"precious");
        std::fs::remove_file(&path).unwrap();
        std::fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(local_socket(&path).is_err(), "others can write there");
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert!(local_socket(&link.join("software.sock")).is_err(), "a link");
    }
}
