//! A query as canonical text: what is parsed from it is the same tree again.

use super::{
    token::Number,
    tree::{Column, Columns, Condition, Constant, Expr, Function, Item, Join, JoinKind, Query, Source},
};
use std::fmt::{Display, Formatter, Result, Write as _};

fn list<T>(f: &mut Formatter<'_>, items: &[T], print: impl Fn(&mut Formatter<'_>, &T) -> Result) -> Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(if self.distinct { "select distinct " } else { "select " })?;
        match &self.columns {
            Columns::All => f.write_str("*")?,
            Columns::Count(None) => f.write_str("count(*)")?,
            Columns::Count(Some(column)) => write!(f, "count({column})")?,
            Columns::List(items) => list(f, items, |f, item| match item {
                Item::Column(column) => column.fmt(f),
                Item::AllOf(class) => write!(f, "{}.*", class.text),
            })?,
        }
        write!(f, " from {}", self.from)?;
        self.joins.iter().try_for_each(|join| join.fmt(f))?;
        if let Some(condition) = &self.condition {
            write!(f, " where {condition}")?;
        }
        if !self.order.is_empty() {
            f.write_str(" order by ")?;
            list(f, &self.order, |f, order| {
                write!(f, "{}{}", order.column, if order.descending { " desc" } else { "" })
            })?;
        }
        Ok(())
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.class.text)?;
        self.alias.iter().try_for_each(|alias| write!(f, " as {}", alias.text))
    }
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let kind = match self.kind {
            JoinKind::Inner => "inner",
            JoinKind::Left => "left",
            JoinKind::Right => "right",
            JoinKind::Full => "full",
        };
        write!(f, " {kind} join {} on {}", self.source, self.on)
    }
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.class.iter().try_for_each(|class| write!(f, "{}.", class.text))?;
        f.write_str(&self.attribute.text)
    }
}

/// Parts of an "and" or "or", each in parentheses where it would be read in another way without.
fn joined(f: &mut Formatter<'_>, parts: &[Condition], word: &str, needs: impl Fn(&Condition) -> bool) -> Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            write!(f, " {word} ")?;
        }
        if needs(part) {
            write!(f, "({part})")?;
        } else {
            part.fmt(f)?;
        }
    }
    Ok(())
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let not = |negated: bool| if negated { " not" } else { "" };
        match self {
            Self::Or(parts) => joined(f, parts, "or", |part| matches!(part, Self::Or(_))),
            Self::And(parts) => joined(f, parts, "and", |part| matches!(part, Self::Or(_) | Self::And(_))),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare { left, comparison, right } => write!(f, "{left} {} {right}", comparison.as_str()),
            Self::CompareSelect { left, comparison, select } => write!(f, "{left} {} ({select})", comparison.as_str()),
            Self::Like { left, negated, pattern, .. } => {
                write!(f, "{left}{} like ", not(*negated))?;
                quoted(f, pattern)
            }
            Self::InList { left, negated, values } => {
                write!(f, "{left}{} in (", not(*negated))?;
                list(f, values, |f, value| value.value.fmt(f))?;
                f.write_char(')')
            }
            Self::InSelect { left, negated, select } => write!(f, "{left}{} in ({select})", not(*negated)),
            Self::IsNull { left, negated } => write!(f, "{left} is{} null", not(*negated)),
        }
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Number(Number::Int(number)) => number.fmt(f),
            Self::Number(Number::Real(number)) => {
                // Without an exponent: a query has none.
                let text = number.to_string();
                f.write_str(&text)?;
                if text.contains('.') { Ok(()) } else { f.write_str(".0") }
            }
            Self::Text(text) => quoted(f, text),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Column(column) => column.fmt(f),
            Self::Literal(literal) => literal.value.fmt(f),
            Self::Function(function, _) => function.fmt(f),
        }
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::GetDate => f.write_str("GetDate()"),
            Self::DateDiff(part, from, to) => write!(f, "DateDiff({}, {from}, {to})", part.as_str()),
            Self::DateAdd(part, number, of) => write!(f, "DateAdd({}, {number}, {of})", part.as_str()),
            Self::DatePart(part, of) => write!(f, "DatePart({}, {of})", part.as_str()),
            Self::Upper(of) => write!(f, "upper({of})"),
            Self::Lower(of) => write!(f, "lower({of})"),
            Self::Substring(of, start, length) => write!(f, "substring({of}, {start}, {length})"),
        }
    }
}
