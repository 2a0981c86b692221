//! Names and types of a query: from the tree as it is written to the checked one.

use super::{
    ErrorKind, Schema, Span, WqlError,
    check::{Checked, Domain, Field, Lint, Output, Select, Source, Test, Value},
    convert,
    like::{self, Pattern},
    parse::Parsed,
    schema::{Class, Kind, Role, Shape},
    suggest,
    token::{Number, SMART_QUOTES},
    tree::{Column, Columns, Comparison, Condition, Constant, Expr, Function, Item, JoinKind, Literal, Name, Query},
};
use crate::limits;
use std::sync::Arc;

pub(super) fn checked(parsed: &Parsed, schema: &Schema) -> Result<Checked, WqlError> {
    let mut resolver = Resolver { schema, scopes: Vec::new(), sources: 0, elements: 0, lints: Vec::new() };
    for span in &parsed.lone_backslashes {
        resolver.lint("lone_backslash", "a backslash that escapes nothing; write two for one backslash", *span);
    }
    let select = resolver.select(&parsed.query, false)?;
    resolver.lints.sort_by_key(|lint| lint.span.start);
    Ok(Checked { select, lints: resolver.lints })
}

/// A source that can be named.
struct Named {
    id: usize,
    name: Option<String>,
    class: Arc<Class>,
    joined: bool,
}

struct Resolver<'a> {
    schema: &'a Schema,
    scopes: Vec<Vec<Named>>,
    sources: usize,
    elements: usize,
    lints: Vec<Lint>,
}

fn fail<T>(kind: ErrorKind, message: impl Into<String>, span: Span) -> Result<T, WqlError> {
    Err(WqlError::new(kind, message, span))
}

