//! The order in which the targets of SRV records are tried: RFC 2782, priority first, then by weight at random.

/// The part of a record that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The lowest comes first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
    /// Port of the service.
    pub port: u16,
    /// Host of the service.
    pub target: String,
}

/// The records in the order in which they are to be tried. `random` gives 32 random bits.
pub fn ordered(mut records: Vec<Record>, mut random: impl FnMut() -> u32) -> Vec<Record> {
    // Those of weight 0 first, so that they have a very small chance to be chosen, as the standard says.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut chosen = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let alike = records.iter().take_while(|record| record.priority == first.priority);
        let total: u32 = alike.clone().map(|record| u32::from(record.weight)).sum();
        // 0 to the total, both included.
        let mut wanted = u32::try_from((u64::from(random()) * (u64::from(total) + 1)) >> 32).unwrap_or(total);
        let at = alike
            .take_while(|record| {
                let passed = u32::from(record.weight) < wanted;
                wanted = wanted.saturating_sub(u32::from(record.weight));
                passed
            })
            .count();
        chosen.push(records.remove(at.min(records.len() - 1)));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn record(priority: u16, weight: u16, target: &str) -> Record {
        Record { priority, weight, port: 8440, target: target.to_owned() }
    }

    /// Numbers that repeat in each run: xorshift.
    fn numbers() -> impl FnMut() -> u32 {
        let mut state = 0x9e37_79b9_u32;
        move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        }
    }

    #[test]
    fn priority_is_strict_and_weight_is_a_share() {
        let records =
            [record(20, 9, "far"), record(10, 60, "a"), record(10, 30, "b"), record(10, 10, "c"), record(10, 0, "z")];
        let (mut random, mut first) = (numbers(), BTreeMap::<String, u32>::new());
        for _ in 0..10_000 {
            let order = ordered(records.to_vec(), &mut random);
            assert_eq!(order.len(), 5);
            assert_eq!(order.last().unwrap().target, "far");
            *first.entry(order[0].target.clone()).or_default() += 1;
        }
        for (target, share) in [("a", 6_000), ("b", 3_000), ("c", 1_000), ("z", 99)] {
            let seen = first.get(target).copied().unwrap_or_default();
            assert!(seen.abs_diff(share) < 300, "{target}: {seen} of 10000, wanted about {share}");
        }
        assert!(first.contains_key("z"), "weight 0 is chosen sometimes");
    }

    #[test]
    fn the_ends_of_the_range_are_reached_and_none_is_lost() {
        let records = [record(0, u16::MAX, "a"), record(0, u16::MAX, "b"), record(0, 0, "c")];
        for random in [0, 1, u32::MAX / 2, u32::MAX] {
            let mut order: Vec<_> = ordered(records.to_vec(), || random).into_iter().map(|r| r.target).collect();
            order.sort();
            assert_eq!(order, ["a", "b", "c"]);
        }
        assert!(ordered(Vec::new(), || 0).is_empty());
        let zeros = [record(0, 0, "a"), record(0, 0, "b")];
        assert_eq!(ordered(zeros.to_vec(), || u32::MAX).len(), 2);
    }
}
