//! Patterns of LIKE as Transact-SQL has them: `%`, `_`, `[set]`, `[^set]`. Whatever the case of ASCII letters; of others, both cases
//! of a letter that is written down match.

/// Characters of a pattern.
pub const PATTERN_CHARS: usize = 4_000;
/// `%` of a pattern: what is between them is looked for one after the other.
pub const PATTERN_ANY: usize = 64;

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Any characters, or none.
    Any,
    /// One character.
    One,
    /// This character, in lower case where it is an ASCII letter.
    Char(char),
    /// One character of these ranges, or one of none of them.
    Set {
        /// Of none.
        negated: bool,
        /// From and to.
        ranges: Vec<(char, char)>,
    },
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Its steps.
    pub steps: Vec<Step>,
}

/// Both cases of a letter that is not of ASCII.
fn cases(c: char) -> Vec<char> {
    let mut found = vec![c];
    let single = |mut it: Box<dyn Iterator<Item = char>>| it.next().filter(|_| it.next().is_none());
    let others = [single(Box::new(c.to_lowercase())), single(Box::new(c.to_uppercase()))];
    for other in others.into_iter().flatten() {
        if !found.contains(&other) {
            found.push(other);
        }
    }
    found
}

fn step(c: char) -> Step {
    if c.is_ascii() {
        return Step::Char(c.to_ascii_lowercase());
    }
    match cases(c).as_slice() {
        [one] => Step::Char(*one),
        several => Step::Set { negated: false, ranges: several.iter().map(|c| (*c, *c)).collect() },
    }
}

/// Whether a text has letters with two cases beyond ASCII.
#[must_use]
pub fn has_foreign_case(text: &str) -> bool {
    text.chars().any(|c| !c.is_ascii() && cases(c).len() > 1)
}

impl Pattern {
    /// The pattern that a text is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut steps: Vec<Step> = Vec::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            at += 1;
            match c {
                '%' if steps.last() == Some(&Step::Any) => {}
                '%' => steps.push(Step::Any),
                '_' => steps.push(Step::One),
                '[' => match set(&chars[at..]) {
                    Some((set, length)) => {
                        steps.push(set);
                        at += length;
                    }
                    None => steps.push(Step::Char('[')),
                },
                c => steps.push(step(*c)),
            }
        }
        Self { steps }
    }

    /// The pattern of nothing but this text.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self { steps: text.chars().map(step).collect() }
    }

    /// Whether it is within its limits.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let chars = |step: &Step| if let Step::Set { ranges, .. } = step { ranges.len().max(1) } else { 1 };
        // A letter that is not of ASCII is a set of its two cases.
        self.steps.iter().map(chars).sum::<usize>() <= 2 * PATTERN_CHARS
            && self.steps.len() <= PATTERN_CHARS
            && self.steps.iter().filter(|step| **step == Step::Any).count() <= PATTERN_ANY
    }

    /// Whether a text matches. Takes at most as many steps as text and pattern have characters, multiplied.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().map(|c| c.to_ascii_lowercase()).collect();
        let (mut at, mut step) = (0, 0);
        // After the last `%`: where the pattern goes on, and where in the text it was tried.
        let mut back: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.steps.get(step) {
                Some(Step::Any) => {
                    step += 1;
                    back = Some((step, at));
                }
                Some(one) if one.is(text[at]) => {
                    at += 1;
                    step += 1;
                }
                _ => match &mut back {
                    Some((after, tried)) => {
                        *tried += 1;
                        (step, at) = (*after, *tried);
                    }
                    None => return false,
                },
            }
        }
        self.steps[step..].iter().all(|step| *step == Step::Any)
    }
}

impl Step {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Char(own) => *own == c,
            Self::Set { negated, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated,
        }
    }
}

/// A set, after its opening bracket, and how many characters it has with its closing one.
fn set(chars: &[char]) -> Option<(Step, usize)> {
    let negated = chars.first() == Some(&'^');
    let start = usize::from(negated);
    // A bracket that comes first is a member.
    let end = (start + 1..chars.len()).find(|at| chars[*at] == ']')?;
    let members = &chars[start..end];
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(from) = members.get(at) {
        let to = members.get(at + 2).filter(|_| members.get(at + 1) == Some(&'-'));
        match to {
            Some(to) => {
                ranges.push((from.to_ascii_lowercase(), to.to_ascii_lowercase()));
                at += 3;
            }
            None => {
                let own = if from.is_ascii() { vec![from.to_ascii_lowercase()] } else { cases(*from) };
                ranges.extend(own.into_iter().map(|c| (c, c)));
                at += 1;
            }
        }
    }
    Some((Step::Set { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_the_server_says() {
        let yes = [
            ("%workstation 10.0%", "Microsoft Windows NT Workstation 10.0"),
            ("pc-[0-9]_", "PC-7x"),
            ("%[0-1]", "16777211"),
            ("[^a]bc", "xbc"),
            ("[A-C]%", "berlin"),
            ("a[%]b", "a%b"),
            ("a[_]b", "A_B"),
            ("[]]", "]"),
            ("[-a]", "-"),
            ("", ""),
            ("%", ""),
            ("%%%x", "x"),
            ("m\u{fc}ll%", "M\u{dc}LLER"),
            ("a[b", "a[b"),
        ];
        for (pattern, text) in yes {
            assert!(Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
        let no =
            [("abc", "abcd"), ("_", ""), ("[^a]bc", "abc"), ("%[0-1]", "16777218"), ("a%b", "abc"), ("a[_]b", "axb")];
        for (pattern, text) in no {
            assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
        assert!(Pattern::exact("50%").matches("50%") && !Pattern::exact("50%").matches("505"));
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = Pattern::new(&"%a".repeat(60));
        let begun = std::time::Instant::now();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(4_000))));
        assert!(begun.elapsed().as_secs() < 2);
    }
}
