//! Key-value in SQLite.
//!
//! One row an entry, changed in place, because entries change far more often than records and
//! nobody watches them. How much a bucket holds is counted by triggers in the same transaction.
//!
//! **Invariant:** versions come from one number over all entries, so no two writes of a key ever
//! had the same one, whether it was deleted in between or not.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::NamespaceName;
use rusqlite::{Connection, params};

use super::database::Database;
use super::sql::{self, doing};
use crate::{
    BUCKET_BYTES_MAX, BUCKET_ENTRIES_MAX, Bucket, BucketUse, ENTRIES_LIST_MAX, Entry, Expect, Keys,
    SetError, StoreError, Version,
    key_value::{check_entry, check_key, sum},
};

/// Entries that one write of clearing takes away.
const CLEARED_AT_ONCE_MAX: usize = 1_000;

/// The key-value of an open store.
#[derive(Debug)]
pub(super) struct EmbeddedKeys {
    database: Arc<Database>,
}

impl EmbeddedKeys {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Keys for EmbeddedKeys {
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Entry>, StoreError> {
        let (bucket, key) = (name(bucket), key.to_owned());
        let get = move |connection: &mut Connection| entry(connection, &bucket, &key);
        self.database.read("read an entry", get).await
    }

    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<Version, SetError> {
        check_entry(key, &value)?;
        let (bucket, key) = (name(bucket), key.to_owned());
        let swap = move |connection: &Connection| {
            let found = version(connection, &bucket, &key).map_err(doing("read an entry"))?;
            let is_expected = match expect {
                Expect::Absent => found.is_none(),
                Expect::Version(version) => found == Some(version),
                Expect::Any => true,
            };
            if !is_expected {
                return Err(SetError::Conflict { found });
            }
            write(connection, &bucket, &key, &value)
        };
        self.database.write(swap).await
    }

    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError> {
        let (bucket, key) = (name(bucket), key.to_owned());
        let delete = move |connection: &Connection| {
            let sql = "DELETE FROM entry WHERE bucket = ?1 AND key = ?2";
            let taken =
                sql::execute(connection, sql, [bucket, key]).map_err(doing("delete an entry"))?;
            Ok(taken > 0)
        };
        self.database.write(delete).await
    }

    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let bucket = name(bucket);
        // No key is empty, so all are after that.
        let after = after.unwrap_or_default().to_owned();
        let limit = sql::limit(limit.min(ENTRIES_LIST_MAX));
        let list = move |connection: &mut Connection| {
            let sql = "SELECT key FROM entry WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
            sql::all(connection, sql, params![bucket, after, limit], |row| {
                row.get(0)
            })
        };
        self.database.read("list entries", list).await
    }

    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, SetError> {
        check_key(key)?;
        let (bucket, key) = (name(bucket), key.to_owned());
        let increment = move |connection: &Connection| {
            let found = entry(connection, &bucket, &key).map_err(doing("read an entry"))?;
            let sum = sum(found.as_ref().map(|found| &*found.value), by)?;
            write(connection, &bucket, &key, sum.to_string().as_bytes())?;
            Ok(sum)
        };
        self.database.write(increment).await
    }

    async fn buckets(
        &self,
        namespace: &NamespaceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BucketUse>, StoreError> {
        let front = format!("{namespace}/");
        let after = format!("{front}{}", after.unwrap_or_default());
        let limit = sql::limit(limit.min(ENTRIES_LIST_MAX));
        let list = move |connection: &mut Connection| {
            // `0` comes right behind `/`.
            let sql = "SELECT substr(name, length(?1) + 1), entries, bytes FROM bucket \
                       WHERE name > ?2 AND name < substr(?1, 1, length(?1) - 1) || '0' \
                       ORDER BY name LIMIT ?3";
            sql::all(connection, sql, params![front, after, limit], |row| {
                let name: String = row.get(0)?;
                let count = |column| row.get(column).map(sql::from_sql);
                Ok((name, count(1)?, count(2)?))
            })
        };
        let found = self.database.read("list buckets", list).await?.into_iter();
        let found = found.filter_map(|(name, entries, bytes)| {
            let name = name.parse().ok()?;
            Some(BucketUse {
                name,
                entries,
                bytes,
            })
        });
        Ok(found.collect())
    }

    async fn clear(&self, bucket: &Bucket) -> Result<u64, StoreError> {
        let mut cleared = 0;
        loop {
            let bucket = name(bucket);
            // In parts, because other writes wait for each.
            let clear = move |connection: &Connection| {
                let sql = "DELETE FROM entry WHERE rowid IN \
                           (SELECT rowid FROM entry WHERE bucket = ?1 LIMIT ?2)";
                let params = params![bucket, sql::limit(CLEARED_AT_ONCE_MAX)];
                sql::execute(connection, sql, params).map_err(doing("clear a bucket"))
            };
            let taken: usize = self.database.write(clear).await?;
            cleared += taken as u64;
            if taken < CLEARED_AT_ONCE_MAX {
                return Ok(cleared);
            }
        }
    }
}

/// The bucket's name in the tables. A namespace's name has no slash.
fn name(bucket: &Bucket) -> String {
    format!("{}/{}", bucket.namespace(), bucket.name())
}

fn entry(connection: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<Entry>> {
    let sql = "SELECT value, version FROM entry WHERE bucket = ?1 AND key = ?2";
    sql::first(connection, sql, [bucket, key], |row| {
        let value = sql::bytes(row, 0)?;
        let version = sql::version(row, 1)?;
        Ok(Entry { value, version })
    })
}

fn version(connection: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<Version>> {
    let sql = "SELECT version FROM entry WHERE bucket = ?1 AND key = ?2";
    sql::first(connection, sql, [bucket, key], |row| sql::version(row, 0))
}

fn write(
    connection: &Connection,
    bucket: &str,
    key: &str,
    value: &[u8],
) -> Result<Version, SetError> {
    let sql = "UPDATE number SET value = value + 1 WHERE name = 'entries' RETURNING value";
    let version = sql::first(connection, sql, [], |row| sql::version(row, 0))
        .map_err(doing("number a write"))?
        .unwrap_or_default();
    let sql = "INSERT INTO entry (bucket, key, value, version) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (bucket, key) \
               DO UPDATE SET value = excluded.value, version = excluded.version";
    let params = params![bucket, key, value, sql::to_sql(version.get())];
    sql::execute(connection, sql, params).map_err(doing("write an entry"))?;
    let sql = "SELECT entries <= ?2 AND bytes <= ?3 FROM bucket WHERE name = ?1";
    let bounds = params![
        bucket,
        sql::to_sql(BUCKET_ENTRIES_MAX),
        sql::to_sql(BUCKET_BYTES_MAX)
    ];
    let fits = sql::first(connection, sql, bounds, |row| row.get(0));
    // What does not fit is rolled back with this write.
    match fits.map_err(doing("count a bucket"))? {
        Some(true) => Ok(version),
        _ => Err(SetError::Full),
    }
}
