//! Artifacts as files.
//!
//! An upload goes into a temporary file and is hashed on the way; when its digest is right, the
//! file is synced, renamed to that digest, and the folder is synced. So a name is there only with
//! all its bytes, and what is cut short is swept away when the next node starts.
//!
//! **Invariant:** a file in the folder of artifacts was whole and right when it got its name.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::database::Database;
use super::{ARTIFACTS_DIR, TMP_DIR};
use crate::{
    ARTIFACTS_LIST_MAX, ArtifactInfo, ArtifactWriter, Artifacts, FinishError, Room, StoreError,
    files,
};

/// The artifacts of an open store.
#[derive(Debug)]
pub(super) struct EmbeddedArtifacts {
    dir: PathBuf,
    /// Holds the lock on the folder.
    database: Arc<Database>,
}

/// An upload under way.
#[derive(Debug)]
struct Upload {
    dir: PathBuf,
    /// None after a write that failed or that nobody waited for.
    partial: Option<Partial>,
    _database: Arc<Database>,
}

#[derive(Debug)]
struct Partial {
    file: NamedTempFile,
    hasher: Sha256,
    length_bytes: u64,
}

impl EmbeddedArtifacts {
    pub(super) fn new(dir: &Path, database: Arc<Database>) -> Self {
        let dir = dir.to_owned();
        Self { dir, database }
    }
}

/// Where an artifact lies in the folder of a store.
pub(crate) fn artifact_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(ARTIFACTS_DIR).join(digest.hex())
}

/// Which artifact a file of this name is.
pub(crate) fn digest_of_name(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

#[async_trait]
impl Artifacts for EmbeddedArtifacts {
    async fn create(&self) -> Result<Box<dyn ArtifactWriter>, StoreError> {
        let tmp = self.dir.join(TMP_DIR);
        let file = blocking(move || {
            // Readable by its owner only, from the start.
            NamedTempFile::with_prefix_in("upload-", &tmp)
                .map_err(StoreError::file("write in", &tmp))
        })
        .await?;
        let partial = Partial {
            file,
            hasher: Sha256::new(),
            length_bytes: 0,
        };
        Ok(Box::new(Upload {
            dir: self.dir.clone(),
            partial: Some(partial),
            _database: Arc::clone(&self.database),
        }))
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let path = artifact_path(&self.dir, digest);
        let expected = *digest;
        blocking(move || {
            let Some(mut file) = open(&path)? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)
                .map_err(StoreError::file("read", &path))?;
            let found = Digest::of(&bytes);
            if found != expected {
                return Err(StoreError::Damaged { expected, found });
            }
            Ok(Some(Bytes::from(bytes)))
        })
        .await
    }

    async fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let path = artifact_path(&self.dir, digest);
        blocking(move || {
            let found =
                is_there(fs::metadata(&path)).map_err(StoreError::file("look at", &path))?;
            Ok(found.map(|metadata| metadata.len()))
        })
        .await
    }

    async fn delete(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = artifact_path(&self.dir, digest);
        blocking(move || {
            let found =
                is_there(fs::remove_file(&path)).map_err(StoreError::file("remove", &path))?;
            Ok(found.is_some())
        })
        .await
    }

    async fn list(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<ArtifactInfo>, StoreError> {
        let dir = self.dir.join(ARTIFACTS_DIR);
        let after = after.copied();
        let limit = limit.min(ARTIFACTS_LIST_MAX);
        blocking(move || list(&dir, after, limit).map_err(StoreError::file("list", &dir))).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        let dir = self.dir.clone();
        blocking(move || {
            let found = rustix::fs::statvfs(&dir);
            let found = found.map_err(|error| StoreError::file("look at", &dir)(error.into()))?;
            Ok(Room {
                // What is left for others than the superuser, whoever we are.
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
                total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            })
        })
        .await
    }
}

#[async_trait]
impl ArtifactWriter for Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let mut partial = self.partial.take().ok_or(StoreError::Closed)?;
        let partial = blocking(move || {
            let path = partial.file.path().to_owned();
            partial
                .file
                .write_all(&bytes)
                .map_err(StoreError::file("write", &path))?;
            partial.hasher.update(&bytes);
            partial.length_bytes += u64::try_from(bytes.len()).expect("a piece is short");
            Ok(partial)
        })
        .await?;
        self.partial = Some(partial);
        Ok(())
    }

    async fn finish(self: Box<Self>, expected: &Digest) -> Result<u64, FinishError> {
        let partial = self.partial.ok_or(StoreError::Closed)?;
        let expected = *expected;
        let found = files::finish(partial.hasher);
        if found != expected {
            return Err(FinishError::Mismatch { expected, found });
        }
        let length_bytes = partial.length_bytes;
        let path = artifact_path(&self.dir, &expected);
        let dir = self.dir.join(ARTIFACTS_DIR);
        blocking(move || {
            let publish = || {
                partial.file.as_file().sync_all()?;
                // Over one that is there, which may be damaged; this one is not.
                partial.file.persist(&path).map_err(|error| error.error)?;
                files::sync_dir(&dir)
            };
            publish().map_err(StoreError::file("write", &path))
        })
        .await?;
        Ok(length_bytes)
    }
}

/// The whole folder is read for each page: names come in no order, and there are few pages.
fn list(dir: &Path, after: Option<Digest>, limit: usize) -> io::Result<Vec<ArtifactInfo>> {
    let mut digests = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let digest = name.to_str().and_then(digest_of_name);
        digests.extend(digest.filter(|digest| after.is_none_or(|after| *digest > after)));
    }
    digests.sort_unstable();
    let mut found = Vec::new();
    for digest in digests {
        if found.len() == limit {
            break;
        }
        // One that goes in the meantime is not there.
        let Some(metadata) = is_there(fs::metadata(dir.join(digest.hex())))? else {
            continue;
        };
        found.push(ArtifactInfo {
            digest,
            size_bytes: metadata.len(),
            stored_at: metadata.modified()?.into(),
        });
    }
    Ok(found)
}

fn open(path: &Path) -> Result<Option<File>, StoreError> {
    is_there(File::open(path)).map_err(StoreError::file("open", path))
}

/// What was found, if anything was.
fn is_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime ends, or the work panicked and has said so.
        Err(_) => Err(StoreError::Closed),
    }
}