impl Resolver<'_> {
    fn lint(&mut self, name: &'static str, message: impl Into<String>, span: Span) {
        if self.lints.len() < 100 {
            self.lints.push(Lint { name, message: message.into(), span });
        }
    }

    fn select(&mut self, query: &Query, inner: bool) -> Result<Select, WqlError> {
        self.scopes.push(Vec::new());
        let mut sources = vec![self.source(&query.from.class, query.from.alias.as_ref(), false)?];
        for join in &query.joins {
            if sources.len() >= limits::WQL_JOINED {
                let message = format!("at most {} classes are joined in one select", limits::WQL_JOINED);
                return fail(ErrorKind::TooLarge, message, join.source.class.span);
            }
            let mut source = self.source(&join.source.class, join.source.alias.as_ref(), true)?;
            let on = self.condition(&join.on)?;
            let before: Vec<usize> = sources.iter().map(|source: &Source| source.id).collect();
            if join.kind == JoinKind::Full && !has_equality(&on, source.id, &before) {
                let message = "a full join needs an equality of a column of one side and a column of the other";
                return fail(ErrorKind::Meaning, message, join.source.class.span);
            }
            source.join = Some((join.kind, on));
            sources.push(source);
        }
        let condition = query.condition.as_ref().map(|condition| self.condition(condition)).transpose()?;
        let (count, outputs) = self.columns(query, &sources)?;
        if inner && count.is_none() && outputs.len() != 1 {
            return fail(ErrorKind::Meaning, "a sub-select selects exactly one column", query.span);
        }
        let mut order = Vec::new();
        for by in &query.order {
            let field = self.field(&by.column)?;
            let value = if field.attribute.shape == Shape::One { Value::Field(field) } else { Value::Joined(field) };
            order.push((value, by.descending));
        }
        self.scopes.pop();
        Ok(Select {
            distinct: query.distinct,
            count,
            outputs,
            sources,
            condition,
            order,
            from_span: query.from.class.span,
        })
    }

    fn source(&mut self, class: &Name, alias: Option<&Name>, joined: bool) -> Result<Source, WqlError> {
        let Some(found) = self.schema.class(&class.text) else {
            let message = format!("there is no class {}{}", class.text, self.schema.hint(&class.text));
            return fail(ErrorKind::UnknownClass, message, class.span);
        };
        let id = self.sources;
        self.sources += 1;
        let shown = alias.unwrap_or(class);
        let scope = self.scopes.last_mut().map_or(&mut [][..], |scope| &mut scope[..]);
        let taken = |named: &Named| match &named.name {
            Some(name) => name.eq_ignore_ascii_case(&shown.text),
            None => alias.is_none() && named.class.name.eq_ignore_ascii_case(&found.name),
        };
        if scope.iter().any(taken) {
            let message = format!("{} is there twice; give one of them another name: {} as x", shown.text, class.text);
            return fail(ErrorKind::Meaning, message, shown.span);
        }
        let named = Named { id, name: alias.map(|alias| alias.text.clone()), class: Arc::clone(&found), joined };
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(named);
        }
        Ok(Source { id, class: found, join: None })
    }

    fn columns(&mut self, query: &Query, sources: &[Source]) -> Result<(Option<Option<Value>>, Vec<Output>), WqlError> {
        let many = sources.len() > 1;
        let of_all = |source: &Source| -> Vec<Output> {
            let class = &source.class;
            let short = class.name.strip_prefix("SMS_G_System_").unwrap_or(&class.name);
            let output = |attribute: &super::schema::Attribute| Output {
                name: if many { format!("{short}.{}", attribute.name) } else { attribute.name.clone() },
                field: Field { source: source.id, class: Arc::clone(class), attribute: attribute.clone() },
            };
            class.attributes.iter().map(output).collect()
        };
        let outputs = match &query.columns {
            Columns::Count(None) => return Ok((Some(None), Vec::new())),
            Columns::Count(Some(column)) => {
                let field = self.field(column)?;
                let value =
                    if field.attribute.shape == Shape::One { Value::Field(field) } else { Value::Joined(field) };
                return Ok((Some(Some(value)), Vec::new()));
            }
            Columns::All => sources.iter().flat_map(of_all).collect(),
            Columns::List(items) => {
                let mut outputs = Vec::new();
                for item in items {
                    match item {
                        Item::Column(column) => {
                            let field = self.field(column)?;
                            outputs.push(Output { name: field.attribute.name.clone(), field });
                        }
                        Item::AllOf(name) => {
                            let (id, _) = self.named(name)?;
                            outputs.extend(sources.iter().filter(|source| source.id == id).flat_map(of_all));
                        }
                    }
                }
                outputs
            }
        };
        if outputs.len() > limits::WQL_COLUMNS {
            let message = format!("a query selects at most {} columns", limits::WQL_COLUMNS);
            return fail(ErrorKind::TooLarge, message, query.span);
        }
        Ok((None, outputs))
    }

    /// The source that goes by a name, the innermost first.
    fn named(&self, name: &Name) -> Result<(usize, Arc<Class>), WqlError> {
        for scope in self.scopes.iter().rev() {
            let by_alias = |named: &&Named| named.name.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(&name.text));
            let by_class = |named: &&Named| named.class.name.eq_ignore_ascii_case(&name.text);
            let bare = |named: &&Named| named.name.is_none() && by_class(named);
            if let Some(named) = scope.iter().find(by_alias).or_else(|| scope.iter().find(bare)) {
                return Ok((named.id, Arc::clone(&named.class)));
            }
            let mut found = scope.iter().filter(by_class);
            if let (Some(named), None) = (found.next(), found.next()) {
                return Ok((named.id, Arc::clone(&named.class)));
            }
        }
        if self.schema.class(&name.text).is_some() {
            let message = format!("{} is used and never joined; add: inner join {} on ...", name.text, name.text);
            return fail(ErrorKind::NotJoined, message, name.span);
        }
        let known =
            self.scopes.iter().flatten().flat_map(|named| [named.name.as_deref(), Some(named.class.name.as_str())]);
        let hint = suggest::hint(&name.text, known.flatten());
        fail(ErrorKind::UnknownClass, format!("no class of this query goes by the name {}{hint}", name.text), name.span)
    }

    fn field(&self, column: &Column) -> Result<Field, WqlError> {
        let name = &column.attribute;
        if name.text.starts_with("__") {
            return fail(ErrorKind::Meaning, "system properties (__...) cannot be asked for", name.span);
        }
        if let Some(class) = &column.class {
            let (source, class) = self.named(class)?;
            let Some(attribute) = class.attribute(&name.text) else {
                let hint = suggest::hint(&name.text, class.attributes.iter().map(|a| a.name.as_str()));
                let message = format!("{} has no attribute {}{hint}", class.name, name.text);
                return fail(ErrorKind::UnknownAttribute, message, name.span);
            };
            let attribute = attribute.clone();
            return Ok(Field { source, class, attribute });
        }
        for named in self.scopes.iter().rev().flatten() {
            if let Some(attribute) = named.class.attribute(&name.text) {
                return Ok(Field { source: named.id, class: Arc::clone(&named.class), attribute: attribute.clone() });
            }
        }
        let known = self.scopes.iter().flatten().flat_map(|named| &named.class.attributes).map(|a| a.name.as_str());
        let hint = suggest::hint(&name.text, known);
        fail(
            ErrorKind::UnknownAttribute,
            format!("no class of this query has an attribute {}{hint}", name.text),
            name.span,
        )
    }

    fn expr(&mut self, expr: &Expr, negative: bool, elements: &mut Vec<(usize, Field)>) -> Result<Value, WqlError> {
        Ok(match expr {
            Expr::Column(column) => {
                let field = self.field(column)?;
                match field.attribute.shape {
                    Shape::One => Value::Field(field),
                    // As in the site database of Configuration Manager, where a list is one text: what a contrary says is said of it.
                    Shape::List if negative => Value::Joined(field),
                    Shape::List | Shape::Many => {
                        self.elements += 1;
                        elements.push((self.elements, field.clone()));
                        Value::Element(self.elements, field)
                    }
                }
            }
            Expr::Literal(literal) => constant(literal),
            Expr::Function(function, _) => match &**function {
                Function::GetDate => Value::Now,
                Function::DateDiff(part, from, to) => {
                    let from = self.moment(from, negative, elements)?;
                    Value::DateDiff(*part, from, self.moment(to, negative, elements)?)
                }
                Function::DateAdd(part, number, of) => {
                    Value::DateAdd(*part, *number, self.moment(of, negative, elements)?)
                }
                Function::DatePart(part, of) => Value::DatePart(*part, self.moment(of, negative, elements)?),
                Function::Upper(of) => Value::Case(true, self.text(of, negative, elements)?),
                Function::Lower(of) => Value::Case(false, self.text(of, negative, elements)?),
                Function::Substring(of, start, length) => {
                    if *length < 0 {
                        return fail(ErrorKind::Meaning, "a text has no negative length", expr.span());
                    }
                    // Places before the first count, and have no character.
                    let (from, to) = ((*start).max(1), start.saturating_add(*length).max(1));
                    Value::Substring(self.text(of, negative, elements)?, from, (to - from).max(0))
                }
            },
        })
    }

    fn moment(
        &mut self,
        expr: &Expr,
        negative: bool,
        elements: &mut Vec<(usize, Field)>,
    ) -> Result<Box<Value>, WqlError> {
        let value = self.expr(expr, negative, elements)?;
        let constant = convert::constant(value.clone(), Domain::Moment);
        if constant.kind() != Some(Kind::Moment) && value != Value::Null {
            self.lint("no_date", "this is no date, and the comparison is never true", expr.span());
            return Ok(Box::new(Value::Null));
        }
        Ok(Box::new(constant))
    }

    fn text(
        &mut self,
        expr: &Expr,
        negative: bool,
        elements: &mut Vec<(usize, Field)>,
    ) -> Result<Box<Value>, WqlError> {
        Ok(Box::new(convert::constant(self.expr(expr, negative, elements)?, Domain::Text)))
    }

    fn condition(&mut self, condition: &Condition) -> Result<Test, WqlError> {
        let mut elements = Vec::new();
        let test = match condition {
            Condition::Or(parts) => {
                let parts: Result<_, _> = parts.iter().map(|part| self.condition(part)).collect();
                return Ok(Test::Or(parts?));
            }
            Condition::And(parts) => {
                let parts: Result<_, _> = parts.iter().map(|part| self.condition(part)).collect();
                return Ok(Test::And(together(parts?)));
            }
            Condition::Not(inner) => return Ok(Test::Not(Box::new(self.condition(inner)?))),
            Condition::Compare { left, comparison, right } => {
                let negative = *comparison == Comparison::NotEqual;
                let one = self.expr(left, negative, &mut elements)?;
                let other = self.expr(right, negative, &mut elements)?;
                self.lint_compare((&one, left.span()), *comparison, (&other, right.span()));
                self.compared(*comparison, (one, left.span()), (other, right.span()))
            }
            Condition::CompareSelect { left, comparison, select } => {
                let value = self.expr(left, *comparison == Comparison::NotEqual, &mut elements)?;
                let select = Box::new(self.select(select, true)?);
                let domain = convert::domain(&value, &result(&select));
                Test::CompareSelect(domain, *comparison, convert::constant(value, domain), select)
            }
            Condition::Like { left, negated, pattern, span } => {
                let value = self.expr(left, *negated, &mut elements)?;
                self.lint_text(pattern, *span);
                if *negated {
                    self.lint_contrary(&value, left.span());
                }
                let pattern = Pattern::new(pattern);
                if !pattern.is_bounded() {
                    let message = format!(
                        "a pattern has at most {} characters, and {} times %",
                        like::PATTERN_CHARS,
                        like::PATTERN_ANY
                    );
                    return fail(ErrorKind::TooLarge, message, *span);
                }
                contrary(
                    *negated,
                    Test::Like { value: convert::constant(value, Domain::Text), pattern, trimmed: false },
                )
            }
            Condition::InList { left, negated, values } => {
                let value = self.expr(left, *negated, &mut elements)?;
                if *negated {
                    self.lint_contrary(&value, left.span());
                }
                contrary(*negated, self.among(&value, left.span(), values)?)
            }
            Condition::InSelect { left, negated, select } => {
                let value = self.expr(left, *negated, &mut elements)?;
                let select = Box::new(self.select(select, true)?);
                let domain = convert::domain(&value, &result(&select));
                contrary(*negated, Test::InSelect(domain, convert::constant(value, domain), select))
            }
            Condition::IsNull { left, negated } => {
                if let Expr::Column(column) = left {
                    let field = self.field(column)?;
                    if field.attribute.shape == Shape::Many {
                        self.elements += 1;
                        let some = Test::Any { id: self.elements, field, test: Box::new(Test::And(Vec::new())) };
                        return Ok(contrary(!*negated, some));
                    }
                }
                let value = self.expr(left, true, &mut elements)?;
                contrary(*negated, Test::IsNull(value))
            }
        };
        Ok(elements.into_iter().rev().fold(test, |test, (id, field)| Test::Any { id, field, test: Box::new(test) }))
    }

    /// A comparison in the domain of its two values.
    fn compared(&mut self, comparison: Comparison, left: (Value, Span), right: (Value, Span)) -> Test {
        let domain = convert::domain(&left.0, &right.0);
        let mut convert = |(value, span): (Value, Span)| {
            let converted = convert::constant(value.clone(), domain);
            if converted == Value::Null && value != Value::Null {
                let what = if domain == Domain::Moment { "date" } else { "number" };
                self.lint("wrong_type", format!("this is compared with a {what} and is none: it is never equal"), span);
            }
            converted
        };
        let (left, right) = (convert(left), convert(right));
        if domain == Domain::Text && !comparison.is_order() {
            for (text, value) in [(&left, &right), (&right, &left)] {
                if let Value::Text(text) = text
                    && like::has_foreign_case(text)
                {
                    let pattern = Pattern::exact(text.trim_end_matches(' '));
                    if !pattern.is_bounded() {
                        // Longer than any value that is stored.
                        continue;
                    }
                    let like = Test::Like { value: value.clone(), pattern, trimmed: true };
                    return contrary(comparison == Comparison::NotEqual, like);
                }
            }
        }
        Test::Compare(domain, comparison, left, right)
    }

    /// A value among written ones: those of each domain together.
    fn among(&mut self, value: &Value, span: Span, values: &[Literal]) -> Result<Test, WqlError> {
        let mut lists: Vec<(Domain, Vec<Value>)> = Vec::new();
        let mut tests = Vec::new();
        for literal in values {
            let item = constant(literal);
            if let Constant::Text(text) = &literal.value {
                self.lint_text(text, literal.span);
            }
            match self.compared(Comparison::Equal, (value.clone(), span), (item, literal.span)) {
                Test::Compare(domain, _, _, item) => match lists.iter_mut().find(|(of, _)| *of == domain) {
                    Some((_, list)) => list.push(item),
                    None => lists.push((domain, vec![item])),
                },
                test => tests.push(test),
            }
        }
        if tests.len() > limits::WQL_CONDITIONS {
            let message = format!("a list has at most {} texts with letters beyond ASCII", limits::WQL_CONDITIONS);
            return fail(ErrorKind::TooLarge, message, span);
        }
        tests.extend(
            lists.into_iter().map(|(domain, list)| Test::In(domain, convert::constant(value.clone(), domain), list)),
        );
        Ok(if tests.len() == 1 { tests.remove(0) } else { Test::Or(tests) })
    }

    fn lint_text(&mut self, text: &str, span: Span) {
        if text.contains(SMART_QUOTES) {
            self.lint("smart_quote", "there is a typographic quote in this text", span);
        }
    }

    /// "Not X" of a class with several rows asks for some row that is not X.
    fn lint_contrary(&mut self, value: &Value, span: Span) {
        let (Value::Field(field) | Value::Joined(field)) = value else { return };
        let joined = self.scopes.iter().flatten().any(|named| named.id == field.source && named.joined);
        if joined && field.class.several {
            let message = format!(
                "a device has several rows of {0}: this asks for some row that is not so, which nearly every device has; for devices \
                 without such a row write: ResourceID not in (select ResourceID from {0} where ...)",
                field.class.name
            );
            self.lint("not_on_several_rows", message, span);
        }
    }

    fn lint_compare(&mut self, left: (&Value, Span), comparison: Comparison, right: (&Value, Span)) {
        for ((value, span), (other, other_span)) in [(left, right), (right, left)] {
            if *other == Value::Null && *value != Value::Null {
                self.lint(
                    "equals_null",
                    "a comparison with null is never true; write: is null, or: is not null",
                    other_span,
                );
            }
            if comparison == Comparison::NotEqual && !matches!(other, Value::Field(_)) {
                self.lint_contrary(value, span);
            }
            let Value::Text(text) = other else { continue };
            self.lint_text(text, other_span);
            if comparison.is_order() && value.kind() == Some(Kind::Text) && is_version(text) {
                let message = "versions are compared as texts here, as in Configuration Manager: \"10.0.9\" is more than \"10.0.22000\"";
                self.lint("version_as_text", message, other_span);
            }
        }
    }
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// What a sub-select gives.
fn result(select: &Select) -> Value {
    match select.outputs.first() {
        Some(output) if output.field.attribute.shape == Shape::One => Value::Field(output.field.clone()),
        Some(output) => Value::Joined(output.field.clone()),
        None => Value::Number(Number::Int(0)),
    }
}

