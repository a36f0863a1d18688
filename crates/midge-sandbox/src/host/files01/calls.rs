//! The functions of preview 1 that are ours.
//!
//! Decides nothing: takes arguments out of the guest's memory, calls `files/`, and puts
//! results back. What is about stdin, stdout and stderr, and what changes nothing, goes on
//! to the engine.
//!
//! **Invariant:** a descriptor is forgotten when the engine has closed it.
#![expect(clippy::too_many_arguments, reason = "the arguments are preview 1's")]

use std::ops::ControlFlow;

use bytes::Bytes;
use wasmtime_wasi::filesystem::File;
use wasmtime_wasi::p1::types::{Errno, Fd, Whence};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as engine, WasiSnapshotPreview1 as _};
use wasmtime_wasi::p2::bindings::filesystem::types::PathFlags;

use super::listing::Cursor;
use super::table::{APPEND, number};
use super::{Call, Done, Fault, heard};
use crate::host::files::change::{self, Named};
use crate::host::files::open::{self, Opening};
use crate::host::files::write::{self, At};
use crate::host::files::{self, Place};

/// What one write takes; a guest goes on with the rest.
const WRITE_BYTES_MAX: u32 = 1 << 20;

/// Buffers of one write that are looked at; the first that is not empty is written.
const VECTORS_MAX: u32 = 1024;

impl Call<'_> {
    /// Where a descriptor lies.
    fn place(&mut self, fd: u32) -> Done<Place> {
        let descriptor = self.guest().descriptor(fd)?;
        Ok(self.guest().files.place(&descriptor)?)
    }

    fn named(&mut self, fd: u32, path: u32, bytes: u32) -> Done<Named> {
        let descriptor = self.guest().descriptor(fd)?;
        Ok(Named {
            place: self.guest().files.place(&descriptor)?,
            dir: files::dir(&descriptor)?,
            path: self.text(path, bytes)?,
        })
    }

    fn file(&mut self, fd: u32) -> Done<(Place, File)> {
        let descriptor = self.guest().descriptor(fd)?;
        let place = self.guest().files.place(&descriptor)?;
        Ok((place, files::file(&descriptor)?))
    }

    /// Whether it is one of stdin, stdout and stderr, or none at all: the engine's affair.
    fn is_engines(&mut self, fd: u32) -> Done<bool> {
        Ok(!self.guest().table()?.contains_key(&fd))
    }

    /// The first bytes that a write has.
    fn gathered(&mut self, vectors: u32, count: u32) -> Done<Bytes> {
        for index in 0..count.min(VECTORS_MAX) {
            let at = vectors.wrapping_add(index.wrapping_mul(8));
            let (from, bytes) = (self.number(at)?, self.number(at.wrapping_add(4))?);
            if bytes > 0 {
                return Ok(self.bytes(from, bytes.min(WRITE_BYTES_MAX))?.into());
            }
        }
        Ok(Bytes::new())
    }

    /// Writes what is counted; leaves the rest to the engine.
    async fn write(
        &mut self,
        fd: u32,
        (vectors, count, out): (u32, u32, u32),
        offset: Option<u64>,
    ) -> Done<ControlFlow<()>> {
        if self.is_engines(fd)? {
            return Ok(ControlFlow::Continue(()));
        }
        let (place, file) = self.file(fd)?;
        if place.quota().is_none() {
            return Ok(ControlFlow::Continue(()));
        }
        let bytes = self.gathered(vectors, count)?;
        let appends = self.guest().open(fd)?.appends;
        let at = match offset {
            _ if appends => At::End,
            Some(offset) => At::Offset(offset),
            None => At::Offset(self.position(fd)?),
        };
        let written = write::write(&place, file.clone(), at, bytes).await?;
        if offset.is_none() {
            let behind = match at.behind(written) {
                At::Offset(behind) => behind,
                At::End => file.file.metadata().map_or(0, |file| file.len()),
            };
            self.seek(fd, behind).await?;
        }
        let written = u32::try_from(written).expect("no more than was taken");
        self.put(out, &written.to_le_bytes())?;
        Ok(ControlFlow::Break(()))
    }

    fn position(&mut self, fd: u32) -> Done<u64> {
        let (wasi, mut memory) = self.parts();
        fault(wasi.fd_tell(&mut memory, Fd::from(fd)))
    }

    async fn seek(&mut self, fd: u32, position: u64) -> Done {
        let position = i64::try_from(position).map_err(|_| Errno::Overflow)?;
        let (wasi, mut memory) = self.parts();
        let sought = wasi.fd_seek(&mut memory, Fd::from(fd), position, Whence::Set);
        fault(sought.await).map(drop)
    }
}

