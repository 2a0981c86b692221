//! The difference of two lists of row ids, fast where most of both is the same in the same order.

/// What came and what went, from one list without doubles to another.
#[must_use]
pub(crate) fn difference(before: &[i64], after: &[i64]) -> (Vec<i64>, Vec<i64>) {
    // Both are walked at once: what a difference leaves of a section stays in its order, and what it brings stands at the end.
    let mut rest = after;
    let mut removed = Vec::new();
    for id in before {
        match rest.split_first() {
            Some((first, later)) if first == id => rest = later,
            _ => removed.push(*id),
        }
    }
    let mut added = rest.to_vec();
    if removed.is_empty() || added.is_empty() {
        return (added, removed);
    }
    // What stands elsewhere now is in both.
    let sorted = |ids: &[i64]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    let (came, went) = (sorted(&added), sorted(&removed));
    added.retain(|id| went.binary_search(id).is_err());
    removed.retain(|id| came.binary_search(id).is_err());
    (added, removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pair_of_small_lists_differs_as_their_sets_do() {
        let mut lists: Vec<Vec<i64>> = vec![vec![]];
        for _ in 0..4 {
            let longer = lists.iter().flat_map(|list| {
                (0..4).filter(|id| !list.contains(id)).map(|id| list.iter().copied().chain([id]).collect::<Vec<_>>())
            });
            lists = lists.iter().cloned().chain(longer).collect::<BTreeSet<_>>().into_iter().collect();
        }
        assert_eq!(lists.len(), 65);
        for before in &lists {
            for after in &lists {
                let (added, removed) = difference(before, after);
                let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
                assert_eq!(added.iter().collect::<BTreeSet<_>>(), &new - &old, "{before:?} {after:?}");
                assert_eq!(removed.iter().collect::<BTreeSet<_>>(), &old - &new, "{before:?} {after:?}");
                assert_eq!(added.len() + removed.len(), (&new ^ &old).len(), "no doubles");
            }
        }
    }
}
