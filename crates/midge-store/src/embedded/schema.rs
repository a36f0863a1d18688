//! The tables, and how a store of an older midge comes to have them.
//!
//! Decides how the database is opened, which schema it has (`user_version`) and what is done to
//! one that is behind: each migration is one step, all of them in one transaction.
//!
//! **Invariant:** a migration that was released never changes; `tests/stores` has a store of every
//! schema there was.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::sql::doing;
use super::{DATABASE_FILE, OpenError};
use crate::StoreError;

/// Step `n` brings a store from schema `n` to `n + 1`.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];
/// `MIDG`: tells `file` and us whose database it is.
const APPLICATION_ID: i64 = 0x4D49_4447;
/// How long to wait for another process: a backup under way, or a person with a shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of the database that a connection keeps for itself, in KiB. The kernel has them all; what
/// SQLite keeps beside that, up to 2 MiB a connection by itself, a node holds for as long as it
/// lives. The one that writes keeps what a group of writes changes.
const READER_CACHE_KIB: i64 = 256;
const WRITER_CACHE_KIB: i64 = 512;
/// The write-ahead log is cut back to this many bytes when it was longer.
const LOG_BYTES_KEPT: u32 = 16 << 20;

/// The newest schema that this version knows.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// A connection that may write, to a database of the newest schema.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        make_private(path)?;
        let connection =
            Connection::open_with_flags(path, flags).map_err(doing("open the file"))?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .map_err(doing("set the timeout"))?;
        Ok::<_, StoreError>(connection)
    };
    let mut connection = open()?;
    // Before anything is written into what may be somebody else's.
    check_ours(&connection, path)?;
    prepare(&connection).map_err(doing("set up the connection"))?;
    let found = check_ours(&connection, path)?;
    migrate(&mut connection, found, MIGRATIONS).map_err(doing("bring the tables up to date"))?;
    Ok(connection)
}

/// A connection that only reads, to a database that [`open_writer`] opened before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(doing("open the file"))?;
    connection
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(doing("set the timeout"))?;
    keep_in_cache(&connection, READER_CACHE_KIB).map_err(doing("set up the connection"))?;
    Ok(connection)
}

/// A connection that only reads, to the store in a folder, beside whoever has it.
pub(crate) fn open_beside(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(DATABASE_FILE);
    if !path.exists() {
        let dir = dir.to_owned();
        return Err(OpenError::Missing { dir });
    }
    let connection = open_reader(&path)?;
    let found = check_ours(&connection, &path)?;
    if found == 0 {
        // Whoever began to make it was stopped.
        let dir = dir.to_owned();
        return Err(OpenError::Missing { dir });
    }
    let known = newest();
    if found < known {
        return Err(OpenError::Older { path, found, known });
    }
    Ok(connection)
}

/// The file is made before SQLite makes it, with a mode that keeps others out; the files beside
/// it get the mode of the database.
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(StoreError::file("open", path))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // FULL syncs the log at every commit: an answer is a promise, and power fails too.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    keep_in_cache(connection, WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn keep_in_cache(connection: &Connection, kib: i64) -> rusqlite::Result<()> {
    // What is negative counts in KiB, and not in pages.
    connection.pragma_update(None, "cache_size", -kib)
}

/// The schema of a database, if it is a store of ours and not newer than this midge.
fn check_ours(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let not_ours = || OpenError::NotAStore {
        path: path.to_owned(),
    };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = match pragma("user_version") {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::NotADatabase =>
        {
            return Err(not_ours());
        }
        found => found.map_err(doing("read the schema's version"))?,
    };
    let id = pragma("application_id").map_err(doing("read whose it is"))?;
    let is_empty: bool = connection
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get(0)
        })
        .map_err(doing("read the tables"))?;
    if !(id == APPLICATION_ID || (is_empty && id == 0 && found == 0)) {
        return Err(not_ours());
    }
    let known = newest();
    if found > known {
        let path = path.to_owned();
        return Err(OpenError::Newer { path, found, known });
    }
    Ok(found)
}

/// Does the steps that a store of schema `found` lacks, all or none.
pub(super) fn migrate(
    connection: &mut Connection,
    found: i64,
    steps: &[&str],
) -> rusqlite::Result<()> {
    let done_count = usize::try_from(found).unwrap_or(0);
    let missing = steps.get(done_count..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    let schema = i64::try_from(steps.len()).expect("there are few migrations");
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", schema)?;
    transaction.commit()
}
