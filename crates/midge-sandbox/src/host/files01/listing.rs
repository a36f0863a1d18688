//! Listing a folder in preview 1: as many names as fit into a buffer, from a given one on.
//!
//! Decides where a call goes on. A guest asks for the name behind the last it got whole,
//! so the listing of the call before is kept; only who jumps about begins anew.
//!
//! **Invariant:** a name counts as told when all of it was.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use rustix::fs::FileType;
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::host::files::Place;
use crate::host::files::listing::{Entry, Identity, Listing, Names};

/// `.` and `..`, which come first.
const DOTS: [&str; 2] = [".", ".."];

/// A folder being listed.
pub(crate) struct Cursor {
    names: Names,
    itself: Identity,
    /// The number of the next name: the dots are 0 and 1.
    next: u64,
}

impl Cursor {
    /// A listing that goes on at the name with this number; `kept` is where the guest was.
    pub(super) async fn at(
        kept: Option<Self>,
        number: u64,
        place: &Place,
        dir: Dir,
    ) -> Result<Self, ErrorCode> {
        let first = DOTS.len() as u64;
        if let Some(kept) = kept
            && kept.next == number
            && number >= first
        {
            return Ok(kept);
        }
        let listing = Listing::begin(place, dir).await?;
        let itself = listing.itself;
        let mut names = Names::new(listing);
        for _ in first..number {
            if names.next().await.is_none() {
                break;
            }
        }
        Ok(Self {
            names,
            itself,
            next: number,
        })
    }

    /// The next name as a guest gets it, with its head; it stays the next until it was told.
    pub(super) async fn peek(&mut self) -> Result<Option<Vec<u8>>, ErrorCode> {
        let next = self.next + 1;
        let dot = usize::try_from(self.next).ok().and_then(|at| DOTS.get(at));
        if let Some(dot) = dot {
            return Ok(Some(told(next, self.itself, FileType::Directory, dot)));
        }
        Ok(match self.names.peek().await {
            None => None,
            Some(Ok(Entry {
                name,
                kind,
                identity,
            })) => Some(told(next, *identity, *kind, name)),
            Some(Err(code)) => {
                let code = *code;
                // Who asks again gets the name behind the one that cannot be told.
                self.names.next().await;
                return Err(code);
            }
        })
    }

    /// The name was told.
    pub(super) async fn told(&mut self) {
        if self.next >= DOTS.len() as u64 {
            self.names.next().await;
        }
        self.next += 1;
    }
}

/// A `dirent`, and the name behind it.
fn told(next: u64, identity: Identity, kind: FileType, name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len()).expect("the system's names are short");
    let mut bytes = Vec::with_capacity(24 + name.len());
    bytes.extend(next.to_le_bytes());
    bytes.extend(inode(identity).to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend([file_type(kind), 0, 0, 0]);
    bytes.extend(name.bytes());
    bytes
}

/// The number under which the engine shows a file: `path_filestat_get` must say the same.
fn inode(identity: Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    (identity.device, identity.inode).hash(&mut hasher);
    hasher.finish()
}

fn file_type(kind: FileType) -> u8 {
    match kind {
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::RegularFile => 4,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        FileType::Fifo | FileType::Unknown => 0,
    }
}
