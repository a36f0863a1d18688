//! Who sends this request.
//!
//! Decides how a token is sent: `authorization: Bearer`, once, and in no other way. Whose it is
//! says [`Control::authenticate`](crate::Control::authenticate).
//!
//! **Invariant:** every handler that has a [`Caller`], [`Uploader`] or [`Invoker`] runs for a token
//! that is good now, and in a place of its pool (`places.rs`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use midge_api::ErrorCode;
use midge_model::RequestId;
use tokio::time::timeout;

use super::Door;
use super::answer::Refused;
use super::connections::Seat;
use super::places::{Pool, Slot};
use crate::{ControlError, Who};

/// How long a token waits to be looked up while others are.
const LOOKUP_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where a connection comes from, and which it is.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) seat: Seat,
}

impl Peer {
    pub(super) fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}

/// The sender of a request, known and allowed in.
pub(super) struct Caller(pub(super) Who);

/// The same of somebody who uploads.
pub(super) struct Uploader(pub(super) Who);

/// The same of somebody who asks a function.
pub(super) struct Invoker(pub(super) Who);

impl FromRequestParts<Arc<Door>> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        enter(parts, door, Pool::Requests).await.map(Self)
    }
}

impl FromRequestParts<Arc<Door>> for Uploader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        enter(parts, door, Pool::Uploads).await.map(Self)
    }
}

impl FromRequestParts<Arc<Door>> for Invoker {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        enter(parts, door, Pool::Invocations).await.map(Self)
    }
}

/// Who sends this request, in a place of this pool.
pub(super) async fn enter(parts: &Parts, door: &Door, pool: Pool) -> Result<Who, Refused> {
    let shown = Shown::of(parts);
    let error = match shown.check(door).await {
        Ok(who) => {
            let peer: &Peer = parts
                .extensions
                .get()
                .expect("`connection.rs` puts it there");
            let slot: &Slot = parts.extensions.get().expect("`around.rs` puts it there");
            slot.put(door.places.take(pool, &who, peer.seat.clone())?);
            return Ok(who);
        }
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
        let peer: &Peer = parts
            .extensions
            .get()
            .expect("`connection.rs` puts it there");
        let id: &RequestId = parts.extensions.get().expect("`around.rs` puts it there");
        Self {
            token: bearer(parts).map(str::to_owned),
            from: peer.ip(),
            request_id: id.clone(),
        }
    }

    async fn check(&self, door: &Door) -> Result<Who, ControlError> {
        let (token, id) = (self.token.as_deref(), self.request_id.clone());
        let turn = timeout(LOOKUP_WAIT_MAX, door.lookups.acquire()).await;
        let _turn = turn.map_err(|_| {
            ControlError::new(ErrorCode::Busy, "too many tokens are being looked up")
        })?;
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
