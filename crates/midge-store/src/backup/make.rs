//! Making a backup beside a running node.
//!
//! First every artifact that is there gets a second name, a hard link, which costs next to nothing
//! and which a sweep of the node does not take away. Then the database is copied as of one moment.
//! What its records name was there before that moment, so it has a link, or it came in between and
//! is still in the folder; should a sweep have taken it since, the whole is done again.
//!
//! **Invariant:** a backup that is finished restores: every artifact was hashed on its way in.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use midge_model::Digest;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tempfile::{NamedTempFile, TempDir};

use super::{ABOUT_FILE, About, BackupError, BackupSummary, FORMAT};
use crate::check::artifacts_named;
use crate::embedded::{
    ARTIFACTS_DIR, DATABASE_FILE, TMP_DIR, artifact_path, digest_of_name, make_dir, open_beside,
};
use crate::{StoreError, files, now};

/// How often a sweep may come in between.
const TRIES_MAX: u32 = 3;
/// Pages of the database that are copied in one step: all, so that they are of one moment.
const ALL_PAGES: i32 = -1;

/// How often to try to copy a database that somebody else has for themselves ...
const STEPS_MAX: u32 = 250;
/// ... and how long to wait each time.
const PAUSE: Duration = Duration::from_millis(20);

/// The parts of a backup, in a folder of their own.
struct Staged {
    dir: TempDir,
    digests: Vec<Digest>,
    records: u64,
}

/// Writes the store in a folder into one file, readable by its owner only. May run beside the
/// node that has the store. Blocks.
///
/// # Errors
///
/// The file is there already, or the store could not be read, or the file not written.
pub fn backup(dir: &Path, file: &Path) -> Result<BackupSummary, BackupError> {
    if file.exists() {
        let file = file.to_owned();
        return Err(BackupError::Exists { file });
    }
    let mut tries_count = 1;
    let staged = loop {
        match stage(dir)? {
            Ok(staged) => break staged,
            Err(_) if tries_count < TRIES_MAX => tries_count += 1,
            Err(missing) => {
                let problem = format!("artifact {missing} is missing");
                return Err(BackupError::Unsound { problem });
            }
        }
    };
    let target = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let target = target.unwrap_or(Path::new("."));
    let failed = || StoreError::file("write", file);
    let partial = NamedTempFile::with_prefix_in(".midge-backup-", target).map_err(failed())?;
    write_archive(&staged, partial.as_file()).map_err(|error| match error {
        Failed::Unsound(problem) => BackupError::Unsound { problem },
        Failed::Io(error) => failed()(error).into(),
    })?;
    let file_bytes = partial.as_file().metadata().map_err(failed())?.len();
    partial.as_file().sync_all().map_err(failed())?;
    partial.persist_noclobber(file).map_err(|error| {
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            let file = file.to_owned();
            return BackupError::Exists { file };
        }
        failed()(error.error).into()
    })?;
    files::sync_dir(target).map_err(StoreError::file("sync", target))?;
    Ok(BackupSummary {
        records: staged.records,
        artifacts: u64::try_from(staged.digests.len()).unwrap_or(u64::MAX),
        file_bytes,
    })
}

/// Gathers the parts, or says which artifact was swept away in between.
fn stage(dir: &Path) -> Result<Result<Staged, Digest>, BackupError> {
    let source = open_beside(dir)?;
    let tmp = dir.join(TMP_DIR);
    make_dir(&tmp)?;
    let staging =
        TempDir::with_prefix_in("backup-", &tmp).map_err(StoreError::file("write in", &tmp))?;
    make_dir(&staging.path().join(ARTIFACTS_DIR))?;
    let mut linked = link_all(dir, staging.path())
        .map_err(StoreError::file("link artifacts into", staging.path()))?;
    let copy = copy_database(&source, &staging.path().join(DATABASE_FILE))
        .map_err(|error| StoreError::database("copy it", error))?;
    let (digests, report) = artifacts_named(&copy)?;
    if let Some(problem) = report.problems.into_iter().next() {
        return Err(BackupError::Unsound { problem });
    }
    for digest in &digests {
        if linked.insert(*digest) && !link(dir, staging.path(), digest)? {
            return Ok(Err(*digest));
        }
    }
    Ok(Ok(Staged {
        dir: staging,
        digests,
        records: report.records,
    }))
}

fn link_all(dir: &Path, staging: &Path) -> io::Result<BTreeSet<Digest>> {
    let mut linked = BTreeSet::new();
    for entry in fs::read_dir(dir.join(ARTIFACTS_DIR))? {
        let name = entry?.file_name();
        if let Some(digest) = name.to_str().and_then(digest_of_name)
            && link(dir, staging, &digest).map_err(io::Error::other)?
        {
            linked.insert(digest);
        }
    }
    Ok(linked)
}

/// Gives an artifact a second name; says whether it was there.
fn link(dir: &Path, staging: &Path, digest: &Digest) -> Result<bool, StoreError> {
    let from = artifact_path(dir, digest);
    match fs::hard_link(&from, artifact_path(staging, digest)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        linked => linked
            .map(|()| true)
            .map_err(StoreError::file("link", &from)),
    }
}

fn copy_database(source: &Connection, path: &Path) -> rusqlite::Result<Connection> {
    let mut copy = Connection::open(path)?;
    {
        let backup = Backup::new(source, &mut copy)?;
        let mut steps_count = 1;
        // Busy is a node that opens or closes, which does not take long.
        while backup.step(ALL_PAGES)? != StepResult::Done {
            if steps_count == STEPS_MAX {
                let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                return Err(rusqlite::Error::SqliteFailure(busy, None));
            }
            steps_count += 1;
            thread::sleep(PAUSE);
        }
    }
    // Into one file, for a copy of the write-ahead mode alone would keep its log beside it.
    copy.pragma_update(None, "journal_mode", "delete")?;
    Ok(copy)
}

enum Failed {
    Unsound(String),
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn write_archive(staged: &Staged, to: &File) -> Result<(), Failed> {
    let about = About {
        format: FORMAT,
        made_at: now(),
        records: staged.records,
        artifacts: u64::try_from(staged.digests.len()).unwrap_or(u64::MAX),
    };
    let mut archive = tar::Builder::new(io::BufWriter::new(to));
    let text = serde_json::to_vec_pretty(&about).map_err(io::Error::from)?;
    let length_bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    archive.append_data(&mut header(length_bytes), ABOUT_FILE, &*text)?;
    let database = staged.dir.path().join(DATABASE_FILE);
    append(&mut archive, &database, PathBuf::from(DATABASE_FILE))?;
    for digest in &staged.digests {
        let path = artifact_path(staged.dir.path(), digest);
        let (found, _) = files::digest_of(File::open(&path)?)?;
        if found != *digest {
            let problem = format!("artifact {digest} is damaged: its file holds {found}");
            return Err(Failed::Unsound(problem));
        }
        append(&mut archive, &path, artifact_path(Path::new(""), digest))?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append(archive: &mut tar::Builder<impl Write>, path: &Path, name: PathBuf) -> io::Result<()> {
    let file = File::open(path)?;
    let mut header = header(file.metadata()?.len());
    archive.append_data(&mut header, name, file)
}

fn header(length_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(length_bytes);
    header.set_mtime(now().as_ms() / 1_000);
    header
}
