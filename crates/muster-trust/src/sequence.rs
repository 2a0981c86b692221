//! The rule of the message chain, as the site applies it: what a batch adds to what is committed, and when it is refused.
//!
//! Pure: the site gives the last committed sequence number and its head, and commits what it is told is new.

use crate::chain;
use muster_model::{id::Hash, report::Batch};
use std::ops::RangeInclusive;

/// What is remembered of a channel beside its head: where its present chain began, and the heads after its last messages, each cut to 8
/// bytes, the newest last. It tells a batch that was overtaken on its way from another history. Whoever has the device's key could make two
/// messages with one cut head, and gains nothing by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    /// Number of the first message of the present chain, where it began after a loss; 0: not known.
    since: u64,
    heads: Vec<u8>,
}

/// Bytes that are kept of a head.
const CUT: usize = 8;
/// Heads that are kept.
const KEPT: usize = 32;
/// Instead of the beginning of a chain: whoever does not continue it is told where to go on, once.
const ANCHOR: u64 = u64::MAX;

impl Recent {
    /// From the bytes that were kept; anything else is no memory.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes.split_first_chunk::<8>() {
            Some((since, heads)) if heads.len().is_multiple_of(CUT) && heads.len() <= CUT * KEPT => {
                Self { since: u64::from_be_bytes(*since), heads: heads.to_vec() }
            }
            _ => Self::default(),
        }
    }

    /// The bytes to keep: at most 264.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.since.to_be_bytes()[..], &self.heads].concat()
    }

    /// After an administrator decided that two histories are of one machine: it is told where to go on, whichever it has.
    #[must_use]
    pub const fn reanchored() -> Self {
        Self { since: ANCHOR, heads: Vec::new() }
    }

    /// With what a batch adds.
    #[must_use]
    pub fn after(&self, accepted: &Accepted) -> Self {
        if accepted.head_after.is_empty() {
            return self.clone();
        }
        let (since, before) = match (accepted.anew, self.since) {
            (true, _) => (accepted.next, &[][..]),
            (false, ANCHOR) => (0, &[][..]),
            (false, since) => (since, &self.heads[..]),
        };
        let new = accepted.head_after.iter().flat_map(|head| head.0[..CUT].iter().copied());
        let mut heads: Vec<u8> = before.iter().copied().chain(new).collect();
        heads.drain(..heads.len().saturating_sub(CUT * KEPT));
        Self { since, heads }
    }

    /// Whether the head after message `number` was this one, where `last` is the last committed message. `None`: not known any more.
    fn had(&self, last: u64, number: u64, head: &Hash) -> Option<bool> {
        let back = usize::try_from(last.checked_sub(number)?).ok()?;
        let at = (self.heads.len() / CUT).checked_sub(back + 1)?;
        Some(self.heads.chunks_exact(CUT).nth(at)? == &head.0[..CUT])
    }

    /// A batch that does not continue the chain, and of which it is known or not that it was never part of it.
    const fn refusal(&self, expected: u64, end: u64, known: bool) -> SequenceError {
        match self.since {
            ANCHOR => SequenceError::Gap { expected },
            since if known || end < since => SequenceError::Fork { expected },
            _ => SequenceError::Old { expected },
        }
    }
}

/// What a batch adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// So many messages at the beginning are committed already (a retransmission); take the rest.
    pub skip: usize,
    /// Sequence number of the first message after those that are skipped.
    pub next: u64,
    /// The head after each of the messages that are new, in order. Empty when the whole batch is a retransmission.
    pub head_after: Vec<Hash>,
    /// Sequence numbers that the client says it lost and the site never had. Only with `resume_after_loss`.
    pub lost: Option<RangeInclusive<u64>>,
    /// The client began a new chain: its outbox was lost, or it was set back, or it is a copy.
    pub anew: bool,
    /// It was overtaken by later batches: its own last number and head, for the answer.
    overtaken: Option<(u64, Hash)>,
}

impl Accepted {
    /// Last sequence number and its head after this batch is committed.
    #[must_use]
    pub fn after(&self, last: u64, head: Hash) -> (u64, Hash) {
        match self.head_after.last() {
            Some(new) => (self.next + (self.head_after.len() as u64 - 1), *new),
            None => (last, head),
        }
    }

