//! Files of cases: which there are, and what they say.
//!
//! **Invariant:** every case that comes out of here was read to its end, bodies in files included.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderMap;
use midge_model::cases::{
    self, CASES_BYTES_MAX, Case, Cases, CasesError, Content, ExpectBody, Given,
};
use midge_sandbox::{StandIn, StandInAnswer, StandInAnswers};

use crate::cmd::fault::Hint;
use crate::functions::{self, FunctionsError};

/// The folder beside the manifest.
pub(super) const FOLDER: &str = "tests";

/// The file in it that has no cases.
pub(super) const TOUCHED: &str = "touched.toml";

/// The longest body that a case sends, or compares with.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// A file of cases.
pub(super) struct CaseFile {
    /// Where it lies, as typed.
    pub(super) path: PathBuf,
    /// What it says, comments and all.
    pub(super) text: String,
    cases: Cases,
}

/// A case that is to be run.
pub(super) struct Planned<'a> {
    pub(super) file: &'a CaseFile,
    /// Its place among the cases of the file.
    pub(super) index: usize,
    pub(super) case: &'a Case,
    pub(super) given: Given,
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
}

impl Hint for FilesError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Functions(error) => error.hint_for("test"),
            Self::Cases { source, .. } => source.hint(),
            Self::Read { .. } | Self::TooLong { .. } => None,
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
    let paths = match named {
        [] => beside(&project(path)?.join(FOLDER))?,
        named => named.to_vec(),
    };
    paths.into_iter().map(read).collect()
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

fn read(path: PathBuf) -> Result<CaseFile, FilesError> {
    // One byte more than there may be, so that the parser says that it is too long.
    let bytes = read_at_most(&path, CASES_BYTES_MAX as u64 + 1);
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
    let text = match text {
        Ok(text) => text,
        Err(source) => return Err(FilesError::Read { path, source }),
    };
    match Cases::parse(&text) {
        Ok(cases) => Ok(CaseFile { path, text, cases }),
        Err(source) => Err(FilesError::Cases { path, source }),
    }
}

fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(most)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The cases that have `filter` in their file's name or their own, as `FILE: NAME`.
pub(super) fn plan<'a>(files: &'a [CaseFile], filter: Option<&str>) -> Vec<Planned<'a>> {
    let of_file = |file: &'a CaseFile| {
        let cases = file.cases.cases.iter().enumerate();
        cases.map(move |(index, case)| Planned {
            file,
            index,
            case,
            given: file.cases.given(case),
        })
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

    /// What other servers answer.
    pub(super) fn stand_ins(&self) -> Result<Vec<StandIn>, FilesError> {
        let answer = |given: &cases::StandInAnswer| -> Result<_, FilesError> {
            Ok(StandInAnswer {
                status: given.status.as_u16(),
                headers: texts(&given.headers),
                body: self.bytes(&given.body)?.into(),
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
        self.given.http.iter().map(stand_in).collect()
    }
}

impl CaseFile {
    /// Its name without folder and ending.
    fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// A file that is named in it.
    fn beside(&self, path: &Path) -> Result<Bytes, FilesError> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(path);
        match read_at_most(&path, BODY_BYTES_MAX + 1) {
            Ok(bytes) if bytes.len() as u64 > BODY_BYTES_MAX => Err(FilesError::TooLong {
                path,
                most: BODY_BYTES_MAX,
            }),
            Ok(bytes) => Ok(bytes.into()),
            Err(source) => Err(FilesError::Read { path, source }),
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
