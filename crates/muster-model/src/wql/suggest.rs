//! "Did you mean": the name that is nearest to one that is not known.

/// Characters of a name that are looked at.
const LONGEST: usize = 80;

/// How many characters must be changed, added, taken away or swapped to make one text of the other, whatever the case.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let mut best = changed.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// The one of `known` that is nearest to `name`, where one is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| -> Vec<char> { text.chars().take(LONGEST).flat_map(char::to_lowercase).collect() };
    let name = folded(name);
    let near = name.len() / 4 + 1;
    known
        .into_iter()
        .map(|known| (known, folded(known)))
        .filter(|(_, other)| other.len().abs_diff(name.len()) <= near)
        .map(|(known, other)| (distance(&name, &other), known))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, known)| known)
}

/// The end of a message: what was meant, where it can be told.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["SMS_R_System", "SMS_R_User", "SMS_G_System_DISK"];
        assert_eq!(nearest("sms_r_systme", known), Some("SMS_R_System"));
        assert_eq!(nearest("SMS_R_Sytem", known), Some("SMS_R_System"));
        assert_eq!(nearest("SMS_G_System_DISC", known), Some("SMS_G_System_DISK"));
        assert_eq!(nearest("Win32_Bios", known), None);
        assert_eq!(hint("nam", ["Name"]), "; did you mean Name?");
    }
}