fn constant(literal: &Literal) -> Value {
    match &literal.value {
        Constant::Null => Value::Null,
        Constant::Bool(truth) => Value::Number(Number::Int(i64::from(*truth))),
        Constant::Number(number) => Value::Number(*number),
        Constant::Text(text) => Value::Text(text.clone()),
    }
}

fn contrary(negated: bool, test: Test) -> Test {
    if negated { Test::Not(Box::new(test)) } else { test }
}

/// Whether an "and" has an equality of a column of the source that is joined and one of those before it, without which not every
/// database can join both sides fully.
fn has_equality(test: &Test, joined: usize, before: &[usize]) -> bool {
    match test {
        Test::And(parts) => parts.iter().any(|part| has_equality(part, joined, before)),
        Test::Compare(_, Comparison::Equal, Value::Field(one), Value::Field(other)) => {
            [(one, other), (other, one)].iter().any(|(a, b)| a.source == joined && before.contains(&b.source))
        }
        _ => false,
    }
}

/// Attributes whose values belong together: each name of an agent has its time and its site.
fn group(field: &Field) -> Option<&'static str> {
    let is_agent = matches!(field.class.role, Role::System | Role::User | Role::UserGroup | Role::UnknownSystem)
        && ["AgentName", "AgentSite", "AgentTime"].contains(&field.attribute.name.as_str());
    is_agent.then_some("agent")
}

