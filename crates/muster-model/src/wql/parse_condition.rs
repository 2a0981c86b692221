//! Conditions: "or" binds weaker than "and", "and" weaker than "not".

use super::{
    ErrorKind, WqlError,
    parse::Parser,
    token::Kind,
    tree::{Comparison, Condition, Constant, Expr, Literal},
};
use crate::limits;

/// What stands in parentheses: a condition, or a value that is compared afterwards.
enum Operand {
    Condition(Condition),
    Value(Expr),
}

impl Parser<'_> {
    pub(super) fn condition(&mut self) -> Result<Condition, WqlError> {
        match self.any()? {
            Operand::Condition(condition) => Ok(condition),
            Operand::Value(_) => Err(self.unexpected("a comparison must stand here")),
        }
    }

    fn any(&mut self) -> Result<Operand, WqlError> {
        self.chain("or", Self::all, Condition::Or)
    }

    fn all(&mut self) -> Result<Operand, WqlError> {
        self.chain("and", Self::negation, Condition::And)
    }

    fn chain(
        &mut self,
        word: &str,
        part: impl Fn(&mut Self) -> Result<Operand, WqlError>,
        make: impl FnOnce(Vec<Condition>) -> Condition,
    ) -> Result<Operand, WqlError> {
        let mut parts = Vec::new();
        loop {
            let operand = part(self)?;
            match operand {
                Operand::Value(_) if parts.is_empty() && !self.peek().is_word(word) => return Ok(operand),
                Operand::Value(_) => return Err(self.unexpected("a comparison must stand here")),
                Operand::Condition(condition) => parts.push(condition),
            }
            if !self.word(word) {
                break;
            }
        }
        Ok(Operand::Condition(if parts.len() == 1 { parts.remove(0) } else { make(parts) }))
    }

    fn negation(&mut self) -> Result<Operand, WqlError> {
        if !self.word("not") {
            return self.comparison();
        }
        self.deeper(|parser| match parser.negation()? {
            Operand::Condition(inner) => Ok(Operand::Condition(Condition::Not(Box::new(inner)))),
            Operand::Value(_) => Err(parser.unexpected("a comparison must stand here")),
        })
    }

    fn comparison(&mut self) -> Result<Operand, WqlError> {
        let left = if self.symbol("(") {
            let inner = self.deeper(Self::any)?;
            self.expect_symbol(")")?;
            match inner {
                Operand::Condition(condition) => return Ok(Operand::Condition(condition)),
                Operand::Value(value) => value,
            }
        } else {
            self.expr()?
        };
        self.predicate(left)
    }

    /// What follows a value; nothing, where it stands in parentheses.
    fn predicate(&mut self, left: Expr) -> Result<Operand, WqlError> {
        if self.peek().is_symbol(")") {
            return Ok(Operand::Value(left));
        }
        self.conditions += 1;
        if self.conditions > limits::WQL_CONDITIONS {
            let message = format!(
                "a query has at most {} conditions; many values go into one list: x in (...)",
                limits::WQL_CONDITIONS
            );
            return Err(WqlError::new(ErrorKind::TooLarge, message, self.peek().span));
        }
        if let Some(comparison) = self.operator() {
            return self.compared(left, comparison).map(Operand::Condition);
        }
        let is = self.word("is");
        let negated = self.word("not");
        if is && self.word("null") {
            return Ok(Operand::Condition(Condition::IsNull { left, negated }));
        }
        if self.word("in") {
            return self.list(left, negated).map(Operand::Condition);
        }
        if !is && self.word("like") {
            return self.pattern(left, negated).map(Operand::Condition);
        }
        Err(self.unexpected(if is {
            "\"null\" or \"in\" must stand here"
        } else {
            "a comparison (=, <>, <, >, like, in, is null) must stand here"
        }))
    }

    fn operator(&mut self) -> Option<Comparison> {
        let Kind::Symbol(symbol) = self.peek().kind else { return None };
        let comparison = match symbol {
            "=" => Comparison::Equal,
            "!=" | "<>" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.take();
        Some(comparison)
    }

    fn compared(&mut self, left: Expr, comparison: Comparison) -> Result<Condition, WqlError> {
        if !self.symbol("(") {
            return Ok(Condition::Compare { left, comparison, right: self.expr()? });
        }
        let condition = if self.peek().is_word("select") {
            Condition::CompareSelect { left, comparison, select: Box::new(self.query()?) }
        } else {
            Condition::Compare { left, comparison, right: self.expr()? }
        };
        self.expect_symbol(")")?;
        Ok(condition)
    }

    fn list(&mut self, left: Expr, negated: bool) -> Result<Condition, WqlError> {
        self.expect_symbol("(")?;
        if self.peek().is_word("select") {
            let select = Box::new(self.query()?);
            self.expect_symbol(")")?;
            return Ok(Condition::InSelect { left, negated, select });
        }
        let mut values: Vec<Literal> = Vec::new();
        loop {
            let Some(literal) = self.literal()? else {
                return Err(self.unexpected("a value or a select must stand here"));
            };
            values.push(literal);
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(Condition::InList { left, negated, values })
    }

    fn pattern(&mut self, left: Expr, negated: bool) -> Result<Condition, WqlError> {
        let opened = self.symbol("(");
        let Some(literal) = self.literal()? else {
            return Err(self.unexpected("a pattern in quotes must stand here"));
        };
        if opened {
            self.expect_symbol(")")?;
        }
        let pattern = match literal.value {
            Constant::Text(text) => text,
            Constant::Number(_) => literal.value.to_string(),
            Constant::Bool(_) | Constant::Null => {
                return Err(WqlError::new(ErrorKind::Syntax, "a pattern in quotes must stand here", literal.span));
            }
        };
        Ok(Condition::Like { left, negated, pattern, span: literal.span })
    }
}
