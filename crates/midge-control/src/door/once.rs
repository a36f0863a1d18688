//! Writes: to their end, and once.
//!
//! Decides that a caller who hangs up does not stop a write half way, and that a request which
//! comes again with the same key gets the first one's answer. What is remembered of a key is the
//! core's.
//!
//! **Invariant:** a write that has begun comes to its end while the node lives; the door waits
//! for it before it closes, and its place is taken until then, whether its caller waits or not.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use tracing::Instrument as _;

use super::Door;
use super::answer::{Refused, Reply};
use super::around::internal;
use super::extract::Terms;
use crate::{ControlError, Idempotency, Who};

/// In an answer that was given before, to a request with the same key.
const REPLAYED: &str = "idempotency-replayed";

impl Door {
    /// Does the work, or finds what it answered when it was done.
    pub(super) async fn write(
        &self,
        who: &Who,
        terms: &Terms,
        work: impl Future<Output = Result<Reply, ControlError>> + Send + 'static,
    ) -> Result<Response, Refused> {
        let slot = match &terms.key {
            None => None,
            Some(key) => match self.control.idempotency(who, key, terms.hash).await? {
                Idempotency::New(slot) => Some(slot),
                Idempotency::Done { status, body } => return replay(status, body),
            },
        };
        let held = (self.writing.clone(), terms.place.clone());
        let task = async move {
            let reply = work.await?;
            if let Some(slot) = slot {
                let body = reply.keeps.then(|| reply.body.clone());
                slot.done(reply.status.as_u16(), body).await;
            }
            drop(held);
            Ok::<_, ControlError>(reply)
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(done) => Ok(done?.into_response()),
            // It panicked, and the panic was printed where it happened.
            Err(_) => Err(internal()),
        }
    }
}

fn replay(status: u16, body: String) -> Result<Response, Refused> {
    let reply = Reply {
        status: StatusCode::from_u16(status).map_err(|_| internal())?,
        body,
        etag: None,
        keeps: false,
    };
    let mut response = reply.into_response();
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, yes);
    Ok(response)
}