/// What a function of the engine's said that we called.
fn fault<T>(result: Result<T, wasmtime_wasi::p1::types::Error>) -> Done<T> {
    result.map_err(|error| match error.downcast() {
        Ok(errno) => Fault::Told(errno),
        Err(trap) => Fault::Trap(trap),
    })
}

pub(super) async fn fd_close(call: &mut Call<'_>, fd: u32) -> Done {
    let place = (!call.is_engines(fd)?)
        .then(|| call.place(fd))
        .transpose()?;
    let (wasi, mut memory) = call.parts();
    heard(engine::fd_close(wasi, &mut memory, number(fd)).await?)?;
    call.guest().table()?.remove(&fd);
    if let Some(place) = place {
        // A file that was deleted gives its room back with its last descriptor.
        place.note_freed();
    }
    Ok(())
}

pub(super) async fn fd_renumber(call: &mut Call<'_>, from: u32, to: u32) -> Done {
    call.guest().table()?;
    let (wasi, mut memory) = call.parts();
    heard(engine::fd_renumber(wasi, &mut memory, number(from), number(to)).await?)?;
    if from == to {
        return Ok(());
    }
    let table = call.guest().table()?;
    let moved = table.remove(&from);
    match moved {
        Some(open) => table.insert(to, open),
        None => table.remove(&to),
    };
    Ok(())
}

pub(super) async fn fd_fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> Done {
    let is_engines = call.is_engines(fd)?;
    let (wasi, mut memory) = call.parts();
    heard(engine::fd_fdstat_set_flags(
        wasi,
        &mut memory,
        number(fd),
        number(flags),
    )?)?;
    if !is_engines {
        call.guest().open(fd)?.appends = flags & APPEND != 0;
    }
    Ok(())
}

pub(super) async fn fd_filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> Done {
    let (place, file) = call.file(fd)?;
    Ok(write::set_size(&place, file, size).await?)
}

pub(super) async fn fd_write(
    call: &mut Call<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    out: u32,
) -> Done {
    if call
        .write(fd, (vectors, count, out), None)
        .await?
        .is_break()
    {
        return Ok(());
    }
    let (wasi, mut memory) = call.parts();
    let [fd, vectors, count, out] = [fd, vectors, count, out].map(number);
    heard(engine::fd_write(wasi, &mut memory, fd, vectors, count, out).await?)
}

pub(super) async fn fd_pwrite(
    call: &mut Call<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Done {
    let written = call.write(fd, (vectors, count, out), Some(offset)).await?;
    if written.is_break() {
        return Ok(());
    }
    let (wasi, mut memory) = call.parts();
    let [fd, vectors, count, out] = [fd, vectors, count, out].map(number);
    let offset = offset.cast_signed();
    heard(engine::fd_pwrite(wasi, &mut memory, fd, vectors, count, offset, out).await?)
}

pub(super) async fn fd_readdir(
    call: &mut Call<'_>,
    fd: u32,
    buffer: u32,
    bytes: u32,
    cookie: u64,
    out: u32,
) -> Done {
    let Named { place, dir, .. } = call.named(fd, 0, 0)?;
    let kept = call.guest().open(fd)?.cursor.take();
    let mut cursor = Cursor::at(kept, cookie, &place, dir).await?;
    let mut used: u32 = 0;
    while used < bytes {
        let Some(name) = cursor.peek().await? else {
            break;
        };
        let length = u32::try_from(name.len()).expect("a name and its head");
        let fits = length.min(bytes - used);
        let part = &name[..usize::try_from(fits).expect("no more than its length")];
        call.put(buffer.wrapping_add(used), part)?;
        used += fits;
        if fits == length {
            cursor.told().await;
        }
    }
    call.guest().open(fd)?.cursor = Some(cursor);
    call.put(out, &used.to_le_bytes())
}

pub(super) async fn path_open(
    call: &mut Call<'_>,
    fd: u32,
    look_up: u32,
    path: u32,
    bytes: u32,
    flags: u32,
    rights: u64,
    _inherited: u64,
    fd_flags: u32,
    out: u32,
) -> Done {
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 6;
    /// `dsync`, `rsync` and `sync`.
    const SYNCHRONOUS: u32 = 1 << 1 | 1 << 3 | 1 << 4;
    const FLAGS: u32 = (1 << 4) - 1;
    const FD_FLAGS: u32 = (1 << 5) - 1;
    let Named { place, dir, path } = call.named(fd, path, bytes)?;
    if flags & !FLAGS != 0 || fd_flags & !FD_FLAGS != 0 {
        return Err(Errno::Inval.into());
    }
    let opening = Opening {
        path,
        follow: follows(look_up)?,
        create: flags & 1 != 0,
        directory: flags & 1 << 1 != 0,
        exclusive: flags & 1 << 2 != 0,
        truncate: flags & 1 << 3 != 0,
        read: rights & READ != 0,
        write: rights & WRITE != 0,
        sync: fd_flags & SYNCHRONOUS != 0,
    };
    let opened = open::open_at(&place, dir, opening).await?;
    let new = call.guest().adopt(fd, opened, fd_flags).await?;
    call.put(out, &new.to_le_bytes())
}

pub(super) async fn path_create_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    bytes: u32,
) -> Done {
    let name = call.named(fd, path, bytes)?;
    Ok(change::create_directory(name).await?)
}

