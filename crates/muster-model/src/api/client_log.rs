//! Logs of clients: where they stand, and pieces of them that administrators asked for.

use crate::{
    id::{Hash, LogRequestId},
    log::LogFault,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

api! {
    /// An alteration of a log, between two moments by the site's clock.
    #[derive(Copy, Eq)]
    struct LogAlteration {
        /// What is wrong.
        fault: LogFault,
        /// The first record that is not as it was.
        sequence: u64,
        /// At this moment it was as the client had said.
        from: UnixMillis,
        /// At this moment it was not.
        until: UnixMillis,
    }
}
api! {
    /// Where the log of a device stands, as it last said.
    #[derive(Eq)]
    struct LogStanding {
        /// Number of the last record.
        sequence: u64,
        /// Head after it.
        head: Hash,
        /// Number of the first record that the client keeps.
        first: u64,
        /// When, by the site's clock.
        received: UnixMillis,
        /// The last alteration that is known.
        altered: Option<LogAlteration>,
    }
}
api! {
    /// What the site says of a piece of a log.
    enum LogState {
        /// It was asked for, and did not come yet.
        Awaited = "awaited",
        /// It hangs together, and has every head that the site was told.
        Intact = "intact",
        /// A record is not what it was when the site was told of it.
        Altered = "altered",
        /// Records are not there.
        Missing = "missing",
    }
}
api! {
    /// A piece of a log.
    #[derive(Eq)]
    struct LogCollected {
        /// The id.
        id: LogRequestId,
        /// Records from this time on were asked for.
        since: Option<UnixMillis>,
        /// So many at most.
        limit: u32,
        /// When it was asked for.
        asked: UnixMillis,
        /// By whom.
        asked_by: String,
        /// When it came.
        received: Option<UnixMillis>,
        /// Number of its first record.
        first: Option<u64>,
        /// Number of its last record.
        last: Option<u64>,
        /// What the site says of it.
        state: LogState,
        /// With `altered` and `missing`: since when.
        altered: Option<LogAlteration>,
        /// How many heads that the site was told are in it.
        anchors: u64,
        /// Bytes, as it is kept.
        bytes: u64,
        /// When it is removed.
        expires: UnixMillis,
    }
}
api! {
    /// The log of a device: where it stands, and pieces of it, the latest first.
    #[derive(Eq)]
    struct ClientLog {
        /// Where it stands; absent: the client did not say so yet.
        standing: Option<LogStanding>,
        /// Pieces that were asked for.
        pieces: Vec<LogCollected>,
    }
}
api! {
    /// `POST /api/v1/devices/{id}/logs`.
    #[derive(Copy, Eq, Default)]
    struct LogCollect {
        /// Records from this time on.
        #[serde(default)] since: Option<UnixMillis>,
        /// So many records at most, the last ones. 0: as many as there may be.
        #[serde(default)] limit: u32,
    }
}
