//! From a checked query to one statement. No byte of the query is in the statement's text: values are parameters, names the catalogue's.

use super::{super::Dialect, relation, word};
use muster_model::wql::{
    Number,
    check::{Domain, Field, Select, Test, Value},
    date::{self, Clock},
    eval,
    schema::{Kind, Shape},
    tree::{Comparison, JoinKind},
};

/// A parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    Text(String),
    Int(i64),
    Real(f64),
}

/// A statement that grows.
#[derive(Debug)]
pub(super) struct Statement {
    dialect: Dialect,
    clock: Clock,
    pub(super) bound: Vec<Bound>,
    /// The resources that sub-selects need to look at, as SQL has them, where not all.
    only: Option<String>,
}

const UNKNOWN: &str = "CAST(NULL AS BOOLEAN)";

impl Statement {
    pub(super) fn new(dialect: Dialect, clock: Clock) -> Self {
        Self { dialect, clock, bound: Vec::new(), only: None }
    }

    fn parameter(&mut self, value: Bound) -> String {
        self.bound.push(value);
        format!("${}", self.bound.len())
    }

    /// The resources that a query finds, or those of them that are in the list.
    pub(super) fn members(&mut self, select: &Select, only: Option<&[i64]>) -> String {
        let from = format!("t{}.ResourceID", select.sources[0].id);
        let only = only.map(|only| {
            let list = self.parameter(Bound::Text(super::super::column::to_json(&only)));
            word::numbers(self.dialect, &list)
        });
        // Where each resource is found by what is known of it alone, nobody else's rows matter to it in a sub-select either.
        self.only = only.clone().filter(|_| select.is_of_each());
        let mut text = format!("SELECT DISTINCT {from} AS resource_id {}", self.from(select));
        text.push_str(&format!(" AND {from} IS NOT NULL"));
        if let Some(only) = only {
            text.push_str(&format!(" AND {from} IN {only}"));
        }
        text.push_str(" ORDER BY 1");
        text
    }

    /// The rows that a query selects, at most so many.
    pub(super) fn rows(&mut self, select: &Select, limit: i64) -> String {
        let mut columns: Vec<String> = Vec::new();
        if let Some(count) = &select.count {
            columns.push(self.count(count.as_ref()));
        }
        for output in &select.outputs {
            let value = match output.field.attribute.shape {
                Shape::One => self.value(&Value::Field(output.field.clone())),
                Shape::List => self.list_column(&output.field),
                Shape::Many => self.value(&Value::Joined(output.field.clone())),
            };
            columns.push(format!("{value} AS c{}", columns.len()));
        }
        let distinct = if select.distinct { "DISTINCT " } else { "" };
        let from = self.from(select);
        let mut order = Vec::new();
        // A count is one row.
        for (value, descending) in select.order.iter().filter(|_| select.count.is_none()) {
            let (way, nulls) = if *descending { ("DESC", "LAST") } else { ("ASC", "FIRST") };
            let at =
                select.outputs.iter().position(|output| matches!(value, Value::Field(field) if *field == output.field));
            match (select.distinct, at) {
                (true, None) => {}
                (true, Some(at)) => order.push(format!("{} {way} NULLS {nulls}", at + 1)),
                (false, _) => {
                    let domain = if value.kind() == Some(Kind::Text) { Domain::Text } else { Domain::Number };
                    let value = if value.kind() == Some(Kind::Moment) {
                        self.value(value)
                    } else {
                        self.in_domain(domain, value)
                    };
                    order.push(format!("{value} {way} NULLS {nulls}"));
                }
            }
        }
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
        let limit = self.parameter(Bound::Int(limit));
        format!("SELECT {distinct}{} {from}{order} LIMIT {limit}", columns.join(", "))
    }

    fn count(&mut self, of: Option<&Value>) -> String {
        match of {
            None => "COUNT(*)".to_owned(),
            Some(value) => format!("COUNT({})", self.value(value)),
        }
    }

