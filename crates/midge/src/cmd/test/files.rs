//! Files of cases: which there are, and what they say.
//!
//! **Invariant:** a case reads and writes no body but below its project's folder, whatever it says and
//! wherever links lead: cases are often somebody else's.

use std::cell::Cell;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use http::HeaderMap;
use midge_model::cases::{
    self, CASES_BYTES_MAX, Case, Cases, CasesError, Content, ExpectBody, Given,
};
use midge_sandbox::{StandIn, StandInAnswer, StandInAnswers};

use crate::cmd::fault::Hint;
use crate::functions::{self, FunctionsError};
use crate::regular;

/// The folder beside the manifest.
pub(super) const FOLDER: &str = "tests";

/// The file in it that has no cases.
pub(super) const TOUCHED: &str = "touched.toml";

/// The longest body that a case sends, or compares with.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// What servers answer out of files in one case, all together: several cases run at a time.
const ANSWERS_BYTES_MAX: u64 = 64 << 20;

/// A file of cases.
pub(super) struct CaseFile {
    /// Where it lies, as typed.
    pub(super) path: PathBuf,
    /// What it says, comments and all.
    pub(super) text: String,
    cases: Cases,
    /// What all bodies that it names lie below, without links.
    root: PathBuf,
}

/// A case that is to be run.
pub(super) struct Planned<'a> {
    pub(super) file: &'a CaseFile,
    /// Its place among the cases of the file.
    pub(super) index: usize,
    pub(super) case: &'a Case,
}

/// Why there are no cases to run.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    /// There is nothing to test.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// A file that is not there, or that we may not read.
    #[error("read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file that is wrong; the source says where.
    #[error("{}", path.display())]
    Cases { path: PathBuf, source: CasesError },
    /// More than a case is about.
    #[error("`{}` is longer than {most} bytes", path.display())]
    TooLong { path: PathBuf, most: u64 },
    /// More than one case is about.
    #[error("`body-file`s of `answers` have more than {ANSWERS_BYTES_MAX} bytes together")]
    AnswersTooLong,
    /// A body that is not this project's.
    #[error("body-file `{}` is not below `{}`, where bodies of its cases have to be", path.display(), root.display())]
    Outside { path: PathBuf, root: PathBuf },
    /// What tools take for theirs: `.git/config` is a line away from a command.
    #[error("body-file `{}` is hidden, and no answer is written there", path.display())]
    Hidden { path: PathBuf },
    /// A body that cannot be written.
    #[error("write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Hint for FilesError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Functions(error) => error.hint_for("test"),
            Self::Cases { source, .. } => source.hint(),
            Self::Outside { .. } => Some(
                "bodies lie in the project of their cases, such as tests/order.json; \
                 `body-file` names them from where the cases lie"
                    .to_owned(),
            ),
            Self::Hidden { .. } => Some("a name that begins with no dot".to_owned()),
            Self::Read { .. }
            | Self::TooLong { .. }
            | Self::AnswersTooLong
            | Self::Write { .. } => None,
        }
    }
}

/// The folder that what `path` names lies in.
pub(super) fn project(path: &Path) -> Result<PathBuf, FunctionsError> {
    let file = functions::manifest_at(path)?;
    let file = file.as_deref().unwrap_or(path);
    let folder = file.parent().unwrap_or(Path::new(""));
    // `tests/a.toml` reads better than `./tests/a.toml`.
    Ok(folder.strip_prefix(".").unwrap_or(folder).to_owned())
}

/// The files that were named, or those beside the manifest, in the order of their names.
///
/// # Errors
///
/// The first that cannot be read.
pub(super) fn find(path: &Path, named: &[PathBuf]) -> Result<Vec<CaseFile>, FilesError> {
    let project = project(path)?;
    let root = without_links(&project)?;
    let is_beside = named.is_empty();
    let paths = match is_beside {
        true => beside(&project.join(FOLDER))?,
        false => named.to_vec(),
    };
    let each = paths.into_iter().map(|path| {
        let folder = without_links(path.parent().unwrap_or(Path::new("")))?;
        // Cases that somebody named may be of no project.
        match is_beside || folder.starts_with(&root) {
            true => read(path, root.clone()),
            false => read(path, folder),
        }
    });
    each.collect()
}

fn without_links(folder: &Path) -> Result<PathBuf, FilesError> {
    let found = Path::new(".").join(folder).canonicalize();
    found.map_err(|source| FilesError::Read {
        path: folder.to_owned(),
        source,
    })
}

fn beside(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let fault = |source| FilesError::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(fault)?.path();
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        if is_toml && path.file_name().is_some_and(|name| name != TOUCHED) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf, root: PathBuf) -> Result<CaseFile, FilesError> {
    let text = match regular::read_text(&path, CASES_BYTES_MAX as u64) {
        Ok(text) => text,
        Err(source) => return Err(FilesError::Read { path, source }),
    };
    match Cases::parse(&text) {
        Ok(cases) => Ok(CaseFile {
            path,
            text,
            cases,
            root,
        }),
        Err(source) => Err(FilesError::Cases { path, source }),
    }
}

