//! A query with its names and types resolved: what it means, once for all who compute it.
//!
//! Values are compared in one of three domains. **Text**: letters of ASCII in lower case, blanks at the end cut, byte by byte; other values
//! become text first. **Numbers**: truth is 1 and 0; a text that is no whole number is unknown. **Moments**: milliseconds; one that is
//! outside of the years 1 to 9999 is unknown. What is unknown makes a comparison unknown, with the logic of three values.

use super::{
    ErrorKind, Schema, Span, WqlError,
    like::Pattern,
    parse::Parsed,
    resolve,
    schema::{Attribute, Class, Kind, Role},
    token::Number,
    tree::{Comparison, JoinKind, Part},
};
use std::{collections::BTreeSet, sync::Arc};

/// A checked query.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The query.
    pub select: Select,
    /// What an administrator should look at.
    pub lints: Vec<Lint>,
}

impl Checked {
    /// The class that the query is from.
    #[must_use]
    pub fn from(&self) -> &Class {
        &self.select.sources[0].class
    }

    /// The names of all classes that the query reads, sub-selects too.
    #[must_use]
    pub fn classes(&self) -> BTreeSet<String> {
        let mut classes = BTreeSet::new();
        self.select.visit(&mut |select| classes.extend(select.sources.iter().map(|source| source.class.name.clone())));
        classes
    }

    /// What all classes are of that the query reads, sub-selects too.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let mut roles = Vec::new();
        self.select.visit(&mut |select| roles.extend(select.sources.iter().map(|source| source.class.role.clone())));
        roles
    }

    /// Refuses a query that cannot be the rule of a collection: one that is not from a class of resources.
    ///
    /// # Errors
    /// [`ErrorKind::Meaning`].
    pub fn rule(&self) -> Result<&Role, WqlError> {
        match &self.from().role {
            role @ (Role::System | Role::User | Role::UserGroup | Role::UnknownSystem)
                if self.select.count.is_none() =>
            {
                Ok(role)
            }
            _ => {
                let message = "the query of a collection is from SMS_R_System, SMS_R_User, SMS_R_UserGroup or SMS_R_UnknownSystem";
                Err(WqlError::new(ErrorKind::Meaning, message, self.select.from_span))
            }
        }
    }
}

/// Something that is allowed, and often a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// Its stable name.
    pub name: &'static str,
    /// One sentence without its full stop.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// Each row once.
    pub distinct: bool,
    /// How many rows there are, instead of the rows: all, or those in which a value is known.
    pub count: Option<Option<Value>>,
    /// What is selected; the first of a sub-select is what it is about.
    pub outputs: Vec<Output>,
    /// The classes. The first has no join.
    pub sources: Vec<Source>,
    /// What must hold.
    pub condition: Option<Test>,
    /// How rows are sorted: from high to low where it is true.
    pub order: Vec<(Value, bool)>,
    /// Where the first class stands.
    pub from_span: Span,
}

impl Select {
    pub(crate) fn visit(&self, found: &mut impl FnMut(&Self)) {
        found(self);
        for source in &self.sources {
            if let Some((_, on)) = &source.join {
                on.visit(found);
            }
        }
        if let Some(condition) = &self.condition {
            condition.visit(found);
        }
    }
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it is.
    pub field: Field,
}

/// A class in a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its number in the whole query.
    pub id: usize,
    /// The class.
    pub class: Arc<Class>,
    /// How it is joined to what stands before it.
    pub join: Option<(JoinKind, Test)>,
}

/// An attribute of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The source.
    pub source: usize,
    /// Its class.
    pub class: Arc<Class>,
    /// The attribute.
    pub attribute: Attribute,
}

/// In which domain two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// As texts.
    Text,
    /// As numbers.
    Number,
    /// As moments.
    Moment,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing is known.
    Null,
    /// A text.
    Text(String),
    /// A number.
    Number(Number),
    /// A moment of the site's local time.
    Local(i64),
    /// This moment.
    Now,
    /// An attribute with one value.
    Field(Field),
    /// All elements of a list, with commas between them.
    Joined(Field),
    /// The element that [`Test::Any`] of this number is about.
    Element(usize, Field),
    /// How many boundaries lie between two moments.
    DateDiff(Part, Box<Value>, Box<Value>),
    /// A moment that much later.
    DateAdd(Part, i64, Box<Value>),
    /// A part of a moment.
    DatePart(Part, Box<Value>),
    /// A text in upper case, or else in lower case.
    Case(bool, Box<Value>),
    /// Characters from a place on (from 1), and how many.
    Substring(Box<Value>, i64, i64),
}

impl Value {
    /// What it is; nothing where it is null.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => return None,
            Self::Text(_) | Self::Joined(_) | Self::Case(..) | Self::Substring(..) => Kind::Text,
            Self::Number(Number::Int(_)) | Self::DateDiff(..) | Self::DatePart(..) => Kind::Number,
            Self::Number(Number::Real(_)) => Kind::Real,
            Self::Local(_) | Self::Now | Self::DateAdd(..) => Kind::Moment,
            Self::Field(field) | Self::Element(_, field) => field.attribute.kind,
        })
    }
}

/// What must hold: true, false or unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Any of these.
    Or(Vec<Test>),
    /// All of these; true where there are none.
    And(Vec<Test>),
    /// The contrary.
    Not(Box<Test>),
    /// One value against another.
    Compare(Domain, Comparison, Value, Value),
    /// A value against the only row of a query; unknown where there is not exactly one.
    CompareSelect(Domain, Comparison, Value, Box<Select>),
    /// A text against a pattern. Where it is trimmed, blanks at its end do not count.
    Like {
        /// The text.
        value: Value,
        /// The pattern.
        pattern: Pattern,
        /// Whether blanks at the end of the text are cut before.
        trimmed: bool,
    },
    /// A value among some of one domain.
    In(Domain, Value, Vec<Value>),
    /// A value among the first column of a query.
    InSelect(Domain, Value, Box<Select>),
    /// Nothing is known.
    IsNull(Value),
    /// It holds for some element of an attribute with several values. Unknown where there is no list.
    Any {
        /// Its number.
        id: usize,
        /// The attribute, or one of several that belong together.
        field: Field,
        /// What holds.
        test: Box<Test>,
    },
}

impl Test {
    fn visit(&self, found: &mut impl FnMut(&Select)) {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().for_each(|part| part.visit(found)),
            Self::Not(inner) | Self::Any { test: inner, .. } => inner.visit(found),
            Self::CompareSelect(_, _, _, select) | Self::InSelect(_, _, select) => select.visit(found),
            Self::Compare(..) | Self::Like { .. } | Self::In(..) | Self::IsNull(_) => {}
        }
    }
}

/// Resolves the names and types of a query.
///
/// # Errors
/// What is not known, or means nothing, and where.
pub fn check(parsed: &Parsed, schema: &Schema) -> Result<Checked, WqlError> {
    resolve::checked(parsed, schema)
}
