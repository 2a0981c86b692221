//! From tokens to the tree, by recursive descent.

use super::{
    ErrorKind, Span, WqlError, suggest,
    token::{Kind, Number, Token, tokens},
    tree::{
        Column, Columns, Constant, Expr, Function, Item, Join, JoinKind, Literal, Name, Order, Part, Query, Source,
    },
};
use crate::limits;

/// Words that have a meaning of their own where a name could stand.
const RESERVED: &[&str] = &[
    "select", "distinct", "from", "where", "join", "inner", "left", "right", "full", "outer", "on", "order", "by",
    "and", "or", "not", "like", "in", "is", "null", "as", "group", "having", "union", "exists", "between", "within",
    "cross",
];
const FUNCTIONS: &[&str] = &["GetDate", "DateDiff", "DateAdd", "DatePart", "Upper", "Lower", "Substring"];

/// A query as a tree, and where backslashes stand alone in its texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The query.
    pub query: Query,
    /// Backslashes in its texts that escape nothing.
    pub lone_backslashes: Vec<Span>,
}

impl Parsed {
    /// A tree that was not read from a text.
    #[must_use]
    pub fn of(query: Query) -> Self {
        Self { query, lone_backslashes: Vec::new() }
    }
}

/// Reads a query.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Parsed, WqlError> {
    if text.len() > limits::WQL_BYTES {
        let message = format!("a query has at most {} bytes", limits::WQL_BYTES);
        return Err(WqlError::new(ErrorKind::TooLarge, message, Span::new(0, 0)));
    }
    let found = tokens(text)?;
    let mut parser = Parser { tokens: &found.tokens, at: 0, depth: 0, conditions: 0, classes: 0 };
    let query = parser.query()?;
    parser.symbol(";");
    match parser.peek().kind {
        Kind::End => Ok(Parsed { query, lone_backslashes: found.lone_backslashes }),
        _ => Err(parser.unexpected("the query ends here")),
    }
}

