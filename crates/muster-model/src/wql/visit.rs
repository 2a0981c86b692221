//! A walk over a checked query, sub-selects too: what decides, and on whom it depends.

use super::{
    check::{Field, Select, Source, Test, Value},
    schema::Role,
    tree::JoinKind,
};
use std::collections::BTreeSet;

impl Select {
    /// Calls `found` with every test, those within other tests and sub-selects too.
    pub fn tests<'a>(&'a self, found: &mut impl FnMut(&'a Test)) {
        let joins = self.sources.iter().filter_map(|source| source.join.as_ref().map(|(_, on)| on));
        for test in joins.chain(&self.condition) {
            walk(test, found);
        }
    }

    /// The attributes that decide.
    #[must_use]
    pub fn fields(&self) -> Vec<&Field> {
        let mut fields = Vec::new();
        self.tests(&mut |test| {
            test.values().into_iter().for_each(|value| value.fields(&mut fields));
            match test {
                Test::Any { field, .. } => fields.push(field),
                Test::InSelect(_, _, select) | Test::CompareSelect(_, _, _, select) => {
                    fields.extend(select.outputs.first().map(|output| &output.field));
                }
                _ => {}
            }
        });
        fields
    }

    /// Whether a resource is found by what is known of it alone: every class is joined by the number of the resource, and so is
    /// every sub-select. Otherwise a change of one resource may bring or take another.
    #[must_use]
    pub fn is_of_each(&self) -> bool {
        let joined = self.sources.iter().skip(1).all(|source| {
            source.join.as_ref().is_some_and(|(_, on)| conjuncts(on).any(|test| is_by_number(test, source.id)))
        });
        let mut is_own = joined;
        self.tests(&mut |test| match test {
            Test::InSelect(_, value, select) => {
                let inner = select.outputs.first().is_some_and(|output| is_number(&output.field));
                // An outer join may give a row without a number, and that one matters to everybody.
                let outer = |source: &Source| source.join.as_ref().is_some_and(|(kind, _)| *kind != JoinKind::Inner);
                is_own = is_own
                    && inner
                    && !select.sources.iter().any(outer)
                    && matches!(value, Value::Field(field) if is_number(field))
                    && select.is_of_each();
            }
            Test::CompareSelect(..) => is_own = false,
            _ => {}
        });
        is_own
    }

    /// The collections of which it asks for members; `None`: it does not say of which.
    #[must_use]
    pub fn collections(&self) -> Option<BTreeSet<String>> {
        let mut named = BTreeSet::new();
        let mut is_said = true;
        self.visit(&mut |select| {
            for source in &select.sources {
                match &source.class.role {
                    Role::MembersOf(id) => drop(named.insert(id.clone())),
                    Role::Members => {
                        let said = said_of(select, source.id);
                        is_said = is_said && !said.is_empty();
                        named.extend(said);
                    }
                    _ => {}
                }
            }
        });
        is_said.then_some(named)
    }
}

/// The collections to which a condition that must hold bounds this source.
fn said_of(select: &Select, source: usize) -> Vec<String> {
    let is_id = |value: &Value| matches!(value, Value::Field(field) if field.source == source && field.attribute.name.eq_ignore_ascii_case("CollectionID"));
    let text =
        |value: &Value| if let Value::Text(text) = value { Some(text.trim_end().to_ascii_uppercase()) } else { None };
    // An outer join keeps rows for which its condition does not hold: those of the side that it keeps are bounded by nothing in it.
    let place = |id: usize| select.sources.iter().position(|source| source.id == id);
    let joins = select.sources.iter().filter_map(|joined| {
        let (kind, on) = joined.join.as_ref()?;
        let bounds = match kind {
            JoinKind::Inner => true,
            JoinKind::Left => joined.id == source,
            JoinKind::Right => place(source) < place(joined.id),
            JoinKind::Full => false,
        };
        bounds.then_some(on)
    });
    let tests = joins.chain(&select.condition).flat_map(conjuncts);
    tests
        .flat_map(|test| match test {
            Test::Compare(_, super::tree::Comparison::Equal, a, b) if is_id(a) => text(b).into_iter().collect(),
            Test::Compare(_, super::tree::Comparison::Equal, a, b) if is_id(b) => text(a).into_iter().collect(),
            Test::In(_, value, list) if is_id(value) => list.iter().filter_map(text).collect(),
            _ => Vec::new(),
        })
        .collect()
}

/// What must hold for a test to hold.
pub fn conjuncts(test: &Test) -> Box<dyn Iterator<Item = &Test> + '_> {
    match test {
        Test::And(parts) => Box::new(parts.iter().flat_map(conjuncts)),
        other => Box::new(std::iter::once(other)),
    }
}