    /// FROM with its joins, and WHERE.
    fn from(&mut self, select: &Select) -> String {
        let mut text = String::from("FROM ");
        let outer = |(kind, _): &(JoinKind, Test)| matches!(kind, JoinKind::Right | JoinKind::Full);
        // SQLite takes what a view is made of for what stands right of a join, unless it is computed first.
        let first =
            self.dialect == Dialect::Sqlite && select.sources.iter().any(|s| s.join.as_ref().is_some_and(outer));
        for source in &select.sources {
            let relation = match relation::relation(&source.class) {
                Some(relation) if relation.contains("{now}") => {
                    let now = self.clock.now.0.to_string();
                    relation.replace("{now}", &now)
                }
                Some(relation) => relation,
                None => "(SELECT CAST(NULL AS BIGINT) AS ResourceID WHERE 1 = 0)".to_owned(),
            };
            let relation = if first { format!("(SELECT * FROM {relation} LIMIT -1)") } else { relation };
            match &source.join {
                None => text.push_str(&format!("{relation} t{}", source.id)),
                Some((kind, on)) => {
                    let kind = match kind {
                        JoinKind::Inner => "JOIN",
                        JoinKind::Left => "LEFT JOIN",
                        JoinKind::Right => "RIGHT JOIN",
                        JoinKind::Full => "FULL JOIN",
                    };
                    let on = self.test(on);
                    text.push_str(&format!(" {kind} {relation} t{} ON {on}", source.id));
                }
            }
        }
        let condition = select.condition.as_ref().map_or_else(|| "1 = 1".to_owned(), |test| self.test(test));
        format!("{text} WHERE ({condition})")
    }

    /// What a sub-select gives, in a domain.
    fn result(&mut self, domain: Domain, select: &Select) -> String {
        if let Some(count) = &select.count {
            return self.count(count.as_ref());
        }
        let Some(output) = select.outputs.first() else { return "NULL".to_owned() };
        let value = match output.field.attribute.shape {
            Shape::One => Value::Field(output.field.clone()),
            _ => Value::Joined(output.field.clone()),
        };
        self.in_domain(domain, &value)
    }

    fn test(&mut self, test: &Test) -> String {
        match test {
            Test::Or(parts) => self.chain(parts, "OR"),
            Test::And(parts) => self.chain(parts, "AND"),
            Test::Not(inner) => format!("NOT ({})", self.test(inner)),
            Test::Compare(domain, comparison, left, right) => self.compare(*domain, *comparison, left, right),
            Test::CompareSelect(domain, comparison, left, select) => {
                let left = self.in_domain(*domain, left);
                let result = self.result(*domain, select);
                let distinct = if select.distinct { "DISTINCT " } else { "" };
                let from = self.from(select);
                let only = format!(
                    "(SELECT CASE WHEN COUNT(*) = 1 THEN MIN(v) END FROM (SELECT {distinct}{result} AS v {from}) o)"
                );
                format!("{left} {} {only}", comparison.as_str())
            }
            Test::Like { value, pattern, trimmed } => {
                let text = self.text(value);
                let parameter = format!("${}", self.bound.len() + 1);
                let (test, pattern) = word::like(self.dialect, &text, pattern, *trimmed, &parameter);
                self.bound.push(Bound::Text(pattern));
                test
            }
            Test::In(domain, value, values) => self.among(*domain, value, values),
            Test::InSelect(domain, value, select) => {
                let value = self.in_domain(*domain, value);
                let result = self.result(*domain, select);
                let from = self.from(select);
                let bounds = self.bounds(select);
                format!("{value} IN (SELECT {result} {from}{bounds})")
            }
            Test::IsNull(value) => format!("{} IS NULL", self.value(value)),
            Test::Any { id, field, test } => self.any(*id, field, test),
        }
    }

    /// What bounds a sub-select of numbers to the resources that matter.
    fn bounds(&self, select: &Select) -> String {
        let (Some(only), Some(output)) = (&self.only, select.outputs.first()) else { return String::new() };
        format!(" AND t{}.ResourceID IN {only}", output.field.source)
    }