/// Where the reading is.
pub(super) struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    pub(super) conditions: usize,
    classes: usize,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn next_is_symbol(&self, symbol: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is_symbol(symbol))
    }

    /// The token, and on to the next one; the end stays.
    pub(super) fn take(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes a word where it is the next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let is = self.peek().is_word(word);
        if is {
            self.take();
        }
        is
    }

    /// Takes a symbol where it is the next.
    pub(super) fn symbol(&mut self, symbol: &str) -> bool {
        let is = self.peek().is_symbol(symbol);
        if is {
            self.take();
        }
        is
    }

    /// What stands here is not what should.
    pub(super) fn unexpected(&self, expected: &str) -> WqlError {
        let token = self.peek();
        let message = match &token.kind {
            Kind::Word(word) if word.eq_ignore_ascii_case("group") || word.eq_ignore_ascii_case("having") => {
                "WQL here has no GROUP BY and no HAVING".to_owned()
            }
            Kind::Word(word) if word.eq_ignore_ascii_case("between") => {
                "WQL has no BETWEEN; write x >= a and x <= b".to_owned()
            }
            Kind::Word(word) if word.eq_ignore_ascii_case("exists") => {
                "WQL has no EXISTS; write ResourceID in (select ResourceID from ...)".to_owned()
            }
            Kind::Word(word) if word.eq_ignore_ascii_case("union") => {
                "WQL has no UNION; a collection may have several rules".to_owned()
            }
            _ => format!("{expected}, and not {}", token.named()),
        };
        WqlError::new(ErrorKind::Syntax, message, token.span)
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), WqlError> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected(&format!("\"{word}\" must stand here"))) }
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), WqlError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("\"{symbol}\" must stand here"))) }
    }

    /// One nesting deeper, as far as that is allowed.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, WqlError>) -> Result<T, WqlError> {
        self.depth += 1;
        if self.depth > limits::WQL_DEPTH {
            let message = format!("a query is nested at most {} deep", limits::WQL_DEPTH);
            return Err(WqlError::new(ErrorKind::TooLarge, message, self.peek().span));
        }
        let result = work(self);
        self.depth -= 1;
        result
    }

    pub(super) fn query(&mut self) -> Result<Query, WqlError> {
        self.deeper(|parser| {
            let start = parser.peek().span.start;
            parser.expect_word("select")?;
            let distinct = parser.word("distinct");
            let columns = parser.columns()?;
            parser.expect_word("from")?;
            let from = parser.source()?;
            let joins = parser.joins()?;
            let condition = if parser.word("where") { Some(parser.condition()?) } else { None };
            let order = if parser.word("order") { parser.order()? } else { Vec::new() };
            if distinct && matches!(columns, Columns::Count(_)) {
                let message = "COUNT and DISTINCT do not go together";
                return Err(WqlError::new(ErrorKind::Syntax, message, Span::new(start, start + 6)));
            }
            let span = Span::new(start, parser.peek().span.start);
            Ok(Query { distinct, columns, from, joins, condition, order, span })
        })
    }

    fn columns(&mut self) -> Result<Columns, WqlError> {
        if self.symbol("*") {
            return Ok(Columns::All);
        }
        if self.peek().is_word("count") && self.next_is_symbol("(") {
            self.take();
            self.take();
            let column = if self.symbol("*") { None } else { Some(self.column("a column must stand here")?) };
            self.expect_symbol(")")?;
            return Ok(Columns::Count(column));
        }
        let mut items = vec![self.item()?];
        while self.symbol(",") {
            items.push(self.item()?);
        }
        if items.len() > limits::WQL_COLUMNS {
            let message = format!("a query selects at most {} columns", limits::WQL_COLUMNS);
            return Err(WqlError::new(ErrorKind::TooLarge, message, self.peek().span));
        }
        Ok(Columns::List(items))
    }

    fn item(&mut self) -> Result<Item, WqlError> {
        let first = self.name("a column must stand here")?;
        if !self.symbol(".") {
            return Ok(Item::Column(Column { class: None, attribute: first }));
        }
        if self.symbol("*") {
            return Ok(Item::AllOf(first));
        }
        let attribute = self.name("an attribute must stand here")?;
        Ok(Item::Column(Column { class: Some(first), attribute }))
    }

    /// A name, which is no word with a meaning of its own.
    fn name(&mut self, expected: &str) -> Result<Name, WqlError> {
        match &self.peek().kind {
            Kind::Word(word) if !RESERVED.iter().any(|it| it.eq_ignore_ascii_case(word)) => {
                let (text, span) = (word.clone(), self.peek().span);
                self.take();
                Ok(Name { text, span })
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn column(&mut self, expected: &str) -> Result<Column, WqlError> {
        let first = self.name(expected)?;
        if !self.symbol(".") {
            return Ok(Column { class: None, attribute: first });
        }
        // After a dot nothing but an attribute can stand, so that it may be named as it likes.
        match self.take() {
            Token { kind: Kind::Word(text), span } => Ok(Column { class: Some(first), attribute: Name { text, span } }),
            Token { span, .. } => {
                Err(WqlError::new(ErrorKind::Syntax, format!("an attribute of {} must stand here", first.text), span))
            }
        }
    }

    fn source(&mut self) -> Result<Source, WqlError> {
        self.classes += 1;
        if self.classes > limits::WQL_CLASSES {
            let message = format!("a query has at most {} classes with its sub-selects", limits::WQL_CLASSES);
            return Err(WqlError::new(ErrorKind::TooLarge, message, self.peek().span));
        }
        let class = self.name("a class must stand here")?;
        let alias = if self.word("as") {
            Some(self.name("another name for the class must stand here")?)
        } else {
            match &self.peek().kind {
                Kind::Word(word) if !RESERVED.iter().any(|it| it.eq_ignore_ascii_case(word)) => {
                    Some(self.name("a name must stand here")?)
                }
                _ => None,
            }
        };
        Ok(Source { class, alias })
    }

    fn joins(&mut self) -> Result<Vec<Join>, WqlError> {
        let mut joins = Vec::new();
        loop {
            let outer = [("left", JoinKind::Left), ("right", JoinKind::Right), ("full", JoinKind::Full)];
            let kind = if self.word("inner") {
                JoinKind::Inner
            } else if let Some((_, kind)) = outer.into_iter().find(|(word, _)| self.word(word)) {
                self.word("outer");
                kind
            } else if self.peek().is_word("join") {
                JoinKind::Inner
            } else if self.peek().is_symbol(",") || self.peek().is_word("cross") {
                let message = "classes are joined by \"inner join ... on ...\"";
                return Err(WqlError::new(ErrorKind::Syntax, message, self.peek().span));
            } else {
                return Ok(joins);
            };
            self.expect_word("join")?;
            let source = self.source()?;
            self.expect_word("on")?;
            let on = self.condition()?;
            joins.push(Join { kind, source, on });
        }
    }

    fn order(&mut self) -> Result<Vec<Order>, WqlError> {
        self.expect_word("by")?;
        let mut order = Vec::new();
        loop {
            let column = self.column("a column must stand here")?;
            let descending = self.word("desc");
            if !descending {
                self.word("asc");
            }
            order.push(Order { column, descending });
            if order.len() > limits::WQL_COLUMNS {
                return Err(self.unexpected("so many columns nobody sorts by"));
            }
            if !self.symbol(",") {
                return Ok(order);
            }
        }
    }

    /// A value: a column, something written down, or a function.
    pub(super) fn expr(&mut self) -> Result<Expr, WqlError> {
        if let Some(literal) = self.literal()? {
            return Ok(Expr::Literal(literal));
        }
        if matches!(self.peek().kind, Kind::Word(_)) && self.next_is_symbol("(") && !self.peek().is_word("not") {
            return self.deeper(Self::function);
        }
        Ok(Expr::Column(self.column("a column, a value or a function must stand here")?))
    }

    /// Something that is written down, where that is the next.
    pub(super) fn literal(&mut self) -> Result<Option<Literal>, WqlError> {
        let token = self.peek().clone();
        let value = match token.kind {
            Kind::Text(text) => Constant::Text(text),
            Kind::Number(number) => Constant::Number(number),
            Kind::Symbol(sign @ ("-" | "+")) => {
                self.take();
                let next = self.take();
                let Kind::Number(number) = next.kind else {
                    return Err(WqlError::new(ErrorKind::Syntax, "a number must follow the sign", next.span));
                };
                let number = if sign == "-" { number.negated() } else { number };
                let span = Span::new(token.span.start, next.span.end);
                return Ok(Some(Literal { value: Constant::Number(number), span }));
            }
            // A column may have such a name, with its class before it.
            Kind::Word(_) if self.next_is_symbol(".") || self.next_is_symbol("(") => return Ok(None),
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Constant::Bool(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Constant::Bool(false),
            Kind::Word(word) if word.eq_ignore_ascii_case("null") => Constant::Null,
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Literal { value, span: token.span }))
    }

    fn function(&mut self) -> Result<Expr, WqlError> {
        let token = self.take();
        let Kind::Word(name) = &token.kind else { return Err(self.unexpected("a function must stand here")) };
        self.expect_symbol("(")?;
        let function = match name.to_ascii_lowercase().as_str() {
            "getdate" => Function::GetDate,
            "datediff" => {
                let part = self.part()?;
                let from = self.argument()?;
                Function::DateDiff(part, from, self.argument()?)
            }
            "dateadd" => {
                let part = self.part()?;
                self.expect_symbol(",")?;
                let number = self.whole()?;
                Function::DateAdd(part, number, self.argument()?)
            }
            "datepart" => {
                let part = self.part()?;
                Function::DatePart(part, self.argument()?)
            }
            "upper" => Function::Upper(self.expr()?),
            "lower" => Function::Lower(self.expr()?),
            "substring" => {
                let of = self.expr()?;
                self.expect_symbol(",")?;
                let start = self.whole()?;
                self.expect_symbol(",")?;
                Function::Substring(of, start, self.whole()?)
            }
            _ => {
                let hint = suggest::hint(name, FUNCTIONS.iter().copied());
                let message = format!("there is no function {}{hint}", super::token::shortened(name));
                return Err(WqlError::new(ErrorKind::Syntax, message, token.span));
            }
        };
        self.expect_symbol(")")?;
        let end = self.tokens[self.at.saturating_sub(1)].span.end;
        Ok(Expr::Function(Box::new(function), Span::new(token.span.start, end)))
    }

    fn argument(&mut self) -> Result<Expr, WqlError> {
        self.expect_symbol(",")?;
        self.expr()
    }

    fn part(&mut self) -> Result<Part, WqlError> {
        let found = match &self.peek().kind {
            Kind::Word(word) | Kind::Text(word) => Part::named(word),
            _ => None,
        };
        let part =
            found.ok_or_else(|| self.unexpected("a part of a date must stand here (year, month, day, hour, ...)"))?;
        self.take();
        Ok(part)
    }

    /// A whole number of the size that a database takes, in quotes or not.
    fn whole(&mut self) -> Result<i64, WqlError> {
        let span = self.peek().span;
        let number = match self.literal()?.map(|literal| literal.value) {
            Some(Constant::Number(Number::Int(number))) => Some(number),
            Some(Constant::Text(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = number.filter(|number: &i64| i32::try_from(*number).is_ok());
        fits.ok_or_else(|| WqlError::new(ErrorKind::Syntax, "a whole number of at most 32 bits must stand here", span))
    }
}
