//! Patterns with `*` and `?`, as a shell has them: of names, of paths, and of the spellings of software.

/// Whether a text fits a pattern: `*` stands for any text, `?` for one character. Time grows with the product of both lengths at most.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    Pattern::new(pattern).fits(&text.chars().collect::<Vec<_>>())
}

/// A pattern that many texts are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<[char]>);

impl Pattern {
    /// The pattern of this text.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether these characters fit.
    #[must_use]
    pub fn fits(&self, text: &[char]) -> bool {
        matched(&self.0, text)
    }
}

fn matched(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("*", "", true),
            ("??", "a", false),
            ("", "", true),
            ("", "a", false),
            ("*@debian.org>", "x <y@debian.org>", true),
            ("a*b*c", "a1b2b3c", true),
            ("é?", "éa", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
            let ready = Pattern::new(pattern);
            for _ in 0..2 {
                assert_eq!(ready.fits(&text.chars().collect::<Vec<_>>()), expected, "{pattern} {text}");
            }
        }
        assert!(!fits(&format!("{}b", "a*".repeat(200)), &"a".repeat(1_000)), "and it ends");
    }
}
