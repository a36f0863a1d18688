//! Native code on disk: the node-local cache, and loading from it.
//!
//! Decides where the code of a component lies and whether a file may be run.
//! Loading native code is running it, so a file is loaded only from a folder that
//! nobody but this user can write, under a name that carries the SHA-256 of its
//! own bytes. Making the code is `compile.rs`; how a file that was compared with its
//! name before is known again is `artifact/seal.rs`.
//!
//! **Invariant:** a file is loaded only if its bytes matched its name when they were last
//! written. One whose bytes do not is removed.

mod seal;

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use midge_model::Digest;
use tempfile::NamedTempFile;
use wasmtime::component::Component;
use wasmtime::{Module, Precompiled};

use crate::engine::{Engine, Tasks};
use crate::host::dirs::DirError;
use crate::host::http_out::InjectError;

/// Only the owner reads and writes: whoever writes here runs code as the node.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Who besides the owner may write, in the bits of a mode.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Only who owns an entry of such a folder may rename or remove it.
const STICKY: u32 = 0o1000;

/// Ends the name of a file that is complete.
const EXTENSION: &str = "cwasm";

/// A folder of native code: `<component digest>/<engine fingerprint>.<sha256>.cwasm`.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    root: PathBuf,
    /// Of the engine's variants: files of others are somebody else's.
    one: String,
    many: String,
}

/// What the cache has for a component.
#[derive(Debug)]
pub enum Lookup {
    /// Native code, its bytes checked against its name.
    Hit(PathBuf),
    /// Nothing yet.
    Miss,
    /// There was a file, and it was damaged or not ours; it is gone now.
    Dropped {
        /// What was wrong with it.
        why: String,
    },
}

/// Why the cache cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Somebody else could put native code there.
    #[error("folder `{}`, where native code is kept, can be written by other users", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
    },
    /// It belongs to somebody else, who could change it at any time.
    #[error("folder `{}`, where native code is kept, belongs to user {owner}, this is user {me}", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        me: u32,
    },
    /// Reading or writing failed.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl CacheError {
    /// What to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotPrivate { path } => Some(format!("chmod go-w {}", path.display())),
            Self::NotOurs { .. } => Some("give a folder of your own with --cache-dir".to_owned()),
            Self::Io { .. } => Some("give another folder with --cache-dir".to_owned()),
        }
    }
}

