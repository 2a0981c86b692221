//! Instances: `instance of Class { Name = value; ... };`, with instances and arrays as values.

use super::{Lexer, MofError, Token, TokenKind};

/// How deep instances and arrays stand in each other. Configuration Manager needs four.
const DEPTH: usize = 16;
/// Values of one file.
const VALUES: usize = 1_000_000;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Something that is written as a word or a number and is none of the others.
    Other(String),
    /// Several.
    Array(Vec<Value>),
    /// An instance.
    Instance(Instance),
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its class.
    pub class: String,
    /// Its properties, in their order.
    pub properties: Vec<(String, Value)>,
    /// Where it begins.
    pub line: usize,
    /// Where it begins.
    pub column: usize,
}

impl Instance {
    /// The value of a property, whatever the case of its name.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        let found = self.properties.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map_or(&Value::Null, |(_, value)| value)
    }

    /// A property that is a text; empty is none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// A property that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The instances in a property: an array, or one alone.
    pub fn instances(&self, name: &str) -> impl Iterator<Item = &Self> {
        let values = match self.get(name) {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        values.iter().filter_map(|value| if let Value::Instance(instance) = value { Some(instance) } else { None })
    }

    /// Whether it is of that class.
    #[must_use]
    pub fn is(&self, class: &str) -> bool {
        self.class.eq_ignore_ascii_case(class)
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    values: usize,
}

/// The instances of a text. Pragmas are read over.
///
/// # Errors
/// Where it is not MOF, or declares something other than instances.
pub fn instances(text: &str) -> Result<Vec<Instance>, MofError> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser { lexer, token, values: 0 };
    let mut found = Vec::new();
    loop {
        if parser.token.kind == TokenKind::End {
            return Ok(found);
        }
        if parser.accept('#')? {
            parser.pragma()?;
        } else if !parser.accept(';')? {
            parser.qualifiers()?;
            found.push(parser.instance(0)?);
        }
    }
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, MofError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn accept(&mut self, mark: char) -> Result<bool, MofError> {
        let is = self.token.is_mark(mark);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn expect(&mut self, mark: char) -> Result<(), MofError> {
        if self.accept(mark)? { Ok(()) } else { Err(self.token.error(format!("{mark:?} is expected here"))) }
    }

    fn word(&mut self, what: &str) -> Result<String, MofError> {
        match self.advance()? {
            Token { kind: TokenKind::Word(word), .. } => Ok(word),
            token => Err(token.error(format!("{what} is expected here"))),
        }
    }

    /// What stands after `$`, which may be a number.
    fn alias(&mut self) -> Result<String, MofError> {
        match self.advance()? {
            Token { kind: TokenKind::Word(alias) | TokenKind::Number(alias), .. } => Ok(alias),
            token => Err(token.error("an alias is expected here")),
        }
    }

    /// `#pragma name("value")`.
    fn pragma(&mut self) -> Result<(), MofError> {
        self.word("pragma")?;
        self.word("the name of a pragma")?;
        self.expect('(')?;
        while !self.accept(')')? {
            if self.advance()?.kind == TokenKind::End {
                return Err(self.token.error("a pragma does not end"));
            }
        }
        Ok(())
    }

    /// `[...]`, which says nothing that is needed.
    fn qualifiers(&mut self) -> Result<(), MofError> {
        while self.accept('[')? {
            while !self.accept(']')? {
                if self.advance()?.kind == TokenKind::End {
                    return Err(self.token.error("a qualifier does not end"));
                }
            }
        }
        Ok(())
    }

    fn instance(&mut self, depth: usize) -> Result<Instance, MofError> {
        let begin = self.token.clone();
        if depth > DEPTH {
            return Err(begin.error(format!("instances stand in each other more than {DEPTH} deep")));
        }
        if !begin.is_word("instance") {
            return Err(begin.error("instance is expected here"));
        }
        self.advance()?;
        if !self.token.is_word("of") {
            return Err(self.token.error("of is expected here"));
        }
        self.advance()?;
        let class = self.word("the name of a class")?;
        if self.token.is_word("as") {
            self.advance()?;
            self.expect('$')?;
            self.alias()?;
        }
        self.expect('{')?;
        let mut properties = Vec::new();
        while !self.accept('}')? {
            self.qualifiers()?;
            let name = self.word("the name of a property")?;
            self.expect('=')?;
            properties.push((name, self.value(depth + 1)?));
            self.expect(';')?;
        }
        if depth == 0 {
            self.expect(';')?;
        }
        Ok(Instance { class, properties, line: begin.line, column: begin.column })
    }

    fn value(&mut self, depth: usize) -> Result<Value, MofError> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(self.token.error("there is too much here"));
        }
        if self.accept('{')? {
            let mut values = Vec::new();
            if self.accept('}')? {
                return Ok(Value::Array(values));
            }
            loop {
                values.push(self.value(depth + 1)?);
                if !self.accept(',')? {
                    self.expect('}')?;
                    return Ok(Value::Array(values));
                }
            }
        }
        if self.token.is_word("instance") {
            return Ok(Value::Instance(self.instance(depth)?));
        }
        let token = self.advance()?;
        Ok(match token.kind {
            TokenKind::Text(mut text) => {
                // Texts beside each other are one.
                while let TokenKind::Text(more) = &self.token.kind {
                    text.push_str(more);
                    self.advance()?;
                }
                Value::Text(text)
            }
            TokenKind::Word(word) if word.eq_ignore_ascii_case("null") => Value::Null,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            TokenKind::Number(number) => number.parse().map_or(Value::Other(number), Value::Number),
            TokenKind::Word(word) => Value::Other(word),
            TokenKind::Mark('$') => Value::Other(self.alias()?),
            _ => return Err(token.error("a value is expected here")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_within_each_other_are_read() {
        let text = "#pragma namespace(\"x\")\n[SecurityVerbs(-1)]\ninstance of A as $1 { N = 5; T = \"a\" \"b\"; B = TRUE;\n\
                    I = {instance of B { X = NULL; }, instance of B { Y = {1, 2}; }}; J = instance of C { }; };\ninstance of A { };";
        let found = instances(text).unwrap();
        assert_eq!((found.len(), found[0].line, found[0].column), (2, 3, 1));
        let one = &found[0];
        assert_eq!((one.number("n"), one.text("T"), one.get("b")), (Some(5), Some("ab"), &Value::Bool(true)));
        assert_eq!(one.instances("I").map(|i| i.properties.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(one.instances("J").all(|instance| instance.is("c")) && one.get("nothing") == &Value::Null);
    }

    #[test]
    fn what_is_no_instance_is_refused_with_its_place() {
        for (text, line, column) in [
            ("class A { };", 1, 1),
            ("instance of A { X = ; };", 1, 21),
            ("instance of A { X = 1; }", 1, 25),
            ("\n  instance A", 2, 12),
            ("instance of A { X = {1 2}; };", 1, 24),
        ] {
            let error = instances(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        }
        let deep = format!("instance of A {{ X = {}1{}; }};", "{".repeat(10_000), "}".repeat(10_000));
        assert!(instances(&deep).is_err(), "and the stack stays as it is");
    }
}