    /// What the client is told: how far *its* messages are committed, and its head there.
    #[must_use]
    pub fn answer(&self, last: u64, head: Hash) -> (u64, Hash) {
        self.overtaken.unwrap_or_else(|| self.after(last, head))
    }
}

/// Why a batch is not taken. Nothing of it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// No messages, or numbers that cannot be.
    #[error("the batch has no messages, or sequence numbers that cannot be")]
    Malformed,
    /// It starts after the next expected number (or, after a loss, anywhere else than there).
    #[error("the batch does not start at sequence number {expected}")]
    Gap {
        /// What the site wants next.
        expected: u64,
    },
    /// It ends before the last committed message, so long before that nobody can say whether it was committed then.
    #[error("the batch is older than what is remembered; sequence number {expected} is next")]
    Old {
        /// What the site wants next.
        expected: u64,
    },
    /// It does not continue the history that the site has: a clone, or a restored image.
    #[error("the batch is of another history than the one that was committed; sequence number {expected} is next")]
    Fork {
        /// What the site wants next, of the one history.
        expected: u64,
    },
}

/// What `batch` adds to a channel whose last committed message is `last` (0: none) with chain head `head`, and `recent` heads before.
///
/// A client that lost its outbox sets `resume_after_loss` and starts anywhere: it is told the expected number (`Gap`) and
/// begins a new chain there with the `previous` that it names. Everyone else must continue the chain exactly.
///
/// # Errors
/// See [`SequenceError`].
pub fn accept(last: u64, head: Hash, recent: &Recent, batch: &Batch) -> Result<Accepted, SequenceError> {
    let count = batch.messages.len() as u64;
    if count == 0 || batch.first == 0 {
        return Err(SequenceError::Malformed);
    }
    let end = batch.first.checked_add(count - 1).ok_or(SequenceError::Malformed)?;
    let expected = last.checked_add(1).ok_or(SequenceError::Malformed)?;
    if batch.first > expected && !batch.resume_after_loss {
        return Err(SequenceError::Gap { expected });
    }
    let mut heads = Vec::with_capacity(batch.messages.len());
    let mut running = batch.previous;
    for message in &batch.messages {
        running = chain(running, message.get().as_bytes());
        heads.push(running);
    }
    if batch.first >= expected {
        if batch.previous != head && !batch.resume_after_loss {
            return Err(recent.refusal(expected, end, true));
        }
        let lost = (batch.first > expected).then(|| expected..=batch.first - 1);
        let anew = last > 0 && (batch.previous != head || lost.is_some());
        return Ok(Accepted { skip: 0, next: batch.first, head_after: heads, lost, anew, overtaken: None });
    }
    // It begins at or before the last committed message: a retransmission if it comes by the same head.
    let at = usize::try_from(last - batch.first).map_err(|_| SequenceError::Malformed)?;
    let (known, overtaken) = match heads.get(at) {
        Some(comes_by) => (Some(*comes_by == head), None),
        // It was overtaken: a request that was delayed on its way, or a client that was set back.
        None => (recent.had(last, end, &running), Some((end, running))),
    };
    match known {
        Some(true) => {
            let skip = heads.len().min(at + 1);
            let head_after = heads.split_off(skip);
            Ok(Accepted { skip, next: expected, head_after, lost: None, anew: false, overtaken })
        }
        _ if batch.resume_after_loss => Err(SequenceError::Gap { expected }),
        _ => Err(recent.refusal(expected, end, known.is_some())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{report::Channel, time::UnixMillis};

    const NONE: Recent = Recent { since: 0, heads: Vec::new() };

    fn batch(first: u64, previous: Hash, messages: &[&str]) -> Batch {
        Batch {
            site: "ABC".parse().unwrap(),
            channel: Channel::Status,
            time: UnixMillis(0),
            first,
            previous,
            resume_after_loss: false,
            messages: messages.iter().map(|m| serde_json::from_str(&format!("\"{m}\"")).unwrap()).collect(),
        }
    }

    fn resumed(first: u64, messages: &[&str]) -> Batch {
        Batch { resume_after_loss: true, ..batch(first, Hash::ZERO, messages) }
    }

    /// State after `messages` were committed one by one.
    fn after(messages: &[&str]) -> (u64, Hash) {
        messages.iter().fold((0, Hash::ZERO), |(last, head), message| {
            accept(last, head, &NONE, &batch(last + 1, head, &[message])).unwrap().after(last, head)
        })
    }

    #[test]
    fn however_messages_are_cut_into_batches_the_head_is_the_same() {
        let (last, head) = after(&["a", "b", "c"]);
        let whole = accept(0, Hash::ZERO, &NONE, &batch(1, Hash::ZERO, &["a", "b", "c"])).unwrap();
        assert_eq!((whole.skip, whole.after(0, Hash::ZERO)), (0, (last, head)));
        assert_eq!(whole.head_after.len(), 3);
    }

    #[test]
    fn a_retransmission_adds_only_what_is_new() {
        let (last, head) = after(&["a", "b"]);
        let again = accept(last, head, &NONE, &batch(1, Hash::ZERO, &["a", "b"])).unwrap();
        assert_eq!((again.skip, again.after(last, head)), (2, (last, head)));
        let longer = accept(last, head, &NONE, &batch(2, after(&["a"]).1, &["b", "c"])).unwrap();
        assert_eq!((longer.skip, longer.next, longer.after(last, head)), (1, 3, after(&["a", "b", "c"])));
    }

    #[test]
    fn another_history_is_a_fork() {
        let (last, head) = after(&["a", "b"]);
        let fork = Err(SequenceError::Fork { expected: 3 });
        assert_eq!(accept(last, head, &NONE, &batch(1, Hash::ZERO, &["a", "x"])), fork, "another message");
        assert_eq!(
            accept(last, head, &NONE, &batch(1, Hash::ZERO, &["a", "x", "c"])),
            fork,
            "another message, then more"
        );
        assert_eq!(accept(last, head, &NONE, &batch(3, after(&["a", "x"]).1, &["c"])), fork, "another past");
        assert_eq!(accept(last, head, &NONE, &batch(2, Hash::ZERO, &["b"])), fork, "a chain cut off");
    }

    /// A channel after messages `1` to `count`, each in a batch of its own, with its memory.
    fn remembered(count: u64) -> (u64, Hash, Recent) {
        (1..=count).fold((0, Hash::ZERO, NONE), |(last, head, recent), number| {
            let accepted = accept(last, head, &recent, &batch(last + 1, head, &[&number.to_string()])).unwrap();
            let (last, head) = accepted.after(last, head);
            (last, head, Recent::from_bytes(&recent.after(&accepted).to_bytes()))
        })
    }

    #[test]
    fn a_batch_that_was_overtaken_is_told_from_another_history() {
        let (last, head, recent) = remembered(40);
        let delayed = accept(last, head, &recent, &batch(38, remembered(37).1, &["38", "39"])).unwrap();
        assert_eq!((delayed.skip, delayed.next, delayed.after(last, head)), (2, 41, (last, head)), "nothing is new");
        assert_eq!(delayed.answer(last, head), (39, remembered(39).1), "it is told of its own messages");
        let fork = Err(SequenceError::Fork { expected: 41 });
        assert_eq!(accept(last, head, &recent, &batch(38, remembered(37).1, &["38", "x"])), fork);
        assert_eq!(accept(last, head, &recent, &batch(9, remembered(8).1, &["x"])), fork, "the oldest that is known");
        let old = Err(SequenceError::Old { expected: 41 });
        assert_eq!(accept(last, head, &recent, &batch(8, remembered(7).1, &["x"])), old);
        assert_eq!(accept(last, head, &NONE, &batch(39, remembered(38).1, &["39"])), old, "nothing is remembered");
        let resumed = Batch { resume_after_loss: true, ..batch(39, remembered(38).1, &["y"]) };
        assert_eq!(accept(last, head, &recent, &resumed), Err(SequenceError::Gap { expected: 41 }));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_damaged_is_nothing() {
        assert_eq!(remembered(40).2.to_bytes().len(), 8 + CUT * KEPT);
        for damaged in [vec![], vec![0; 7], vec![0; 8 + 7], vec![0; 8 + CUT * (KEPT + 1)]] {
            assert_eq!(Recent::from_bytes(&damaged), NONE);
        }
    }

    #[test]
    fn who_speaks_of_the_time_before_a_new_chain_is_another() {
        let (last, head, recent) = remembered(40);
        // A copy that is far behind hears where to go on, leaves numbers out, and goes on there.
        let far = resumed(90, &["copy"]);
        let accepted = accept(last, head, &recent, &far).unwrap();
        assert!(accepted.anew);
        let (copied, copied_head) = accepted.after(last, head);
        let recent = recent.after(&accepted);
        let original = batch(41, head, &["original"]);
        assert_eq!(accept(copied, copied_head, &recent, &original), Err(SequenceError::Fork { expected: 91 }));
        let next = accept(copied, copied_head, &recent, &batch(91, copied_head, &["more"])).unwrap();
        assert!(!next.anew && recent.after(&next).since == 90);
    }

    #[test]
    fn after_the_decision_for_one_machine_each_history_is_told_where_to_go_on() {
        let (last, head, _) = remembered(4);
        let anchor = Recent::from_bytes(&Recent::reanchored().to_bytes());
        let gap = Err(SequenceError::Gap { expected: 5 });
        for other in [batch(5, Hash::ZERO, &["x"]), batch(3, Hash::ZERO, &["x"]), batch(3, Hash::ZERO, &["x", "y"])] {
            assert_eq!(accept(last, head, &anchor, &other), gap);
        }
        let on = accept(last, head, &anchor, &resumed(5, &["n"])).unwrap();
        assert_eq!(anchor.after(&on).since, 5, "and then histories are told apart again");
        let same = accept(last, head, &anchor, &batch(5, head, &["n"])).unwrap();
        assert_eq!(anchor.after(&same).since, 0);
    }

    #[test]
    fn a_gap_says_what_is_expected() {
        let (last, head) = after(&["a"]);
        assert_eq!(accept(last, head, &NONE, &batch(3, head, &["c"])), Err(SequenceError::Gap { expected: 2 }));
        assert_eq!(
            accept(0, Hash::ZERO, &NONE, &batch(2, Hash::ZERO, &["b"])),
            Err(SequenceError::Gap { expected: 1 })
        );
    }

    #[test]
    fn after_a_loss_the_client_is_told_where_to_go_on_and_goes_on_there() {
        let (last, head) = after(&["a", "b", "c"]);
        // The outbox is gone: the client starts at 1, and hears what is expected.
        assert_eq!(accept(last, head, &NONE, &resumed(1, &["n"])), Err(SequenceError::Gap { expected: 4 }));
        let on = accept(last, head, &NONE, &resumed(4, &["n"])).unwrap();
        assert_eq!((on.skip, on.lost.clone()), (0, None));
        let (last, head) = on.after(last, head);
        assert_eq!((last, head), (4, chain(Hash::ZERO, b"\"n\"")));
        // The answer was lost: the same batch again, then more on the new chain.
        assert_eq!(accept(last, head, &NONE, &resumed(4, &["n"])).unwrap().skip, 1);
        assert_eq!(accept(last, head, &NONE, &batch(5, head, &["o"])).unwrap().after(last, head).0, 5);
        // The site lost messages (a restored database) that the client has forgotten: it says so.
        let on = accept(last, head, &NONE, &resumed(8, &["p"])).unwrap();
        assert_eq!((on.lost.clone(), on.after(last, head).0), (Some(5..=7), 8));
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        let malformed = Err(SequenceError::Malformed);
        assert_eq!(accept(0, Hash::ZERO, &NONE, &batch(1, Hash::ZERO, &[])), malformed);
        assert_eq!(accept(0, Hash::ZERO, &NONE, &batch(0, Hash::ZERO, &["a"])), malformed);
        assert_eq!(accept(0, Hash::ZERO, &NONE, &resumed(u64::MAX, &["a", "b"])), malformed);
        assert_eq!(accept(u64::MAX, Hash::ZERO, &NONE, &resumed(1, &["a"])), malformed);
    }
}
