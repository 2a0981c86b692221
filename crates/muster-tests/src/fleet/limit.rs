//! How many files a process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a large fleet and its server need.
const WANTED: u64 = 400_000;

/// Raises the limit as far as the system allows. Programs that are started afterwards have it too.
pub fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    let more = now.maximum.map(|maximum| maximum.max(WANTED));
    let tries = [Rlimit { current: more, maximum: more }, Rlimit { current: now.maximum, maximum: now.maximum }];
    // Whoever may not raise it has what there is; connections that are one too many say so.
    let _ = tries.into_iter().any(|limit| setrlimit(Resource::Nofile, limit).is_ok());
}
