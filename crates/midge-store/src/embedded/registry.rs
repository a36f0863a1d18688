//! Records in SQLite: the version of a record is the number of its row.
//!
//! A write replaces the row of its key by one at the end of the table, so that the newest changes
//! are the last rows and a watch reads on from where it was. A deletion is a row without a value,
//! until every watch has seen it.
//!
//! **Invariant:** a number is never given twice, so the sequence outlives the rows.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, Row, params};

use super::database::Database;
use super::sql::{self, doing};
use super::watch::EmbeddedWatch;
use crate::{
    Expect, Key, LIST_MAX, Prefix, PutError, RECORD_BYTES_MAX, Record, Registry, StoreError,
    Version, Watch,
};

/// The most deletions that are kept for watches that have not seen them: one that nobody reads must
/// not make the file grow for ever.
const DELETIONS_MAX: i64 = 100_000;

/// The registry of an open store.
#[derive(Debug)]
pub(super) struct EmbeddedRegistry {
    database: Arc<Database>,
}

impl EmbeddedRegistry {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        let read = move |connection: &mut Connection| {
            let sql = "SELECT key, value, version FROM record WHERE key = ?1 AND value IS NOT NULL";
            sql::first(connection, sql, [key.as_str()], record)
        };
        self.database.read("read a record", read).await
    }

    async fn put(&self, key: &Key, value: Bytes, expect: Expect) -> Result<Version, PutError> {
        if value.len() > RECORD_BYTES_MAX {
            let length_bytes = value.len();
            return Err(PutError::TooLarge { length_bytes });
        }
        let key = key.clone();
        let put = move |connection: &Connection| {
            check(connection, &key, expect)?;
            replace(connection, &key, Some(&value))
        };
        self.database.write(put).await
    }

    async fn delete(&self, key: &Key, expect: Expect) -> Result<Version, PutError> {
        let key = key.clone();
        let delete = move |connection: &Connection| match check(connection, &key, expect)? {
            Some(_) => replace(connection, &key, None),
            None => newest(connection)
                .map_err(doing("read the newest version"))
                .map_err(PutError::from),
        };
        self.database.write(delete).await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (low, high) = prefix.bounds();
        let low = low.max(after.map_or(String::new(), ToString::to_string));
        let limit = sql::limit(limit.min(LIST_MAX));
        let list = move |connection: &mut Connection| {
            let sql = "SELECT key, value, version FROM record \
                       WHERE key > ?1 AND key < ?2 AND value IS NOT NULL ORDER BY key LIMIT ?3";
            sql::all(connection, sql, params![low, high, limit], record)
        };
        self.database.read("list records", list).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, StoreError> {
        let watch = EmbeddedWatch::start(Arc::clone(&self.database), prefix.clone());
        Ok(Watch::new(watch))
    }

    async fn version(&self) -> Result<Version, StoreError> {
        self.database
            .read("read the newest version", |connection| newest(connection))
            .await
    }
}

/// A row of `key, value, version`.
pub(crate) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: sql::key(row, 0)?,
        value: sql::bytes(row, 1)?,
        version: sql::version(row, 2)?,
    })
}

/// The version of the newest write, whether its row is still there or not.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<Version> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'record'";
    let version = sql::first(connection, sql, [], |row| sql::version(row, 0))?;
    Ok(version.unwrap_or_default())
}

/// The newest deletion that is forgotten: a watch that is not behind it has missed nothing.
pub(super) fn forgotten(connection: &Connection) -> rusqlite::Result<Version> {
    let sql = "SELECT value FROM number WHERE name = 'forgotten'";
    let version = sql::first(connection, sql, [], |row| sql::version(row, 0))?;
    Ok(version.unwrap_or_default())
}

/// Forgets the deletions up to the version that every watch has seen, and those of before the last
/// [`DELETIONS_MAX`] whether seen or not.
pub(super) fn forget_seen_deletions(
    connection: &Connection,
    seen: Version,
) -> rusqlite::Result<()> {
    let sql = "SELECT version FROM record WHERE value IS NULL ORDER BY version DESC \
               LIMIT 1 OFFSET ?1";
    let too_old = sql::first(connection, sql, [DELETIONS_MAX], |row| sql::version(row, 0))?;
    forget_deletions(connection, seen.max(too_old.unwrap_or_default()))
}

/// Forgets the deletions up to a version.
pub(super) fn forget_deletions(connection: &Connection, up_to: Version) -> rusqlite::Result<()> {
    let forgotten = sql::first(
        connection,
        "SELECT max(version) FROM record WHERE value IS NULL AND version <= ?1",
        [sql::to_sql(up_to.get())],
        |row| row.get::<_, Option<i64>>(0),
    )?;
    let Some(forgotten) = forgotten.flatten() else {
        return Ok(());
    };
    sql::execute(
        connection,
        "DELETE FROM record WHERE value IS NULL AND version <= ?1",
        [forgotten],
    )?;
    sql::execute(
        connection,
        "UPDATE number SET value = ?1 WHERE name = 'forgotten'",
        [forgotten],
    )?;
    Ok(())
}

/// The version that is there, if it is what is expected.
fn check(connection: &Connection, key: &Key, expect: Expect) -> Result<Option<Version>, PutError> {
    let sql = "SELECT version FROM record WHERE key = ?1 AND value IS NOT NULL";
    let found = sql::first(connection, sql, [key.as_str()], |row| sql::version(row, 0))
        .map_err(doing("look for a record"))?;
    let is_expected = match expect {
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found == Some(version),
        Expect::Any => true,
    };
    if is_expected {
        return Ok(found);
    }
    Err(PutError::Conflict { found })
}

fn replace(connection: &Connection, key: &Key, value: Option<&[u8]>) -> Result<Version, PutError> {
    sql::execute(
        connection,
        "INSERT OR REPLACE INTO record (key, value) VALUES (?1, ?2)",
        params![key.as_str(), value],
    )
    .map_err(doing("write a record"))?;
    let version = sql::from_sql(connection.last_insert_rowid());
    Ok(Version::new(version))
}
