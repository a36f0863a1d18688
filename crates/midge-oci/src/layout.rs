//! Artifacts in a folder: the OCI image layout.
//!
//! `oci-layout` says that it is one, `index.json` names the manifests, everything else lies under
//! its digest in `blobs/sha256`. Other tools copy such a folder to registries and back.
//!
//! **Invariant:** a folder is replaced only as a whole, and only if all that is in it is a layout
//! with components. Whatever fails, what was there is there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use midge_model::Digest;
use serde::{Deserialize, Serialize};

use crate::artifact::{
    Artifact, ArtifactError, CONFIG_MEDIA_TYPE, DOCUMENT_BYTES_MAX, Descriptor, INDEX_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE, Manifest, json,
};
use crate::blobs::Blobs;

const MARK: &str = "oci-layout";
const MARK_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs";
/// The one folder in it, and how its files are called: in so many hex digits.
const DIGESTS: &str = "sha256";
const HEX_DIGITS: usize = 64;

/// By what an artifact is called within a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a folder could not be written or read as a layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file or folder.
    #[error("{step} `{}`", path.display())]
    File {
        /// What was tried.
        step: &'static str,
        /// Of what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// It has something in it that would be lost.
    #[error("folder `{}` has something else in it than components", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Somebody stands in it, or it has no name to put another in its place.
    #[error("folder `{}` is where the command runs, or has no name by which to replace it", path.display())]
    Current {
        /// The folder.
        path: PathBuf,
    },
    /// What was there is somewhere else now.
    #[error("`{}` could not be written, and what was there is in `{}`", path.display(), kept.display())]
    Aside {
        /// The folder.
        path: PathBuf,
        /// Where it is.
        kept: PathBuf,
        /// Why it was not put back.
        source: io::Error,
    },
    /// It is no layout, or none of components.
    #[error("`{}` is no index of components: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing says which one is meant.
    #[error("`{}` has {}", path.display(), listed(names))]
    Choice {
        /// The folder.
        path: PathBuf,
        /// What it has.
        names: Vec<String>,
    },
    /// A manifest of it.
    #[error("`{}`: {name}", path.display())]
    Artifact {
        /// The folder.
        path: PathBuf,
        /// What the artifact is called.
        name: String,
        /// What is wrong with it.
        source: ArtifactError,
    },
    /// A blob that is named and not there.
    #[error("`{}` has no blob {digest}, or a damaged one", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// Which one.
        digest: Digest,
    },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no component".to_owned(),
        names => format!("the components {}", names.join(", ")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexOut<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor<'a>>,
}

