//! A guest that runs, from its first turn to the response that the caller is given.
//!
//! Decides when there is a response, and what of it goes out. What the guest is run for, and with
//! what, is `invocation.rs`; its body is `body.rs`.
//!
//! **Invariant:** dropping it ends the guest, until its response has it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use midge_model::Outcome;
use tokio::sync::{mpsc, oneshot};

use crate::body::{GuestBody, ResponseBody};
use crate::contract::{GuestHead, cgi};
use crate::instance::InstanceUse;
use crate::limits::Vitals;
use crate::task::GuestTask;

/// A guest on its way, seen from the request that waits for it. Dropping it ends the guest.
pub(crate) struct Running {
    pub(crate) task: GuestTask,
    pub(crate) head: Head,
    /// Which instance it is, where it may answer others too.
    pub(crate) instance: Option<InstanceUse>,
}

/// Where the head of the response will come from.
pub(crate) enum Head {
    Response(oneshot::Receiver<GuestHead>),
    /// The instance may hold the sender for longer than the invocation lasts.
    OfOneOfMany(oneshot::Receiver<GuestHead>),
    /// Until the head is read; the rest of it is the body.
    Stdout(Option<mpsc::Receiver<Bytes>>),
}

impl Running {
    /// The head of the guest's response, or how the guest ended without one.
    pub(crate) async fn head_or_end(&mut self, vitals: &Vitals) -> Result<GuestHead, Outcome> {
        if let Some(head) = self.head().await {
            return Ok(head);
        }
        // Panics are caught and nobody else aborts it, so it ends by noting its outcome.
        self.task.ended().await;
        Err(match vitals.outcome() {
            None | Some(Outcome::Responded) => Outcome::NoResponse,
            Some(outcome) => outcome.clone(),
        })
    }

    async fn head(&mut self) -> Option<GuestHead> {
        self.task.begin().await;
        match &mut self.head {
            Head::Response(head) => head.await.ok(),
            Head::OfOneOfMany(head) => tokio::select! {
                biased;
                head = head => head.ok(),
                () = self.task.ended() => None,
            },
            Head::Stdout(stdout) => cgi::read_head(stdout.take()?).await,
        }
    }

    /// The response that goes with this head.
    pub(crate) fn response(
        self,
        head: GuestHead,
        bounds: AnswerBounds,
        vitals: &Arc<Vitals>,
    ) -> Result<Response<ResponseBody>, Outcome> {
        // It failed before we could send a byte: better told than cut off.
        if let Some(outcome) = vitals.outcome().filter(|outcome| !outcome.is_success()) {
            return Err(outcome.clone());
        }
        let response = head.map_err(|error_code| Outcome::Failed {
            reason: format!("answered with {error_code}"),
        })?;
        with_body(response, self.task, bounds, vitals)
    }
}

/// What the body of an answer is held to.
#[derive(Clone, Copy)]
pub(crate) struct AnswerBounds {
    /// Whether this method's answers have one at all.
    pub(crate) body_allowed: bool,
    pub(crate) body_bytes_max: u64,
}

/// Hands the running guest over to the body of its response.
fn with_body(
    response: Response<GuestBody>,
    task: GuestTask,
    bounds: AnswerBounds,
    vitals: &Arc<Vitals>,
) -> Result<Response<ResponseBody>, Outcome> {
    let body_on_the_wire = bounds.body_allowed
        && response.status() != StatusCode::NO_CONTENT
        && response.status() != StatusCode::NOT_MODIFIED;
    let declared_bytes = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let limit_bytes = bounds.body_bytes_max;
    if body_on_the_wire && declared_bytes.is_some_and(|bytes: u64| bytes > limit_bytes) {
        // Better told than cut off in the middle. The guest ends with its task.
        let too_large = Outcome::ResponseTooLarge { limit_bytes };
        vitals.end(too_large.clone());
        return Err(too_large);
    }
    let guest = task.detach();
    let vitals = Arc::clone(vitals);
    let response =
        response.map(|body| ResponseBody::new(body, declared_bytes, limit_bytes, vitals, guest));
    if body_on_the_wire {
        return Ok(response);
    }
    // The guest goes on writing to nobody until its own end or its deadline.
    Ok(response.map(|body| {
        let ended = body.finished_twin();
        tokio::task::spawn_local(body.drain());
        ended
    }))
}
