//! Files whose names came from a manifest, a folder or a person: read to a bound.
//!
//! How long one may be is decided by its reader. Pipes are not for here: who takes text from one
//! (`--secret KEY=@FILE`) reads it itself.
//!
//! **Invariant:** a link to a device or a pipe is neither waited for nor read, and nobody gets more
//! bytes than asked for, whatever the length says that the system tells.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// The bytes of a regular file.
///
/// # Errors
///
/// It is not there, it is none, or it has more bytes ([`io::ErrorKind::FileTooLarge`]).
pub(crate) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let known = fs::metadata(path)?;
    // Opening a pipe waits for its writer. A folder is told from a file when it is read.
    if !known.is_file() && !known.is_dir() {
        return Err(io::Error::other("it is no regular file"));
    }
    let too_large = || {
        let text = format!("it has more than {bytes_max} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    };
    if known.is_file() && known.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

/// The same as text.
///
/// # Errors
///
/// As for [`read`], or it is no UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?).map_err(|_| {
        let text = "stream did not contain valid UTF-8";
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let link = home.path().join("link");
        symlink("/dev/zero", &link).unwrap();
        let error = read(&link, 10).unwrap_err();
        assert_eq!(error.to_string(), "it is no regular file");
        let pipe = home.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = read(&pipe, 10).unwrap_err();
        assert_eq!(error.to_string(), "it is no regular file");
        let error = read(home.path(), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        // Its length is told as 0.
        let error = read(Path::new("/proc/self/maps"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn as_many_bytes_as_may_be_are_read() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "12345").unwrap();
        let link = home.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link, 5).unwrap(), "12345");
        let error = read(&link, 4).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 4 bytes");
        fs::write(&file, [0xff]).unwrap();
        let error = read_text(&link, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
