//! What a site keeps in memory beside its store: registries and caches. Losing all of it costs time, never truth.

use crate::{
    identity::{
        connection::{Seen, Verdicts},
        limiter::Limiter,
    },
    truth::online::Online,
};

/// The memory of one process. Made with [`Default`]; filled as the site works.
#[derive(Debug, Default)]
pub struct Memory {
    /// Devices with a live channel.
    pub online: Online,
    /// How often who failed to sign in.
    pub limiter: Limiter,
    /// Which devices may talk.
    pub verdicts: Verdicts,
    /// Last contacts that are not written yet.
    pub seen: Seen,
}
