//! Which statements somebody may ask: one SELECT over the views for reports, with functions that only compute. Everything that is not
//! named here is refused, and what the database gets is not the text that came but the tree that was looked at, written anew: so a
//! comment, a quote or a second statement that the two would read differently does not reach it.

use super::{SqlError, expression};
use crate::db::{Dialect, StoreError};
use sqlparser::{
    ast::{
        Cte, Distinct, Fetch, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName,
        ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
        SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, With,
    },
    dialect::{PostgreSqlDialect, SQLiteDialect},
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};
use std::collections::HashSet;

/// Bytes of a statement.
pub const SQL_BYTES: usize = 16 << 10;
/// Parentheses and sub-selects inside each other.
const DEPTH: usize = 40;
/// Words and signs that may make the tree deeper: a chain of a thousand additions is a tree of a thousand levels, and none of them is a
/// parenthesis.
const SIGNS: usize = 500;
/// Room for so deep a tree, whoever asks.
const STACK: usize = 64 << 20;
/// Columns of all SELECT in a statement.
const COLUMNS: usize = 400;
/// How many times longer `||` may make a text: of one query as often as it stands there and once more, of queries inside each other
/// the product. So nothing becomes long, and what is searched in it takes no time that nobody can stop.
const LONGER: usize = 16;
/// Bytes of the longest text of a statement, as often as [`LONGER`] lets it stand.
const TEXT: usize = 64 << 10;

/// A walk through the tree; a scope is what WITH of a query around this place made.
#[derive(Debug)]
pub(super) struct Walk {
    scopes: Vec<HashSet<String>>,
    /// `||` of each query that is being looked at.
    joined: Vec<usize>,
    /// How many times longer a text may have become.
    longer: usize,
    columns: usize,
    /// Bytes of the longest literal.
    literal: usize,
    /// `b` of each `a.b`: PostgreSQL reads it as `b(a)` where there is no such column.
    members: HashSet<String>,
}

/// A statement that was looked at.
#[derive(Debug)]
pub(super) struct Allowed {
    /// As the database gets it.
    pub(super) text: String,
    /// `b` of each `a.b`, in small letters.
    pub(super) members: Vec<String>,
}

pub(super) type Looked = Result<(), SqlError>;

/// A refusal of what is not named here.
pub(super) fn refuse(what: impl std::fmt::Display) -> SqlError {
    SqlError::Refused(format!("{what} is not taken here"))
}

/// Refuses what is there.
pub(super) fn without(what: &str, there: bool) -> Looked {
    if there { Err(refuse(what)) } else { Ok(()) }
}

fn parse(dialect: Dialect, text: &str) -> Result<Vec<Statement>, SqlError> {
    let of: &dyn sqlparser::dialect::Dialect = match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::Postgres => &PostgreSqlDialect {},
    };
    let syntax =
        |error: String| SqlError::Syntax(error.trim_start_matches("sql parser error: ").chars().take(300).collect());
    let tokens = Tokenizer::new(of, text).tokenize().map_err(|error| syntax(error.to_string()))?;
    let signs = tokens.iter().filter(|token| !is_flat(token)).count();
    without(&format!("a statement with more than {SIGNS} words and signs of SQL"), signs > SIGNS)?;
    let mut parser = Parser::new(of).with_recursion_limit(DEPTH).with_tokens(tokens);
    parser.parse_statements().map_err(|error| syntax(error.to_string()))
}

/// Whether a token makes no tree deeper. Parentheses do, and are counted by the parser.
fn is_flat(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        Token::Whitespace(_)
        | Token::Comma
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon => true,
        _ => false,
    }
}

/// The statement as the database gets it.
///
/// # Errors
/// When it is no SQL, or is more than a question about the views for reports.
pub fn allowed(dialect: Dialect, text: &str) -> Result<String, SqlError> {
    looked_at(dialect, text).map(|allowed| allowed.text)
}

/// The statement as the database gets it, and what else has to be asked about it.
///
/// # Errors
/// As [`allowed`].
pub(super) fn looked_at(dialect: Dialect, text: &str) -> Result<Allowed, SqlError> {
    if text.len() > SQL_BYTES {
        return Err(SqlError::TooLarge);
    }
    // A stack of its own: whoever asks shall not end the process by how deep the question is.
    std::thread::scope(|scope| {
        let work = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || look(dialect, text));
        let work =
            work.map_err(|error| StoreError::Unavailable(format!("no thread to look at a statement: {error}")))?;
        work.join().unwrap_or_else(|_| Err(refuse("this statement")))
    })
}

