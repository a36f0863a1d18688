//! From a backup to a store.
//!
//! Everything is unpacked beside, brought up to date, and checked as a store is; then artifacts
//! are moved into place, and the database last.
//!
//! **Invariant:** a folder has no database before everything that its records name is there. Only
//! names that a backup has are ever written, whatever the archive says.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use super::{ABOUT_FILE, About, BackupSummary, FORMAT, RestoreError};
use crate::embedded::{
    ARTIFACTS_DIR, DATABASE_FILE, Lock, TMP_DIR, digest_of_name, make_dir, open_writer,
};
use crate::{OpenError, Report, StoreError, check, files};

/// Only the node's user reads a store.
const FILE_MODE: u32 = 0o600;

/// The longest account of itself that an archive gives, in bytes.
const ABOUT_BYTES_MAX: u64 = 64 << 10;

/// Makes a store out of a backup in a folder that has none. The key file, if secrets are to be
/// opened, must be put there by hand: it is not in the backup. Blocks.
///
/// # Errors
///
/// The folder has a store, or the file is not a whole backup.
pub fn restore(file: &Path, dir: &Path) -> Result<BackupSummary, RestoreError> {
    // The log of a lost database would be played into the restored one.
    let remains = ["", "-wal", "-journal"].map(|end| dir.join(format!("{DATABASE_FILE}{end}")));
    if remains.iter().any(|path| path.exists()) {
        let dir = dir.to_owned();
        return Err(RestoreError::Exists { dir });
    }
    let archive = File::open(file).map_err(StoreError::file("open", file))?;
    let file_bytes = archive
        .metadata()
        .map_err(StoreError::file("read", file))?
        .len();
    let tmp = dir.join(TMP_DIR);
    make_dir(dir)?;
    let _lock = Lock::take(dir)?;
    make_dir(&tmp)?;
    let staging =
        TempDir::with_prefix_in("restore-", &tmp).map_err(StoreError::file("write in", &tmp))?;
    make_dir(&staging.path().join(ARTIFACTS_DIR))?;
    let bad = |problem: String| RestoreError::BadFile {
        file: file.to_owned(),
        problem,
    };
    let about = unpack(archive, staging.path()).map_err(|error| bad(error.to_string()))?;
    let report = bring_up_to_date(staging.path()).map_err(|error| match error {
        OpenError::NotAStore { .. } => bad("its database is not a store of midge".to_owned()),
        error => error.into(),
    })?;
    if let Some(problem) = report.problems.into_iter().next() {
        return Err(bad(problem));
    }
    if (report.records, report.artifacts) != (about.records, about.artifacts) {
        return Err(bad(format!(
            "it has {} records and {} artifacts instead of {} and {}",
            report.records, report.artifacts, about.records, about.artifacts
        )));
    }
    move_into_place(staging.path(), dir).map_err(StoreError::file("move the parts into", dir))?;
    Ok(BackupSummary {
        records: report.records,
        artifacts: report.artifacts,
        file_bytes,
    })
}

fn bring_up_to_date(staging: &Path) -> Result<Report, OpenError> {
    // Also refuses what is no store, and what a newer midge wrote.
    drop(open_writer(&staging.join(DATABASE_FILE))?);
    check(staging)
}

fn unpack(archive: File, staging: &Path) -> io::Result<About> {
    let mut archive = tar::Archive::new(io::BufReader::new(archive));
    let mut about = None;
    let mut has_database = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(unexpected(&name));
        }
        if about.is_none() {
            about = Some(read_about(&name, &mut entry)?);
            continue;
        }
        let is_database = name == Path::new(DATABASE_FILE);
        if !is_database && !is_artifact(&name) {
            return Err(unexpected(&name));
        }
        has_database |= is_database;
        // A second file of the same name is refused by `create_new`.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(staging.join(&name))?;
        io::copy(&mut entry, &mut file)?;
        file.sync_all()?;
    }
    about
        .filter(|_| has_database)
        .ok_or_else(|| io::Error::other("it ends too early"))
}

fn read_about(name: &Path, entry: impl Read) -> io::Result<About> {
    if name != Path::new(ABOUT_FILE) {
        return Err(unexpected(name));
    }
    let mut text = Vec::new();
    entry.take(ABOUT_BYTES_MAX).read_to_end(&mut text)?;
    let about: About = serde_json::from_slice(&text).map_err(io::Error::from)?;
    if about.format != FORMAT {
        let format = about.format;
        return Err(io::Error::other(format!(
            "it has format {format}, this version reads {FORMAT}"
        )));
    }
    Ok(about)
}

fn is_artifact(name: &Path) -> bool {
    let parts: Vec<_> = name.components().collect();
    let [Component::Normal(dir), Component::Normal(file)] = *parts.as_slice() else {
        return false;
    };
    dir == ARTIFACTS_DIR && file.to_str().and_then(digest_of_name).is_some()
}

fn unexpected(name: &Path) -> io::Error {
    let name: String = name.display().to_string().chars().take(80).collect();
    io::Error::other(format!("it holds {name:?}, which no backup does"))
}

fn move_into_place(staging: &Path, dir: &Path) -> io::Result<()> {
    let artifacts = dir.join(ARTIFACTS_DIR);
    make_dir(&artifacts).map_err(io::Error::other)?;
    for entry in fs::read_dir(staging.join(ARTIFACTS_DIR))? {
        let entry = entry?;
        let to: PathBuf = artifacts.join(entry.file_name());
        fs::rename(entry.path(), to)?;
    }
    files::sync_dir(&artifacts)?;
    let database = staging.join(DATABASE_FILE);
    // The mode that a node gives it; an archive could say another.
    fs::set_permissions(&database, Permissions::from_mode(FILE_MODE))?;
    fs::rename(database, dir.join(DATABASE_FILE))?;
    files::sync_dir(dir)
}
