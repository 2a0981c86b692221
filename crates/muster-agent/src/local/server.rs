//! The agent's end. Everything is bounded: connections, of each user too, bytes, time, and requests in a minute.

use super::{Answer, Request};
use crate::{
    agent::Agent,
    apply::{
        defer, notices,
        software::{self, Declined},
    },
    os::local_socket,
    policy::Policy,
    restart::notice,
    store::{StoreError, intents::Intent},
};
use muster_model::limits::{
    LOCAL_CONNECTIONS, LOCAL_CONNECTIONS_OF_USER, LOCAL_REQUEST_BYTES, LOCAL_REQUESTS, LOCAL_SECONDS,
};
use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::watch,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Who is connected, and who asked how often.
#[derive(Debug, Default)]
struct Users(Mutex<HashMap<u32, User>>);

#[derive(Debug)]
struct User {
    connections: usize,
    since: Instant,
    requests: u32,
}

/// A place for one connection, given back when it ends.
#[derive(Debug)]
struct Place {
    users: Arc<Users>,
    user: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users.get_mut(&self.user) {
            user.connections = user.connections.saturating_sub(1);
        }
    }
}

impl Users {
    fn place(self: &Arc<Self>, user: u32) -> Option<Place> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who are silent for a minute are not remembered.
        users.retain(|_, user| user.connections > 0 || user.since.elapsed() < MINUTE);
        let all: usize = users.values().map(|user| user.connections).sum();
        let fresh = || User { connections: 0, since: Instant::now(), requests: 0 };
        let known = users.entry(user).or_insert_with(fresh);
        if all >= LOCAL_CONNECTIONS || known.connections >= LOCAL_CONNECTIONS_OF_USER {
            return None;
        }
        known.connections += 1;
        Some(Place { users: self.clone(), user })
    }

    /// Whether a user may have something begun now.
    fn may_ask(&self, user: u32) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = users.get_mut(&user) else { return false };
        if known.since.elapsed() >= MINUTE {
            (known.since, known.requests) = (Instant::now(), 0);
        }
        known.requests += 1;
        known.requests <= LOCAL_REQUESTS
    }
}

/// Serves the socket until the agent ends.
pub(crate) async fn run(agent: Arc<Agent>, policy: watch::Receiver<Option<Arc<Policy>>>, path: std::path::PathBuf) {
    let listener = match open(&path) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::error!(path = %path.display(), %error, "users of this machine cannot ask for software");
        }
    };
    tracing::info!(path = %path.display(), "users of this machine can ask for software");
    let users = Arc::new(Users::default());
    let mut talks = tokio::task::JoinSet::new();
    loop {
        while talks.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a user could not be heard");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let Ok(user) = stream.peer_cred().map(|peer| peer.uid()) else { continue };
        // Who has enough connections is not answered.
        let Some(place) = users.place(user) else { continue };
        let (agent, policy) = (agent.clone(), policy.clone());
        talks.spawn(async move {
            let talk = talk(&agent, &policy, stream, &place);
            if tokio::time::timeout(Duration::from_secs(LOCAL_SECONDS), talk).await.is_err() {
                tracing::debug!(user, "a user was silent for too long");
            }
        });
    }
}

fn open(path: &Path) -> io::Result<tokio::net::UnixListener> {
    let listener = local_socket(path)?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

async fn talk(
    agent: &Agent,
    policy: &watch::Receiver<Option<Arc<Policy>>>,
    mut stream: UnixStream,
    place: &Place,
) -> io::Result<()> {
    let mut line = Vec::new();
    let most = LOCAL_REQUEST_BYTES as u64 + 1;
    let mut from = (&mut stream).take(most);
    let mut buffer = [0; 256];
    while !line.ends_with(b"\n") && line.len() <= LOCAL_REQUEST_BYTES {
        match from.read(&mut buffer).await? {
            0 => break,
            count => line.extend_from_slice(&buffer[..count]),
        }
    }
    // That of this moment, and not of when the user connected.
    let policy = policy.borrow().clone();
    let answer = answer(agent, policy.as_deref(), &line, place).unwrap_or_else(|error| {
        tracing::warn!(%error, "what a user wants could not be kept");
        Answer::Declined { why: Declined::Unavailable }
    });
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

fn answer(agent: &Agent, policy: Option<&Policy>, line: &[u8], place: &Place) -> Result<Answer, StoreError> {
    let declined = |why| Ok(Answer::Declined { why });
    if !is_person(place.user) {
        return declined(Declined::NotAPerson);
    }
    let Ok(request) = serde_json::from_slice::<Request>(line) else { return declined(Declined::Malformed) };
    if !place.users.may_ask(place.user) {
        return declined(Declined::TooMany);
    }
    let taken =
        |answer: Result<(), Declined>| Ok(answer.map_or_else(|why| Answer::Declined { why }, |()| Answer::Taken));
    match request {
        Request::Notice {} => return Ok(Answer::Notice { notice: notice::show(agent) }),
        Request::Snooze {} => return taken(notice::snooze(agent, place.user)),
        Request::RestartNow {} => return taken(notice::restart_now(agent, place.user)),
        Request::List {} | Request::Told {} | Request::Begin { .. } | Request::Upcoming {} | Request::Defer { .. } => {}
    }
    let Some(policy) = policy else { return declined(Declined::NotOffered) };
    match request {
        Request::List {} => Ok(Answer::List { software: software::list(agent, policy, place.user)? }),
        Request::Told {} => Ok(Answer::Told { told: notices::list(agent, policy)? }),
        Request::Begin { verb, deployment } => {
            let intent = Intent { verb, user: place.user, since: agent.clock.now() };
            match software::begin(agent, policy, deployment, intent)? {
                Ok(()) => Ok(Answer::Begun),
                Err(why) => declined(why),
            }
        }
        Request::Upcoming {} => Ok(Answer::Upcoming { upcoming: defer::list(agent, policy)? }),
        Request::Defer { deployment } => match defer::defer(agent, policy, deployment, place.user)? {
            Ok(until) => Ok(Answer::Deferred { until }),
            Err(why) => declined(why),
        },
        Request::Notice {} | Request::Snooze {} | Request::RestartNow {} => declined(Declined::Malformed),
    }
}

/// Accounts of persons, as the usual numbers have it: a service that somebody broke into is none. And the agent's own user.
fn is_person(user: u32) -> bool {
    user == 0 || crate::os::own_user() == user || (1_000..=60_000).contains(&user) || user > 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_no_persons() {
        for (user, person) in
            [(0, true), (33, false), (1_000, true), (60_000, true), (65_534, false), (1_200_000, true)]
        {
            assert_eq!(is_person(user), person || user == crate::os::own_user(), "{user}");
        }
    }

    #[test]
    fn one_user_leaves_room_for_others() {
        let users = Arc::new(Users::default());
        let held: Vec<_> = (0..20).filter_map(|_| users.place(1_000)).collect();
        assert_eq!(held.len(), LOCAL_CONNECTIONS_OF_USER);
        assert!(users.place(1_001).is_some());
        drop(held);
        let again = users.place(1_000);
        assert!(again.is_some());
        let allowed = (0..1_000).filter(|_| users.may_ask(1_000)).count();
        assert_eq!(allowed, LOCAL_REQUESTS as usize);
        let everybody: Vec<_> = (2_000..2_100).filter_map(|user| users.place(user)).collect();
        assert!(everybody.len() < LOCAL_CONNECTIONS);
    }
}
