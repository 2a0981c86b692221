//! A query as it is written: a small tree of its own.

use super::{Span, token::Number};

/// A name where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// As it is written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Each row once.
    pub distinct: bool,
    /// What is selected.
    pub columns: Columns,
    /// The first class.
    pub from: Source,
    /// The classes that are joined to it.
    pub joins: Vec<Join>,
    /// What must hold.
    pub condition: Option<Condition>,
    /// How rows are sorted.
    pub order: Vec<Order>,
    /// The whole of it.
    pub span: Span,
}

/// What is selected.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// `*`.
    All,
    /// `count(*)`, or of what is not null.
    Count(Option<Column>),
    /// These.
    List(Vec<Item>),
}

/// One thing that is selected.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A column.
    Column(Column),
    /// All columns of a class: `SMS_R_System.*`.
    AllOf(Name),
}

/// A class with the name that it goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The class.
    pub class: Name,
    /// Another name for it.
    pub alias: Option<Name>,
}

/// How a class is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Only pairs.
    Inner,
    /// And what is on the left without a partner.
    Left,
    /// And what is on the right without a partner.
    Right,
    /// And both.
    Full,
}

/// A join.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// How.
    pub kind: JoinKind,
    /// What.
    pub source: Source,
    /// Which rows are partners.
    pub on: Condition,
}

/// A column, with its class or the name that the class goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The class.
    pub class: Option<Name>,
    /// The attribute.
    pub attribute: Name,
}

impl Column {
    /// From the class to the attribute.
    #[must_use]
    pub fn span(&self) -> Span {
        let start = self.class.as_ref().map_or(self.attribute.span.start, |class| class.span.start);
        Span::new(start, self.attribute.span.end)
    }
}

/// One column that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: Column,
    /// From high to low.
    pub descending: bool,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As it is written; one of the two ways for "not equal".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it asks for an order, and not only whether two are the same.
    #[must_use]
    pub const fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether it holds between two values that stand so to each other.
    #[must_use]
    pub const fn holds(self, order: std::cmp::Ordering) -> bool {
        use std::cmp::Ordering as O;
        match self {
            Self::Equal => matches!(order, O::Equal),
            Self::NotEqual => !matches!(order, O::Equal),
            Self::Less => matches!(order, O::Less),
            Self::LessOrEqual => !matches!(order, O::Greater),
            Self::Greater => matches!(order, O::Greater),
            Self::GreaterOrEqual => !matches!(order, O::Less),
        }
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Any of two or more.
    Or(Vec<Condition>),
    /// All of two or more.
    And(Vec<Condition>),
    /// The contrary.
    Not(Box<Condition>),
    /// One value against another.
    Compare {
        /// The left one.
        left: Expr,
        /// How.
        comparison: Comparison,
        /// The right one.
        right: Expr,
    },
    /// A value against the only row of a query.
    CompareSelect {
        /// The value.
        left: Expr,
        /// How.
        comparison: Comparison,
        /// The query.
        select: Box<Query>,
    },
    /// A value against a pattern.
    Like {
        /// The value.
        left: Expr,
        /// Whether it must not match.
        negated: bool,
        /// The pattern.
        pattern: String,
        /// Where the pattern stands.
        span: Span,
    },
    /// A value among some.
    InList {
        /// The value.
        left: Expr,
        /// Whether it must not be among them.
        negated: bool,
        /// Those.
        values: Vec<Literal>,
    },
    /// A value among the rows of a query.
    InSelect {
        /// The value.
        left: Expr,
        /// Whether it must not be among them.
        negated: bool,
        /// The query.
        select: Box<Query>,
    },
    /// A value that is not known.
    IsNull {
        /// The value.
        left: Expr,
        /// Whether it must be known.
        negated: bool,
    },
}

/// A value that is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Constant,
    /// Where.
    pub span: Span,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

/// A value, however it comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Of a column.
    Column(Column),
    /// Written down.
    Literal(Literal),
    /// Computed.
    Function(Box<Function>, Span),
}

impl Expr {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Column(column) => column.span(),
            Self::Literal(literal) => literal.span,
            Self::Function(_, span) => *span,
        }
    }
}

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The year.
    Year,
    /// The quarter of a year.
    Quarter,
    /// The month.
    Month,
    /// The day within its year; a day where something is counted or added.
    DayOfYear,
    /// The day.
    Day,
    /// The week; they begin on Sundays.
    Week,
    /// The day within its week, from Sunday as 1; a day where something is counted or added.
    Weekday,
    /// The hour.
    Hour,
    /// The minute.
    Minute,
    /// The second.
    Second,
    /// The millisecond.
    Millisecond,
}

impl Part {
    /// Every part with its names; the first is the one that is printed.
    pub const NAMES: &[(Self, &[&str])] = &[
        (Self::Year, &["year", "yy", "yyyy"]),
        (Self::Quarter, &["quarter", "qq", "q"]),
        (Self::Month, &["month", "mm", "m"]),
        (Self::DayOfYear, &["dayofyear", "dy", "y"]),
        (Self::Day, &["day", "dd", "d"]),
        (Self::Week, &["week", "wk", "ww"]),
        (Self::Weekday, &["weekday", "dw", "w"]),
        (Self::Hour, &["hour", "hh"]),
        (Self::Minute, &["minute", "mi", "n"]),
        (Self::Second, &["second", "ss", "s"]),
        (Self::Millisecond, &["millisecond", "ms"]),
    ];

    /// The part of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
        Self::NAMES.iter().find(|(_, names)| is(names)).map(|(part, _)| *part)
    }

    /// The name that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(part, _)| *part == self).map_or("", |(_, names)| names[0])
    }
}

/// Something that is computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// This moment.
    GetDate,
    /// How many boundaries of a part lie between two moments.
    DateDiff(Part, Expr, Expr),
    /// A moment that much later.
    DateAdd(Part, i64, Expr),
    /// One part of a moment.
    DatePart(Part, Expr),
    /// In upper case.
    Upper(Expr),
    /// In lower case.
    Lower(Expr),
    /// Characters from a place on, which begins with 1: how many.
    Substring(Expr, i64, i64),
}