/// The cases that have `filter` in their file's name or their own, as `FILE: NAME`.
pub(super) fn plan<'a>(files: &'a [CaseFile], filter: Option<&str>) -> Vec<Planned<'a>> {
    let of_file = |file: &'a CaseFile| {
        let cases = file.cases.cases.iter().enumerate();
        cases.map(move |(index, case)| Planned { file, index, case })
    };
    let is_meant = |planned: &Planned<'_>| {
        filter.is_none_or(|filter| {
            planned
                .name()
                .to_lowercase()
                .contains(&filter.to_lowercase())
        })
    };
    files.iter().flat_map(of_file).filter(is_meant).collect()
}

impl Planned<'_> {
    /// `FILE: NAME`.
    pub(super) fn name(&self) -> String {
        format!("{}: {}", self.file.stem(), self.case.name)
    }

    /// What the function finds around it. Made anew each time: all cases' together may be much.
    pub(super) fn given(&self) -> Given {
        self.file.cases.given(self.case)
    }

    /// The bytes of a body.
    pub(super) fn bytes(&self, content: &Content) -> Result<Bytes, FilesError> {
        match content {
            Content::Nothing => Ok(Bytes::new()),
            Content::Text(text) => Ok(text.clone().into()),
            Content::Json(value) => Ok(value.to_string().into()),
            Content::File(path) => self.file.beside(path),
        }
    }

    /// What the answer's body should be, to the byte; `None` where nobody said.
    pub(super) fn expected_bytes(&self) -> Result<Option<Bytes>, FilesError> {
        match &self.case.expect.body {
            Some(ExpectBody::Text(text)) => Ok(Some(text.clone().into())),
            Some(ExpectBody::File(path)) => self.file.beside(path).map(Some),
            Some(ExpectBody::Json(_) | ExpectBody::Matches(_)) | None => Ok(None),
        }
    }

    /// What other servers answer, as it is given.
    pub(super) fn stand_ins(&self, given: &Given) -> Result<Vec<StandIn>, FilesError> {
        let left = Cell::new(ANSWERS_BYTES_MAX);
        let answer = |given: &cases::StandInAnswer| -> Result<_, FilesError> {
            let body = self.bytes(&given.body)?;
            if let Content::File(_) = given.body {
                let less = left.get().checked_sub(body.len() as u64);
                left.set(less.ok_or(FilesError::AnswersTooLong)?);
            }
            Ok(StandInAnswer {
                status: given.status.as_u16(),
                headers: texts(&given.headers),
                body: body.into(),
            })
        };
        let answers = |given: &cases::StandInAnswers| match given {
            cases::StandInAnswers::Always(given) => answer(given).map(StandInAnswers::Always),
            cases::StandInAnswers::InTurn(given) => {
                let answers = given.iter().map(answer).collect::<Result<_, _>>();
                answers.map(StandInAnswers::InTurn)
            }
        };
        let stand_in = |given: &cases::StandIn| {
            Ok(StandIn {
                request: given.request.clone(),
                answers: answers(&given.answers)?,
            })
        };
        given.http.iter().map(stand_in).collect()
    }
}

impl CaseFile {
    /// Its name without folder and ending.
    fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// A file that is named in it.
    fn beside(&self, named: &Path) -> Result<Bytes, FilesError> {
        let path = self.folder().join(named);
        match regular::read(&self.resolve(named)?, BODY_BYTES_MAX) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(FilesError::TooLong {
                path,
                most: BODY_BYTES_MAX,
            }),
            Err(source) => Err(FilesError::Read { path, source }),
        }
    }

    /// Writes what a function answered into a file that is named in it.
    ///
    /// # Errors
    ///
    /// It is no file of the project's, or cannot be written.
    pub(super) fn write_beside(&self, named: &Path, bytes: &[u8]) -> Result<(), FilesError> {
        let path = match self.resolve(named) {
            Err(FilesError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.resolve_new(named)?
            }
            resolved => resolved?,
        };
        let below = path.strip_prefix(&self.root).unwrap_or(&path);
        let is_hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
        if below.components().any(is_hidden) {
            let path = named.to_owned();
            return Err(FilesError::Hidden { path });
        }
        let fault = |source| FilesError::Write {
            path: self.folder().join(named),
            source,
        };
        if path.exists() && !path.is_file() {
            return Err(fault(io::Error::other("it is no regular file")));
        }
        std::fs::write(&path, bytes).map_err(fault)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Where a file lies that is named in it and there, if that is below the root.
    fn resolve(&self, named: &Path) -> Result<PathBuf, FilesError> {
        if named.is_absolute() {
            return Err(self.outside(named));
        }
        let typed = Path::new(".").join(self.folder()).join(named);
        match typed.canonicalize() {
            Ok(found) if found.starts_with(&self.root) => Ok(found),
            Ok(_) => Err(self.outside(named)),
            Err(source) => Err(FilesError::Read {
                path: self.folder().join(named),
                source,
            }),
        }
    }

    /// The same of one that is not there; its folder is.
    fn resolve_new(&self, named: &Path) -> Result<PathBuf, FilesError> {
        let (Some(folder), Some(name)) = (named.parent(), named.file_name()) else {
            return Err(self.outside(named));
        };
        let path = match self.resolve(folder) {
            Err(FilesError::Outside { .. }) => return Err(self.outside(named)),
            folder => folder?.join(name),
        };
        // A link that leads nowhere would be followed, and lead anywhere.
        match path.symlink_metadata() {
            Ok(_) => Err(self.outside(named)),
            Err(_) => Ok(path),
        }
    }

    fn outside(&self, named: &Path) -> FilesError {
        FilesError::Outside {
            path: named.to_owned(),
            root: self.root.clone(),
        }
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}
