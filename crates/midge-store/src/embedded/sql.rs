//! Between SQLite's types and ours.
//!
//! SQLite has signed numbers only. Ours start at 0 and count writes, bytes and milliseconds, none
//! of which comes near the 63 bits that are left.

use bytes::Bytes;
use midge_model::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use crate::{Key, StoreError, Version};

/// A number for SQLite.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from SQLite.
pub(super) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A count for `LIMIT`.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A moment for SQLite: milliseconds.
pub(super) fn moment(at: Timestamp) -> i64 {
    to_sql(at.as_ms())
}

/// A moment from SQLite.
pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(from_sql).map(Timestamp::from_ms)
}

/// A version from SQLite.
pub(super) fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<Version> {
    row.get(column).map(from_sql).map(Version::new)
}

/// Bytes from SQLite.
pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get_ref(column)?
        .as_blob()
        .map(Bytes::copy_from_slice)
        .map_err(Into::into)
}

/// Bytes from SQLite, or none.
pub(super) fn bytes_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => bytes(row, column).map(Some),
    }
}

/// A key from SQLite.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Key> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            Box::new(error),
        )
    })
}

/// For `map_err`: the step that an error of SQLite belongs to.
pub(super) fn doing(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |error| StoreError::database(doing, error)
}

/// Runs one statement that is used often; says how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}

/// The first row of a statement that is used often, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// All rows of a statement that is used often.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    rows.collect()
}
