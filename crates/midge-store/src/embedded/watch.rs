//! A watch over records in SQLite.
//!
//! First it lists, a page at a time, what stood when it began; then it reads the rows that came
//! after, in the order of their versions, which is all that a watch ever is: where it was, and a
//! word from the writer that there is more. Nothing is queued for it, so a slow one costs nothing.
//!
//! **Invariant:** a place is moved on only when the page up to it is in hand, so giving up in the
//! middle of waiting loses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use tokio::sync::watch;

use super::database::Database;
use super::registry::{forgotten, newest, record};
use super::sql;
use crate::{Change, Key, Prefix, StoreError, Version, WatchSource};

/// The most changes in memory for one watch ...
const PAGE_CHANGES_MAX: usize = 256;
/// ... and about the most bytes.
const PAGE_BYTES_MAX: usize = 2 << 20;

/// One watch.
#[derive(Debug)]
pub(super) struct EmbeddedWatch {
    database: Arc<Database>,
    prefix: Prefix,
    newest: watch::Receiver<Version>,
    place: Place,
    position: Position,
    read: VecDeque<Change>,
}

/// Where a watch goes on reading.
#[derive(Debug, Clone)]
enum Place {
    /// In the list of what stood as of `began`.
    Listing { began: Version, after: Option<Key> },
    /// Among the changes after a version; `is_current` once all there was has been shown.
    Following { after: Version, is_current: bool },
}

/// A page and where the next one begins.
struct Page {
    changes: VecDeque<Change>,
    place: Place,
}

/// How far each watch is, so that deletions are kept for the slowest.
#[derive(Debug, Default)]
pub(super) struct Positions {
    watches: BTreeMap<u64, Version>,
    next: u64,
}

/// One watch's line in [`Positions`].
#[derive(Debug)]
struct Position {
    all: Arc<Mutex<Positions>>,
    id: u64,
}

impl EmbeddedWatch {
    pub(super) fn start(database: Arc<Database>, prefix: Prefix) -> Self {
        let newest = database.newest();
        // The line is there before anything is read. What the writer forgets just before it is
        // older than `began`, and was no record then.
        let position = Position::new(Arc::clone(database.positions()));
        let began = *newest.borrow();
        position.moved_to(began);
        Self {
            database,
            prefix,
            newest,
            place: Place::Listing { began, after: None },
            position,
            read: VecDeque::new(),
        }
    }

    async fn page(&self) -> Result<Page, StoreError> {
        let place = self.place.clone();
        let prefix = self.prefix.clone();
        let read = move |connection: &mut Connection| match place {
            Place::Listing { began, after } => listed(connection, &prefix, began, after),
            Place::Following { after, is_current } => {
                // What is forgotten and what is there must be of one moment.
                let transaction = connection.transaction()?;
                followed(&transaction, &prefix, after, is_current)
            }
        };
        let page = self.database.read("read changes", read).await?;
        page.ok_or(StoreError::Lagged)
    }
}

#[async_trait]
impl WatchSource for EmbeddedWatch {
    async fn next(&mut self) -> Result<Change, StoreError> {
        loop {
            if let Some(change) = self.read.pop_front() {
                return Ok(change);
            }
            if let Place::Following {
                after,
                is_current: true,
            } = self.place
            {
                let newer = self.newest.wait_for(|newest| *newest > after).await;
                newer.map_err(|_| StoreError::Closed)?;
            }
            let page = self.page().await?;
            self.read = page.changes;
            self.place = page.place;
            if let Place::Following { after, .. } = self.place {
                self.position.moved_to(after);
            }
        }
    }
}

/// The next records of those that stood as of `began` and still do.
fn listed(
    connection: &Connection,
    prefix: &Prefix,
    began: Version,
    after: Option<Key>,
) -> rusqlite::Result<Option<Page>> {
    let (low, high) = prefix.bounds();
    let low = low.max(after.map_or(String::new(), String::from));
    // The plus keeps SQLite from walking by version.
    let sql = "SELECT key, value, version FROM record \
               WHERE key > ?1 AND key < ?2 AND +version <= ?3 AND value IS NOT NULL ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![low, high, sql::to_sql(began.get())])?;
    let mut changes = VecDeque::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let record = record(row)?;
        bytes += record.value.len();
        let after = record.key.clone();
        changes.push_back(Change::Put(record));
        if changes.len() >= PAGE_CHANGES_MAX || bytes >= PAGE_BYTES_MAX {
            let after = Some(after);
            let place = Place::Listing { began, after };
            return Ok(Some(Page { changes, place }));
        }
    }
    let place = Place::Following {
        after: began,
        is_current: false,
    };
    Ok(Some(Page { changes, place }))
}

/// The next changes after a version; `None` if some were forgotten.
fn followed(
    transaction: &Transaction<'_>,
    prefix: &Prefix,
    after: Version,
    was_current: bool,
) -> rusqlite::Result<Option<Page>> {
    if forgotten(transaction)? > after {
        return Ok(None);
    }
    let newest = newest(transaction)?;
    let sql = "SELECT key, version, value FROM record WHERE version > ?1 ORDER BY version";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query([sql::to_sql(after.get())])?;
    let mut changes = VecDeque::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let key = sql::key(row, 0)?;
        if !prefix.covers(&key) {
            continue;
        }
        let version = sql::version(row, 1)?;
        changes.push_back(match sql::bytes_or_none(row, 2)? {
            Some(value) => {
                bytes += value.len();
                Change::Put(crate::Record {
                    key,
                    value,
                    version,
                })
            }
            None => Change::Deleted { key, version },
        });
        if changes.len() >= PAGE_CHANGES_MAX || bytes >= PAGE_BYTES_MAX {
            let place = Place::Following {
                after: version,
                is_current: was_current,
            };
            return Ok(Some(Page { changes, place }));
        }
    }
    if !was_current {
        changes.push_back(Change::Current(newest));
    }
    let place = Place::Following {
        after: newest,
        is_current: true,
    };
    Ok(Some(Page { changes, place }))
}

impl Positions {
    /// The version up to which every watch has read; `None` if there is no watch.
    pub(super) fn slowest(&self) -> Option<Version> {
        self.watches.values().min().copied()
    }
}

impl Position {
    fn new(all: Arc<Mutex<Positions>>) -> Self {
        let mut positions = all.lock().unwrap_or_else(PoisonError::into_inner);
        let id = positions.next;
        positions.next += 1;
        positions.watches.insert(id, Version::default());
        drop(positions);
        Self { all, id }
    }

    fn moved_to(&self, version: Version) {
        let mut positions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        positions.watches.insert(self.id, version);
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        let mut positions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        positions.watches.remove(&self.id);
    }
}
