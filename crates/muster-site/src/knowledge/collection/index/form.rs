//! Which rows are meant: tests of one row, each of which must be true, or false; unknown is neither.

use super::{
    datum::Datum,
    leaf::{Leaf, Ready},
};
use muster_model::wql::date::Clock;

/// Parts with "and" and "or" between them. There is no "not": it went to the leaves, where unknown stays unknown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form<L> {
    /// All of these; with none, everything.
    And(Vec<Form<L>>),
    /// Any of these; with none, nothing.
    Or(Vec<Form<L>>),
    /// This.
    Leaf(L),
}

/// A test, and what it must say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// The test.
    pub(crate) leaf: Leaf,
    /// What it must say.
    pub(crate) truth: bool,
}

/// Which rows of one class.
pub(crate) type Rows = Form<Wanted>;

impl<L> Form<L> {
    /// Everything.
    pub(crate) const ALL: Self = Self::And(Vec::new());
    /// All of these.
    pub(crate) fn all(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::And(parts) }
    }

    /// Any of these.
    pub(crate) fn any(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::Or(parts) }
    }

    /// Calls `found` with every leaf.
    pub(crate) fn leaves<'a>(&'a self, found: &mut impl FnMut(&'a L)) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.leaves(found)),
            Self::Leaf(leaf) => found(leaf),
        }
    }

    /// The same with other leaves.
    pub(crate) fn map<M, E>(&self, leaf: &mut impl FnMut(&L) -> Result<Form<M>, E>) -> Result<Form<M>, E> {
        let mut parts = |parts: &[Self]| parts.iter().map(|part| part.map(leaf)).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::And(inner) => Form::And(parts(inner)?),
            Self::Or(inner) => Form::Or(parts(inner)?),
            Self::Leaf(it) => leaf(it)?,
        })
    }

    /// Whether it holds, where that is so of each leaf.
    pub(crate) fn holds(&self, leaf: &mut impl FnMut(&L) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(leaf)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(leaf)),
            Self::Leaf(it) => leaf(it),
        }
    }
}

impl Rows {
    /// Whether it asks what time it is.
    pub(crate) fn is_clocked(&self) -> bool {
        let mut clocked = false;
        self.leaves(&mut |wanted| clocked |= wanted.leaf.clocked);
        clocked
    }

    /// Whether a row that a join left empty is meant.
    pub(crate) fn takes_nothing(&self, clock: Clock) -> bool {
        self.holds(&mut |wanted| wanted.leaf.of_nothing(clock) == Some(wanted.truth))
    }

    /// Ready to be asked of many rows at this moment.
    pub(crate) fn ready(&self, clock: Clock) -> Form<(Ready<'_>, bool)> {
        match self {
            Self::And(parts) => Form::And(parts.iter().map(|part| part.ready(clock)).collect()),
            Self::Or(parts) => Form::Or(parts.iter().map(|part| part.ready(clock)).collect()),
            Self::Leaf(wanted) => Form::Leaf((wanted.leaf.ready(clock), wanted.truth)),
        }
    }
}

impl Form<(Ready<'_>, bool)> {
    /// Whether a row is meant; `value` gives its values by attribute.
    pub(crate) fn takes<'a>(&self, value: &impl Fn(&str) -> &'a Datum) -> bool {
        self.holds(&mut |(ready, truth)| {
            let values: Vec<&Datum> = ready.attributes().iter().map(|name| value(name)).collect();
            ready.says(&values) == Some(*truth)
        })
    }
}
