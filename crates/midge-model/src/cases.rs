//! Cases of `midge test`: a request to a function, what it is given, and what it should answer.
//!
//! Decides what `tests/*.toml` says and what is wrong with such a file, down to line and column.
//! Reading files, running the function and comparing is the command's.
//!
//! **Invariant:** every [`Case`] has a name of its own in its file and a request that can be sent.

mod pattern;
mod problem;
mod read;
mod stand_in;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

pub use self::pattern::Pattern;
pub(crate) use self::problem::CaseProblem;
pub use self::stand_in::{StandInRequest, StandInRequestError};
use crate::document::{self, Kind, Lines, Placed};
use crate::rehearsal::Now;
use crate::{BucketName, SecretText};

/// The longest file of cases in bytes.
pub const CASES_BYTES_MAX: usize = 1 << 20;

/// How the top of the file is called in messages.
pub(crate) const TOP: &str = "the cases";

/// The most fields of one request or answer, as the door of a node has it.
const HEADERS_MAX: usize = 100;

/// The cases of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Cases {
    /// In the order of the file; at least one.
    pub cases: Vec<Case>,
    /// What all of them are given.
    all: Given,
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it is called; no other case of the file is.
    pub name: String,
    /// The line it begins at, counted from 1.
    pub line: usize,
    /// What is sent.
    pub request: CaseRequest,
    /// What should come back.
    pub expect: Expect,
    /// What the function finds, besides what all cases of the file are given.
    given: Given,
}

/// A request to a function.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRequest {
    /// The method.
    pub method: Method,
    /// Path and query, from the first `/` on.
    pub target: String,
    /// The fields, as written.
    pub headers: HeaderMap<HeaderValue>,
    /// The body.
    pub body: Content,
}

/// What is sent, or comes back, as somebody wrote it down.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Content {
    /// No byte.
    #[default]
    Nothing,
    /// Text as it is.
    Text(String),
    /// JSON, which is written without a space.
    Json(Value),
    /// What is in a file; its path starts where the file of cases lies.
    File(PathBuf),
}

/// What should come back; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// The status.
    pub status: Option<StatusCode>,
    /// Fields by name.
    pub headers: BTreeMap<String, ExpectHeader>,
    /// The body.
    pub body: Option<ExpectBody>,
}

/// What a field should be.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectHeader {
    /// This value.
    Is(String),
    /// A value that the pattern is found in.
    Matches(Pattern),
    /// Not there.
    Absent,
}

/// What a body should be.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectBody {
    /// This text.
    Text(String),
    /// What is in a file; its path starts where the file of cases lies.
    File(PathBuf),
    /// JSON with at least this in it.
    Json(Value),
    /// Text that the pattern is found in.
    Matches(Pattern),
}

/// What a function finds when it is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// Values by bucket and key.
    pub kv: BTreeMap<BucketName, BTreeMap<String, String>>,
    /// Environment variables, over those of the manifest.
    pub env: BTreeMap<String, String>,
    /// Values of secrets that the manifest grants.
    pub secrets: BTreeMap<String, SecretText>,
    /// The time.
    pub now: Option<Now>,
    /// What random numbers come from.
    pub random: Option<u64>,
    /// What other servers answer; the first that fits and has an answer left does.
    pub http: Vec<StandIn>,
}

/// What stands in for another server.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// Which requests it answers.
    pub request: StandInRequest,
    /// With what.
    pub answers: StandInAnswers,
}

/// What a stand-in answers.
#[derive(Debug, Clone, PartialEq)]
pub enum StandInAnswers {
    /// The same each time.
    Always(StandInAnswer),
    /// One after the other, each once; at least one.
    InTurn(Vec<StandInAnswer>),
}

/// An answer in place of a server's.
#[derive(Debug, Clone, PartialEq)]
pub struct StandInAnswer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap<HeaderValue>,
    /// The body.
    pub body: Content,
}

/// What is wrong with a file of cases, and where. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct CasesError(Placed);

impl Cases {
    /// Reads a file of cases.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; show [`CasesError::hint`] below the message.
    pub fn parse(text: &str) -> Result<Self, CasesError> {
        const CASES: Kind = Kind {
            name: "file of cases",
            bytes_max: CASES_BYTES_MAX,
        };
        let lines = Lines::of(text.get(..CASES_BYTES_MAX).unwrap_or(text));
        let cases = document::read(text, &CASES, |document| read::cases(document, &lines));
        cases.map_err(CasesError)
    }

    /// All that a case of this file is given: its own over what all are given.
    pub fn given(&self, case: &Case) -> Given {
        // Made when it is asked for: a small file would come to much if each case had its copy.
        case.given.clone().over(&self.all)
    }
}

impl CasesError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

impl Expect {
    /// Whether nothing is said about the answer.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Given {
    /// The same on top of what all cases of the file are given.
    fn over(mut self, all: &Self) -> Self {
        for (bucket, values) in &all.kv {
            let own = self.kv.entry(bucket.clone()).or_default();
            add(own, values);
        }
        add(&mut self.env, &all.env);
        add(&mut self.secrets, &all.secrets);
        self.http.extend(all.http.iter().cloned());
        Self {
            now: self.now.or(all.now),
            random: self.random.or(all.random),
            ..self
        }
    }
}

/// Puts below what is there what is not.
fn add<T: Clone>(own: &mut BTreeMap<String, T>, all: &BTreeMap<String, T>) {
    for (name, value) in all {
        own.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// A field's name, for what is kept by it.
fn header_name(text: &str) -> Result<HeaderName, CaseProblem> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| CaseProblem::HeaderName(text.to_owned()))
}
