//! The parser against `sqlparser`: what we take it takes, and reads as the same relations, joins and tests.

use crate::wql_random::{Grammar, Random};
use muster_model::wql::{
    self,
    tree::{Condition, JoinKind, Query},
};
use sqlparser::{
    ast::{BinaryOperator, Expr, InTarget, JoinOperator, SetExpr, Statement, TableFactor, UnaryOperator},
    dialect::Dialect,
    parser::Parser,
};

/// Texts in both kinds of quotes, and backslashes that escape.
#[derive(Debug)]
struct Wql;

impl Dialect for Wql {
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_ascii_alphabetic() || c == '_'
    }
    fn is_identifier_part(&self, c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_'
    }
    fn is_delimited_identifier_start(&self, _: char) -> bool {
        false
    }
    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }
}

/// What a query is made of, in the order in which it stands there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape(Vec<String>);

impl Shape {
    fn note(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    fn own(&mut self, query: &Query) {
        self.note(format!("from {}", query.from.class.text.to_lowercase()));
        for join in &query.joins {
            let kind = match join.kind {
                JoinKind::Inner => "inner",
                JoinKind::Left => "left",
                JoinKind::Right => "right",
                JoinKind::Full => "full",
            };
            self.note(format!("{kind} {}", join.source.class.text.to_lowercase()));
            self.own_condition(&join.on);
        }
        query.condition.iter().for_each(|condition| self.own_condition(condition));
    }

    fn own_condition(&mut self, condition: &Condition) {
        let not = |negated: &bool| if *negated { "not " } else { "" };
        match condition {
            Condition::Or(parts) | Condition::And(parts) => {
                let word = if matches!(condition, Condition::Or(_)) { "or" } else { "and" };
                (1..parts.len()).for_each(|_| self.note(word));
                parts.iter().for_each(|part| self.own_condition(part));
            }
            Condition::Not(inner) => {
                self.note("not");
                self.own_condition(inner);
            }
            Condition::Compare { comparison, .. } => self.note(comparison.as_str()),
            Condition::CompareSelect { comparison, select, .. } => {
                self.note(comparison.as_str());
                self.own(select);
            }
            Condition::Like { negated, .. } => self.note(format!("{}like", not(negated))),
            Condition::InList { negated, values, .. } => self.note(format!("{}in {}", not(negated), values.len())),
            Condition::InSelect { negated, select, .. } => {
                self.note(format!("{}in select", not(negated)));
                self.own(select);
            }
            Condition::IsNull { negated, .. } => self.note(format!("{}null", not(negated))),
        }
    }

    fn other(&mut self, query: &sqlparser::ast::Query) {
        let SetExpr::Select(select) = &*query.body else { panic!("no select: {query}") };
        let [from] = select.from.as_slice() else { panic!("{query}") };
        self.note(format!("from {}", name(&from.relation)));
        for join in &from.joins {
            let (kind, on) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => ("inner", on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => ("left", on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => ("right", on),
                JoinOperator::FullOuter(on) => ("full", on),
                other => panic!("{other:?}"),
            };
            self.note(format!("{kind} {}", name(&join.relation)));
            let sqlparser::ast::JoinConstraint::On(on) = on else { panic!("{on:?}") };
            self.other_condition(on);
        }
        select.selection.iter().for_each(|condition| self.other_condition(condition));
    }

    fn chain<'a>(expr: &'a Expr, of: &BinaryOperator, parts: &mut Vec<&'a Expr>) {
        match expr {
            Expr::BinaryOp { left, op, right } if op == of => {
                Self::chain(left, of, parts);
                Self::chain(right, of, parts);
            }
            other => parts.push(other),
        }
    }

    fn other_condition(&mut self, expr: &Expr) {
        let not = |negated: &bool| if *negated { "not " } else { "" };
        match expr {
            Expr::Nested(inner) => self.other_condition(inner),
            Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                let mut parts = Vec::new();
                Self::chain(expr, op, &mut parts);
                let word = if *op == BinaryOperator::Or { "or" } else { "and" };
                (1..parts.len()).for_each(|_| self.note(word));
                parts.iter().for_each(|part| self.other_condition(part));
            }
            Expr::BinaryOp { op, right, .. } => {
                self.note(op.to_string());
                if let Expr::Subquery(query) = &**right {
                    self.other(query);
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.note("not");
                self.other_condition(expr);
            }
            Expr::Like { negated, .. } => self.note(format!("{}like", not(negated))),
            Expr::In { negated, target: InTarget::List(list), .. } => {
                self.note(format!("{}in {}", not(negated), list.len()));
            }
            Expr::In { negated, target: InTarget::Subquery(subquery), .. } => {
                self.note(format!("{}in select", not(negated)));
                self.other(subquery);
            }
            Expr::IsNull(_) => self.note("null"),
            Expr::IsNotNull(_) => self.note("not null"),
            other => panic!("{other}"),
        }
    }
}

fn name(relation: &TableFactor) -> String {
    match relation {
        TableFactor::Table { name, .. } => name.to_string().to_lowercase(),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_taken_another_parser_takes_and_reads_as_the_same() {
    let mut random = Random(7);
    let collections = ["SMS00001".to_owned()];
    for _ in 0..400 {
        let text = Grammar::new(&mut random, &collections).rule();
        let own = wql::parse(&text).unwrap_or_else(|error| panic!("{}", error.shown(&text)));
        // The one way of writing that only Configuration Manager has.
        let plain = text.replace(" is in (", " in (").replace(" is not in (", " not in (");
        let other = Parser::parse_sql(&Wql, &plain).unwrap_or_else(|error| panic!("{text}: {error}"));
        let [Statement::Query(other)] = other.as_slice() else { panic!("{text}") };
        let (mut mine, mut theirs) = (Shape::default(), Shape::default());
        mine.own(&own.query);
        theirs.other(other);
        assert_eq!(mine, theirs, "{text}");
    }
}
