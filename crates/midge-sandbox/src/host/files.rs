//! What a guest does to files, whichever contract it speaks.
//!
//! Decides which granted folder something lies in, whether it may be changed, and what
//! is told about a refusal; `files/` opens, changes, writes and lists. The contracts'
//! own files (`files01.rs`, `files02.rs`, `files03.rs`) translate, and leave to the engine
//! whatever neither changes a folder nor can hold a thread up.
//!
//! **Invariant:** whatever makes a folder larger goes through here, and counts before it
//! happens.

pub(crate) mod change;
pub(crate) mod listing;
pub(crate) mod open;
pub(crate) mod tree;
pub(crate) mod write;

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use midge_model::quantity::format_bytes;
use midge_model::{DirGrant, DirMode, TMP_GUEST_PATH, Use};
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi::OpenMode;
use wasmtime_wasi::filesystem::{Descriptor, Dir, File};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::host::denied::{Denial, Remedy};
use crate::host::quota::{NoRoom, Quota};
use crate::host::tmp::TmpDir;
use crate::limits::HANDLES_MAX;
use crate::powers::Lent;

/// The folders of one invocation.
pub(crate) struct Files {
    folders: Vec<Arc<Folder>>,
    held: Arc<Held>,
    lent: Arc<Lent>,
    /// Removed when the invocation is over.
    _tmp: Option<TmpDir>,
}

/// A folder that a function has.
pub(crate) struct Folder {
    pub(crate) grant: FolderGrant,
    pub(crate) quota: Option<Arc<Quota>>,
}

/// Why it has it.
pub(crate) enum FolderGrant {
    Dir(DirGrant),
    Tmp,
}

/// Where something that a guest has open lies.
#[derive(Clone)]
pub(crate) struct Place {
    number: usize,
    folder: Arc<Folder>,
    held: Arc<Held>,
    lent: Arc<Lent>,
}

/// The system's descriptors that one invocation holds: those of handles, and in 0.3 those that
/// streams still hold whose handles are gone.
#[derive(Default)]
struct Held(Mutex<Vec<Weak<dyn Any + Send + Sync>>>);

impl Held {
    fn hold(&self, descriptor: Weak<dyn Any + Send + Sync>) -> Result<(), ErrorCode> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= HANDLES_MAX {
            held.retain(|descriptor| descriptor.strong_count() > 0);
        }
        if held.len() >= HANDLES_MAX {
            // WASI has no word for too many of them.
            return Err(ErrorCode::InsufficientMemory);
        }
        held.push(descriptor);
        Ok(())
    }
}

impl Files {
    pub(crate) fn new(folders: Vec<Arc<Folder>>, tmp: Option<TmpDir>, lent: Arc<Lent>) -> Self {
        Self {
            folders,
            held: Arc::default(),
            lent,
            _tmp: tmp,
        }
    }

    /// How many folders there are.
    pub(crate) fn count(&self) -> usize {
        self.folders.len()
    }

    /// Where a descriptor of this guest lies.
    pub(crate) fn place(&self, descriptor: &Descriptor) -> Result<Place, ErrorCode> {
        let mode = match descriptor {
            Descriptor::Dir(dir) => dir.open_mode,
            Descriptor::File(file) => file.open_mode,
        };
        // Everything that is opened is marked; see `marked`.
        let number = (mode.bits() >> NUMBER_SHIFT).checked_sub(1);
        number
            .and_then(|number| self.numbered(number))
            .ok_or(ErrorCode::BadDescriptor)
    }

    /// Marks a descriptor of a granted folder itself.
    pub(crate) fn mark(&self, descriptor: &mut Descriptor, number: usize) {
        if let Descriptor::Dir(dir) = descriptor {
            dir.open_mode = marked(dir.open_mode, number);
        }
    }

    fn numbered(&self, number: usize) -> Option<Place> {
        Some(Place {
            number,
            folder: Arc::clone(self.folders.get(number)?),
            held: Arc::clone(&self.held),
            lent: Arc::clone(&self.lent),
        })
    }
}

/// Where the number of its folder stands in a descriptor's open mode: above the bits that the
/// engine knows, which looks only at those. So it lives, moves and dies with the descriptor; a
/// table beside the engine's would have to be kept in step with it by three contracts.
const NUMBER_SHIFT: u32 = 8;

fn marked(mode: OpenMode, number: usize) -> OpenMode {
    let plain = mode.intersection(OpenMode::all());
    OpenMode::from_bits_retain(plain.bits() | (number + 1) << NUMBER_SHIFT)
}

impl Place {
    /// The quota that counts here.
    pub(crate) fn quota(&self) -> Option<&Arc<Quota>> {
        self.folder.quota.as_ref()
    }

    /// Counts a descriptor as one that the invocation holds, for as long as it is there.
    fn hold<T: Any + Send + Sync>(&self, descriptor: &Arc<T>) -> Result<(), ErrorCode> {
        let descriptor: Weak<T> = Arc::downgrade(descriptor);
        self.held.hold(descriptor)
    }

    /// Notes that the folder is needed, to read or to write.
    pub(crate) fn used(&self, wrote: bool) {
        self.lent.powers.saw(|| match &self.folder.grant {
            FolderGrant::Tmp => Use::Tmp,
            FolderGrant::Dir(grant) => Use::Dir {
                guest: grant.guest.clone(),
                wrote,
            },
        });
    }

    /// Notes that something was done that may have made room.
    pub(crate) fn note_freed(&self) {
        if let Some(quota) = self.quota() {
            quota.note_freed();
        }
    }