    /// Parts in halves of halves: a long chain is no deep expression.
    fn chain(&mut self, parts: &[Test], word: &str) -> String {
        match parts {
            [] => "1 = 1".to_owned(),
            [one] => self.test(one),
            several => {
                let (left, right) = several.split_at(several.len() / 2);
                let left = self.chain(left, word);
                format!("({left} {word} {})", self.chain(right, word))
            }
        }
    }

    fn any(&mut self, id: usize, field: &Field, test: &Test) -> String {
        if field.attribute.shape == Shape::List {
            let Some(column) = self.column(field) else { return UNKNOWN.to_owned() };
            let elements = word::elements(self.dialect, &column);
            let test = self.test(test);
            return format!(
                "CASE WHEN {column} IS NOT NULL THEN EXISTS (SELECT 1 FROM {elements} e{id} WHERE {test}) END"
            );
        }
        let Some((view, _)) = relation::several(field) else { return "1 = 0".to_owned() };
        let test = self.test(test);
        format!(
            "EXISTS (SELECT 1 FROM {view} e{id} WHERE e{id}.ResourceID = t{}.ResourceID AND ({test}))",
            field.source
        )
    }

    fn compare(&mut self, domain: Domain, comparison: Comparison, left: &Value, right: &Value) -> String {
        if *left == Value::Null || *right == Value::Null {
            return UNKNOWN.to_owned();
        }
        let left = self.in_domain(domain, left);
        let right = self.in_domain(domain, right);
        format!("{left} {} {right}", comparison.as_str())
    }

    fn among(&mut self, domain: Domain, value: &Value, values: &[Value]) -> String {
        let value = self.in_domain(domain, value);
        let mut tests = Vec::new();
        let texts: Vec<String> = values
            .iter()
            .filter_map(|v| if let Value::Text(text) = v { Some(eval::key(text)) } else { None })
            .collect();
        let whole = |v: &Value| match v {
            Value::Number(Number::Int(number)) => Some(*number),
            Value::Local(local) => date::known(local - self.clock.offset()),
            _ => None,
        };
        let numbers: Vec<i64> = values.iter().filter_map(whole).collect();
        if !texts.is_empty() {
            let list = self.parameter(Bound::Text(super::super::column::to_json(&texts)));
            tests.push(format!("{value} IN {}", word::texts(self.dialect, &list)));
        }
        if !numbers.is_empty() {
            let list = self.parameter(Bound::Text(super::super::column::to_json(&numbers)));
            tests.push(format!("{value} IN {}", word::numbers(self.dialect, &list)));
        }
        for real in values {
            if let Value::Number(Number::Real(number)) = real {
                let number = self.parameter(Bound::Real(*number));
                tests.push(format!("{value} = {number}"));
            }
        }
        if tests.is_empty() || values.contains(&Value::Null) {
            tests.push(UNKNOWN.to_owned());
        }
        format!("({})", tests.join(" OR "))
    }

    fn column(&self, field: &Field) -> Option<String> {
        relation::column(field).map(|column| format!("t{}.{column}", field.source))
    }

    fn list_column(&self, field: &Field) -> String {
        self.column(field).unwrap_or_else(|| "CAST(NULL AS TEXT)".to_owned())
    }

    fn null(kind: Option<Kind>) -> String {
        match kind {
            None | Some(Kind::Text) => "CAST(NULL AS TEXT)".to_owned(),
            Some(Kind::Real) => "CAST(NULL AS DOUBLE PRECISION)".to_owned(),
            Some(_) => "CAST(NULL AS BIGINT)".to_owned(),
        }
    }

