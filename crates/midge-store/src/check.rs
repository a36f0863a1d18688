//! Whether everything that a store holds is there and whole.
//!
//! Reads only, and may run beside the node that has the store: records are read as of one moment,
//! and a name that leads nowhere counts only if it is still there afterwards. What each record
//! must lead to is `references.rs`.
//!
//! **Invariant:** a store on which the writes of a deploy stopped anywhere has no problem, only
//! something unused.

mod references;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use midge_model::Digest;
use rusqlite::Connection;
use serde::Serialize;

use crate::embedded::{ARTIFACTS_DIR, artifact_path, digest_of_name, open_beside, record};
use crate::{Key, OpenError, StoreError, files};
use references::References;

/// The most sentences of one kind in a report: a folder that lost its artifacts has as many as
/// there are revisions, and they all say the same.
const SENTENCES_MAX: usize = 1_000;
/// The most that SQLite says about its own structure.
const INTEGRITY_LINES_MAX: u32 = 20;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// What is wrong, a sentence each; none is what one wants. The first thousand.
    pub problems: Vec<String>,
    /// What is there and not needed, such as the revision of a deploy that was cut short. The node
    /// sweeps it away by itself. The first thousand.
    pub unused: Vec<String>,
    /// How many records were read.
    pub records: u64,
    /// How many artifacts were read and hashed.
    pub artifacts: u64,
    /// How many bytes those have.
    pub artifact_bytes: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, sentence: String) {
        if self.problems.len() < SENTENCES_MAX {
            self.problems.push(sentence);
        }
    }

    fn unused(&mut self, sentence: String) {
        if self.unused.len() < SENTENCES_MAX {
            self.unused.push(sentence);
        }
    }
}

/// Checks the store in a folder: the database's own structure, that every record reads, that every
/// name leads to something, and that every artifact has its digest. Blocks.
///
/// # Errors
///
/// The store could not be read at all. What is wrong in it is in the report.
pub fn check(dir: &Path) -> Result<Report, OpenError> {
    let connection = open_beside(dir)?;
    let mut report = Report::default();
    check_structure(&connection, &mut report)?;
    check_counts(&connection, &mut report)?;
    let references = read_all(&connection, &mut report)?;
    references.check(&mut report);
    let artifacts = references.artifacts();
    for (digest, named) in &artifacts {
        check_artifact(dir, &connection, (digest, named), &mut report)?;
    }
    check_folder(dir, &artifacts, &mut report)?;
    Ok(report)
}

/// The artifacts that a database's records name.
pub(crate) fn artifacts_named(
    connection: &Connection,
) -> Result<(Vec<Digest>, Report), StoreError> {
    let mut report = Report::default();
    let references = read_all(connection, &mut report)?;
    let digests = references.artifacts().into_keys().collect();
    Ok((digests, report))
}

/// An artifact's name in a record.
struct Named {
    /// One record that names it.
    by: Key,
    size_bytes: u64,
}

fn check_structure(connection: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let step = "check the database";
    let error = |error| StoreError::database(step, error);
    let mut statement = connection
        .prepare(&format!("PRAGMA integrity_check({INTEGRITY_LINES_MAX})"))
        .map_err(error)?;
    let mut rows = statement.query([]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        let line: String = row.get(0).map_err(error)?;
        if line != "ok" {
            report.problem(format!("the database is damaged: {line}"));
        }
    }
    Ok(())
}

/// What is counted while it changes must be what is there.
fn check_counts(connection: &Connection, report: &mut Report) -> Result<(), StoreError> {
    let error = |error| StoreError::database("count what is there", error);
    let sql = "SELECT 'queue', name FROM queue \
                   WHERE waiting <> (SELECT count(*) FROM message \
                                     WHERE queue = name AND dead_at IS NULL) \
                   OR dead <> (SELECT count(*) FROM message \
                               WHERE queue = name AND dead_at IS NOT NULL) \
               UNION ALL SELECT 'bucket', name FROM bucket \
                   WHERE entries <> (SELECT count(*) FROM entry WHERE bucket = name) \
                   OR bytes <> (SELECT total(octet_length(key) + octet_length(value)) \
                                FROM entry WHERE bucket = name)";
    let mut statement = connection.prepare(sql).map_err(error)?;
    let mut rows = statement.query([]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        let what: String = row.get(0).map_err(error)?;
        let name: String = row.get(1).map_err(error)?;
        report.problem(format!(
            "{what} `{name}` holds another number than it counts"
        ));
    }
    Ok(())
}

/// One statement is one moment, so that records are read as they stood together.
fn read_all(connection: &Connection, report: &mut Report) -> Result<References, StoreError> {
    let error = |error| StoreError::database("read all records", error);
    let sql = "SELECT key, value, version FROM record WHERE value IS NOT NULL ORDER BY key";
    let mut references = References::default();
    let mut statement = connection.prepare(sql).map_err(error)?;
    let mut rows = statement.query([]).map_err(error)?;
    while let Some(row) = rows.next().map_err(error)? {
        report.records += 1;
        match record(row) {
            Ok(record) => references.add(&record, report),
            Err(error) => report.problem(format!("a record does not read: {error}")),
        }
    }
    Ok(references)
}

fn check_artifact(
    dir: &Path,
    connection: &Connection,
    (digest, named): (&Digest, &Named),
    report: &mut Report,
) -> Result<(), StoreError> {
    let path = artifact_path(dir, digest);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It may have been swept since the records were read, and its record before it.
            if is_there(connection, &named.by)? {
                report.problem(format!(
                    "artifact {digest} is missing, `{}` names it",
                    named.by
                ));
            }
            return Ok(());
        }
        file => file.map_err(StoreError::file("open", &path))?,
    };
    report.artifacts += 1;
    let (found, size_bytes) = match files::digest_of(file) {
        Ok(found) => found,
        Err(error) => {
            report.problem(format!("artifact {digest} does not read: {error}"));
            return Ok(());
        }
    };
    report.artifact_bytes += size_bytes;
    if found != *digest {
        report.problem(format!(
            "artifact {digest} is damaged: its file holds {found}"
        ));
    } else if size_bytes != named.size_bytes {
        report.problem(format!(
            "artifact {digest} has {size_bytes} bytes, `{}` says {}",
            named.by, named.size_bytes
        ));
    }
    Ok(())
}

fn is_there(connection: &Connection, key: &Key) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE key = ?1 AND value IS NOT NULL)";
    connection
        .query_row(sql, [key.as_str()], |row| row.get(0))
        .map_err(|error| StoreError::database("look for a record", error))
}

fn check_folder(
    dir: &Path,
    artifacts: &BTreeMap<Digest, Named>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let dir = dir.join(ARTIFACTS_DIR);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(StoreError::file("list", &dir))?,
    };
    for entry in entries {
        let name = entry.map_err(StoreError::file("list", &dir))?.file_name();
        match name.to_str().and_then(digest_of_name) {
            Some(digest) if artifacts.contains_key(&digest) => {}
            Some(digest) => report.unused(format!("artifact {digest} is named by no record")),
            None => report.unused(format!("file {name:?} among the artifacts is none")),
        }
    }
    report.unused.sort_unstable();
    Ok(())
}
