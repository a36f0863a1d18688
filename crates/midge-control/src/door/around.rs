//! What stands around every request: its id, the guard, the last net, the line in the log.
//!
//! **Invariant:** every answer has an `x-request-id`, and a handler that panics costs its own
//! request and nothing else.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, header};
use midge_api::ErrorCode;
use midge_model::RequestId;
use tokio::time::Instant;
use uuid::Uuid;

use super::Door;
use super::answer::Refused;
use super::caller::Peer;
use super::pace::paced;
use super::places::Slot;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What is answered to everybody, because it tells nobody anything: for whoever watches over the
/// node it must be answered when nothing else is.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/openapi.json"];

/// Answers a request.
pub(super) async fn around(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    // Without the query: it may say more than a log should keep.
    let path = request.uri().path().to_owned();
    let from = request.extensions().get().map(Peer::ip);
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());

    let (head, body) = request.into_parts();
    let passed = match OPEN.contains(&path.as_str()) {
        true => Ok(()),
        false => door.guard.check(&head),
    };
    let mut response = match passed {
        Ok(()) => {
            let request = Request::from_parts(head, body);
            let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
            answered.unwrap_or_else(|_| internal().into_response())
        }
        Err(refused) => refused.into_response(),
    };

    let refused = response.extensions_mut().remove::<Refused>();
    if let Some(refused) = &refused {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = refused.render(id.as_str());
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    finish(&mut response, &id);

    let status = response.status().as_u16();
    let code = refused.as_ref().map(|refused| refused.code().as_str());
    if status >= 500
        && let Some(cause) = refused.as_ref().and_then(Refused::cause)
    {
        let cause = chain(cause);
        tracing::error!(request_id = %id, %method, path, code, cause, "control request failed");
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let from = from.map(tracing::field::display);
    tracing::info!(request_id = %id, from, %method, path, status, code, took_ms, "control request");
    paced(response, slot.place())
}

/// The node's own fault, of which the caller learns no more than that.
pub(super) fn internal() -> Refused {
    let detail = "the node made a mistake, its log says more";
    Refused::new(ErrorCode::Internal, detail)
}

fn request_id(request: &Request) -> RequestId {
    let sent = request.headers().get(REQUEST_ID);
    let kept = sent.and_then(|sent| RequestId::keep(sent.to_str().ok()?));
    kept.unwrap_or_else(|| {
        let made = RequestId::new(Uuid::now_v7().to_string());
        made.expect("a UUID is a request id")
    })
}

fn finish(response: &mut Response, id: &RequestId) {
    let headers = response.headers_mut();
    let id = HeaderValue::from_str(id.as_str()).expect("a request id is safe in a header");
    headers.insert(REQUEST_ID, id);
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    let no_sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniff);
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        next = source.source();
    }
    chain
}
