//! A folder of files that are named by their digests: `sha256/<64 hex digits>`.
//!
//! It is how a layout folder keeps its contents, and how the cache of what was fetched does.
//!
//! **Invariant:** what comes out of it has the digest that was asked for; a file that has not is
//! removed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use midge_model::Digest;
use tempfile::NamedTempFile;

/// Only the owner, as for native code beside it.
const DIR_MODE: u32 = 0o700;

/// How exactly it is known when a file was used.
const NOTED_EVERY: Duration = Duration::from_secs(60 * 60);

/// A folder of files that are named by their digests.
#[derive(Debug, Clone)]
pub struct Blobs {
    /// With the name of the algorithm at its end.
    folder: PathBuf,
}

/// Why a file could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("{step} `{}`", path.display())]
pub struct BlobsError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Blobs {
    /// Those in this folder, which is made with the first of them.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.join("sha256"),
        }
    }

    /// Where a file of this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// The bytes of this digest, if they are there.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read.
    pub fn get(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Vec<u8>>, BlobsError> {
        let path = self.path(digest);
        let fault = |source| BlobsError {
            step: "read",
            path: path.clone(),
            source,
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let mut bytes = Vec::new();
        let mut bounded = (&file).take(bytes_max.saturating_add(1));
        bounded.read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > bytes_max || Digest::of(&bytes) != *digest {
            // Cut short by a full disk, or changed by somebody: it is fetched again.
            fs::remove_file(&path).map_err(fault)?;
            return Ok(None);
        }
        touch(&file);
        Ok(Some(bytes))
    }

    /// Keeps bytes under their digest.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or the file not be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobsError> {
        let digest = Digest::of(bytes);
        let fault = |source| BlobsError {
            step: "write into",
            path: self.folder.clone(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(DIR_MODE);
        builder.create(&self.folder).map_err(fault)?;
        // Visible by its rename: nobody finds half of it.
        let mut file = NamedTempFile::new_in(&self.folder).map_err(fault)?;
        file.write_all(bytes).map_err(fault)?;
        file.persist(self.path(&digest))
            .map_err(|error| fault(error.error))?;
        Ok(digest)
    }

    /// Removes what was used longest ago, until no more than so many bytes are there. What was put
    /// last stays, however large it is.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn trim(&self, bytes_max: u64) -> Result<(), BlobsError> {
        let fault = |source| BlobsError {
            step: "list",
            path: self.folder.clone(),
            source,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            // Another process may be trimming, too.
            if let Ok(found) = entry.metadata()
                && let Ok(used) = found.modified()
            {
                files.push((used, found.len(), entry.path()));
            }
        }
        files.sort();
        let mut sum_bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let newest = files.len().saturating_sub(1);
        for (_, bytes, path) in &files[..newest] {
            if sum_bytes <= bytes_max {
                break;
            }
            drop(fs::remove_file(path));
            sum_bytes -= bytes;
        }
        Ok(())
    }
}

/// Notes that it was used, if that was not noted lately: whoever watches the folder for changes
/// would see one at each look. A cache that cannot be written to still serves.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with times that the file system wrote, which has the same clock"
)]
fn touch(file: &File) {
    let now = SystemTime::now();
    let noted = file.metadata().and_then(|found| found.modified());
    if noted.is_ok_and(|noted| now.duration_since(noted).is_ok_and(|it| it < NOTED_EVERY)) {
        return;
    }
    drop(file.set_modified(now));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::at(&folder.path().join("made/on/demand"));
        (folder, blobs)
    }

    #[test]
    fn what_was_put_is_got() {
        let (_folder, blobs) = blobs();
        let digest = blobs.put(b"hello").unwrap();
        assert_eq!(digest, Digest::of(b"hello"));
        assert_eq!(blobs.get(&digest, 5).unwrap().unwrap(), b"hello");
        assert!(blobs.get(&Digest::of(b"else"), 5).unwrap().is_none());
    }

    #[test]
    fn a_file_that_was_changed_is_removed() {
        let (_folder, blobs) = blobs();
        let digest = blobs.put(b"hello").unwrap();
        fs::write(blobs.path(&digest), b"hullo").unwrap();
        assert!(blobs.get(&digest, 5).unwrap().is_none());
        assert!(!blobs.path(&digest).exists());
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let (_folder, blobs) = blobs();
        let digest = blobs.put(b"hello").unwrap();
        assert!(blobs.get(&digest, 4).unwrap().is_none());
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let (_folder, blobs) = blobs();
        let digests: Vec<_> = [b"a", b"b", b"c", b"d"]
            .iter()
            .enumerate()
            .map(|(age, bytes)| {
                let digest = blobs.put(*bytes).unwrap();
                let file = File::options().write(true).open(blobs.path(&digest));
                let used = SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64);
                file.unwrap().set_modified(used).unwrap();
                digest
            })
            .collect();
        assert!(blobs.get(&digests[0], 1).unwrap().is_some());
        blobs.trim(2).unwrap();
        let left: Vec<_> = digests.iter().map(|it| blobs.path(it).exists()).collect();
        assert_eq!(left, [true, false, false, true]);
        blobs.trim(0).unwrap();
        assert!(blobs.path(&digests[0]).exists(), "the last one stays");
    }
}
