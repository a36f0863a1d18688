//! `wasi:filesystem` 0.2.
//!
//! Translates: finds the place of a descriptor and calls `files/`, or hands the call to
//! the engine where it neither changes a folder nor lists one. Every function of the
//! interface stands here, so an engine with one more does not compile until somebody has
//! decided about it.
//!
//! **Invariant:** no descriptor is made by the engine but those of the granted folders.

mod output;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, File, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, IoError};

use self::output::Output;
use super::files::change::{self, Named};
use super::files::listing::{Listing, Names};
use super::files::open::{self, Opening};
use super::files::write::{self, At};
use super::files::{self, Files, Place};
use crate::guest::Guest;

/// A guest's folders, and the engine's view of them.
pub(crate) struct FilesView<'a> {
    pub(crate) engine: WasiFilesystemCtxView<'a>,
    pub(crate) files: &'a Files,
}

/// Names that view for the linker.
pub(crate) struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

/// Puts these functions in the place of the engine's, in a linker that allows it.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    preopens::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    Ok(())
}

impl FilesView<'_> {
    fn place(&self, fd: &Resource<Descriptor>) -> FsResult<Place> {
        Ok(self.files.place(self.engine.table.get(fd)?)?)
    }

    fn named(&self, fd: &Resource<Descriptor>, path: String) -> FsResult<Named> {
        let descriptor = self.engine.table.get(fd)?;
        Ok(Named {
            place: self.files.place(descriptor)?,
            dir: files::dir(descriptor)?,
            path,
        })
    }

    fn file(&self, fd: &Resource<Descriptor>) -> FsResult<(Place, File)> {
        let descriptor = self.engine.table.get(fd)?;
        Ok((self.files.place(descriptor)?, files::file(descriptor)?))
    }

    /// A stream that counts, if anything is counted where the file is.
    fn counted(&mut self, fd: &Resource<Descriptor>, at: At) -> FsResult<Option<Stream>> {
        let (place, file) = self.file(fd)?;
        if place.quota().is_none() {
            return Ok(None);
        }
        if file.perms.write_not_permitted() {
            return Err(ErrorCode::NotPermitted.into());
        }
        let stream: DynOutputStream = Box::new(Output::new(place, file, at));
        Ok(Some(self.engine.table.push(stream)?))
    }
}

type Stream = Resource<DynOutputStream>;

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let opened = preopens::Host::get_directories(&mut self.engine)?;
        for (number, (descriptor, _)) in opened.iter().enumerate() {
            self.files
                .mark(self.engine.table.get_mut(descriptor)?, number);
        }
        Ok(opened)
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.engine, error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        // What our own streams fail with; the engine's fail with what the system says.
        let ours = self.engine.table.get(&error)?.downcast_ref::<ErrorCode>();
        match ours {
            Some(code) => Ok(Some(*code)),
            None => types::Host::filesystem_error_code(&mut self.engine, error),
        }
    }
}

impl HostDescriptor for FilesView<'_> {
    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        self.engine.read_via_stream(fd, offset)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: Filesize) -> FsResult<Stream> {
        match self.counted(&fd, At::Offset(offset))? {
            Some(stream) => Ok(stream),
            None => self.engine.write_via_stream(fd, offset),
        }
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Stream> {
        match self.counted(&fd, At::End)? {
            Some(stream) => Ok(stream),
            None => self.engine.append_via_stream(fd),
        }
    }

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.engine.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.engine.sync_data(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.engine.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.engine.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        let (place, file) = self.file(&fd)?;
        Ok(write::set_size(&place, file, size).await?)
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.place(&fd)?.used(true);
        self.engine.set_times(fd, accessed, modified).await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.engine.read(fd, length, offset).await
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let (place, file) = self.file(&fd)?;
        let written = write::write(&place, file, At::Offset(offset), bytes.into()).await?;
        Ok(written as u64)
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let Named { place, dir, .. } = self.named(&fd, String::new())?;
        let names = Names::new(Listing::begin(&place, dir).await?);
        // The table knows what it holds; the bindings name a type that only the engine can make.
        let names = self.engine.table.push(names)?;
        Ok(Resource::new_own(names.rep()))
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.engine.sync(fd).await
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        Ok(change::create_directory(self.named(&fd, path)?).await?)
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.engine.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.place(&fd)?.used(false);
        self.engine.stat_at(fd, flags, path).await
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.place(&fd)?.used(true);
        let engine = &mut self.engine;
        engine
            .set_times_at(fd, flags, path, accessed, modified)
            .await
    }

    async fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.named(&fd, path)?, self.named(&new_fd, new_path)?);
        Ok(change::link(old, flags, new).await?)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let Named { place, dir, path } = self.named(&fd, path)?;
        let opening = opening(path, path_flags, open_flags, flags);
        let opened = open::open_at(&place, dir, opening).await?;
        Ok(self.engine.table.push(opened)?)
    }

    async fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.place(&fd)?.used(false);
        self.engine.readlink_at(fd, path).await
    }

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        Ok(change::remove_directory(self.named(&fd, path)?).await?)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        new_fd: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.named(&fd, path)?, self.named(&new_fd, new_path)?);
        Ok(change::rename(old, new).await?)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        Ok(change::symlink(target, self.named(&fd, path)?).await?)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        Ok(change::unlink(self.named(&fd, path)?).await?)
    }

    async fn is_same_object(
        &mut self,
        fd: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.engine.is_same_object(fd, other).await
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.engine.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.place(&fd)?.used(false);
        self.engine.metadata_hash_at(fd, flags, path).await
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        let place = self
            .engine
            .table
            .get(&fd)
            .map(|open| self.files.place(open));
        HostDescriptor::drop(&mut self.engine, fd)?;
        // A file that was deleted gives its room back with its last descriptor.
        if let Ok(Ok(place)) = place {
            place.note_freed();
        }
        Ok(())
    }
}

impl HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let names = self.engine.table.get_mut(&names(&stream))?;
        Ok(match names.next().await.transpose()? {
            Some(entry) => Some(DirectoryEntry {
                type_: kind(entry.kind),
                name: entry.name,
            }),
            None => None,
        })
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        let names = Resource::<Names>::new_own(stream.rep());
        self.engine.table.delete(names)?;
        Ok(())
    }
}

/// What stands in the table behind a stream of names.
fn names(stream: &Resource<DirectoryEntryStream>) -> Resource<Names> {
    Resource::new_borrow(stream.rep())
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

fn kind(kind: rustix::fs::FileType) -> DescriptorType {
    use rustix::fs::FileType;
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::Fifo | FileType::Socket | FileType::Unknown => DescriptorType::Unknown,
    }
}