#[derive(Deserialize)]
struct IndexIn {
    manifests: Vec<EntryIn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryIn {
    digest: Digest,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Whether the folder says that it is a layout.
pub fn is_layout(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}

/// Writes artifacts into a folder, each under its name. A layout of components that is there is
/// replaced.
///
/// # Errors
///
/// The folder has something else in it, or cannot be written.
pub fn write_layout(folder: &Path, artifacts: &[(String, Artifact)]) -> Result<(), LayoutError> {
    let is_there = check_replaceable(folder)?;
    let (parent, name) = place(folder, is_there)?;
    let (parent, folder) = (&*parent, &*parent.join(&name));
    let name = name.to_string_lossy();
    // Made beside it, so that whatever fails leaves what is there, and nobody finds half of it.
    let room = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .tempdir_in(parent)
        .map_err(file("make a folder in", parent))?;
    let made = room.path().join("layout");
    fill(&made, artifacts)?;
    let aside = room.path().join("before");
    if is_there {
        // Where it is mounted or not ours to move, this fails and nothing happened.
        fs::rename(folder, &aside).map_err(file("replace", folder))?;
    }
    let Err(error) = fs::rename(&made, folder) else {
        return Ok(());
    };
    if is_there && let Err(source) = fs::rename(&aside, folder) {
        let kept = room.keep().join("before");
        let path = folder.to_owned();
        return Err(LayoutError::Aside { path, kept, source });
    }
    Err(file("write", folder)(error))
}

/// The folder's own folder, which is made if it is not there, and its name in that. Links are
/// followed: what they lead to is replaced.
fn place(folder: &Path, is_there: bool) -> Result<(PathBuf, OsString), LayoutError> {
    let current = || LayoutError::Current {
        path: folder.to_owned(),
    };
    let find = |path: &Path| path.canonicalize().map_err(file("find", path));
    let found = match is_there {
        true => find(folder)?,
        false => {
            let name = folder.file_name().ok_or_else(current)?;
            let parent = Path::new(".").join(folder.parent().unwrap_or(Path::new("")));
            fs::create_dir_all(&parent).map_err(file("make", &parent))?;
            find(&parent)?.join(name)
        }
    };
    let here = find(Path::new("."))?;
    match (found.parent(), found.file_name()) {
        (Some(parent), Some(name)) if !here.starts_with(&found) => {
            Ok((parent.to_owned(), name.to_owned()))
        }
        _ => Err(current()),
    }
}

fn fill(folder: &Path, artifacts: &[(String, Artifact)]) -> Result<(), LayoutError> {
    let blobs = Blobs::at(&folder.join(BLOBS));
    let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).map_err(file("write", path));
    // Not as a cache, which is its owner's alone: who may read it is what the umask says.
    let digests = folder.join(BLOBS).join(DIGESTS);
    fs::create_dir_all(&digests).map_err(file("make", &digests))?;
    let mut manifests = Vec::with_capacity(artifacts.len());
    for (name, artifact) in artifacts {
        for blob in [&artifact.component, &artifact.config, &artifact.manifest] {
            write(&blobs.path(&Digest::of(blob)), blob)?;
        }
        manifests.push(Descriptor {
            artifact_type: Some(CONFIG_MEDIA_TYPE),
            annotations: Some([(REF_NAME, name.as_str())].into()),
            ..Descriptor::of(MANIFEST_MEDIA_TYPE, &artifact.manifest)
        });
    }
    let index = IndexOut {
        schema_version: 2,
        media_type: INDEX_MEDIA_TYPE,
        manifests,
    };
    write(&folder.join(INDEX), &json(&index))?;
    write(&folder.join(MARK), MARK_TEXT.as_bytes())
}

/// Whether there is something that may go.
fn check_replaceable(folder: &Path) -> Result<bool, LayoutError> {
    let occupied = || LayoutError::Occupied {
        path: folder.to_owned(),
    };
    if let Err(error) = fs::read_dir(folder)
        && error.kind() == io::ErrorKind::NotFound
    {
        return Ok(false);
    }
    let mut is_empty = true;
    let blobs = folder.join(BLOBS);
    let digests = blobs.join(DIGESTS);
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let has_ours_only = all_in(folder, |name, kind| {
        is_empty = false;
        kind.is_dir() && name == BLOBS || kind.is_file() && (name == MARK || name == INDEX)
    })?;
    let is_ours = has_ours_only
        && (!blobs.is_dir() || all_in(&blobs, |name, kind| kind.is_dir() && name == DIGESTS)?)
        && (!digests.is_dir()
            || all_in(&digests, |name, kind| {
                let name = name.as_bytes();
                kind.is_file() && name.len() == HEX_DIGITS && name.iter().all(is_hex)
            })?);
    if !is_ours {
        return Err(occupied());
    }
    let is_component = |entry: &EntryIn| entry.artifact_type.as_deref() == Some(CONFIG_MEDIA_TYPE);
    if !is_empty && !index(folder)?.manifests.iter().all(is_component) {
        return Err(occupied());
    }
    Ok(true)
}

/// Whether this holds of all that is in a folder; links are not followed.
fn all_in(
    folder: &Path,
    mut holds: impl FnMut(&OsStr, FileType) -> bool,
) -> Result<bool, LayoutError> {
    for entry in fs::read_dir(folder).map_err(file("list", folder))? {
        let entry = entry.map_err(file("list", folder))?;
        let kind = entry.file_type().map_err(file("list", folder))?;
        if !holds(&entry.file_name(), kind) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The artifact of a layout with this name, or the only one.
///
/// # Errors
///
/// The folder is no layout, has no such artifact, or something of it is missing.
pub fn read_layout(
    folder: &Path,
    name: Option<&str>,
    component_bytes_max: u64,
) -> Result<(String, Artifact), LayoutError> {
    let entries = index(folder)?.manifests;
    let name_of = |entry: &EntryIn| entry.annotations.get(REF_NAME).cloned().unwrap_or_default();
    let is_meant = |entry: &&EntryIn| name.is_none_or(|name| name_of(entry) == name);
    let meant: Vec<_> = entries.iter().filter(is_meant).collect();
    let [entry] = meant.as_slice() else {
        return Err(LayoutError::Choice {
            path: folder.to_owned(),
            names: entries.iter().map(name_of).collect(),
        });
    };
    let blobs = Blobs::at(&folder.join(BLOBS));
    let get = |digest: Digest, bytes_max: u64| match read_blob(&blobs, &digest, bytes_max)? {
        Some(bytes) => Ok(Bytes::from(bytes)),
        None => Err(LayoutError::Missing {
            path: folder.to_owned(),
            digest,
        }),
    };
    let manifest = get(entry.digest, DOCUMENT_BYTES_MAX)?;
    let read = Manifest::parse(&manifest, component_bytes_max).map_err(|source| {
        LayoutError::Artifact {
            path: folder.to_owned(),
            name: name_of(entry),
            source,
        }
    })?;
    let artifact = Artifact {
        config: get(read.config, DOCUMENT_BYTES_MAX)?,
        component: get(read.component, read.component_bytes)?,
        manifest,
    };
    Ok((name_of(entry), artifact))
}

/// Unlike a cache, a layout is somebody's: what is damaged in it stays.
fn read_blob(
    blobs: &Blobs,
    digest: &Digest,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, LayoutError> {
    let path = blobs.path(digest);
    match read_file(&path, bytes_max) {
        Ok(bytes) => Ok(bytes.filter(|bytes| Digest::of(bytes) == *digest)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file("read", &path)(error)),
    }
}

/// `None` if there is more.
fn read_file(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let bounded = File::open(path)?.take(bytes_max.saturating_add(1));
    { bounded }.read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
}

fn index(folder: &Path) -> Result<IndexIn, LayoutError> {
    let path = folder.join(INDEX);
    let wrong = |reason: String| LayoutError::Index {
        path: path.clone(),
        reason,
    };
    let bytes = read_file(&path, DOCUMENT_BYTES_MAX).map_err(file("read", &path))?;
    let bytes = bytes.ok_or_else(|| wrong(format!("it is over {DOCUMENT_BYTES_MAX} bytes")))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

fn file(step: &'static str, path: &Path) -> impl Fn(io::Error) -> LayoutError {
    let path = path.to_owned();
    move |source| LayoutError::File {
        step,
        path: path.clone(),
        source,
    }
}
