//! Who sends this request.
//!
//! Decides how a token is sent: `authorization: Bearer`, once, and in no other way. Whose it is
//! says [`Control::authenticate`](crate::Control::authenticate).
//!
//! **Invariant:** every handler that has a [`Caller`] runs for a token that is good now.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use midge_api::ErrorCode;
use midge_model::RequestId;

use super::Door;
use super::answer::Refused;
use crate::{ControlError, Who};

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// The sender of a request, known and allowed in.
pub(super) struct Caller(pub(super) Who);

impl FromRequestParts<Arc<Door>> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        let shown = Shown::of(parts);
        let error = match shown.check(door).await {
            Ok(who) => return Ok(Self(who)),
            Err(error) => error,
        };
        // Who shows no token guesses none.
        if error.code != ErrorCode::Unauthenticated || shown.token.is_none() {
            return Err(error.into());
        }
        match door.attempts.refused(shown.from) {
            None => Err(error.into()),
            Some(retry_after) => {
                let detail = "this address has sent too many tokens that are not good";
                let error = ControlError::new(ErrorCode::RateLimited, detail);
                Err(Refused::until(error, retry_after))
            }
        }
    }
}

/// What a sender showed, for who stays so long that it is asked again.
#[derive(Clone)]
pub(super) struct Shown {
    token: Option<String>,
    from: IpAddr,
    request_id: RequestId,
}

impl Shown {
    /// What this request shows.
    pub(super) fn of(parts: &Parts) -> Self {
        let Peer(from) = *parts
            .extensions
            .get()
            .expect("`connection.rs` puts it there");
        let id: &RequestId = parts.extensions.get().expect("`around.rs` puts it there");
        Self {
            token: bearer(parts).map(str::to_owned),
            from,
            request_id: id.clone(),
        }
    }

    async fn check(&self, door: &Door) -> Result<Who, ControlError> {
        let (token, id) = (self.token.as_deref(), self.request_id.clone());
        door.control.authenticate(token, self.from, id).await
    }

    /// Who it is now, if it still is anybody.
    pub(super) async fn again(&self, door: &Door) -> Option<Who> {
        self.check(door).await.ok()
    }
}

/// The token, if there is exactly one.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut sent = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (sent.next()?, sent.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim_start_matches(' '))
}
