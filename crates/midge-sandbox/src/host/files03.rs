//! `wasi:filesystem` 0.3.
//!
//! Translates, as `files02.rs` does: finds the place of a descriptor and calls `files/`,
//! or hands the call to the engine. Here too every function of the interface stands.
//!
//! **Invariant:** no descriptor is made by the engine but those of the granted folders.

mod input;
mod output;

use tokio::sync::oneshot;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, Accessor, FutureReader, Linker, Resource, StreamReader};
use wasmtime_wasi::filesystem::{Descriptor, File, WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::{preopens as p2_preopens, types as p2};
use wasmtime_wasi::p3::bindings::filesystem::preopens;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    Filesize, HostDescriptor, HostDescriptorWithStore, MetadataHashValue, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p3::filesystem::{FilesystemError, FilesystemResult};

use self::input::Input;
use self::output::Output;
use super::files::change::{self, Named};
use super::files::open::{self, Opening};
use super::files::write::{self, At};
use super::files::{self, Place};
use super::files02::{FilesView, HasFiles};
use crate::guest::Guest;

type Outcome = Result<(), ErrorCode>;
type Engine = WasiFilesystem;

/// Puts these functions in the place of the engine's, in a linker that allows it.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    preopens::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    Ok(())
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        p2_preopens::Host::get_directories(self)
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FilesystemError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.engine, error)
    }
}

impl HostDescriptor for FilesView<'_> {
    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        p2::HostDescriptor::drop(self, fd)
    }
}

/// What a descriptor is, for as long as nothing else runs.
fn descriptor<T>(
    store: &Accessor<Guest, HasFiles>,
    fd: &Resource<Descriptor>,
    look: impl FnOnce(Place, &Descriptor) -> Result<T, p2::ErrorCode>,
) -> FilesystemResult<T> {
    store.with(|mut store| {
        let view = store.get();
        let open = view.engine.table.get(fd)?;
        let looked = view.files.place(open).and_then(|place| look(place, open));
        looked.map_err(|code| code_of(code).into())
    })
}

fn place(store: &Accessor<Guest, HasFiles>, fd: &Resource<Descriptor>) -> FilesystemResult<Place> {
    descriptor(store, fd, |place, _| Ok(place))
}

fn named(
    store: &Accessor<Guest, HasFiles>,
    fd: &Resource<Descriptor>,
    path: String,
) -> FilesystemResult<Named> {
    descriptor(store, fd, |place, open| {
        Ok(Named {
            place,
            dir: files::dir(open)?,
            path,
        })
    })
}

/// The engine's view of the same store.
fn engine(store: &Accessor<Guest, HasFiles>) -> Accessor<Guest, Engine> {
    store.with_getter::<Engine>(Guest::filesystem)
}

fn engine_now<'a>(store: &'a mut Access<'_, Guest, HasFiles>) -> Access<'a, Guest, Engine> {
    Access::<_, Engine>::new(store.as_context_mut(), Guest::filesystem)
}

fn done<T>(result: Result<T, p2::ErrorCode>) -> FilesystemResult<T> {
    result.map_err(|code| code_of(code).into())
}

/// Writes what comes from a guest to a file; `None` if nothing is counted where it lies, so that
/// the engine can do it.
fn counted(
    store: &mut Access<'_, Guest, HasFiles>,
    fd: &Resource<Descriptor>,
) -> wasmtime::Result<Option<Result<(Place, File), ErrorCode>>> {
    let view = store.get();
    let open = view.engine.table.get(fd)?;
    let found = view.files.place(open).and_then(|place| {
        let file = files::file(open)?;
        if file.perms.write_not_permitted() {
            return Err(p2::ErrorCode::NotPermitted);
        }
        Ok((place, file))
    });
    Ok(match found {
        Ok((place, _)) if place.quota().is_none() => None,
        found => Some(found.map_err(code_of)),
    })
}

fn pour(
    store: &mut Access<'_, Guest, HasFiles>,
    mut data: StreamReader<u8>,
    found: Result<(Place, File), ErrorCode>,
    at: At,
) -> wasmtime::Result<FutureReader<Outcome>> {
    let (tell, told) = oneshot::channel();
    match found {
        Ok((place, file)) => data.pipe(&mut *store, Output::new(place, file, at, tell))?,
        Err(code) => {
            data.close(&mut *store)?;
            // The receiver is ours.
            drop(tell.send(Err(code)));
        }
    }
    FutureReader::new(store, told)
}

