//! The same new version by zsync and by casync, where these Debian packages are installed.

use super::{
    cpu,
    process::{self, Server},
    report::Figure,
};
use crate::fleet::{FleetError, say};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Both, each with what it moved.
///
/// # Errors
/// When a program that is there fails.
pub async fn measure(old: &Path, new: &Path, scratch: &Path) -> Result<Vec<Figure>, FleetError> {
    let mut figures = Vec::new();
    match is_there("casync") {
        true => figures.push(casync(old, new, scratch)?),
        false => say("casync was not measured: the Debian package casync is missing"),
    }
    match is_there("zsync") && is_there("nginx") {
        true => figures.push(zsync(old, new, scratch).await?),
        false => say("zsync was not measured: the Debian package zsync or nginx-light is missing"),
    }
    Ok(figures)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status().is_ok()
}

fn run(program: &str, arguments: &[&str], dir: &Path) -> Result<String, FleetError> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(FleetError::io(program))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(text),
        false => Err(FleetError::Unusable(format!("{program}: {text}"))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a measurement")]
fn moved(program: &str, bytes: u64, note: String) -> Figure {
    let value = bytes as f64 / 1e6;
    say(&format!("  {program}: {value:.2} MB moved; {note}"));
    Figure::new(None, format!("the new version by {program}: moved"), "MB", None).lower().ours(value).note(note)
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            _ => entry.metadata().map_or(0, |data| data.len()),
        })
        .sum()
}

/// By how much its store grows: that is what a client fetches which has the old version. Its index comes on top.
fn casync(old: &Path, new: &Path, scratch: &Path) -> Result<Figure, FleetError> {
    let dir = scratch.join("casync");
    fs::create_dir_all(&dir).map_err(|error| FleetError::file(&dir, error))?;
    let store = dir.join("store");
    let make = |index: &str, file: &Path| {
        run("casync", &["make", "--store=store", index, &file.display().to_string()], &dir).map(drop)
    };
    make("old.caibx", old)?;
    let (before, began) = (bytes_below(&store), cpu::children_of_this_process());
    make("new.caibx", new)?;
    let made = cpu::children_of_this_process().saturating_sub(began);
    let index = fs::metadata(dir.join("new.caibx")).map_or(0, |data| data.len());
    let bytes = bytes_below(&store).saturating_sub(before) + index;
    let began = cpu::children_of_this_process();
    run("casync", &["extract", "--store=store", "new.caibx", "out"], &dir)?;
    let used = cpu::children_of_this_process().saturating_sub(began);
    Ok(moved("casync", bytes, format!("CPU to make it {made:.2?}, to put it together from a local store {used:.2?}")))
}

/// From nginx over plain HTTP, which is all that it speaks.
async fn zsync(old: &Path, new: &Path, scratch: &Path) -> Result<Figure, FleetError> {
    let dir = scratch.join("zsync");
    fs::create_dir_all(dir.join("www")).map_err(|error| FleetError::file(&dir, error))?;
    let served = dir.join("www/new");
    fs::copy(new, &served).map_err(|error| FleetError::file(&served, error))?;
    let (port, place) = (process::free_port(), dir.display());
    let text = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log; events {{ }}\n\
         http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};\n\
         uwsgi_temp_path {place}; scgi_temp_path {place};\n\
         server {{ listen 127.0.0.1:{port}; location / {{ root {place}/www; }} }} }}\n"
    );
    let config = dir.join("nginx.conf");
    fs::write(&config, text).map_err(|error| FleetError::file(&config, error))?;
    let url = format!("http://127.0.0.1:{port}/new");
    let began = cpu::children_of_this_process();
    run("zsyncmake", &["-u", &url, "-o", "www/new.zsync", "www/new"], &dir)?;
    let made = cpu::children_of_this_process().saturating_sub(began);
    let server = Server::foreign("nginx", &["-c", &config.display().to_string()], port).await?;
    let began = cpu::children_of_this_process();
    let said = run("zsync", &["-i", &old.display().to_string(), "-o", "out", &format!("{url}.zsync")], &dir);
    let used = cpu::children_of_this_process().saturating_sub(began);
    server.stop().await;
    let control = fs::metadata(dir.join("www/new.zsync")).map_or(0, |data| data.len());
    let fetched =
        fetched(&said?).ok_or_else(|| FleetError::Unusable("zsync did not say what it fetched".to_owned()))?;
    Ok(moved("zsync", fetched + control, format!("CPU to make it {made:.2?}, of the client {used:.2?}, without TLS")))
}

/// The number in `used 123 local, fetched 456`.
fn fetched(said: &str) -> Option<u64> {
    let rest = said.rsplit_once("fetched ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_zsync_says_is_read() {
        assert_eq!(super::fetched("\nused 203423744 local, fetched 1048577\n"), Some(1_048_577));
        assert_eq!(super::fetched("checksum matches OK"), None);
    }
}
