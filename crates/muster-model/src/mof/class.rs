//! Class declarations: the custom inventory classes that administrators of Configuration Manager have written down for years.
//!
//! Taken are classes with the qualifiers `SMS_Report(TRUE)` and `SMS_Class_ID("VENDOR|NAME|1.0")`, and of their properties those
//! with `SMS_Report(TRUE)`. Everything else that such a file holds (data providers, instances, pragmas) is read over.

use super::{Lexer, MofError, Token, TokenKind};
use crate::api::{ClassAdd, ClassAttribute};

/// Qualifiers of a class or a property: names in lower case, with the first text or word of their value.
#[derive(Debug, Default)]
struct Qualifiers(Vec<(String, Option<String>)>);

impl Qualifiers {
    fn get(&self, name: &str) -> Option<&Option<String>> {
        self.0.iter().find(|(is, _)| is == name).map(|(_, value)| value)
    }

    /// Whether it is there and not FALSE: a qualifier without a value is true.
    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.as_ref().is_none_or(|value| value.eq_ignore_ascii_case("true")))
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
}

/// The definitions of inventory classes in a MOF text. Whether their names and types can be is not asked here.
///
/// # Errors
/// Where the text is not MOF.
pub fn definitions(text: &str) -> Result<Vec<ClassAdd>, MofError> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser { lexer, token };
    let mut found = Vec::new();
    while parser.token.kind != TokenKind::End {
        parser.declaration(&mut found)?;
    }
    Ok(found)
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

    fn declaration(&mut self, found: &mut Vec<ClassAdd>) -> Result<(), MofError> {
        if self.accept('#')? {
            return self.pragma();
        }
        if self.accept(';')? {
            return Ok(());
        }
        let qualifiers = self.qualifiers()?;
        let kind = self.word("class, instance or a qualifier")?;
        if kind.eq_ignore_ascii_case("class") {
            let class = self.class(&qualifiers)?;
            found.extend(class);
            Ok(())
        } else if kind.eq_ignore_ascii_case("instance") || kind.eq_ignore_ascii_case("qualifier") {
            self.skip_to_semicolon()
        } else {
            Err(self.token.error(format!("{:?} is no declaration", kind.chars().take(50).collect::<String>())))
        }
    }

    /// `#pragma name("value")`: it tells a compiler for Windows where to put things.
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

    /// What is not looked at, to its semicolon outside of all brackets. A counter is enough: nothing in it is believed.
    fn skip_to_semicolon(&mut self) -> Result<(), MofError> {
        let mut depth = 0_usize;
        loop {
            let token = self.advance()?;
            match token.kind {
                TokenKind::Mark('{' | '(' | '[') => depth += 1,
                TokenKind::Mark('}' | ')' | ']') => {
                    depth = depth.checked_sub(1).ok_or_else(|| token.error("a bracket closes that was not opened"))?;
                }
                TokenKind::Mark(';') if depth == 0 => return Ok(()),
                TokenKind::End => return Err(token.error("a declaration does not end")),
                _ => {}
            }
        }
    }

    /// `[name, name("value"), name{"a", "b"} : ToSubclass]`, or nothing.
    fn qualifiers(&mut self) -> Result<Qualifiers, MofError> {
        let mut qualifiers = Qualifiers::default();
        if !self.accept('[')? {
            return Ok(qualifiers);
        }
        loop {
            let name = self.word("a qualifier")?.to_ascii_lowercase();
            let mut value = None;
            for (open, close) in [('(', ')'), ('{', '}')] {
                if self.accept(open)? {
                    value = Some(self.value_until(close)?);
                }
            }
            qualifiers.0.push((name, value));
            if self.accept(':')? {
                while matches!(self.token.kind, TokenKind::Word(_)) {
                    self.advance()?;
                }
            }
            if !self.accept(',')? {
                self.expect(']')?;
                return Ok(qualifiers);
            }
        }
    }

    /// The texts of a value together, or its only word or number.
    fn value_until(&mut self, close: char) -> Result<String, MofError> {
        let mut value = String::new();
        let mut depth = 0_usize;
        loop {
            let token = self.advance()?;
            match token.kind {
                TokenKind::Mark(mark) if mark == close && depth == 0 => return Ok(value),
                TokenKind::Mark('{' | '(') => depth += 1,
                TokenKind::Mark('}' | ')') => {
                    depth = depth.checked_sub(1).ok_or_else(|| token.error("a bracket closes that was not opened"))?;
                }
                TokenKind::Mark(',' | '$') => {}
                TokenKind::Text(text) | TokenKind::Word(text) | TokenKind::Number(text) => value.push_str(&text),
                _ => return Err(token.error("the value of a qualifier does not end")),
            }
        }
    }

    /// `Name : Super { properties };`. `None`: it is no inventory class.
    fn class(&mut self, qualifiers: &Qualifiers) -> Result<Option<ClassAdd>, MofError> {
        let place = self.token.clone();
        let provider = self.word("the name of a class")?;
        if self.accept(':')? {
            self.word("the name of a class")?;
        }
        let mut attributes = Vec::new();
        if self.accept('{')? {
            while !self.accept('}')? {
                attributes.extend(self.property()?);
            }
        }
        self.expect(';')?;
        let (true, Some(Some(id))) = (qualifiers.is_true("sms_report"), qualifiers.get("sms_class_id")) else {
            return Ok(None);
        };
        let mut parts = id.split('|');
        let (Some(_), Some(name), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(place.error("SMS_Class_ID is not \"VENDOR|NAME|VERSION\""));
        };
        // As Configuration Manager does: the class of `MICROSOFT|Badge Reader|1.0` is SMS_G_System_BADGE_READER.
        let name = name.trim().to_ascii_uppercase().replace([' ', '-'], "_");
        Ok(Some(ClassAdd { name, provider, attributes }))
    }

    /// `[qualifiers] type Name[] = value;`. `None`: it is not reported.
    fn property(&mut self) -> Result<Option<ClassAttribute>, MofError> {
        let qualifiers = self.qualifiers()?;
        let mut kind = self.word("a type")?;
        let name = self.word("the name of a property")?;
        if self.token.is_mark('(') {
            // A method: nothing that a device could report.
            self.skip_to_semicolon()?;
            return Ok(None);
        }
        if self.accept('[')? {
            if matches!(self.token.kind, TokenKind::Number(_)) {
                self.advance()?;
            }
            self.expect(']')?;
            kind.push_str("[]");
        }
        if self.accept('=')? {
            self.skip_to_semicolon()?;
        } else {
            self.expect(';')?;
        }
        let reported = qualifiers.is_true("sms_report");
        Ok(reported.then(|| ClassAttribute { name, kind, key: qualifiers.is_true("key") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUSTOM: &str = r#"
        // What administrators paste from configuration.mof and their exported custom classes.
        #pragma namespace ("\\\\.\\root\\cimv2")
        #pragma deleteclass("Win32_Badge", NOFAIL)
        [DYNPROPS]
        class Win32_Badge { [key] string Name = ""; uint32 Port; };
        [DYNPROPS]
        instance of Win32_Badge { Name = "x;}"; Port = 1; };
        #pragma namespace ("\\\\.\\root\\cimv2\\SMS")
        [ SMS_Report     (TRUE),
          SMS_Group_Name ("Badge reader"),
          SMS_Class_ID   ("CUSTOM|Badge_Reader|1.0"),
          SMS_Context_1("__ProviderArchitecture=64|uint32"),
          Namespace ("root\\\\cimv2") : ToInstance ]
        class Win32_Badge : SMS_Class_Template
        {
            [SMS_Report(TRUE), key] string Name;
            [SMS_Report (TRUE), SMS_Units("Megabytes")] uint32 Port;
            [ SMS_Report(TRUE) ] uint16 Slots[];
            [SMS_Report(FALSE)] string Hidden;
            [Values{"a", "b"}] uint32 Plain = {1, 2};
            uint32 Method([in] string a);
        };
    "#;

    #[test]
    fn a_class_as_configuration_manager_writes_it_is_read() {
        let found = definitions(CUSTOM).unwrap();
        let [class] = &found[..] else { panic!("{found:?}") };
        assert_eq!((class.name.as_str(), class.provider.as_str()), ("BADGE_READER", "Win32_Badge"));
        let shown: Vec<_> = class.attributes.iter().map(|a| (a.name.as_str(), a.kind.as_str(), a.key)).collect();
        assert_eq!(shown, [("Name", "string", true), ("Port", "uint32", false), ("Slots", "uint16[]", false)]);
        assert!(class.class().is_ok());
    }

    #[test]
    fn what_is_not_mof_is_refused_with_its_place() {
        let texts = [
            "class",
            "class X",
            "class X {",
            "class X { string };",
            "class X { string a }",
            "[SMS_Report(TRUE",
            "[a b] class X {};",
            "#pragma namespace(",
            "instance of X {",
            "instance of X };",
            "nonsense X;",
            "[SMS_Report(TRUE), SMS_Class_ID(\"a|b\")] class X {};",
            "[SMS_Report{(}",
        ];
        for text in texts {
            let error = definitions(text).unwrap_err();
            assert!(error.line == 1 && error.column >= 1, "{text}: {error}");
        }
        assert_eq!(definitions("").unwrap(), []);
        // Deep nesting is a number, and no stack.
        let deep = format!("instance of X {{ {} ", "{(".repeat(100_000));
        assert!(definitions(&deep).is_err());
    }

    #[test]
    fn a_name_that_is_hostile_comes_out_as_it_is_and_is_refused_by_the_gate() {
        let text = "[SMS_Report(TRUE), SMS_Class_ID(\"a|X\\\"; DROP TABLE device|1\")] class X { [SMS_Report(TRUE)] string a; };";
        let found = definitions(text).unwrap();
        assert!(found[0].class().is_err());
    }
}