impl HostDescriptorWithStore<Guest> for HasFiles {
    fn read_via_stream(
        mut store: Access<'_, Guest, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> wasmtime::Result<(StreamReader<u8>, FutureReader<Outcome>)> {
        Engine::read_via_stream(engine_now(&mut store), fd, offset)
    }

    fn write_via_stream(
        mut store: Access<'_, Guest, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
        offset: Filesize,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        match counted(&mut store, &fd)? {
            Some(found) => pour(&mut store, data, found, At::Offset(offset)),
            None => Engine::write_via_stream(engine_now(&mut store), fd, data, offset),
        }
    }

    fn append_via_stream(
        mut store: Access<'_, Guest, Self>,
        fd: Resource<Descriptor>,
        data: StreamReader<u8>,
    ) -> wasmtime::Result<FutureReader<Outcome>> {
        match counted(&mut store, &fd)? {
            Some(found) => pour(&mut store, data, found, At::End),
            None => Engine::append_via_stream(engine_now(&mut store), fd, data),
        }
    }

    async fn advise(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FilesystemResult<()> {
        Engine::advise(&engine(store), fd, offset, length, advice).await
    }

    async fn sync_data(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<()> {
        Engine::sync_data(&engine(store), fd).await
    }

    async fn get_flags(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorFlags> {
        Engine::get_flags(&engine(store), fd).await
    }

    async fn get_type(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorType> {
        Engine::get_type(&engine(store), fd).await
    }

    async fn set_size(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        size: Filesize,
    ) -> FilesystemResult<()> {
        let (place, file) = descriptor(store, &fd, |place, open| Ok((place, files::file(open)?)))?;
        done(write::set_size(&place, file, size).await)
    }

    async fn set_times(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        place(store, &fd)?.used(true);
        Engine::set_times(&engine(store), fd, accessed, modified).await
    }

    fn read_directory(
        mut store: Access<'_, Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> wasmtime::Result<(StreamReader<DirectoryEntry>, FutureReader<Outcome>)> {
        let view = store.get();
        let open = view.engine.table.get(&fd)?;
        let found = view
            .files
            .place(open)
            .and_then(|place| Ok((place, files::dir(open)?)));
        let (tell, told) = oneshot::channel();
        let entries = match found {
            Ok((place, dir)) => StreamReader::new(&mut store, Input::new(place, dir, tell))?,
            Err(code) => {
                // The receiver is ours.
                drop(tell.send(Err(code_of(code))));
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok((entries, FutureReader::new(&mut store, told)?))
    }

    async fn sync(store: &Accessor<Guest, Self>, fd: Resource<Descriptor>) -> FilesystemResult<()> {
        Engine::sync(&engine(store), fd).await
    }

    async fn create_directory_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        done(change::create_directory(named(store, &fd, path)?).await)
    }

    async fn stat(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<DescriptorStat> {
        Engine::stat(&engine(store), fd).await
    }

    async fn stat_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<DescriptorStat> {
        place(store, &fd)?.used(false);
        Engine::stat_at(&engine(store), fd, flags, path).await
    }

    async fn set_times_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FilesystemResult<()> {
        place(store, &fd)?.used(true);
        Engine::set_times_at(&engine(store), fd, flags, path, accessed, modified).await
    }

    async fn link_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        let (old, new) = (named(store, &fd, path)?, named(store, &new_fd, new_path)?);
        let mut old_flags = p2::PathFlags::empty();
        if flags.contains(PathFlags::SYMLINK_FOLLOW) {
            old_flags |= p2::PathFlags::SYMLINK_FOLLOW;
        }
        done(change::link(old, old_flags, new).await)
    }

    async fn open_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FilesystemResult<Resource<Descriptor>> {
        let Named { place, dir, path } = named(store, &fd, path)?;
        let opening = opening(path, path_flags, open_flags, flags);
        let opened = done(open::open_at(&place, dir, opening).await)?;
        Ok(store.with(|mut store| store.get().engine.table.push(opened))?)
    }

    async fn readlink_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<String> {
        place(store, &fd)?.used(false);
        Engine::readlink_at(&engine(store), fd, path).await
    }

    async fn remove_directory_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        done(change::remove_directory(named(store, &fd, path)?).await)
    }

    async fn rename_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FilesystemResult<()> {
        let (old, new) = (named(store, &fd, path)?, named(store, &new_fd, new_path)?);
        done(change::rename(old, new).await)
    }

    async fn symlink_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FilesystemResult<()> {
        done(change::symlink(target, named(store, &fd, path)?).await)
    }

    async fn unlink_file_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FilesystemResult<()> {
        done(change::unlink(named(store, &fd, path)?).await)
    }

    async fn is_same_object(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Engine::is_same_object(&engine(store), fd, other).await
    }

    async fn metadata_hash(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
    ) -> FilesystemResult<MetadataHashValue> {
        Engine::metadata_hash(&engine(store), fd).await
    }

    async fn metadata_hash_at(
        store: &Accessor<Guest, Self>,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FilesystemResult<MetadataHashValue> {
        place(store, &fd)?.used(false);
        Engine::metadata_hash_at(&engine(store), fd, flags, path).await
    }
}

fn opening(
    path: String,
    path_flags: PathFlags,
    open_flags: OpenFlags,
    flags: DescriptorFlags,
) -> Opening {
    let synchronous = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    Opening {
        path,
        follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        create: open_flags.contains(OpenFlags::CREATE),
        exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
        truncate: open_flags.contains(OpenFlags::TRUNCATE),
        directory: open_flags.contains(OpenFlags::DIRECTORY),
        read: flags.contains(DescriptorFlags::READ),
        write: flags.contains(DescriptorFlags::WRITE),
        sync: flags.intersects(synchronous),
    }
}

/// The same error in the words of 0.3.
fn code_of(code: p2::ErrorCode) -> ErrorCode {
    match code {
        p2::ErrorCode::Access => ErrorCode::Access,
        p2::ErrorCode::Already => ErrorCode::Already,
        p2::ErrorCode::BadDescriptor => ErrorCode::BadDescriptor,
        p2::ErrorCode::Busy => ErrorCode::Busy,
        p2::ErrorCode::Deadlock => ErrorCode::Deadlock,
        p2::ErrorCode::Quota => ErrorCode::Quota,
        p2::ErrorCode::Exist => ErrorCode::Exist,
        p2::ErrorCode::FileTooLarge => ErrorCode::FileTooLarge,
        p2::ErrorCode::IllegalByteSequence => ErrorCode::IllegalByteSequence,
        p2::ErrorCode::InProgress => ErrorCode::InProgress,
        p2::ErrorCode::Interrupted => ErrorCode::Interrupted,
        p2::ErrorCode::Invalid => ErrorCode::Invalid,
        p2::ErrorCode::Io => ErrorCode::Io,
        p2::ErrorCode::IsDirectory => ErrorCode::IsDirectory,
        p2::ErrorCode::Loop => ErrorCode::Loop,
        p2::ErrorCode::TooManyLinks => ErrorCode::TooManyLinks,
        p2::ErrorCode::MessageSize => ErrorCode::MessageSize,
        p2::ErrorCode::NameTooLong => ErrorCode::NameTooLong,
        p2::ErrorCode::NoDevice => ErrorCode::NoDevice,
        p2::ErrorCode::NoEntry => ErrorCode::NoEntry,
        p2::ErrorCode::NoLock => ErrorCode::NoLock,
        p2::ErrorCode::InsufficientMemory => ErrorCode::InsufficientMemory,
        p2::ErrorCode::InsufficientSpace => ErrorCode::InsufficientSpace,
        p2::ErrorCode::NotDirectory => ErrorCode::NotDirectory,
        p2::ErrorCode::NotEmpty => ErrorCode::NotEmpty,
        p2::ErrorCode::NotRecoverable => ErrorCode::NotRecoverable,
        p2::ErrorCode::Unsupported => ErrorCode::Unsupported,
        p2::ErrorCode::NoTty => ErrorCode::NoTty,
        p2::ErrorCode::NoSuchDevice => ErrorCode::NoSuchDevice,
        p2::ErrorCode::Overflow => ErrorCode::Overflow,
        p2::ErrorCode::NotPermitted => ErrorCode::NotPermitted,
        p2::ErrorCode::Pipe => ErrorCode::Pipe,
        p2::ErrorCode::ReadOnly => ErrorCode::ReadOnly,
        p2::ErrorCode::InvalidSeek => ErrorCode::InvalidSeek,
        p2::ErrorCode::TextFileBusy => ErrorCode::TextFileBusy,
        p2::ErrorCode::CrossDevice => ErrorCode::CrossDevice,
        // 0.3 waits where 0.2 would have to say so.
        p2::ErrorCode::WouldBlock => ErrorCode::Other(None),
    }
}
