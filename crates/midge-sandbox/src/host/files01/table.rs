//! Which descriptor of the guest is which in the engine's table.
//!
//! Decides where a file that we opened gets its number. The engine keeps the numbers of
//! preview 1 to itself and gives one only to what it opens: it is made to open something
//! that is always there, and what we opened is put in that place.
//!
//! **Invariant:** every number here is one of the engine's that stands for a file or a
//! folder, and the other way round.

use std::collections::BTreeMap;
use std::fs::File;
use std::mem;
use std::sync::OnceLock;

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, Dir};
use wasmtime_wasi::p1::types::{Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as engine, WasiSnapshotPreview1 as _};
use wasmtime_wasi::{FsPerms, OpenMode, ResourceTable, WasiView as _};
use wiggle::GuestMemory;

use super::listing::Cursor;
use super::{Done, Fault, heard};
use crate::guest::Guest01;
use crate::limits::HANDLES_MAX;

/// The first number that is not stdin, stdout or stderr: granted folders begin there.
const FIRST: u32 = 3;

/// A guest's descriptors.
#[derive(Default)]
pub(crate) struct Table {
    /// Absent until the first call; the engine makes its own at the first call too.
    open: Option<BTreeMap<u32, Open>>,
}

/// A descriptor.
pub(super) struct Open {
    /// Its key in the engine's table.
    key: u32,
    /// Whether every write goes to the end of the file.
    pub(super) appends: bool,
    /// How far the guest has listed a folder.
    pub(super) cursor: Option<Cursor>,
}

impl Guest01 {
    /// The descriptors, after the engine has made the first ones.
    pub(super) fn table(&mut self) -> Done<&mut BTreeMap<u32, Open>> {
        if self.files_table.open.is_none() {
            let begun = self.begin()?;
            self.files_table.open = Some(begun);
        }
        let open = self.files_table.open.as_mut();
        Ok(open.expect("it was made a moment ago"))
    }

    /// A descriptor of a file or a folder.
    pub(super) fn open(&mut self, fd: u32) -> Done<&mut Open> {
        self.table()?.get_mut(&fd).ok_or(Errno::Badf.into())
    }

    /// What it stands for.
    pub(super) fn descriptor(&mut self, fd: u32) -> Done<Descriptor> {
        let key = self.open(fd)?.key;
        let descriptor = self.wasi.ctx().table.get(&resource(key));
        Ok(descriptor.map_err(wasmtime::Error::from)?.clone())
    }

    /// Gives a number to what was opened below the folder `parent`.
    pub(super) async fn adopt(
        &mut self,
        parent: u32,
        opened: Descriptor,
        fd_flags: u32,
    ) -> Done<u32> {
        let (path, key) = match &opened {
            Descriptor::File(_) => (FILE, self.open(parent)?.key),
            Descriptor::Dir(_) => (FOLDER, self.open(parent)?.key),
        };
        let stand_in = Descriptor::Dir(stand_in()?);
        let real = mem::replace(self.entry(key)?, stand_in);
        let (bytes, out) = (path.len(), OUT);
        let mut memory = [0; 16];
        memory[..bytes].copy_from_slice(path);
        self.wasi.set_hostcall_fuel(memory.len());
        let errno = engine::path_open(
            &mut self.wasi,
            &mut GuestMemory::Unshared(&mut memory),
            number(parent),
            0,
            0,
            number(u32::try_from(bytes).expect("a few")),
            0,
            RIGHT_TO_READ,
            0,
            number(fd_flags),
            number(out),
        )
        .await;
        *self.entry(key)? = real;
        heard(errno?)?;
        let out = usize::try_from(out).expect("a few");
        let fd = memory[out..out + 4].try_into().expect("four bytes");
        let fd = u32::from_le_bytes(fd);
        let known: Vec<_> = self.table()?.values().map(|open| open.key).collect();
        let new = unknown(self.wasi.ctx().table, &known);
        let [key] = *new else {
            return Err(out_of_step());
        };
        *self.entry(key)? = opened;
        let open = Open {
            key,
            appends: fd_flags & APPEND != 0,
            cursor: None,
        };
        self.table()?.insert(fd, open);
        Ok(fd)
    }

    fn entry(&mut self, key: u32) -> Done<&mut Descriptor> {
        let entry = self.wasi.ctx().table.get_mut(&resource(key));
        Ok(entry.map_err(wasmtime::Error::from)?)
    }

    /// Has the engine make its first descriptors, and marks them with their folders.
    fn begin(&mut self) -> Done<BTreeMap<u32, Open>> {
        // What it answers does not matter.
        drop(
            self.wasi
                .fd_prestat_get(&mut GuestMemory::Unshared(&mut []), Fd::from(FIRST)),
        );
        let folders = unknown(self.wasi.ctx().table, &[]);
        if folders.len() != self.files.count() {
            return Err(out_of_step());
        }
        let mut open = BTreeMap::new();
        for (number, (fd, key)) in (FIRST..).zip(folders).enumerate() {
            let entry = self.wasi.ctx().table.get_mut(&resource(key));
            self.files
                .mark(entry.map_err(wasmtime::Error::from)?, number);
            let folder = Open {
                key,
                appends: false,
                cursor: None,
            };
            open.insert(fd, folder);
        }
        Ok(open)
    }
}

/// What is opened for its number: by these names, below a folder that every process has.
const FILE: &[u8] = b"comm";
const FOLDER: &[u8] = b".";
/// Where the number is written, behind the name.
const OUT: u32 = 8;
const RIGHT_TO_READ: i64 = 1 << 1;
/// `fdflags::append`.
pub(super) const APPEND: u32 = 1;

fn stand_in() -> Done<Dir> {
    static PROCESS: OnceLock<Dir> = OnceLock::new();
    if let Some(process) = PROCESS.get() {
        return Ok(process.clone());
    }
    let opened = File::open("/proc/self").map_err(wasmtime::Error::from)?;
    let process = Dir::new(opened, FsPerms::ReadOnly, OpenMode::READ, false);
    Ok(PROCESS.get_or_init(|| process).clone())
}

/// The keys of files and folders in the engine's table that are not among `known`, lowest first:
/// the order in which a new table gives them out.
fn unknown(table: &ResourceTable, known: &[u32]) -> Vec<u32> {
    let keys = 0..u32::try_from(HANDLES_MAX).expect("a few hundred");
    keys.filter(|key| table.get(&resource(*key)).is_ok() && !known.contains(key))
        .collect()
}

fn resource(key: u32) -> Resource<Descriptor> {
    Resource::new_borrow(key)
}

/// The engine's functions take numbers as WebAssembly has them.
pub(super) fn number(number: u32) -> i32 {
    number.cast_signed()
}

fn out_of_step() -> Fault {
    wasmtime::format_err!("descriptors of preview 1 are out of step with the engine").into()
}
