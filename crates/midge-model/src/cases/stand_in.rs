//! Requests of a function that something else than a server answers.
//!
//! Written as grants are, so that one line can be copied to the other place; with a query where it
//! matters.
//!
//! **Invariant:** without a query it matches every query, with one only that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{HttpGrant, HttpGrantError, Outbound};

/// The longest query that is compared.
const QUERY_BYTES_MAX: usize = 8 << 10;

/// Requests by method, URL and query: `GET https://api.example.com/v1/*`, `POST http://a.test/?x=1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StandInRequest {
    request: HttpGrant,
    query: Option<String>,
}

/// Why a text is not a request to stand in for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StandInRequestError {
    /// What stands before the query.
    #[error(transparent)]
    Request(#[from] HttpGrantError),
    /// Not a query.
    #[error("query `{}` is not one, write it as it is sent", .0.escape_debug())]
    Query(String),
}

impl StandInRequest {
    /// Whether it answers this request.
    pub fn matches(&self, request: &Outbound<'_>, query: Option<&str>) -> bool {
        let same_query = |wanted: &String| Some(wanted.as_str()) == query;
        self.request.matches(request) && self.query.as_ref().is_none_or(same_query)
    }
}

impl FromStr for StandInRequest {
    type Err = StandInRequestError;

    fn from_str(text: &str) -> Result<Self, StandInRequestError> {
        let (request, query) = match text.split_once('?') {
            Some((request, query)) => (request, Some(query)),
            None => (text, None),
        };
        let is_sent = |query: &str| {
            query.len() <= QUERY_BYTES_MAX
                && query.bytes().all(|it| it.is_ascii_graphic() && it != b'#')
        };
        if let Some(query) = query.filter(|query| !is_sent(query)) {
            let shown = query.chars().take(80).collect();
            return Err(StandInRequestError::Query(shown));
        }
        Ok(Self {
            request: request.parse()?,
            query: query.map(str::to_owned),
        })
    }
}

impl fmt::Display for StandInRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.request)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for StandInRequest {
    type Error = StandInRequestError;

    fn try_from(text: String) -> Result<Self, StandInRequestError> {
        text.parse()
    }
}

impl From<StandInRequest> for String {
    fn from(request: StandInRequest) -> Self {
        request.to_string()
    }
}
