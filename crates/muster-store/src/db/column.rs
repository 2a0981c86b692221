//! Reading columns: ids, hashes and times have their own types from here on.

use super::StoreError;
use muster_model::{
    id::{Hash, ResourceId},
    time::UnixMillis,
};
use sqlx::{Row, any::AnyRow};
use std::str::FromStr;

/// A text column as the type that it was written from.
pub(super) fn parsed<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    parse(row.try_get::<&str, _>(column)?, column)
}

/// A text column that may be NULL.
pub(super) fn parsed_opt<T: FromStr>(row: &AnyRow, column: &str) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| parse(text, column)).transpose()
}

/// Text as the type that it was written from.
pub(super) fn parse<T: FromStr>(text: &str, column: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("column {column}")))
}

/// The number of a resource.
pub(super) fn resource_id(row: &AnyRow) -> Result<ResourceId, StoreError> {
    let number: i64 = row.try_get("resource_id")?;
    u32::try_from(number).map(ResourceId).map_err(|_| StoreError::Corrupt("column resource_id".to_owned()))
}

/// A column of milliseconds.
pub(super) fn time(row: &AnyRow, column: &str) -> Result<UnixMillis, StoreError> {
    Ok(UnixMillis(row.try_get(column)?))
}

/// A column with a number that is never negative.
pub(super) fn count(row: &AnyRow, column: &str) -> Result<u64, StoreError> {
    Ok(unsigned(row.try_get(column)?))
}

/// A number that is never negative, from the database's signed one.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number for the database, which has no unsigned ones.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column of 32 bytes.
pub(super) fn hash(row: &AnyRow, column: &str) -> Result<Hash, StoreError> {
    bytes32(row.try_get(column)?)
}

/// 32 bytes of the database as a digest.
pub(super) fn bytes32(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map(Hash).map_err(|_| StoreError::Corrupt("a digest does not have 32 bytes".to_owned()))
}

/// A column of JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(format!("column {column}")))
}

/// A value as JSON text. What is stored as JSON is made of texts and numbers, which always have one.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Text to be found anywhere, as a pattern of LIKE ... ESCAPE '!' in which nothing of it has a meaning.
pub(super) fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars().flat_map(char::to_lowercase) {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
