//! Small steps with files that the whole store takes.
//!
//! A file that was renamed into place is durable only when its folder is, and the hash of a file
//! must not need its bytes in memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use midge_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::hex;

/// How much of a file is in memory at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Waits until what was made, renamed and removed in a folder is on disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

/// The digest that a hasher came to.
pub(crate) fn finish(hasher: Sha256) -> Digest {
    format!("sha256:{}", hex::encode(&hasher.finalize()))
        .parse()
        .expect("32 bytes in hexadecimal digits are a digest")
}

/// The digest of all that a reader gives, and how many bytes that was.
pub(crate) fn digest_of(mut from: impl Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut length_bytes = 0;
    loop {
        let read_bytes = match from.read(&mut piece) {
            Ok(0) => return Ok((finish(hasher), length_bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&piece[..read_bytes]);
        length_bytes += u64::try_from(read_bytes).expect("a piece is short");
    }
}