/// Whether an attribute is the number of the resource.
#[must_use]
pub fn is_number(field: &Field) -> bool {
    ["ResourceID", "MachineID"].iter().any(|name| field.attribute.name.eq_ignore_ascii_case(name))
}

fn is_by_number(test: &Test, source: usize) -> bool {
    joined_by_number(test, source).is_some()
}

/// The other source, where a test says that this one is of the same resource.
#[must_use]
pub fn joined_by_number(test: &Test, source: usize) -> Option<usize> {
    let Test::Compare(_, super::tree::Comparison::Equal, Value::Field(a), Value::Field(b)) = test else { return None };
    let other = if a.source == source { b.source } else { a.source };
    let is = is_number(a) && is_number(b) && (a.source == source) != (b.source == source);
    is.then_some(other)
}

fn walk<'a>(test: &'a Test, found: &mut impl FnMut(&'a Test)) {
    found(test);
    match test {
        Test::Or(parts) | Test::And(parts) => parts.iter().for_each(|part| walk(part, found)),
        Test::Not(inner) | Test::Any { test: inner, .. } => walk(inner, found),
        Test::CompareSelect(_, _, _, select) | Test::InSelect(_, _, select) => {
            let select: &'a Select = select;
            let joins = select.sources.iter().filter_map(|source| source.join.as_ref().map(|(_, on)| on));
            joins.chain(&select.condition).for_each(|inner| walk(inner, found));
        }
        Test::Compare(..) | Test::Like { .. } | Test::In(..) | Test::IsNull(_) => {}
    }
}

impl Test {
    fn values(&self) -> Vec<&Value> {
        match self {
            Self::Compare(_, _, a, b) => vec![a, b],
            Self::CompareSelect(_, _, value, _) | Self::InSelect(_, value, _) | Self::IsNull(value) => vec![value],
            Self::Like { value, .. } => vec![value],
            Self::In(_, value, list) => std::iter::once(value).chain(list).collect(),
            Self::Or(_) | Self::And(_) | Self::Not(_) | Self::Any { .. } => Vec::new(),
        }
    }
}

impl Test {
    /// The attributes that decide, without those that sub-selects ask about.
    #[must_use]
    pub fn own_fields(&self) -> Vec<&Field> {
        let mut fields = Vec::new();
        self.own(&mut |test| {
            test.values().into_iter().for_each(|value| value.fields(&mut fields));
            if let Self::Any { field, .. } = test {
                fields.push(field);
            }
        });
        fields
    }

    /// Whether it asks what time it is.
    #[must_use]
    pub fn asks_time(&self) -> bool {
        let mut asks = false;
        self.own(&mut |test| asks = asks || test.values().into_iter().any(Value::asks_time));
        asks
    }

    fn own<'a>(&'a self, found: &mut impl FnMut(&'a Self)) {
        found(self);
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().for_each(|part| part.own(found)),
            Self::Not(inner) | Self::Any { test: inner, .. } => inner.own(found),
            _ => {}
        }
    }

    /// Changes every attribute that stands in it, but for those in sub-selects.
    pub fn change_fields(&mut self, change: &mut impl FnMut(&mut Field)) {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter_mut().for_each(|part| part.change_fields(change)),
            Self::Not(inner) => inner.change_fields(change),
            Self::Any { field, test, .. } => {
                change(field);
                test.change_fields(change);
            }
            Self::Compare(_, _, a, b) => {
                a.change_fields(change);
                b.change_fields(change);
            }
            Self::CompareSelect(_, _, value, _) | Self::InSelect(_, value, _) | Self::IsNull(value) => {
                value.change_fields(change);
            }
            Self::Like { value, .. } => value.change_fields(change),
            Self::In(_, value, list) => std::iter::once(value).chain(list).for_each(|v| v.change_fields(change)),
        }
    }
}

impl Value {
    /// Whether it depends on what time it is.
    #[must_use]
    pub fn asks_time(&self) -> bool {
        match self {
            Self::Now => true,
            Self::DateDiff(_, a, b) => a.asks_time() || b.asks_time(),
            Self::DateAdd(_, _, value)
            | Self::DatePart(_, value)
            | Self::Case(_, value)
            | Self::Substring(value, _, _) => value.asks_time(),
            _ => false,
        }
    }