impl ArtifactCache {
    /// The cache under `root` for code of this engine; makes the folder if need be.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or others than its owner can write to it.
    pub fn open(root: &Path, engine: &Engine) -> Result<Self, CacheError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(root)
            .map_err(|source| io_error("create cache folder", root, source))?;
        let real = root
            .canonicalize()
            .map_err(|source| io_error("look at cache folder", root, source))?;
        check_parents(&real)?;
        let metadata =
            fs::metadata(root).map_err(|source| io_error("look at cache folder", root, source))?;
        let me = rustix::process::geteuid().as_raw();
        if metadata.uid() != me {
            return Err(CacheError::NotOurs {
                path: root.into(),
                owner: metadata.uid(),
                me,
            });
        }
        if metadata.mode() & OTHERS_MAY_WRITE != 0 {
            return Err(CacheError::NotPrivate { path: root.into() });
        }
        Ok(Self {
            root: root.into(),
            one: engine.fingerprint(Tasks::One),
            many: engine.fingerprint(Tasks::Many),
        })
    }

    /// Finds the native code of the component with this digest, and checks it: reads all of it,
    /// unless it was read before and nobody has written to it since.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or a damaged file not be removed.
    pub fn find(&self, component: &Digest) -> Result<Lookup, CacheError> {
        let dir = self.dir_of(component);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lookup::Miss),
            Err(source) => return Err(io_error("read cache folder", &dir, source)),
        };
        let mut dropped = None;
        for entry in entries {
            let path = entry
                .map_err(|source| io_error("read cache folder", &dir, source))?
                .path();
            let Some(CodeName { fingerprint, hash }) = CodeName::of(&path) else {
                continue;
            };
            if fingerprint != self.one && fingerprint != self.many {
                continue;
            }
            match verify(&path, hash) {
                Ok(()) => return Ok(Lookup::Hit(path)),
                Err(why) => {
                    remove(&path)?;
                    dropped = Some(why);
                }
            }
        }
        Ok(dropped.map_or(Lookup::Miss, |why| Lookup::Dropped { why }))
    }

    /// Writes native code under its final name, all of it or nothing: `check` sees the file before
    /// anybody else can find it.
    ///
    /// # Errors
    ///
    /// The folder cannot be written: full, read-only, gone. Or what `check` says.
    pub(crate) fn put<E: From<CacheError>>(
        &self,
        component: &Digest,
        (tasks, native): (Tasks, &[u8]),
        check: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let dir = self.dir_of(component);
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&dir)
            .map_err(|source| io_error("create cache folder", &dir, source))?;
        let hash = Digest::of(native);
        let fingerprint = match tasks {
            Tasks::One => &self.one,
            Tasks::Many => &self.many,
        };
        let name = format!("{fingerprint}.{}.{EXTENSION}", hash.hex());
        let path = dir.join(name);
        let fault = |source| io_error("write native code", &path, source);
        let write = || -> io::Result<NamedTempFile> {
            let mut file = tempfile::Builder::new()
                .permissions(Permissions::from_mode(FILE_MODE))
                .tempfile_in(&dir)?;
            file.write_all(native)?;
            // Without it a crash of the machine could leave the name without the bytes.
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(fault)?;
        check(file.path())?;
        let file = file.persist(&path).map_err(|error| fault(error.error))?;
        // These are the bytes that were hashed. Without a seal they are hashed again, no more.
        drop(seal::put(&file, &hash.hex()));
        Ok(path)
    }

    fn dir_of(&self, component: &Digest) -> PathBuf {
        self.root.join(component.hex())
    }
}

/// What the name of a file of native code says: `<engine fingerprint>.<sha256>.cwasm`.
struct CodeName<'a> {
    fingerprint: &'a str,
    hash: &'a str,
}

impl<'a> CodeName<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let (fingerprint, rest) = path.file_name()?.to_str()?.split_once('.')?;
        let (hash, extension) = rest.split_once('.')?;
        (extension == EXTENSION).then_some(Self { fingerprint, hash })
    }
}

/// The variant of the engine that the native code at `path` is for, as its name says.
pub(crate) fn tasks_of(engine: &Engine, path: &Path) -> Option<Tasks> {
    let fingerprint = CodeName::of(path)?.fingerprint;
    [Tasks::One, Tasks::Many]
        .into_iter()
        .find(|&tasks| engine.fingerprint(tasks) == fingerprint)
}

/// Nobody but the superuser and us may move the cache away and put another in its place.
fn check_parents(root: &Path) -> Result<(), CacheError> {
    let me = rustix::process::geteuid().as_raw();
    for parent in root.ancestors().skip(1) {
        let metadata = fs::metadata(parent)
            .map_err(|source| io_error("look at the folder above the cache", parent, source))?;
        let owner = metadata.uid();
        if owner != 0 && owner != me {
            let path = parent.into();
            return Err(CacheError::NotOurs { path, owner, me });
        }
        // In a sticky folder such as /tmp everybody can write and only owners can rename.
        if metadata.mode() & OTHERS_MAY_WRITE != 0 && metadata.mode() & STICKY == 0 {
            return Err(CacheError::NotPrivate {
                path: parent.into(),
            });
        }
    }
    Ok(())
}

fn verify(path: &Path, named_hash: &str) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to user {}", metadata.uid()));
    }
    if metadata.mode() & OTHERS_MAY_WRITE != 0 {
        return Err("it can be written by other users".to_owned());
    }
    if seal::is_whole(&metadata, named_hash) {
        return Ok(());
    }
    compare(path, &metadata, named_hash).map_err(|error| error.to_string())
}

