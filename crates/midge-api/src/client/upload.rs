//! The bytes of a component on their way to a node.
//!
//! **Invariant:** bytes are told to be on their way when they are handed to the connection, which
//! takes them only as fast as the node does.

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::Method;
use midge_model::{Digest, NamespaceName};

use super::operations::of;
use super::{Client, ClientError};
use crate::ComponentInfo;

/// How much is handed over at a time: small enough for a smooth bar, large enough for a disk.
const CHUNK_BYTES: usize = 64 << 10;

/// A component's bytes, and who wants to know how many are on their way.
pub struct Upload {
    length_bytes: Option<u64>,
    body: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    progress: Option<Box<dyn FnMut(u64) + Send>>,
}

impl Upload {
    /// These bytes.
    pub fn bytes(bytes: Bytes) -> Self {
        let length_bytes = Some(bytes.len() as u64);
        let chunks = stream::unfold(bytes, |mut rest| async move {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            (!chunk.is_empty()).then_some((Ok(chunk), rest))
        });
        Self {
            length_bytes,
            body: Box::pin(chunks),
            progress: None,
        }
    }

    /// Bytes that come as they are read, and how many there will be, if that is known.
    pub fn stream(
        length_bytes: Option<u64>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self {
            length_bytes,
            body: Box::pin(body),
            progress: None,
        }
    }

    /// Tells `progress` how many bytes are on their way, each time there are more.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(u64) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("length_bytes", &self.length_bytes)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Puts a component. Takes as long as it takes.
    ///
    /// # Errors
    ///
    /// The node refuses it (too large, not of this digest, over the quota) or cannot be reached;
    /// or the bytes cannot be read.
    pub async fn put_component(
        &self,
        namespace: &NamespaceName,
        digest: &Digest,
        upload: Upload,
    ) -> Result<ComponentInfo, ClientError> {
        let Upload {
            length_bytes,
            body,
            mut progress,
        } = upload;
        let mut sent: u64 = 0;
        let told = body.inspect(move |chunk| {
            if let (Ok(chunk), Some(progress)) = (chunk, &mut progress) {
                sent += chunk.len() as u64;
                progress(sent);
            }
        });
        let path = of(namespace, &format!("/components/{digest}"));
        let mut request = self
            .request(Method::PUT, &path)
            .header(http::header::CONTENT_TYPE, "application/wasm")
            .body(reqwest::Body::wrap_stream(told));
        if let Some(length_bytes) = length_bytes {
            request = request.header(http::header::CONTENT_LENGTH, length_bytes);
        }
        let response = self.send(request).await.map_err(|error| match error {
            ClientError::Broken { source, .. } if source.is_body() => {
                ClientError::Upload { source }
            }
            other => other,
        })?;
        self.read(response).await
    }
}
