//! Words of a MOF text: names, texts, numbers, marks; comments are left out. No recursion and no look-ahead.

/// Why a text is not MOF, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct MofError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong, in a few words.
    pub what: String,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or keyword.
    Word(String),
    /// A text, without its quotes and with its escapes resolved; texts beside each other are several tokens.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// A single character that means something.
    Mark(char),
    /// Nothing more comes.
    End,
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl Token {
    /// An error at this place.
    #[must_use]
    pub fn error(&self, what: impl Into<String>) -> MofError {
        MofError { line: self.line, column: self.column, what: what.into() }
    }

    /// Whether it is this mark.
    #[must_use]
    pub fn is_mark(&self, mark: char) -> bool {
        self.kind == TokenKind::Mark(mark)
    }

    /// Whether it is this keyword, in any case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, TokenKind::Word(is) if is.eq_ignore_ascii_case(word))
    }
}

/// Reads tokens out of a text.
#[derive(Debug)]
pub struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the beginning of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { rest: text.trim_start_matches('\u{feff}').chars().peekable(), line: 1, column: 1 }
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        if self.rest.peek().is_some_and(|c| wanted(*c)) { self.take() } else { None }
    }

    fn take_while(&mut self, into: &mut String, wanted: impl Fn(char) -> bool) {
        while let Some(c) = self.take_if(&wanted) {
            into.push(c);
        }
    }

    fn error(&self, what: &str) -> MofError {
        MofError { line: self.line, column: self.column, what: what.to_owned() }
    }

    /// The next token; [`TokenKind::End`] for ever at the end.
    ///
    /// # Errors
    /// A text or comment that does not end, an escape that is none, a character that means nothing.
    #[expect(clippy::should_implement_trait, reason = "it never ends: there is always one more, the end")]
    pub fn next(&mut self) -> Result<Token, MofError> {
        loop {
            let (line, column) = (self.line, self.column);
            let token = |kind| Ok(Token { kind, line, column });
            let Some(c) = self.take() else { return token(TokenKind::End) };
            match c {
                _ if c.is_whitespace() => {}
                '/' => self.comment()?,
                '"' => {
                    let text = self.text()?;
                    return token(TokenKind::Text(text));
                }
                '0'..='9' | '-' | '+' | '.' => {
                    let mut number = String::from(c);
                    self.take_while(&mut number, |c| c.is_ascii_alphanumeric() || c == '.');
                    return token(TokenKind::Number(number));
                }
                'A'..='Z' | 'a'..='z' | '_' => {
                    let mut word = String::from(c);
                    self.take_while(&mut word, |c| c.is_ascii_alphanumeric() || c == '_');
                    return token(TokenKind::Word(word));
                }
                '[' | ']' | '{' | '}' | '(' | ')' | ';' | ':' | ',' | '=' | '#' | '$' => {
                    return token(TokenKind::Mark(c));
                }
                _ => return Err(MofError { line, column, what: format!("{c:?} means nothing here") }),
            }
        }
    }

    fn comment(&mut self) -> Result<(), MofError> {
        match self.take() {
            Some('/') => {
                while self.take_if(|c| c != '\n').is_some() {}
                Ok(())
            }
            Some('*') => {
                let mut star = false;
                while let Some(c) = self.take() {
                    if star && c == '/' {
                        return Ok(());
                    }
                    star = c == '*';
                }
                Err(self.error("a comment does not end"))
            }
            _ => Err(self.error("a single slash means nothing")),
        }
    }

    fn text(&mut self) -> Result<String, MofError> {
        let mut text = String::new();
        loop {
            match self.take().ok_or_else(|| self.error("a text does not end"))? {
                '"' => return Ok(text),
                '\\' => {
                    let c = self.take().ok_or_else(|| self.error("a text does not end"))?;
                    text.push(self.escape(c)?);
                }
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, c: char) -> Result<char, MofError> {
        Ok(match c {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            '"' | '\'' | '\\' => c,
            'x' | 'X' => {
                let mut digits = String::new();
                while digits.len() < 4
                    && let Some(digit) = self.take_if(|c| c.is_ascii_hexdigit())
                {
                    digits.push(digit);
                }
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                    .ok_or_else(|| self.error("an escape that is no character"))?
            }
            _ => return Err(self.error("an escape that is none")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<TokenKind>, MofError> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        loop {
            match lexer.next()?.kind {
                TokenKind::End => return Ok(tokens),
                kind => tokens.push(kind),
            }
        }
    }

    #[test]
    fn words_texts_numbers_marks_and_no_comments() {
        let found = all("\u{feff}// one\nclass /* two\n* / */ X_1 \"a\\\"\\x41\\\\\" -0x1F;").unwrap();
        let word = |text: &str| TokenKind::Word(text.to_owned());
        let expected = [
            word("class"),
            word("X_1"),
            TokenKind::Text("a\"A\\".to_owned()),
            TokenKind::Number("-0x1F".to_owned()),
            TokenKind::Mark(';'),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn errors_say_where() {
        let at = |text: &str| all(text).map_err(|error| (error.line, error.column)).unwrap_err();
        assert_eq!(at("a\n  %"), (2, 3));
        for text in ["\"a", "\"\\", "\"\\q\"", "\"\\xD800\"", "/* *", "/", "/x"] {
            assert!(all(text).is_err(), "{text}");
        }
    }
}
