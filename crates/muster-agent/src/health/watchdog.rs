//! The protocol by which a service manager watches its service (`sd_notify`): the agent says that it is there, and then that it still
//! is. Where it stops saying so, because it hangs, the manager ends it and starts it anew.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

/// Says something to the service manager. `Ok(false)`: there is none.
fn say(word: &str) -> io::Result<bool> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(false) };
    let name = name.as_encoded_bytes();
    let address = match name.split_first() {
        Some((b'@', rest)) => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(std::path::Path::new(&std::env::var_os("NOTIFY_SOCKET").unwrap_or_default()))?,
    };
    UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &address)?;
    Ok(true)
}

/// Says that the agent is up.
pub fn ready() {
    if let Err(error) = say("READY=1") {
        tracing::warn!(%error, "the service manager could not be told that the agent is up");
    }
}

/// How long the manager waits for a word, where it is this process that it watches.
fn patience() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|micros| *micros > 0).map(Duration::from_micros)
}

/// Whether a service manager waits for this process's word, and starts it anew where it ends.
pub(super) fn is_watched() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some() && patience().is_some()
}

/// Says again and again that the agent is there, from the thread that does everything: where that hangs, nothing is said.
pub async fn beat() {
    let Some(patience) = patience() else { return std::future::pending().await };
    loop {
        if let Err(error) = say("WATCHDOG=1") {
            tracing::warn!(%error, "the service manager could not be told that the agent is there");
        }
        tokio::time::sleep(patience / 3).await;
    }
}
