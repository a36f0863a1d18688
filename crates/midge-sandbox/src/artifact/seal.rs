//! The seal on a file of native code: that its bytes were compared with its name.
//!
//! Reading and hashing a file takes milliseconds, and the first request of a function waits for
//! it. So whoever has compared a file sets the nanoseconds of its time of modification to a number
//! that follows from its name, its size and its inode. Whatever writes to the file sets them
//! to something else, a copy has another inode, and either is compared again before it is loaded.
//!
//! A seal is against damage and mistakes. It is nothing against somebody who has the rights of the
//! node's user: who may write there may as well write other code under a name that matches it.
//!
//! **Invariant:** a seal is set only by who has just compared all bytes with the name, or has just
//! written them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

use midge_model::Digest;

/// Nanoseconds in a second: a write leaves a seal whole by chance once in so many times.
const NANOS: u64 = 1_000_000_000;

/// Seals a file whose bytes have this hash.
///
/// # Errors
///
/// The file system does not let us; the file is compared again when it is next needed.
pub(super) fn put(file: &File, hash: &str) -> io::Result<()> {
    let metadata = file.metadata()?;
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let sealed = Duration::from_secs(seconds) + Duration::from_nanos(number(&metadata, hash));
    file.set_modified(UNIX_EPOCH + sealed)
}

/// Whether nobody has written to a file since it was sealed under this hash.
pub(super) fn is_whole(metadata: &Metadata, hash: &str) -> bool {
    u64::try_from(metadata.mtime_nsec()) == Ok(number(metadata, hash))
}

/// The nanoseconds that stand for this hash of this file.
fn number(metadata: &Metadata, hash: &str) -> u64 {
    let text = format!("{hash} {} {}", metadata.ino(), metadata.size());
    let digest = Digest::of(text.as_bytes());
    let first = digest
        .hex()
        .get(..15)
        .and_then(|hex| u64::from_str_radix(hex, 16).ok());
    // Zero is what file systems without nanoseconds have.
    1 + first.expect("a digest has 64 digits") % (NANOS - 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    const HASH: &str = "6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090";

    fn is_sealed(path: &std::path::Path) -> bool {
        is_whole(&fs::symlink_metadata(path).unwrap(), HASH)
    }

    #[test]
    fn any_write_breaks_the_seal_and_reading_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("code");
        fs::write(&path, "abc123").unwrap();
        assert!(!is_sealed(&path));
        let seal = || put(&File::open(&path).unwrap(), HASH).unwrap();
        seal();
        assert!(is_sealed(&path));
        assert_eq!(fs::read(&path).unwrap(), b"abc123");
        assert!(is_sealed(&path), "who reads changes nothing");
        let renamed = dir.path().join("renamed");
        fs::rename(&path, &renamed).unwrap();
        assert!(is_sealed(&renamed), "the same bytes under another name");
        fs::rename(&renamed, &path).unwrap();

        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(b"a").unwrap();
        assert!(!is_sealed(&path), "one byte, the same as before");
        seal();
        file.set_len(3).unwrap();
        assert!(!is_sealed(&path), "cut");
    }

    #[test]
    fn another_file_with_the_same_times_is_not_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("code"), dir.path().join("copy"));
        for path in [&path, &copy] {
            fs::write(path, "abc123").unwrap();
        }
        put(&File::open(&path).unwrap(), HASH).unwrap();
        let sealed = fs::metadata(&path).unwrap().modified().unwrap();
        File::open(&copy).unwrap().set_modified(sealed).unwrap();
        assert!(!is_sealed(&copy));
        let other = "0".repeat(64);
        assert!(!is_whole(&fs::metadata(&path).unwrap(), &other));
    }
}