    /// Whether it is the same for every row.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        let mut fields = Vec::new();
        self.fields(&mut fields);
        fields.is_empty()
    }

    fn change_fields(&mut self, change: &mut impl FnMut(&mut Field)) {
        match self {
            Self::Field(field) | Self::Joined(field) | Self::Element(_, field) => change(field),
            Self::DateDiff(_, a, b) => {
                a.change_fields(change);
                b.change_fields(change);
            }
            Self::DateAdd(_, _, value)
            | Self::DatePart(_, value)
            | Self::Case(_, value)
            | Self::Substring(value, _, _) => value.change_fields(change),
            Self::Null | Self::Text(_) | Self::Number(_) | Self::Local(_) | Self::Now => {}
        }
    }

    fn fields<'a>(&'a self, found: &mut Vec<&'a Field>) {
        match self {
            Self::Field(field) | Self::Joined(field) | Self::Element(_, field) => found.push(field),
            Self::DateDiff(_, a, b) => {
                a.fields(found);
                b.fields(found);
            }
            Self::DateAdd(_, _, value)
            | Self::DatePart(_, value)
            | Self::Case(_, value)
            | Self::Substring(value, _, _) => {
                value.fields(found);
            }
            Self::Null | Self::Text(_) | Self::Number(_) | Self::Local(_) | Self::Now => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::wql::{Checked, Schema, check, parse};

    fn checked(text: &str) -> Checked {
        check(&parse(text).unwrap(), Schema::built_in()).unwrap()
    }

    #[test]
    fn a_query_that_joins_by_the_number_is_of_each_resource_alone() {
        for (text, is_own) in [
            ("select * from SMS_R_System where Name = 'a'", true),
            (
                "select * from SMS_R_System s inner join SMS_G_System_SERVICE x on x.ResourceID = s.ResourceId where x.Name = 'a'",
                true,
            ),
            (
                "select * from SMS_R_System where ResourceId not in (select ResourceID from SMS_G_System_SERVICE where Name = 'a')",
                true,
            ),
            (
                "select * from SMS_R_System a inner join SMS_R_System b on a.Name = b.Name where a.ResourceID != b.ResourceID",
                false,
            ),
            (
                "select * from SMS_R_System where ResourceID not in (select x.ResourceID from SMS_R_System s left join SMS_G_System_SERVICE x \
                 on x.ResourceID = s.ResourceID)",
                false,
            ),
            ("select * from SMS_R_System where Name in (select Name from SMS_R_System where Client = 0)", false),
            (
                "select * from SMS_R_System where ResourceID in (select a.ResourceID from SMS_R_System a join SMS_R_System b on a.Name = b.Name)",
                false,
            ),
        ] {
            assert_eq!(checked(text).select.is_of_each(), is_own, "{text}");
        }
    }

    #[test]
    fn the_collections_that_a_query_asks_about_are_named() {
        let named = |text: &str| checked(text).select.collections().map(|ids| ids.into_iter().collect::<Vec<_>>());
        let both = "select * from SMS_R_System where ResourceID in (select ResourceID from SMS_CM_RES_COLL_abc00001) and ResourceID in \
                    (select ResourceID from SMS_FullCollectionMembership where CollectionID = 'ABC00002')";
        assert_eq!(named(both).unwrap(), ["ABC00001", "ABC00002"]);
        assert_eq!(named("select * from SMS_R_System").unwrap(), [""; 0]);
        let any = "select * from SMS_R_System where ResourceID in (select ResourceID from SMS_FullCollectionMembership where IsDirect = 1)";
        assert_eq!(named(any), None);
    }

    // proves I2: a collection that a query does not really name is none that it depends on.
    #[test]
    fn what_an_outer_join_says_of_the_side_that_it_keeps_bounds_nothing() {
        let named = |join: &str| {
            let text = format!(
                "select * from SMS_R_System where ResourceID in (select m.ResourceID from SMS_FullCollectionMembership m {join} join \
                 SMS_R_System r on m.CollectionID = 'SMS00001' and r.ResourceID = m.ResourceID where m.CollectionID like 'P01%')"
            );
            checked(&text).select.collections().map(|ids| ids.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(named("inner").unwrap(), ["SMS00001"]);
        assert_eq!((named("left"), named("full")), (None, None), "they keep every member of the others");
        assert_eq!(named("right").unwrap(), ["SMS00001"], "it keeps the systems, and of the members those that fit");
        let other = |join: &str| {
            let text = format!(
                "select r.ResourceID from SMS_R_System r {join} join SMS_FullCollectionMembership m \
                 on m.CollectionID = 'SMS00001' and r.ResourceID = m.ResourceID"
            );
            checked(&text).select.collections().map(|ids| ids.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(other("left").unwrap(), ["SMS00001"]);
        assert_eq!((other("right"), other("full")), (None, None));
    }

    #[test]
    fn every_attribute_that_decides_is_found() {
        let text = "select Name from SMS_R_System s join SMS_G_System_SERVICE x on x.ResourceID = s.ResourceID \
                    where DateDiff(dd, s.CreationDate, GetDate()) > 3 and s.IPAddresses = '10.0.0.1' and not lower(x.Name) like 'a%'";
        let checked = checked(text);
        let mut names: Vec<_> = checked.select.fields().iter().map(|field| field.attribute.name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, ["CreationDate", "IPAddresses", "Name", "ResourceID"]);
    }
}