/// Reads all of a file, and seals it if it is what its name says.
fn compare(path: &Path, seen: &Metadata, named_hash: &str) -> io::Result<()> {
    let file = File::open(path)?;
    let before = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(seen.len()).unwrap_or(0));
    (&file).read_to_end(&mut bytes)?;
    if Digest::of(&bytes).hex() != named_hash {
        return Err(io::Error::other(
            "its bytes do not match the digest in its name",
        ));
    }
    // Who wrote to it while it was read may have written to what was read already.
    if file.metadata()?.modified()? == before.modified()? {
        // On a file system that takes no seal it is read each time.
        drop(seal::put(&file, named_hash));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), CacheError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.map_err(|source| io_error("remove damaged native code", path, source))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> CacheError {
    CacheError::Io {
        action,
        path: path.into(),
        source,
    }
}

/// Native code in memory, not yet linked.
pub(crate) enum ArtifactCode {
    Component(Component),
    Module(Module),
}

impl ArtifactCode {
    /// How much of a file is mapped for it.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        let range = match self {
            Self::Component(component) => component.image_range(),
            Self::Module(module) => module.image_range(),
        };
        (range.end.addr() - range.start.addr()) as u64
    }
}

/// Why a function could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its native code is damaged or made for another engine: compile it again.
    #[error("load native code `{}`", artifact.display())]
    Code {
        /// The file.
        artifact: PathBuf,
        /// The engine's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A granted folder is not there, or its path leads through a symlink now.
    #[error("open granted folder `{}`", host.display())]
    Folder {
        /// The folder.
        host: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A secret of it cannot be put into requests.
    #[error(transparent)]
    Inject(#[from] InjectError),
}

impl From<DirError> for LoadError {
    fn from(DirError { host, source }: DirError) -> Self {
        Self::Folder { host, source }
    }
}

/// The engine's reason, before it is known which file it was about.
pub(crate) struct LoadFault(wasmtime::Error);

impl LoadFault {
    /// The causes that are about the code and not about the file it is in, which would say where
    /// things lie on this machine.
    pub(crate) fn causes(&self, artifact: &Path) -> Vec<String> {
        let artifact = artifact.to_string_lossy();
        let causes = self.0.chain().map(ToString::to_string);
        causes.filter(|cause| !cause.contains(&*artifact)).collect()
    }

    pub(crate) fn of(self, artifact: &Path) -> LoadError {
        LoadError::Code {
            artifact: artifact.into(),
            source: self.0.into(),
        }
    }
}

impl From<wasmtime::Error> for LoadFault {
    fn from(error: wasmtime::Error) -> Self {
        Self(error)
    }
}

/// Maps native code for this variant of the engine, at a path that [`ArtifactCache::find`] returned
/// or [`ArtifactCache::put`] writes.
#[expect(
    unsafe_code,
    clippy::disallowed_methods,
    reason = "loading native code is running it; this is the one place"
)]
pub(crate) fn map(engine: &wasmtime::Engine, path: &Path) -> Result<ArtifactCode, LoadFault> {
    match wasmtime::Engine::detect_precompiled_file(path)? {
        Some(Precompiled::Component) => {
            // SAFETY: the path comes from this process's supervisor, which found it in a folder
            // that only this user can write and checked its bytes against the digest in its
            // name, or it is the file that this very process has just written there; the engine
            // refuses code of another version or configuration.
            Ok(ArtifactCode::Component(unsafe {
                Component::deserialize_file(engine, path)
            }?))
        }
        Some(Precompiled::Module) => {
            // SAFETY: as above.
            Ok(ArtifactCode::Module(unsafe {
                Module::deserialize_file(engine, path)
            }?))
        }
        None => Err(wasmtime::format_err!("it is not native code of this engine").into()),
    }
}
