//! What functions touched, against what they were known to.
//!
//! Decides when `tests/touched.toml` is read and written. What it says is the model's.
//!
//! **Invariant:** it is written by a run of all cases that went well, or by nobody: half of a run
//! would forget powers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_model::touched::{Touched, TouchedError};
use midge_model::{FunctionName, MANIFEST_BYTES_MAX, Use};

use super::files::{FOLDER, TOUCHED, project};
use crate::cmd::fault::Hint;
use crate::functions::{Function, FunctionsError};
use crate::{learn, regular};

/// What was known before.
pub(super) struct Snapshot<'a> {
    path: PathBuf,
    /// Where the manifest lies.
    folder: PathBuf,
    /// `None` before the first run.
    known: Option<Touched>,
    functions: &'a [Function],
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// There is nothing to test.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A file that we may not read.
    #[error("read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A link to what is none of ours.
    #[error("`{}` is a link, and leads to no file that can be read", path.display())]
    Link { path: PathBuf },
    /// A file that is wrong; the source says where.
    #[error("{}", path.display())]
    Parse { path: PathBuf, source: TouchedError },
}

impl Hint for SnapshotError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Functions(error) => error.hint_for("test"),
            Self::Parse { source, .. } => source.hint(),
            Self::Link { path } => Some(format!("rm {}", path.display())),
            Self::Read { .. } => None,
        }
    }
}

impl<'a> Snapshot<'a> {
    /// Reads what is beside the manifest that `path` names.
    pub(super) fn beside(path: &Path, functions: &'a [Function]) -> Result<Self, SnapshotError> {
        let folder = project(path)?;
        let path = folder.join(FOLDER).join(TOUCHED);
        let text = match regular::read_text(&path, MANIFEST_BYTES_MAX as u64) {
            // It is written after the first run, and would be written wherever the link leads.
            Err(_) if path.is_symlink() => return Err(SnapshotError::Link { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(text) => Some(text),
            Err(source) => return Err(SnapshotError::Read { path, source }),
        };
        let known = match text.map(|text| Touched::parse(&text)).transpose() {
            Ok(known) => known,
            Err(source) => return Err(SnapshotError::Parse { path, source }),
        };
        Ok(Self {
            path,
            folder,
            known,
            functions,
        })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was known.
    pub(super) fn is_first(&self) -> bool {
        self.known.is_none()
    }

    /// What is used and was not known; nothing where nothing was known at all.
    pub(super) fn new_uses(
        &self,
        uses: &BTreeMap<FunctionName, BTreeSet<Use>>,
    ) -> Vec<(FunctionName, Use)> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let new = uses.iter().flat_map(|(function, uses)| {
            let new = known.new_uses(function, uses);
            new.map(move |used| (function.clone(), used.clone()))
        });
        new.collect()
    }

    /// Writes down what is used, and says so if that is new.
    pub(super) fn write(&self, uses: &BTreeMap<FunctionName, BTreeSet<Use>>) -> anyhow::Result<()> {
        let folder = Path::new(".").join(&self.folder).canonicalize().ok();
        let grants = self.functions.iter().filter_map(|function| {
            let uses = uses.get(&function.name)?;
            let grants = learn::smallest_from(uses, function, folder.as_deref());
            Some((function.name.clone(), grants))
        });
        let touched = Touched(grants.collect());
        if self.known.as_ref() == Some(&touched) {
            return Ok(());
        }
        let fault = || format!("write `{}`", self.path.display());
        let tests = self.folder.join(FOLDER);
        std::fs::create_dir_all(tests).with_context(fault)?;
        std::fs::write(&self.path, touched.to_toml()).with_context(fault)?;
        super::say_written(&self.path, "what functions touched is in");
        Ok(())
    }
}
