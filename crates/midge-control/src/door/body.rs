//! Bodies on their way in: how large, how slow, of which media type.
//!
//! **Invariant:** nothing is read beyond its bound, and no wait for the peer is without an end.

use std::error::Error as _;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, header};
use midge_api::ErrorCode;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Refused;
use crate::ControlError;

/// The largest body that is read into memory.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// How long it may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long an upload may send nothing, and the time in which it has to send
/// [`UPLOAD_WINDOW_BYTES_MIN`].
const UPLOAD_WINDOW: Duration = Duration::from_secs(30);
/// About 8 KiB a second, which the poorest connection has.
const UPLOAD_WINDOW_BYTES_MIN: usize = 256 << 10;
/// How long a whole upload may take: the largest component at 300 KiB a second.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// How much of a body that nobody wants is read all the same, so that its sender comes to read
/// why: a connection that is closed on unread bytes is reset, and the answer with it.
const UNWANTED_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const UNWANTED_TIME_MAX: Duration = Duration::from_secs(2);

/// A body in memory.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    let too_large = || {
        let detail = format!("the body has more than {BODY_BYTES_MAX} bytes");
        Refused::new(ErrorCode::TooLarge, detail)
    };
    let announced = length(headers);
    if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        discard(body).await;
        return Err(too_large());
    }
    let deadline = Instant::now() + BODY_TIME_MAX;
    let mut pieces = body.into_data_stream();
    let mut read = BytesMut::new();
    loop {
        let next = timeout_at(deadline, pieces.next()).await;
        let Some(piece) = next.map_err(|_| too_slow())? else {
            return Ok(read.freeze());
        };
        let piece = piece.map_err(|_| Refused::malformed("the body ended early"))?;
        if read.len() + piece.len() > BODY_BYTES_MAX {
            discard(Body::from_stream(pieces)).await;
            return Err(too_large());
        }
        read.extend_from_slice(&piece);
    }
}

/// The bytes of an upload as they come, until none come any more.
pub(super) fn pieces(body: Body) -> Pin<Box<dyn Stream<Item = Result<Bytes, UploadFault>> + Send>> {
    let sender = Sender {
        pieces: body.into_data_stream(),
        until: Instant::now() + UPLOAD_TIME_MAX,
        waited: Duration::ZERO,
        sent_bytes: 0,
    };
    let pieces = stream::unfold(Some(sender), |sender| async {
        let mut sender = sender?;
        match sender.next().await {
            Some(Ok(piece)) => Some((Ok(piece), Some(sender))),
            Some(Err(fault)) => Some((Err(fault), None)),
            None => None,
        }
    });
    // Whoever discards the rest may ask once more than there is.
    Box::pin(pieces.fuse())
}

/// Somebody who uploads, and how fast.
struct Sender {
    pieces: BodyDataStream,
    until: Instant,
    /// For the sender, in this window: what the disk takes is not its fault.
    waited: Duration,
    sent_bytes: usize,
}

impl Sender {
    async fn next(&mut self) -> Option<Result<Bytes, UploadFault>> {
        let began = Instant::now();
        if began >= self.until {
            return Some(Err(UploadFault::Long));
        }
        let deadline = self.until.min(began + UPLOAD_WINDOW);
        let piece = match timeout_at(deadline, self.pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Some(Err(UploadFault::Broken)),
            Ok(None) => return None,
            Err(_) => return Some(Err(UploadFault::Slow)),
        };
        self.waited += began.elapsed();
        self.sent_bytes += piece.len();
        if self.waited >= UPLOAD_WINDOW {
            if self.sent_bytes < UPLOAD_WINDOW_BYTES_MIN {
                return Some(Err(UploadFault::Slow));
            }
            self.waited = Duration::ZERO;
            self.sent_bytes = 0;
        }
        Some(Ok(piece))
    }
}

/// An upload's own fault in place of what the core makes of it, which is that bytes are missing.
pub(super) fn name_upload_fault(error: ControlError) -> ControlError {
    let fault = error
        .source()
        .and_then(|source| source.downcast_ref::<UploadFault>());
    match fault {
        Some(fault @ (UploadFault::Slow | UploadFault::Long)) => {
            ControlError::new(ErrorCode::RequestTimeout, fault.to_string())
        }
        Some(UploadFault::Broken) | None => error,
    }
}

/// Why an upload did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UploadFault {
    /// The connection ended, or the framing is wrong.
    #[error("the upload ended early")]
    Broken,
    /// The sender is silent, or nearly.
    #[error(
        "the upload sent less than {} KiB in {} seconds",
        UPLOAD_WINDOW_BYTES_MIN >> 10,
        UPLOAD_WINDOW.as_secs()
    )]
    Slow,
    /// It has had its time.
    #[error("the upload took longer than {} minutes", UPLOAD_TIME_MAX.as_secs() / 60)]
    Long,
}

/// Reads on for a while, and forgets it.
pub(super) async fn discard(body: Body) {
    discard_pieces(pieces(body)).await;
}

/// The same of an upload that has begun.
pub(super) async fn discard_pieces(
    mut pieces: impl Stream<Item = Result<Bytes, UploadFault>> + Unpin,
) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            read += piece.len();
            if read > UNWANTED_BYTES_MAX {
                break;
            }
        }
    };
    // Whichever ends it, the answer is the same.
    drop(timeout(UNWANTED_TIME_MAX, reading).await);
}

/// How long a body says it is.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// That the body has one of these media types; parameters such as `charset` make no difference.
pub(super) fn expect_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Refused> {
    let sent = headers.get(header::CONTENT_TYPE);
    let essence = sent.and_then(|sent| sent.to_str().ok()?.split(';').next());
    let is_one = |essence: &str| {
        types
            .iter()
            .any(|kind| essence.trim().eq_ignore_ascii_case(kind))
    };
    if essence.is_some_and(is_one) {
        return Ok(());
    }
    let detail = format!(
        "the body's `content-type` is not `{}`",
        types.join("` or `")
    );
    Err(Refused::new(ErrorCode::UnsupportedMediaType, detail))
}

fn too_slow() -> Refused {
    let seconds = BODY_TIME_MAX.as_secs();
    let detail = format!("the body did not arrive within {seconds} seconds");
    Refused::new(ErrorCode::RequestTimeout, detail)
}