/// What is asked of attributes that belong together is asked of the same element.
fn together(parts: Vec<Test>) -> Vec<Test> {
    let mut kept: Vec<Test> = Vec::new();
    for part in parts {
        let Test::Any { id, field, test } = part else {
            kept.push(part);
            continue;
        };
        let same = |other: &Test| match other {
            Test::Any { field: other, .. } => {
                group(&field).is_some() && group(&field) == group(other) && field.source == other.source
            }
            _ => false,
        };
        match kept.iter_mut().find(|other| same(other)) {
            Some(Test::Any { id: first, test: other, .. }) => {
                let mut test = *test;
                renumber(&mut test, id, *first);
                let before = std::mem::replace(&mut **other, Test::And(Vec::new()));
                **other = Test::And(vec![before, test]);
            }
            _ => kept.push(Test::Any { id, field, test }),
        }
    }
    kept
}

fn renumber(test: &mut Test, from: usize, to: usize) {
    fn value(it: &mut Value, from: usize, to: usize) {
        match it {
            Value::Element(id, _) if *id == from => *id = to,
            Value::DateDiff(_, one, other) => {
                value(one, from, to);
                value(other, from, to);
            }
            Value::DateAdd(_, _, of) | Value::DatePart(_, of) | Value::Case(_, of) | Value::Substring(of, ..) => {
                value(of, from, to)
            }
            _ => {}
        }
    }
    match test {
        Test::Or(parts) | Test::And(parts) => parts.iter_mut().for_each(|part| renumber(part, from, to)),
        Test::Not(inner) | Test::Any { test: inner, .. } => renumber(inner, from, to),
        Test::Compare(_, _, one, other) => {
            value(one, from, to);
            value(other, from, to);
        }
        Test::CompareSelect(_, _, it, _)
        | Test::Like { value: it, .. }
        | Test::In(_, it, _)
        | Test::InSelect(_, it, _)
        | Test::IsNull(it) => {
            value(it, from, to);
        }
    }
}
