//! Requests become values here, or problems.
//!
//! Decides what is malformed (400), of another media type (415), too large (413), too slow (408)
//! or a value that its type does not take (422), in the same words for every operation. Tokens are `caller.rs`, which handlers ask
//! first: whoever has none learns nothing from here.
//!
//! **Invariant:** what a handler gets was read whole and has no key that its type does not know.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use midge_api::ErrorCode;
use midge_store::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::Door;
use super::answer::Refused;
use super::body;
use super::places::{Place, Slot};
use super::strict::{self, Fault};
use crate::PageRequest;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The parameters in the path.
pub(super) struct PathOf<T>(pub(super) T);

/// The parameters behind the `?`; unknown ones are refused.
pub(super) struct QueryOf<T>(pub(super) T);

/// A question with a JSON body, which changes nothing.
pub(super) struct Asked<T>(pub(super) T);

/// A write with a JSON body; one with `if-match` is refused, because nothing would compare it.
pub(super) struct Written<T>(pub(super) Terms, pub(super) T);

/// A write that compares versions, with a JSON body.
pub(super) struct Conditional<T>(pub(super) Terms, pub(super) T);

/// A write whose body is bytes.
pub(super) struct WrittenBytes(pub(super) Terms, pub(super) Bytes);

/// In place of a body where there is none.
pub(super) struct NoBody;

/// On what terms something is written.
pub(super) struct Terms {
    /// What makes it happen once.
    pub(super) key: Option<String>,
    /// What tells it from other requests with the same key.
    pub(super) hash: [u8; 32],
    /// The version that it is meant for.
    pub(super) if_match: Option<Version>,
    /// Held until it is done.
    pub(super) place: Option<Arc<Place>>,
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl From<PageQuery> for PageRequest {
    fn from(PageQuery { cursor, limit }: PageQuery) -> Self {
        Self { cursor, limit }
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Door>> for PathOf<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        match Path::from_request_parts(parts, door).await {
            Ok(Path(path)) => Ok(Self(path)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => {
                Err(Refused::malformed(match failed.into_kind() {
                    ErrorKind::DeserializeError { message, .. } => message,
                    other => other.to_string(),
                }))
            }
            Err(_) => Err(super::around::internal()),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Door>> for QueryOf<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Door>) -> Result<Self, Refused> {
        let Query(query) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Refused::malformed(format_args!("query: {}", innermost(&error))))?;
        Ok(Self(query))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Door>> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Arc<Door>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = json_bytes(&parts.headers, body).await?;
        Ok(Self(json(&bytes)?))
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Door>> for Conditional<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Arc<Door>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = json_bytes(&parts.headers, body).await?;
        Ok(Self(Terms::of(&parts, &bytes)?, json(&bytes)?))
    }
}

impl FromRequest<Arc<Door>> for Conditional<NoBody> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Arc<Door>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        no_body(&parts.headers, body).await?;
        Ok(Self(Terms::of(&parts, &[])?, NoBody))
    }
}

impl<T> FromRequest<Arc<Door>> for Written<T>
where
    Conditional<T>: FromRequest<Arc<Door>, Rejection = Refused>,
{
    type Rejection = Refused;

    async fn from_request(request: Request, door: &Arc<Door>) -> Result<Self, Refused> {
        let Conditional(terms, value) = Conditional::from_request(request, door).await?;
        Ok(Self(terms.unconditional()?, value))
    }
}

impl FromRequest<Arc<Door>> for WrittenBytes {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Arc<Door>) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        if let Err(refused) = body::expect_type(&parts.headers, &["application/octet-stream"]) {
            body::discard(body).await;
            return Err(refused);
        }
        let bytes = body::read(&parts.headers, body).await?;
        Ok(Self(Terms::of(&parts, &bytes)?.unconditional()?, bytes))
    }
}

impl Terms {
    /// Those of what may be done again.
    pub(super) fn none(parts: &Parts) -> Self {
        Self {
            key: None,
            hash: [0; 32],
            if_match: None,
            place: place(parts),
        }
    }

    /// The same for what compares no versions.
    fn unconditional(self) -> Result<Self, Refused> {
        if self.if_match.is_some() {
            let detail = "this operation compares no versions, leave `if-match` out";
            return Err(Refused::malformed(detail));
        }
        Ok(self)
    }

    fn of(parts: &Parts, body: &[u8]) -> Result<Self, Refused> {
        let mut hash = Sha256::new();
        let if_match = parts.headers.get(IF_MATCH);
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        for part in [parts.method.as_str(), path] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(if_match.map_or(&[][..], |value| value.as_bytes()));
        hash.update([0]);
        hash.update(body);
        Ok(Self {
            key: key(&parts.headers)?,
            hash: hash.finalize().into(),
            if_match: version(&parts.headers)?,
            place: place(parts),
        })
    }
}

fn place(parts: &Parts) -> Option<Arc<Place>> {
    parts.extensions.get().and_then(Slot::place)
}

/// One strong entity tag: what this door gives.
fn version(headers: &HeaderMap) -> Result<Option<Version>, Refused> {
    let mut sent = headers.get_all(IF_MATCH).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return if headers.contains_key(IF_MATCH) {
            Err(Refused::malformed("`if-match` is there twice"))
        } else {
            Ok(None)
        };
    };
    let tag = value.to_str().ok().and_then(|tag| {
        let tag = tag.trim();
        // Quotes are right (RFC 9110, section 8.8.3), and easily lost on the way through a shell.
        let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        let digits = quoted.unwrap_or(tag);
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    });
    let number: u64 = tag.ok_or_else(|| {
        Refused::malformed("`if-match` is not one version in quotes, such as `\"123\"`")
    })?;
    Ok(Some(Version::new(number)))
}

/// What the key may be is the core's to say.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Refused::malformed("`idempotency-key` is not ASCII")),
        },
        (Some(_), Some(_)) => Err(Refused::malformed("`idempotency-key` is there twice")),
    }
}

async fn json_bytes(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    if let Err(refused) = body::expect_type(headers, &["application/json"]) {
        body::discard(body).await;
        return Err(refused);
    }
    body::read(headers, body).await
}

async fn no_body(headers: &HeaderMap, body: Body) -> Result<(), Refused> {
    let bytes = body::read(headers, body).await?;
    if bytes.is_empty() {
        return Ok(());
    }
    Err(Refused::malformed("this operation takes no body"))
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    strict::read(bytes).map_err(|fault| match fault {
        Fault::Shape(why) => Refused::malformed(format_args!("body: {why}")),
        Fault::Value(why) => Refused::new(ErrorCode::Invalid, why),
    })
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