fn look(dialect: Dialect, text: &str) -> Result<Allowed, SqlError> {
    let statements = parse(dialect, text)?;
    let [Statement::Query(query)] = statements.as_slice() else {
        return Err(SqlError::Refused("one SELECT is taken, and nothing else".to_owned()));
    };
    let mut walk = Walk::new();
    walk.query(query)?;
    walk.sizes()?;
    let written = query.to_string();
    // What was written has to mean what was looked at.
    match parse(dialect, &written)?.as_slice() {
        [Statement::Query(again)] if again == query => {
            Ok(Allowed { text: written, members: walk.members.into_iter().collect() })
        }
        _ => Err(SqlError::Refused("the statement is written in a way that cannot be read twice alike".to_owned())),
    }
}

/// A name: letters, digits and a few signs, none of which ends a quote.
pub(super) fn name(ident: &Ident) -> Looked {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.' | '%' | '(' | ')' | '/' | '#');
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let fine = match ident.quote_style {
        None => ident.value.chars().all(plain),
        Some('"') => ident.value.chars().all(inside),
        Some(_) => false,
    };
    if fine && !ident.value.is_empty() { Ok(()) } else { Err(refuse(format!("the name {ident}"))) }
}

/// A name as PostgreSQL tells names apart: small letters, unless it is quoted. SQLite tells fewer apart.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// The one part of a name that has one.
pub(super) fn single(object: &ObjectName) -> Result<&Ident, SqlError> {
    match object.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => name(ident).map(|()| ident),
        _ => Err(refuse(format!("the name {object}"))),
    }
}

impl Walk {
    fn new() -> Self {
        let (scopes, joined, members) = (Vec::new(), Vec::new(), HashSet::new());
        Self { scopes, joined, longer: 1, columns: 0, literal: 0, members }
    }

    /// A `||`.
    pub(super) fn concatenation(&mut self) {
        self.joined.iter_mut().next_back().into_iter().for_each(|joined| *joined += 1);
    }

    /// A literal of so many bytes.
    pub(super) fn literal(&mut self, bytes: usize) {
        self.literal = self.literal.max(bytes);
    }

    /// `b` of an `a.b`.
    pub(super) fn member(&mut self, ident: &Ident) {
        self.members.insert(ident.value.to_lowercase());
    }

    fn sizes(&self) -> Looked {
        let text = self.literal.saturating_mul(self.longer);
        without("so many times ||", self.longer > LONGER || (self.longer > 1 && text > TEXT))?;
        without(&format!("more than {COLUMNS} columns"), self.columns > COLUMNS)
    }

    pub(super) fn query(&mut self, query: &Query) -> Looked {
        without("FOR UPDATE", !query.locks.is_empty())?;
        let odd = query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some();
        without("a clause of another database", odd || !query.pipe_operators.is_empty())?;
        self.scopes.push(HashSet::new());
        self.joined.push(0);
        let looked = self.inside(query);
        self.scopes.pop();
        self.longer = self.longer.saturating_mul(self.joined.pop().unwrap_or_default() + 1);
        looked
    }

