//! What workers and the keeper of values say to each other.
//!
//! A frame is two lengths, a head in JSON and the bytes of a value. JSON for the rest, because it is
//! short; not for values, which it would blow up.
//!
//! **Invariant:** both ends are the same binary, so the format carries no version; a frame beyond its
//! bounds ends the conversation, before anything is set aside for it.

use std::io;

use bytes::Bytes;
use midge_model::{BucketName, ENTRY_BYTES_MAX, NamespaceName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest head: a page of keys, each of which JSON can make six times as long.
const HEAD_BYTES_MAX: usize = 4 << 20;

/// What a worker asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// What the answer will be called.
    pub(super) id: u64,
    /// Whose bucket.
    pub(super) namespace: NamespaceName,
    /// Which of them.
    pub(super) bucket: BucketName,
    /// What about it.
    pub(super) what: What,
}

/// A call; the value that it brings is the frame's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum What {
    /// The value of a key.
    Get { key: String },
    /// Whether a key has one.
    Exists { key: String },
    /// Keep the body.
    Set { key: String },
    /// Keep the body if what is there is of this version, or nothing without one.
    Swap { key: String, expected: Option<u64> },
    /// Forget a key.
    Delete { key: String },
    /// Keys after this one.
    List { after: Option<String>, limit: usize },
    /// Add to a number.
    Increment { key: String, by: i64 },
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// What the question was called.
    pub(super) id: u64,
    /// The answer.
    pub(super) answer: Answer,
}

/// An answer; the value that it brings is the frame's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Answer {
    /// The body, and which write it was.
    Value { version: u64 },
    /// There is nothing.
    Nothing,
    /// Whether there is something.
    Is(bool),
    /// It is so.
    Done,
    /// It is not: something else is there, or nothing.
    Not { found: Option<u64> },
    /// Keys.
    Keys(Vec<String>),
    /// A sum.
    Number(i64),
    /// Why it is not so, for the author of the guest.
    Failed(String),
}

/// A frame's bytes.
pub(super) fn frame<H: Serialize>(head: &H, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("a head is plain data");
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len())
            .expect("both are bounded")
            .to_be_bytes()
    };
    let mut frame = Vec::with_capacity(8 + head.len() + body.len());
    frame.extend(length(&head));
    frame.extend(length(body));
    frame.extend(head);
    frame.extend(body);
    frame
}

/// The next frame; `None` at the end of the conversation.
///
/// # Errors
///
/// The other end breaks the agreement, or is gone in the middle of a frame.
pub(super) async fn receive<H: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(H, Bytes)>> {
    let head_bytes = match from.read_u32().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        length => length?,
    };
    let body_bytes = from.read_u32().await?;
    let head = read(from, head_bytes, HEAD_BYTES_MAX).await?;
    let body = read(from, body_bytes, ENTRY_BYTES_MAX).await?;
    let head = serde_json::from_slice(&head).map_err(io::Error::other)?;
    Ok(Some((head, body.into())))
}

async fn read(
    from: &mut (impl AsyncRead + Unpin),
    length: u32,
    bytes_max: usize,
) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(io::Error::other(format!(
            "a part of a frame has {length} bytes, the longest has {bytes_max}"
        )));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}