    /// A value as it is stored: a moment in UTC.
    fn value(&mut self, value: &Value) -> String {
        match value {
            Value::Null => Self::null(None),
            Value::Text(text) => self.parameter(Bound::Text(text.clone())),
            Value::Number(Number::Int(number)) => self.parameter(Bound::Int(*number)),
            Value::Number(Number::Real(number)) => self.parameter(Bound::Real(*number)),
            Value::Local(local) => self.moment(local.checked_sub(self.clock.offset())),
            Value::Now => self.moment(Some(self.clock.now.0)),
            Value::Field(field) => match self.column(field) {
                Some(column) if field.attribute.kind == Kind::Moment => word::known(&column),
                Some(column) => column,
                None if matches!(field.attribute.name.as_str(), "GroupID" | "RevisionID") => {
                    format!("CASE WHEN t{}.ResourceID IS NOT NULL THEN CAST(1 AS BIGINT) END", field.source)
                }
                None => Self::null(Some(field.attribute.kind)),
            },
            Value::Joined(field) => self.joined(field),
            Value::Element(id, field) => match relation::several(field) {
                Some((_, column)) => format!("e{id}.{column}"),
                None if field.attribute.shape == Shape::List => format!("e{id}.value"),
                None => Self::null(Some(field.attribute.kind)),
            },
            Value::DateDiff(part, from, to) => {
                let from = self.local(from);
                let from = word::index(self.dialect, *part, &from);
                let to = self.local(to);
                format!("({} - {from})", word::index(self.dialect, *part, &to))
            }
            Value::DateAdd(part, number, of) => {
                let local = self.local(of);
                let later = word::plus(self.dialect, *part, *number, &local);
                word::known(&format!("({later} - {})", self.clock.offset()))
            }
            Value::DatePart(part, of) => {
                let local = self.local(of);
                word::part(self.dialect, *part, &local)
            }
            Value::Case(upper, of) => {
                let text = self.text(of);
                let function = if *upper { "upper" } else { "lower" };
                match self.dialect {
                    Dialect::Sqlite => format!("{function}({text})"),
                    Dialect::Postgres => format!("{function}(CAST({text} AS TEXT) COLLATE \"C\")"),
                }
            }
            Value::Substring(of, start, length) => {
                let text = self.text(of);
                let (start, length) = ((*start).min(1_000_000), (*length).min(1_000_000));
                format!("substr({text}, {start}, {length})")
            }
        }
    }

    fn moment(&mut self, moment: Option<i64>) -> String {
        match moment.and_then(date::known) {
            Some(moment) => self.parameter(Bound::Int(moment)),
            None => Self::null(Some(Kind::Moment)),
        }
    }

    fn joined(&mut self, field: &Field) -> String {
        match (relation::several(field), self.column(field)) {
            (Some((view, column)), _) => {
                let rest = format!("FROM {view} g0 WHERE g0.ResourceID = t{}.ResourceID", field.source);
                word::gathered(self.dialect, &format!("g0.{column}"), &rest)
            }
            (None, Some(column)) if field.attribute.shape == Shape::List => word::joined(self.dialect, &column),
            _ => Self::null(None),
        }
    }

    /// A moment in the site's local time.
    fn local(&mut self, value: &Value) -> String {
        let value = self.value(value);
        word::known(&format!("({value} + {})", self.clock.offset()))
    }

    fn text(&mut self, value: &Value) -> String {
        match value.kind() {
            Some(Kind::Moment) => {
                let local = self.local(value);
                word::moment_text(self.dialect, &local)
            }
            None | Some(Kind::Text) => self.value(value),
            Some(_) => format!("CAST({} AS TEXT)", self.value(value)),
        }
    }

    fn in_domain(&mut self, domain: Domain, value: &Value) -> String {
        match (domain, value.kind()) {
            (Domain::Text, _) => {
                if let Value::Text(text) = value {
                    return self.parameter(Bound::Text(eval::key(text)));
                }
                let text = self.text(value);
                word::key(self.dialect, &text)
            }
            (Domain::Number, Some(Kind::Text)) => {
                let text = self.value(value);
                word::whole(self.dialect, &text)
            }
            (Domain::Number, None) | (Domain::Moment, None) => Self::null(Some(Kind::Number)),
            (Domain::Number, Some(_)) | (Domain::Moment, Some(Kind::Moment)) => self.value(value),
            (Domain::Moment, Some(_)) => Self::null(Some(Kind::Moment)),
        }
    }
}