    fn inside(&mut self, query: &Query) -> Looked {
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        self.body(&query.body)?;
        if let Some(order) = &query.order_by {
            self.order(order)?;
        }
        match &query.limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                without("LIMIT BY", !limit_by.is_empty())?;
                for expr in limit.iter().chain(offset.iter().map(|offset| &offset.value)) {
                    expression::look(self, expr)?;
                }
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                expression::look(self, offset)?;
                expression::look(self, limit)?;
            }
        }
        if let Some(Fetch { percent, quantity, .. }) = &query.fetch {
            without("PERCENT", *percent)?;
            expression::look_all(self, quantity)?;
        }
        Ok(())
    }

    fn with(&mut self, with: &With) -> Looked {
        // What comes out of itself can come out without an end.
        without("WITH RECURSIVE", with.recursive)?;
        for Cte { alias, query, from, .. } in &with.cte_tables {
            without("FROM in WITH", from.is_some())?;
            table_alias(alias)?;
            self.new_name(&alias.name)?;
            // Not visible in itself yet: a name inside is one from further out, or a view.
            self.query(query)?;
            if let Some(scope) = self.scopes.last_mut() {
                scope.insert(folded(&alias.name));
            }
        }
        Ok(())
    }

    /// SQLite lets a WITH come out of itself without the word RECURSIVE, and tells names apart by less than PostgreSQL: so no such name
    /// is one that means something already.
    fn new_name(&self, ident: &Ident) -> Looked {
        let name = ident.value.to_lowercase();
        let is_view = name.starts_with("v_");
        let is_there = self.scopes.iter().flatten().any(|there| there.to_lowercase() == name);
        without(&format!("the name {ident} in WITH"), is_view || is_there)
    }

    fn body(&mut self, body: &SetExpr) -> Looked {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left)?;
                self.body(right)
            }
            _ => Err(SqlError::Refused("only SELECT is taken".to_owned())),
        }
    }

    fn select(&mut self, select: &Select) -> Looked {
        without("INTO", select.into.is_some())?;
        let odd = !select.optimizer_hints.is_empty()
            || select.select_modifiers.is_some()
            || select.top.is_some()
            || select.exclude.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || !select.named_window.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || !matches!(select.flavor, SelectFlavor::Standard);
        without("a clause of another database", odd)?;
        if let Some(Distinct::On(list)) = &select.distinct {
            expression::look_all(self, list)?;
        }
        self.columns += select.projection.len();
        for item in &select.projection {
            self.item(item)?;
        }
        for from in &select.from {
            self.from(from)?;
        }
        expression::look_all(self, &select.selection)?;
        match &select.group_by {
            GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => expression::look_all(self, list)?,
            _ => return Err(refuse("this form of GROUP BY")),
        }
        expression::look_all(self, &select.having)
    }

    fn item(&mut self, item: &SelectItem) -> Looked {
        match item {
            SelectItem::UnnamedExpr(expr) => expression::look(self, expr),
            SelectItem::ExprWithAlias { expr, alias } => {
                name(alias)?;
                expression::look(self, expr)
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(object), _)
                if item.to_string() == format!("{object}.*") =>
            {
                single(object).map(drop)
            }
            SelectItem::Wildcard(_) if item.to_string() == "*" => Ok(()),
            other => Err(refuse(other)),
        }
    }

    fn from(&mut self, from: &TableWithJoins) -> Looked {
        self.factor(&from.relation)?;
        for Join { relation, global, join_operator } in &from.joins {
            without("GLOBAL", *global)?;
            self.factor(relation)?;
            let constraint = match join_operator {
                JoinOperator::Join(on)
                | JoinOperator::Inner(on)
                | JoinOperator::Left(on)
                | JoinOperator::LeftOuter(on)
                | JoinOperator::Right(on)
                | JoinOperator::RightOuter(on)
                | JoinOperator::FullOuter(on)
                | JoinOperator::CrossJoin(on) => on,
                _ => return Err(refuse("this kind of JOIN")),
            };
            match constraint {
                JoinConstraint::On(expr) => expression::look(self, expr)?,
                JoinConstraint::Using(columns) => columns.iter().try_for_each(|column| single(column).map(drop))?,
                JoinConstraint::Natural | JoinConstraint::None => {}
                JoinConstraint::UsingAlias(..) => return Err(refuse("this form of USING")),
            }
        }
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor) -> Looked {
        match factor {
            TableFactor::Table { name: object, alias, .. } => {
                alias.iter().try_for_each(table_alias)?;
                let ident = single(object)?;
                // The view and its alias, and nothing of what else may stand there in some database.
                let alone = match alias {
                    Some(alias) => format!("{object} {}{alias}", if alias.explicit { "AS " } else { "" }),
                    None => object.to_string(),
                };
                let shown = factor.to_string();
                if shown != alone && shown != alone.replace("AS AS ", "AS ") {
                    return Err(refuse(shown));
                }
                self.relation(ident)
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                without("LATERAL", *lateral)?;
                without("TABLESAMPLE", sample.is_some())?;
                alias.iter().try_for_each(table_alias)?;
                self.query(subquery)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                alias.iter().try_for_each(table_alias)?;
                self.from(table_with_joins)
            }
            other => Err(refuse(other)),
        }
    }

    /// A view for reports, or what a WITH around this place made.
    fn relation(&self, ident: &Ident) -> Looked {
        let name = folded(ident);
        if self.scopes.iter().any(|scope| scope.contains(&name)) {
            return Ok(());
        }
        if name.starts_with("v_") {
            return Ok(());
        }
        Err(SqlError::Refused(format!("{ident} is no view for reports: their names begin with v_, as v_R_System")))
    }

    pub(super) fn order(&mut self, order: &OrderBy) -> Looked {
        without("INTERPOLATE", order.interpolate.is_some())?;
        let OrderByKind::Expressions(list) = &order.kind else { return Err(refuse("ORDER BY ALL")) };
        expression::look_order(self, list)
    }
}

fn table_alias(alias: &TableAlias) -> Looked {
    name(&alias.name)?;
    without("AT", alias.at.is_some())?;
    for column in &alias.columns {
        name(&column.name)?;
        without("a type in an alias", column.data_type.is_some())?;
    }
    Ok(())
}