    /// Whether anything may be changed here; `what` says what for.
    fn may_change(&self, what: impl Fn() -> String) -> Result<(), ErrorCode> {
        self.used(true);
        match &self.folder.grant {
            FolderGrant::Dir(grant) if grant.mode == DirMode::ReadOnly => {
                let writable = DirGrant {
                    mode: DirMode::ReadWrite,
                    ..grant.clone()
                };
                let remedy = Remedy::Grant(line(&writable));
                let why = "the folder is granted to be read".to_owned();
                self.tell(&what(), why, remedy);
                Err(ErrorCode::NotPermitted)
            }
            FolderGrant::Dir(_) | FolderGrant::Tmp => Ok(()),
        }
    }

    /// Whether both are in one folder, as far as quotas can tell.
    fn counts_with(&self, other: &Self) -> bool {
        let counted = self.folder.quota.is_some() || other.folder.quota.is_some();
        self.number == other.number || !counted
    }

    /// The folder holds what it may.
    fn full(&self, what: impl FnOnce() -> String) -> ErrorCode {
        let limit_bytes = self.quota().map_or(0, |quota| quota.limit_bytes());
        let more_bytes = limit_bytes.saturating_mul(2);
        let to_add = match &self.folder.grant {
            FolderGrant::Tmp => format!("tmp = \"{}\"", format_bytes(more_bytes)),
            FolderGrant::Dir(grant) => line(&DirGrant {
                quota_bytes: Some(more_bytes),
                ..grant.clone()
            }),
        };
        let why = format!("the folder is full at {}", format_bytes(limit_bytes));
        self.tell(&what(), why, Remedy::Grant(to_add));
        ErrorCode::Quota
    }

    fn tell(&self, what: &str, why: String, remedy: Remedy) {
        let what = format!("{what} below {}", self.folder.guest());
        self.lent.denials.tell(&Denial { what, why, remedy });
    }
}

impl Folder {
    /// Where the guest sees it.
    pub(crate) fn guest(&self) -> &str {
        match &self.grant {
            FolderGrant::Dir(grant) => &grant.guest,
            FolderGrant::Tmp => TMP_GUEST_PATH,
        }
    }
}

/// A grant as it stands in a manifest.
fn line(grant: &DirGrant) -> String {
    let quota = grant.quota_bytes.map_or(String::new(), |bytes| {
        format!(", quota = \"{}\"", format_bytes(bytes))
    });
    format!(
        "dirs = [{{ host = {:?}, guest = {:?}, mode = \"{}\"{quota} }}]",
        grant.host, grant.guest, grant.mode
    )
}

/// The folder behind a descriptor.
pub(crate) fn dir(descriptor: &Descriptor) -> Result<Dir, ErrorCode> {
    match descriptor {
        Descriptor::Dir(dir) => Ok(dir.clone()),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory),
    }
}

/// The file behind a descriptor.
pub(crate) fn file(descriptor: &Descriptor) -> Result<File, ErrorCode> {
    match descriptor {
        Descriptor::File(file) => Ok(file.clone()),
        Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor),
    }
}

/// Why something was not done yet, or not at all.
pub(crate) enum Hindrance {
    /// Done when room was found.
    NoRoom(NoRoom),
    /// Not done.
    Failed(ErrorCode),
}

impl From<NoRoom> for Hindrance {
    fn from(no_room: NoRoom) -> Self {
        Self::NoRoom(no_room)
    }
}

impl From<std::io::Error> for Hindrance {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<rustix::io::Errno> for Hindrance {
    fn from(error: rustix::io::Errno) -> Self {
        std::io::Error::from(error).into()
    }
}

/// How often room is looked for: others may take what was found.
const TRIES: u32 = 8;

/// Does blocking work in a folder on a file thread, as often as it takes to find room for it.
async fn work_in<R: Send + 'static>(
    place: &Place,
    what: impl Fn() -> String,
    mut work: impl FnMut(Option<&Arc<Quota>>) -> Result<R, Hindrance> + Send + 'static,
) -> Result<R, ErrorCode> {
    let mut tries = 0;
    loop {
        let quota = place.quota().cloned();
        let (back, result) = on_file_thread(move || {
            let result = work(quota.as_ref());
            (work, result)
        })
        .await;
        work = back;
        match (result, place.quota()) {
            (Ok(done), _) => return Ok(done),
            (Err(Hindrance::Failed(code)), _) => return Err(code),
            (Err(Hindrance::NoRoom(NoRoom { bytes })), Some(quota)) => {
                tries += 1;
                if tries > TRIES || !quota.make_room(bytes).await {
                    return Err(place.full(&what));
                }
            }
            (Err(Hindrance::NoRoom(_)), None) => unreachable!("only a quota finds no room"),
        }
    }
}

/// Runs blocking work on a file thread. It is not begun any more when nobody waits for it.
pub(crate) async fn on_file_thread<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> R {
    let worked = AbortOnDropHandle::new(tokio::task::spawn_blocking(work));
    match worked.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going; so is whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number must not be mistaken for a mode that a later engine may have.
    #[test]
    fn a_folder_s_number_stands_above_what_the_engine_knows() {
        assert!(OpenMode::all().bits() < 1 << NUMBER_SHIFT);
        let mode = marked(OpenMode::READ, 0);
        assert!(mode.contains(OpenMode::READ) && !mode.contains(OpenMode::WRITE));
        assert_eq!(marked(mode, 3).bits() >> NUMBER_SHIFT, 4);
    }

    #[test]
    fn a_grant_is_told_as_it_stands_in_a_manifest() {
        let grant: DirGrant = "/srv/a b:/data:rw".parse().unwrap();
        assert_eq!(
            line(&grant.with_quota("64MiB").unwrap()),
            r#"dirs = [{ host = "/srv/a b", guest = "/data", mode = "rw", quota = "64MiB" }]"#
        );
    }
}
