//! Values of one type where another is asked for: as SQL Server converts them, by the type of the attribute.

use super::{
    check::{Domain, Value},
    date,
    schema::Kind,
    token::Number,
};

/// The domain in which two values are compared.
pub(super) fn domain(left: &Value, right: &Value) -> Domain {
    let literal = |value: &Value| matches!(value, Value::Text(_));
    match (left.kind(), right.kind()) {
        (Some(Kind::Moment), _) | (_, Some(Kind::Moment)) => Domain::Moment,
        (None, _) | (_, None) | (Some(Kind::Text), Some(Kind::Text)) => Domain::Text,
        // A truth that is written down against a text: the text says "true".
        (Some(Kind::Text), Some(Kind::Truth)) if !literal(left) => Domain::Text,
        _ => Domain::Number,
    }
}

/// A constant in the domain; what it cannot be is unknown. Other values stay, and are converted where they are computed.
pub(super) fn constant(value: Value, domain: Domain) -> Value {
    match (domain, value) {
        (Domain::Number, Value::Text(text)) => number(&text).map_or(Value::Null, Value::Number),
        (Domain::Moment, Value::Text(text)) => date::parse(&text).map_or(Value::Null, Value::Local),
        // Days from 1900 on.
        (Domain::Moment, Value::Number(Number::Int(days))) => {
            let moment = days
                .checked_mul(crate::time::DAY)
                .and_then(|m| m.checked_add(crate::schedule::days_of(1_900, 1, 1) * crate::time::DAY));
            moment.and_then(date::known).map_or(Value::Null, Value::Local)
        }
        (Domain::Moment, Value::Number(Number::Real(_))) => Value::Null,
        (Domain::Text, Value::Number(Number::Int(number))) => Value::Text(number.to_string()),
        (Domain::Text, Value::Number(Number::Real(number))) => Value::Text(number.to_string()),
        (Domain::Text, Value::Local(moment)) => Value::Text(date::text(moment)),
        (_, value) => value,
    }
}

/// The number that a text in quotes means. As in SQL Server, an empty one is 0.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "" | "false" => Some(Number::Int(0)),
        "true" => Some(Number::Int(1)),
        other => Number::of(other),
    }
}
