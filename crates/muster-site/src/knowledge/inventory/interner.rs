//! Inventory rows that the site knows already, by their text: most rows of most devices are found here, unparsed.
//!
//! The key of a row is a hash of its text under a key that this process drew: nobody outside can make two texts collide.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::{
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Rows that are kept: about 25 MB.
const ROWS: NonZeroUsize = NonZeroUsize::new(200_000).unwrap();

/// A row that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its id in the class's table.
    pub(crate) id: i64,
    /// The number of its key attributes.
    pub(crate) key: i64,
}

/// The hash of a row's text, with its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TextKey(u128);

/// The key is a good hash already.
#[derive(Debug, Default)]
struct Keep(u64);

impl Hasher for Keep {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let half = key as u64;
        self.0 = half;
    }
}

/// The rows that are known.
#[derive(Debug)]
pub(crate) struct Interner {
    keys: (u64, u64),
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The text of `inventory_sweeps` when the first row came in; rows may be gone when it changed.
    sweeps: Arc<str>,
    rows: lru::LruCache<TextKey, Known, BuildHasherDefault<Keep>>,
}

impl Default for Interner {
    fn default() -> Self {
        let random = RandomState::new();
        let rows = lru::LruCache::with_hasher(ROWS, BuildHasherDefault::default());
        Self {
            keys: (random.hash_one(0_u64), random.hash_one(1_u64)),
            inner: Mutex::new(Inner { sweeps: Arc::from(""), rows }),
        }
    }
}

impl Interner {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a row's text in the class of this name. A row of an earlier version of the class is the same row in a later one.
    #[must_use]
    pub(crate) fn text_key(&self, class: &str, text: &str) -> TextKey {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(class.as_bytes());
        // No name has this byte, so that a name and a text cannot be another name and another text.
        hasher.write_u8(0xff);
        hasher.write(text.as_bytes());
        TextKey(hasher.finish128().as_u128())
    }

    /// What is known of these rows, and as of which sweep.
    #[must_use]
    pub(crate) fn get(&self, keys: &[TextKey]) -> (Vec<Option<Known>>, Arc<str>) {
        let mut inner = self.inner();
        // Which row was used last matters only where one has to go, and to keep it up costs as much as to find the row.
        let all_fit = inner.rows.len() < ROWS.get();
        let rows = &mut inner.rows;
        let known = |key| if all_fit { rows.peek(key) } else { rows.get(key) }.copied();
        (keys.iter().map(known).collect(), inner.sweeps.clone())
    }

    /// Keeps rows that were committed, as of that sweep.
    pub(crate) fn put(&self, sweeps: &Arc<str>, rows: impl IntoIterator<Item = (TextKey, Known)>) {
        let mut inner = self.inner();
        if inner.sweeps == *sweeps {
            for (key, known) in rows {
                inner.rows.put(key, known);
            }
        }
    }

    /// Forgets everything; what comes in from now on is as of that sweep.
    pub(crate) fn restart(&self, sweeps: &str) {
        let mut inner = self.inner();
        if &*inner.sweeps != sweeps {
            inner.rows.clear();
            inner.sweeps = Arc::from(sweeps);
        }
    }

    /// The sweep that the rows are as of.
    #[must_use]
    pub(crate) fn sweeps(&self) -> Arc<str> {
        self.inner().sweeps.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_known_in_its_class_until_a_sweep() {
        let interner = Interner::default();
        let (a, b) = (interner.text_key("A", "{}"), interner.text_key("B", "{}"));
        let known = Known { id: 7, key: 8 };
        interner.put(&interner.sweeps(), [(a, known)]);
        assert_eq!(interner.get(&[a, b]).0, [Some(known), None]);
        interner.restart("1");
        assert_eq!(interner.get(&[a]).0, [None]);
        interner.put(&Arc::from(""), [(a, known)]);
        assert_eq!(interner.get(&[a]).0, [None], "what was stored before the sweep may be gone");
    }
}
