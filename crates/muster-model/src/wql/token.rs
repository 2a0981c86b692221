//! From text to tokens, with positions.

use super::{ErrorKind, Span, WqlError};

/// A number as it is written: whole where it is and fits, else a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other.
    Real(f64),
}

impl Number {
    /// The number that a text says, where it says one.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let plain =
            digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit());
        if !plain {
            return None;
        }
        match text.parse::<i64>() {
            Ok(number) => Some(Self::Int(number)),
            Err(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Self::Real),
        }
    }

    /// The number with its sign turned.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Int(number) => number.checked_neg().map_or(Self::Real(-(number as f64)), Self::Int),
            Self::Real(number) => Self::Real(-number),
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Word(String),
    Text(String),
    Number(Number),
    Symbol(&'static str),
    End,
}

/// A token where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.kind, Kind::Symbol(it) if it == symbol)
    }

    /// As it is named in a message.
    pub(super) fn named(&self) -> String {
        match &self.kind {
            Kind::Word(word) => format!("\"{}\"", shortened(word)),
            Kind::Text(text) => format!("the text '{}'", shortened(text)),
            Kind::Number(Number::Int(number)) => format!("the number {number}"),
            Kind::Number(Number::Real(number)) => format!("the number {number}"),
            Kind::Symbol(symbol) => format!("\"{symbol}\""),
            Kind::End => "the end of the query".to_owned(),
        }
    }
}

/// The beginning of a text that a message repeats.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// The tokens of a query, and where backslashes stand alone in its texts.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<Token>,
    pub(super) lone_backslashes: Vec<Span>,
}

const SYMBOLS: &[&str] = &["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", ".", "*", ";", "-", "+"];
/// Quotes that a word processor makes of straight ones.
pub(super) const SMART_QUOTES: &[char] = &[
    '\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}', '\u{ab}', '\u{bb}',
    '\u{2033}', '\u{2032}',
];

/// Reads all tokens; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Tokens, WqlError> {
    let mut found = Tokens { tokens: Vec::new(), lone_backslashes: Vec::new() };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() || c == '\u{feff}' {
            at += c.len_utf8();
            continue;
        }
        let (kind, end) = if c == '"' || c == '\'' {
            quoted(text, at, c, &mut found.lone_backslashes)?
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Kind::Word(rest[..length].to_owned()), at + length)
        } else if c.is_ascii_digit() {
            number(rest, at)?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Kind::Symbol(symbol), at + symbol.len())
        } else {
            return Err(strange(c, at));
        };
        if matches!(kind, Kind::Symbol("-")) && text[end..].starts_with('-') {
            let message = "a query has no comments; take what follows -- out";
            return Err(WqlError::new(ErrorKind::Syntax, message, Span::new(at, end + 1)));
        }
        found.tokens.push(Token { kind, span: Span::new(at, end) });
        at = end;
    }
    found.tokens.push(Token { kind: Kind::End, span: Span::new(text.len(), text.len()) });
    Ok(found)
}

fn strange(c: char, at: usize) -> WqlError {
    let span = Span::new(at, at + c.len_utf8());
    if SMART_QUOTES.contains(&c) {
        let message =
            format!("{c} is a typographic quote, as word processors and web pages make them; type a straight \" or '");
        return WqlError::new(ErrorKind::SmartQuote, message, span);
    }
    let message = if c.is_control() {
        format!("the character U+{:04X} has no meaning here", u32::from(c))
    } else {
        format!("the character {c} has no meaning here")
    };
    WqlError::new(ErrorKind::Syntax, message, span)
}

fn number(rest: &str, at: usize) -> Result<(Kind, usize), WqlError> {
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
    let word = rest[..length].trim_end_matches('.');
    let span = Span::new(at, at + word.len());
    match Number::of(word) {
        Some(number) => Ok((Kind::Number(number), at + word.len())),
        None => {
            let message = format!("{} is neither a number nor a name; put a text in quotes", shortened(word));
            Err(WqlError::new(ErrorKind::Syntax, message, span))
        }
    }
}

/// A text in quotes, from its opening quote on. A doubled quote and an escaped one are one; a backslash that escapes nothing stays
/// what it is, and is noted.
fn quoted(text: &str, start: usize, quote: char, lone: &mut Vec<Span>) -> Result<(Kind, usize), WqlError> {
    let mut value = String::new();
    let mut chars = text[start + 1..].char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        let at = start + 1 + offset;
        let next = chars.peek().map(|(_, next)| *next);
        if c == quote {
            if next != Some(quote) {
                return Ok((Kind::Text(value), at + 1));
            }
            chars.next();
            value.push(quote);
        } else if c == '\\' {
            match next {
                Some(next @ ('\\' | '"' | '\'')) => {
                    chars.next();
                    value.push(next);
                }
                _ => {
                    lone.push(Span::new(at, at + 1));
                    value.push('\\');
                }
            }
        } else if c == '\0' {
            return Err(WqlError::new(
                ErrorKind::Syntax,
                "a text cannot hold the character U+0000",
                Span::new(at, at + 1),
            ));
        } else {
            value.push(c);
        }
    }
    let mut message = format!("this text has no closing {quote}");
    if text[start..].contains(SMART_QUOTES) {
        message.push_str("; is one of its quotes a typographic one?");
    } else if text[start..].contains(&format!("\\{quote}")) {
        message.push_str("; a backslash before the quote makes it part of the text, two of them are one backslash");
    }
    Err(WqlError::new(ErrorKind::Syntax, message, Span::new(start, start + 1)))
}
