//! The names in a folder, a batch at a time.
//!
//! Decides how much of a folder is held in memory: a batch, however many names there
//! are. The engine reads all of them at once in 0.2 and for every call of preview 1, and
//! lets each listing of 0.3 hold a thread until the guest has read it.
//!
//! **Invariant:** a listing that nobody reads costs one descriptor and one batch, and no
//! thread.

use std::collections::VecDeque;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use wasmtime_wasi::filesystem;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::{Place, on_file_thread};

/// Names in one batch. A name has up to 255 bytes, so a batch and the system's own buffer stay
/// below what a handle may cost (`limits::HANDLE_BYTES_MAX`).
pub(crate) const BATCH: usize = 128;

/// A folder being listed.
pub(crate) struct Listing {
    names: Dir,
    /// Stands for its descriptor.
    _held: Arc<()>,
    /// What the system says about the folder itself.
    pub(crate) itself: Identity,
}

/// Device and inode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// A name.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: FileType,
    pub(crate) identity: Identity,
}

/// Names, or what went wrong with one of them; nothing at the end.
pub(crate) type Batch = Vec<Result<Entry, ErrorCode>>;

impl Listing {
    /// Begins to list a folder.
    pub(crate) async fn begin(place: &Place, dir: filesystem::Dir) -> Result<Self, ErrorCode> {
        place.used(false);
        let held = Arc::new(());
        place.hold(&held)?;
        let begin = move || {
            let stat = fstat(&*dir.dir)?;
            // The granted folders themselves are opened so that they cannot be read.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat(&*dir.dir, c".", flags, Mode::empty())?;
            Ok(Self {
                names: Dir::new(opened)?,
                _held: held,
                itself: Identity {
                    device: stat.st_dev,
                    inode: stat.st_ino,
                },
            })
        };
        let begun: std::io::Result<_> = on_file_thread(begin).await;
        begun.map_err(ErrorCode::from)
    }

    /// Reads on.
    pub(crate) async fn batch(mut self) -> (Self, Batch) {
        on_file_thread(move || {
            let batch = std::iter::from_fn(|| self.next()).take(BATCH).collect();
            (self, batch)
        })
        .await
    }

    fn next(&mut self) -> Option<Result<Entry, ErrorCode>> {
        loop {
            let entry = match self.names.read()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(std::io::Error::from(error).into())),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave it to `stat`.
                FileType::Unknown => match self.kind_of(name) {
                    Some(kind) => kind,
                    None => continue,
                },
                kind => kind,
            };
            return Some(match name.to_str() {
                Ok(name) => Ok(Entry {
                    name: name.to_owned(),
                    kind,
                    identity: Identity {
                        inode: entry.ino(),
                        ..self.itself
                    },
                }),
                Err(_) => Err(ErrorCode::IllegalByteSequence),
            });
        }
    }

    fn kind_of(&self, name: &std::ffi::CStr) -> Option<FileType> {
        let folder = self.names.fd().ok()?;
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }
}

/// A listing that is read name by name.
pub(crate) struct Names {
    listing: Option<Listing>,
    ahead: VecDeque<Result<Entry, ErrorCode>>,
}

impl Names {
    pub(crate) fn new(listing: Listing) -> Self {
        Self {
            listing: Some(listing),
            ahead: VecDeque::new(),
        }
    }

    /// The next name; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Entry, ErrorCode>> {
        self.look_ahead().await;
        self.ahead.pop_front()
    }

    /// The next name, which stays the next.
    pub(crate) async fn peek(&mut self) -> Option<&Result<Entry, ErrorCode>> {
        self.look_ahead().await;
        self.ahead.front()
    }

    async fn look_ahead(&mut self) {
        if self.ahead.is_empty()
            && let Some(listing) = self.listing.take()
        {
            let (listing, batch) = listing.batch().await;
            if !batch.is_empty() {
                self.listing = Some(listing);
                self.ahead = batch.into();
            }
        }
    }
}
