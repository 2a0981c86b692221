//! What an expression may be made of.

use super::allow::{Looked, Walk, name, refuse, single, without};
use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, InTarget, OrderByExpr, UnaryOperator, Value, WindowType,
};

/// Functions that compute one value from few, change nothing, and make nothing long.
const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "coalesce",
    "count",
    "cume_dist",
    "current_date",
    "current_timestamp",
    "date",
    "date_part",
    "date_trunc",
    "datetime",
    "dense_rank",
    "first_value",
    "greatest",
    "ifnull",
    "iif",
    "instr",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "least",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "now",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "rank",
    "round",
    "row_number",
    "rtrim",
    "strftime",
    "strpos",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_timestamp",
    "total",
    "trim",
    "unixepoch",
    "upper",
];

/// Types into which a value may be cast; what stands in parentheses after them is short.
const TYPES: &[&str] = &[
    "BIGINT",
    "BOOLEAN",
    "DATE",
    "DECIMAL",
    "DOUBLE",
    "DOUBLE PRECISION",
    "FLOAT",
    "INT",
    "INTEGER",
    "NUMERIC",
    "REAL",
    "SMALLINT",
    "TEXT",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TIMESTAMP WITH TIME ZONE",
    "VARCHAR",
];

pub(super) fn look_all<'e>(walk: &mut Walk, exprs: impl IntoIterator<Item = &'e Expr>) -> Looked {
    exprs.into_iter().try_for_each(|expr| look(walk, expr))
}

pub(super) fn look_order(walk: &mut Walk, list: &[OrderByExpr]) -> Looked {
    for OrderByExpr { expr, with_fill, .. } in list {
        without("WITH FILL", with_fill.is_some())?;
        look(walk, expr)?;
    }
    Ok(())
}

/// Looks at an expression and at everything in it.
pub(super) fn look(walk: &mut Walk, expr: &Expr) -> Looked {
    match expr {
        Expr::Identifier(ident) => name(ident),
        Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
            parts.iter().skip(1).for_each(|ident| walk.member(ident));
            parts.iter().try_for_each(name)
        }
        Expr::Value(value) => literal(walk, &value.value),
        Expr::IsFalse(e)
        | Expr::IsNotFalse(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::Nested(e) => look(walk, e),
        Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => look_all(walk, [&**a, &**b]),
        Expr::In { expr, target, global, .. } => {
            without("GLOBAL", *global)?;
            look(walk, expr)?;
            match target {
                InTarget::List(list) => look_all(walk, list),
                InTarget::Subquery(query) => walk.query(query),
                _ => Err(refuse("this form of IN")),
            }
        }
        Expr::Between { expr, low, high, .. } => look_all(walk, [&**expr, &**low, &**high]),
        Expr::Like { any, expr, pattern, escape_char, .. } | Expr::ILike { any, expr, pattern, escape_char, .. } => {
            without("LIKE ANY", *any)?;
            look_all(walk, [&**expr, &**pattern])?;
            look_all(walk, escape_char.as_deref())
        }
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not, expr } => look(walk, expr),
        Expr::BinaryOp { left, op, right } => {
            operator(walk, op)?;
            look_all(walk, [&**left, &**right])
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
            let shown = data_type.to_string().to_ascii_uppercase();
            let (word, rest) = shown.split_once('(').unwrap_or((&shown, ""));
            let short = rest.len() < 8 && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ' | ')'));
            if !TYPES.contains(&word.trim()) || !short {
                return Err(refuse(format!("the type {shown}")));
            }
            look(walk, expr)
        }
        Expr::Extract { field, expr, .. } => {
            without("this field", matches!(field, DateTimeField::Custom(_)))?;
            look(walk, expr)
        }
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
        | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => look(walk, expr),
        Expr::Position { expr, r#in } => look_all(walk, [&**expr, &**r#in]),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            look(walk, expr)?;
            look_all(walk, substring_from.as_deref())?;
            look_all(walk, substring_for.as_deref())
        }
        Expr::Trim { trim_what, expr, trim_characters, .. } => {
            look(walk, expr)?;
            look_all(walk, trim_what.as_deref())?;
            look_all(walk, trim_characters.iter().flatten())
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            look_all(walk, operand.as_deref())?;
            for when in conditions {
                look_all(walk, [&when.condition, &when.result])?;
            }
            look_all(walk, else_result.as_deref())
        }
        Expr::Exists { subquery, .. } | Expr::Subquery(subquery) => walk.query(subquery),
        Expr::Tuple(list) => look_all(walk, list),
        Expr::Function(call) => function(walk, call),
        other => Err(refuse(other.to_string().chars().take(60).collect::<String>())),
    }
}

/// A literal whose text no two programs read differently.
fn literal(walk: &mut Walk, value: &Value) -> Looked {
    match value {
        // Eight characters of PostgreSQL are a number of 131,072 digits.
        Value::Number(number, false) => {
            let exponent = number.split_once(['e', 'E']).map_or("", |(_, exponent)| exponent);
            let plain = number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E'));
            without("this number", !plain || number.len() > 40 || exponent.len() > 4)
        }
        Value::SingleQuotedString(text) => {
            walk.literal(text.len());
            without("a character 0", text.contains('\0'))?;
            without("a text with both a backslash and a quote", text.contains('\\') && text.contains('\''))
        }
        Value::Boolean(_) | Value::Null => Ok(()),
        other => Err(refuse(other)),
    }
}

fn operator(walk: &mut Walk, op: &BinaryOperator) -> Looked {
    match op {
        BinaryOperator::StringConcat => {
            walk.concatenation();
            Ok(())
        }
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or => Ok(()),
        other => Err(refuse(format!("the operator {other}"))),
    }
}

fn function(walk: &mut Walk, call: &Function) -> Looked {
    let ident = single(&call.name)?;
    let name = ident.value.to_ascii_lowercase();
    if !FUNCTIONS.contains(&name.as_str()) {
        return Err(refuse(format!("the function {ident}")));
    }
    let odd = call.uses_odbc_syntax
        || !matches!(call.parameters, FunctionArguments::None)
        || !call.within_group.is_empty()
        || call.null_treatment.is_some();
    without("this form of a function", odd)?;
    match &call.args {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) => return Err(refuse("this form of a function")),
        FunctionArguments::List(list) => {
            without("a clause in a function", !list.clauses.is_empty())?;
            for arg in &list.args {
                match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => look(walk, expr)?,
                    FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => {}
                    other => return Err(refuse(other)),
                }
            }
        }
    }
    look_all(walk, call.filter.as_deref())?;
    match &call.over {
        None => Ok(()),
        Some(WindowType::WindowSpec(window)) => {
            without("a named window", window.window_name.is_some())?;
            without("a frame of a window", window.window_frame.is_some())?;
            look_all(walk, &window.partition_by)?;
            look_order(walk, &window.order_by)
        }
        Some(WindowType::NamedWindow(_)) => Err(refuse("a named window")),
    }
}
