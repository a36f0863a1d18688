//! What functions write: the newest lines, or every line as it comes.
//!
//! **Invariant:** whoever follows is asked again, with every sign of life, whether its token is
//! still good, and is let go when the node drains.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use midge_api::{ErrorCode, LIMIT_DEFAULT, LIMIT_MAX, LogLine, Page};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::OfFunction;
use crate::Who;
use crate::door::answer::{Answer, Refused, json};
use crate::door::caller::{Shown, enter};
use crate::door::document::Following;
use crate::door::extract::{PathOf, QueryOf};
use crate::door::places::Pool;
use crate::door::{Door, drained};

/// How often somebody who follows a silent function gets a sign of life.
const SIGN_EVERY: Duration = Duration::from_secs(15);
/// A sign of life: a comment, which clients pass over.
const SIGN: Bytes = Bytes::from_static(b": alive\n\n");

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// How many of the newest lines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Newest {
    /// How many of the newest lines; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The newest lines of a function, oldest of them first; with `accept: text/event-stream` also
/// every line after them, as it is written, each as the data of one event.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions/{function}/logs", operation_id = "logs", tag = "functions",
    params(OfFunction, Newest),
    responses(
        (status = 200, description = "The lines.", content((Page<LogLine> = "application/json"), (String = "text/event-stream"))),
        Following
    )
)]
async fn logs(
    State(door): State<Arc<Door>>,
    Reader(who): Reader,
    PathOf(at): PathOf<OfFunction>,
    QueryOf(query): QueryOf<Newest>,
    Follows(follows): Follows,
) -> Answer {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("limit is {limit}, write 1 to {LIMIT_MAX}");
        return Err(Refused::malformed(detail));
    }
    let limit = usize::try_from(limit).expect("at most a thousand");
    let feed = door.control.logs(&who, &at.namespace, &at.function).await?;
    let mut recent = feed.recent;
    recent.drain(..recent.len().saturating_sub(limit));
    let Some(shown) = follows else {
        return Ok(json(StatusCode::OK, &Page::whole(recent)));
    };
    let follower = Follower {
        draining: door.draining.clone(),
        next_sign: Instant::now() + SIGN_EVERY,
        recent: recent.into(),
        lines: feed.follow,
        door,
        shown,
        at,
    };
    let mut response = Response::new(Body::from_stream(follower.events()));
    let media_type = HeaderValue::from_static("text/event-stream");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// The sender: who stays is in another pool than who reads and goes.
struct Reader(Who);

impl FromRequestParts<Arc<Door>> for Reader {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Refused> {
        let pool = match wants_events(&parts.headers) {
            Ok(true) => Pool::Followers,
            Ok(false) | Err(_) => Pool::Requests,
        };
        enter(parts, door, pool).await.map(Self)
    }
}

/// What to ask again of somebody who stays, which is who accepts events; nothing of who wants a
/// page.
struct Follows(Option<Shown>);

impl FromRequestParts<Arc<Door>> for Follows {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Door>) -> Result<Self, Refused> {
        let wants = wants_events(&parts.headers)?;
        Ok(Self(wants.then(|| Shown::of(parts))))
    }
}

/// Somebody who follows.
struct Follower {
    door: Arc<Door>,
    shown: Shown,
    at: OfFunction,
    recent: VecDeque<LogLine>,
    lines: broadcast::Receiver<LogLine>,
    draining: watch::Receiver<bool>,
    next_sign: Instant,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut follower| async {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// The next event; `None` when there will be none.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(line) = self.recent.pop_front() {
            return Some(event(&line));
        }
        tokio::select! {
            biased;
            () = drained(&mut self.draining) => None,
            () = sleep_until(self.next_sign) => {
                self.next_sign = Instant::now() + SIGN_EVERY;
                let who = self.shown.again(&self.door).await?;
                // A token may be good and the function gone, or no longer its to know of.
                let OfFunction { namespace, function } = &self.at;
                self.door.control.logs(&who, namespace, function).await.ok()?;
                Some(SIGN)
            }
            line = self.lines.recv() => match line {
                Ok(line) => Some(event(&line)),
                Err(RecvError::Lagged(count)) => Some(event(&lost(count, &self.at))),
                Err(RecvError::Closed) => None,
            },
        }
    }
}

fn event(line: &LogLine) -> Bytes {
    let json = serde_json::to_string(line).expect("a line is plain data");
    format!("data: {json}\n\n").into()
}

/// What a slow follower reads in place of the lines it missed.
fn lost(count: u64, at: &OfFunction) -> LogLine {
    LogLine {
        at: midge_store::now(),
        namespace: at.namespace.clone(),
        function: at.function.clone(),
        revision: None,
        request_id: None,
        stream: "midge".to_owned(),
        line: format!("{count} lines were lost: they came faster than they were read"),
    }
}

/// Which of the two the caller accepts; a page where it does not care.
fn wants_events(headers: &HeaderMap) -> Result<bool, Refused> {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let accepted: Vec<String> = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .map(|range| range.trim().to_ascii_lowercase())
        .collect();
    let any_of = |ranges: &[&str]| {
        accepted
            .iter()
            .any(|range| ranges.contains(&range.as_str()))
    };
    if any_of(&["text/event-stream"]) {
        Ok(true)
    } else if accepted.is_empty() || any_of(&["application/json", "application/*", "*/*"]) {
        Ok(false)
    } else if any_of(&["text/*"]) {
        Ok(true)
    } else {
        let detail = "lines come as `application/json` or as `text/event-stream`";
        Err(Refused::new(ErrorCode::NotAcceptable, detail))
    }
}
