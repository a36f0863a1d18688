//! Invoking a function through the control door.
//!
//! Decides how a request is told apart from its wrapping: the door marks what a function
//! answered with [`TIMING_HEADER`], which no function can set.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use midge_model::{FunctionName, NamespaceName, RevisionNumber};

use super::operations::at;
use super::{Client, ClientError};

/// In the answer of a function, and of nobody else: how long it took, in milliseconds.
pub const TIMING_HEADER: &str = "x-midge-timing";
/// Before the name of a header field that the function gets and the door does not read: its own
/// `authorization` is not ours.
pub const PASSED_ON_PREFIX: &str = "x-midge-pass-";
/// The longest answer that is kept in memory.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A request to a function.
#[derive(Debug, Clone)]
pub struct InvokeRequest {
    /// From the function's root on, with the query: `/orders?open=1`.
    pub path: String,
    /// Its method.
    pub method: Method,
    /// A certain revision; else by traffic.
    pub revision: Option<RevisionNumber>,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What a function answered.
pub struct InvokeAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// How long the node took for it, until its head.
    pub took: Duration,
    /// Its body, as it comes.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>,
}

impl InvokeAnswer {
    /// All of the body.
    ///
    /// # Errors
    ///
    /// It ended early, or is longer than 256 MiB: read `body` piece by piece.
    pub async fn bytes(mut self) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk?;
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Protocol {
                    url: String::new(),
                    detail: format!("the body is longer than {ANSWER_BYTES_MAX} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for InvokeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvokeAnswer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("took", &self.took)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Invokes a function. Waits as long as the function may take.
    ///
    /// # Errors
    ///
    /// It was not invoked; what it answers, whatever the status, is no error.
    pub async fn invoke(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        invoke: InvokeRequest,
    ) -> Result<InvokeAnswer, ClientError> {
        let mut query = vec![("path", invoke.path), ("method", invoke.method.to_string())];
        query.extend(
            invoke
                .revision
                .map(|number| ("revision", number.to_string())),
        );
        let mut request = self
            .request(Method::POST, &at(namespace, function, "/invoke"))
            .query(&query)
            .body(invoke.body);
        for (name, value) in &invoke.headers {
            request = request.header(outside_name(name), value);
        }
        let response = self.send_any(request).await?;
        let took = response.headers().get(TIMING_HEADER).and_then(|value| {
            let ms: f64 = value.to_str().ok()?.parse().ok()?;
            Duration::try_from_secs_f64(ms / 1000.0).ok()
        });
        let Some(took) = took else {
            return Err(self.refused(response).await);
        };
        let status = response.status();
        let headers = response.headers().clone();
        let client = self.clone();
        let body = response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| client.fault(error)));
        Ok(InvokeAnswer {
            status,
            headers,
            took,
            body: Box::pin(body),
        })
    }
}

/// Fields that the door itself reads go under another name.
fn outside_name(name: &HeaderName) -> HeaderName {
    let is_the_doors = *name == header::AUTHORIZATION || *name == header::HOST;
    if !is_the_doors {
        return name.clone();
    }
    let prefixed = format!("{PASSED_ON_PREFIX}{name}");
    prefixed.parse().expect("a prefix and a name are a name")
}