pub(super) async fn path_remove_directory(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    bytes: u32,
) -> Done {
    let name = call.named(fd, path, bytes)?;
    Ok(change::remove_directory(name).await?)
}

pub(super) async fn path_unlink_file(call: &mut Call<'_>, fd: u32, path: u32, bytes: u32) -> Done {
    let name = call.named(fd, path, bytes)?;
    Ok(change::unlink(name).await?)
}

pub(super) async fn path_symlink(
    call: &mut Call<'_>,
    target: u32,
    target_bytes: u32,
    fd: u32,
    path: u32,
    bytes: u32,
) -> Done {
    let name = call.named(fd, path, bytes)?;
    let target = call.text(target, target_bytes)?;
    Ok(change::symlink(target, name).await?)
}

pub(super) async fn path_link(
    call: &mut Call<'_>,
    fd: u32,
    look_up: u32,
    path: u32,
    bytes: u32,
    to_fd: u32,
    to: u32,
    to_bytes: u32,
) -> Done {
    let old = call.named(fd, path, bytes)?;
    let new = call.named(to_fd, to, to_bytes)?;
    let mut flags = PathFlags::empty();
    if follows(look_up)? {
        flags |= PathFlags::SYMLINK_FOLLOW;
    }
    Ok(change::link(old, flags, new).await?)
}

pub(super) async fn path_rename(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    bytes: u32,
    to_fd: u32,
    to: u32,
    to_bytes: u32,
) -> Done {
    let old = call.named(fd, path, bytes)?;
    let new = call.named(to_fd, to, to_bytes)?;
    Ok(change::rename(old, new).await?)
}

pub(super) async fn path_readlink(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    bytes: u32,
    buffer: u32,
    buffer_bytes: u32,
    out: u32,
) -> Done {
    call.place(fd)?.used(false);
    let (wasi, mut memory) = call.parts();
    let [fd, path, bytes, buffer, buffer_bytes, out] =
        [fd, path, bytes, buffer, buffer_bytes, out].map(number);
    let read = engine::path_readlink(
        wasi,
        &mut memory,
        fd,
        path,
        bytes,
        buffer,
        buffer_bytes,
        out,
    );
    heard(read.await?)
}

pub(super) async fn path_filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    look_up: u32,
    path: u32,
    bytes: u32,
    out: u32,
) -> Done {
    call.place(fd)?.used(false);
    let (wasi, mut memory) = call.parts();
    let [fd, look_up, path, bytes, out] = [fd, look_up, path, bytes, out].map(number);
    let got = engine::path_filestat_get(wasi, &mut memory, fd, look_up, path, bytes, out);
    heard(got.await?)
}

pub(super) async fn path_filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    look_up: u32,
    path: u32,
    bytes: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Done {
    call.place(fd)?.used(true);
    let (wasi, mut memory) = call.parts();
    let [fd, look_up, path, bytes, flags] = [fd, look_up, path, bytes, flags].map(number);
    let (accessed, modified) = (accessed.cast_signed(), modified.cast_signed());
    let set = engine::path_filestat_set_times(
        wasi,
        &mut memory,
        fd,
        look_up,
        path,
        bytes,
        accessed,
        modified,
        flags,
    );
    heard(set.await?)
}

fn follows(look_up: u32) -> Done<bool> {
    match look_up {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::Inval.into()),
    }
}
