//! Files of preview 1.
//!
//! Decides what `files02.rs` and `files03.rs` decide, for core modules: the functions
//! that open, list or change anything are ours and call `files/`; the others are the
//! engine's, and see the same descriptors (`files01/table.rs`). Only functions that have
//! a folder are linked with these.
//!
//! **Invariant:** a pointer out of bounds is a trap, as it is with the engine.

mod calls;
mod listing;
mod table;

use wasmtime::{AsContextMut as _, Caller, Linker, Memory};
use wasmtime_wasi::p1::types::Errno;
use wasmtime_wasi::p1::wasi_snapshot_preview1 as engine;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wiggle::GuestMemory;

pub(crate) use self::table::Table;
use crate::guest::Guest01;

/// The longest path or link target taken: what the system takes.
const PATH_BYTES_MAX: u32 = 4096;

/// One call of a guest.
struct Call<'a> {
    caller: Caller<'a, Guest01>,
    memory: Memory,
}

/// Why a call did not do what it was asked for.
enum Fault {
    /// The guest is told.
    Told(Errno),
    /// The guest ends.
    Trap(wasmtime::Error),
}

type Done<T = ()> = Result<T, Fault>;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Told(errno)
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::Told(code.into())
    }
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl<'a> Call<'a> {
    fn new(mut caller: Caller<'a, Guest01>) -> wasmtime::Result<Self> {
        match caller.get_export("memory") {
            Some(wasmtime::Extern::Memory(memory)) => Ok(Self { caller, memory }),
            _ => wasmtime::bail!("missing required memory export"),
        }
    }

    fn guest(&mut self) -> &mut Guest01 {
        self.caller.data_mut()
    }

    fn bytes(&mut self, at: u32, count: u32) -> Done<Vec<u8>> {
        let data = self.memory.data(&self.caller);
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = usize::try_from(count)
            .ok()
            .and_then(|count| data.get(from..)?.get(..count));
        Ok(bytes.ok_or_else(out_of_bounds)?.to_vec())
    }

    fn number(&mut self, at: u32) -> Done<u32> {
        let bytes = self.bytes(at, 4)?.try_into().expect("four were asked for");
        Ok(u32::from_le_bytes(bytes))
    }

    fn text(&mut self, at: u32, count: u32) -> Done<String> {
        if count > PATH_BYTES_MAX {
            return Err(Errno::Nametoolong.into());
        }
        let bytes = self.bytes(at, count)?;
        String::from_utf8(bytes).map_err(|_| Errno::Ilseq.into())
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Done {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let put = self.memory.write(&mut self.caller, at, bytes);
        put.map_err(|_| out_of_bounds())
    }

    /// The engine's state and the guest's memory, as its own functions take them.
    fn parts(&mut self) -> (&mut wasmtime_wasi::p1::WasiP1Ctx, GuestMemory<'_>) {
        use engine::WasiSnapshotPreview1 as _;
        let fuel = self.caller.as_context_mut().hostcall_fuel();
        let (memory, guest) = self.memory.data_and_store_mut(&mut self.caller);
        guest.wasi.set_hostcall_fuel(fuel);
        (&mut guest.wasi, GuestMemory::Unshared(memory))
    }
}

fn out_of_bounds() -> Fault {
    Fault::Trap(wasmtime::Trap::MemoryOutOfBounds.into())
}

/// What a guest gets.
fn answer(done: Done) -> wasmtime::Result<i32> {
    match done {
        Ok(()) => Ok(told(Errno::Success)),
        Err(Fault::Told(errno)) => Ok(told(errno)),
        Err(Fault::Trap(error)) => Err(error),
    }
}

fn told(errno: Errno) -> i32 {
    u16::from(errno).into()
}

/// What the engine's own function said.
fn heard(errno: i32) -> Done {
    match u16::try_from(errno).map(Errno::try_from) {
        Ok(Ok(Errno::Success)) => Ok(()),
        Ok(Ok(errno)) => Err(errno.into()),
        _ => Err(wasmtime::format_err!("{errno} is no error of preview 1").into()),
    }
}

/// Puts our functions in the place of the engine's, in a linker that allows it.
pub(crate) fn link(linker: &mut Linker<Guest01>) -> wasmtime::Result<()> {
    /// Links a function of ours, whose arguments are numbers.
    macro_rules! link {
        ($name:ident ( $($argument:ident : $type:ty),* )) => {
            linker.func_wrap_async(
                "wasi_snapshot_preview1",
                stringify!($name),
                |caller: Caller<'_, Guest01>, ($($argument,)*): ($($type,)*)| {
                    Box::new(async move {
                        let mut call = Call::new(caller)?;
                        let done = calls::$name(&mut call, $($argument),*).await;
                        answer(done)
                    })
                },
            )?;
        };
    }
    link!(fd_close(fd: u32));
    link!(fd_renumber(from: u32, to: u32));
    link!(fd_fdstat_set_flags(fd: u32, flags: u32));
    link!(fd_filestat_set_size(fd: u32, size: u64));
    link!(fd_write(fd: u32, vectors: u32, count: u32, out: u32));
    link!(fd_pwrite(fd: u32, vectors: u32, count: u32, offset: u64, out: u32));
    link!(fd_readdir(fd: u32, buffer: u32, bytes: u32, cookie: u64, out: u32));
    link!(path_open(fd: u32, look_up: u32, path: u32, bytes: u32, flags: u32,
        rights: u64, inherited: u64, fd_flags: u32, out: u32));
    link!(path_create_directory(fd: u32, path: u32, bytes: u32));
    link!(path_remove_directory(fd: u32, path: u32, bytes: u32));
    link!(path_unlink_file(fd: u32, path: u32, bytes: u32));
    link!(path_symlink(target: u32, target_bytes: u32, fd: u32, path: u32, bytes: u32));
    link!(path_link(fd: u32, look_up: u32, path: u32, bytes: u32, to_fd: u32, to: u32, to_bytes: u32));
    link!(path_rename(fd: u32, path: u32, bytes: u32, to_fd: u32, to: u32, to_bytes: u32));
    link!(path_readlink(fd: u32, path: u32, bytes: u32, buffer: u32, buffer_bytes: u32, out: u32));
    link!(path_filestat_get(fd: u32, look_up: u32, path: u32, bytes: u32, out: u32));
    link!(path_filestat_set_times(fd: u32, look_up: u32, path: u32, bytes: u32,
        accessed: u64, modified: u64, flags: u32));
    Ok(())
}
