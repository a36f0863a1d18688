//! Opening: the one way to a file or a folder.
//!
//! Decides what a guest may open at all: files and folders. Anything else that may lie
//! in a folder (pipes, sockets, devices) can hold a thread up, or do something when it
//! is merely opened. The system keeps paths below the folder they begin at, whatever
//! `..`, links and slashes are in them.
//!
//! **Invariant:** what is opened is what was looked at: it is looked at through a
//! descriptor that cannot do anything else (`O_PATH`), and opened through that one.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;
use wasmtime_wasi::OpenMode;
use wasmtime_wasi::filesystem::{self, Descriptor, Dir};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::{Hindrance, Place, marked, work_in};
use crate::host::denied::Remedy;
use crate::host::quota::{Quota, path_of};

/// How often something is looked for that others make and remove.
const LOOKS: u32 = 4;

/// How often a path is walked that somebody renames meanwhile; the system gives up each time.
const WALKS: u32 = 8;

/// What a guest asks for.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags of `open-at`, which are independent"
)]
pub(crate) struct Opening {
    pub(crate) path: String,
    /// Whether a link at the end of the path is followed.
    pub(crate) follow: bool,
    pub(crate) create: bool,
    /// Only if it was not there.
    pub(crate) exclusive: bool,
    pub(crate) truncate: bool,
    /// Only if it is a folder.
    pub(crate) directory: bool,
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Every write waits for the disk.
    pub(crate) sync: bool,
}

/// Something opened.
struct Opened {
    file: File,
    is_folder: bool,
}

/// Opens what the guest asks for, below a folder that it has open.
pub(crate) async fn open_at(
    place: &Place,
    dir: Dir,
    opening: Opening,
) -> Result<Descriptor, ErrorCode> {
    if opening.sync {
        return Err(ErrorCode::Unsupported);
    }
    let for_file = opening.create || opening.exclusive || opening.truncate;
    if opening.directory && for_file {
        return Err(ErrorCode::Invalid);
    }
    let path = opening.path.clone();
    if opening.changes() {
        place.may_change(|| format!("write to {path}"))?;
    } else {
        place.used(false);
    }
    let mode = marked(opening.mode(), place.number);
    let (perms, at) = (dir.perms, dir.dir);
    let truncates = opening.truncate;
    let find = move |quota: Option<&Arc<Quota>>| opening.find_or_create(&at, quota);
    let refused = |why: &str| {
        let what = format!("open {path}");
        place.tell(&what, why.to_owned(), Remedy::Nothing);
    };
    let opened = match work_in(place, || format!("create {path}"), find).await {
        Ok(Found::Opened(opened)) => opened,
        Ok(Found::Special) => {
            refused("it is neither a file nor a folder");
            return Err(ErrorCode::Access);
        }
        Err(code) => {
            if code == ErrorCode::NotPermitted {
                refused("the path leads out of the folder, or the system forbids it");
            }
            return Err(code);
        }
    };
    if truncates {
        place.note_freed();
    }
    if opened.is_folder {
        let dir = Dir::new(opened.file, perms, mode, false);
        place.hold(&dir.dir)?;
        Ok(Descriptor::Dir(dir))
    } else {
        let file = filesystem::File::new(opened.file, perms, mode, false);
        place.hold(&file.file)?;
        Ok(Descriptor::File(file))
    }
}

/// What is at the end of a path.
enum Found {
    Opened(Opened),
    /// Something that guests have no business with.
    Special,
}

impl Opening {
    /// Whether the folder has to be writable.
    fn changes(&self) -> bool {
        self.create || self.truncate || self.write
    }

    /// What the engine notes about a descriptor.
    fn mode(&self) -> OpenMode {
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::READ, self.read || !self.write);
        mode.set(OpenMode::WRITE, self.changes());
        mode
    }

    /// The access that the system is asked for. Who opens neither to read nor to write may at
    /// least ask what it is.
    fn access(&self) -> OFlags {
        match (self.read || !self.write, self.changes()) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        }
    }

    /// Blocks.
    fn find_or_create(&self, at: &File, quota: Option<&Arc<Quota>>) -> Result<Found, Hindrance> {
        for look in 0..LOOKS {
            match self.look(at) {
                Ok(_) if self.create && self.exclusive => {
                    return Err(Hindrance::Failed(ErrorCode::Exist));
                }
                Ok(found) => return self.reopen(&found),
                Err(Errno::NOENT) if self.create => {}
                Err(error) => return Err(error.into()),
            }
            let _charge = quota.map(Quota::enter).transpose()?;
            match self.make(at, look) {
                Ok(file) => return described(file),
                Err(Errno::EXIST) if !self.exclusive => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Hindrance::Failed(ErrorCode::Busy))
    }

    /// What lies at the path, without touching it.
    fn look(&self, at: &File) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !self.follow);
        flags.set(OFlags::DIRECTORY, self.directory);
        below(at, &self.path, flags)
    }

    /// Opens what was found, and nothing else.
    fn reopen(&self, found: &OwnedFd) -> Result<Found, Hindrance> {
        match FileType::from_raw_mode(fstat(found)?.st_mode) {
            FileType::RegularFile | FileType::Directory => {}
            FileType::Symlink => return Err(Errno::LOOP.into()),
            _ => return Ok(Found::Special),
        }
        let mut flags = self.access() | OFlags::CLOEXEC;
        flags.set(OFlags::TRUNC, self.truncate);
        let file = open(path_of(found.as_fd()), flags, Mode::empty())?;
        described(file.into())
    }

    /// Makes a file where none was a moment ago. At first only if there is still none; who finds
    /// one then has met somebody who made it, or a link that leads to nothing.
    fn make(&self, at: &File, look: u32) -> Result<File, Errno> {
        let mut flags = self.access() | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags.set(OFlags::NOFOLLOW, !self.follow);
        flags.set(OFlags::EXCL, self.exclusive || look == 0);
        below(at, &self.path, flags).map(File::from)
    }
}

fn described(file: File) -> Result<Found, Hindrance> {
    Ok(match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Found::Opened(Opened {
            file,
            is_folder: false,
        }),
        FileType::Directory => Found::Opened(Opened {
            file,
            is_folder: true,
        }),
        _ => Found::Special,
    })
}

/// Opens a path that the system keeps below `at`.
pub(super) fn below(at: &File, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::from_raw_mode(0o666)
    } else {
        Mode::empty()
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut walk = 1;
    loop {
        match openat2(at, path, flags, mode, resolve) {
            Err(Errno::AGAIN) if walk < WALKS => walk += 1,
            // WASI's word for leaving the folder.
            Err(Errno::XDEV) => return Err(Errno::PERM),
            result => return result,
        }
    }
}
