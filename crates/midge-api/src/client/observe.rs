//! The operations that look at a running node: lines, numbers, health.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, stream};
use http::{Method, header};
use midge_model::{FunctionName, NamespaceName};

use super::events::Events;
use super::operations::at;
use super::{Client, ClientError};
use crate::{Health, InvocationSummary, LogLine, Page};

/// How long nothing may come while following: a node that is there sends a comment far sooner.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Lines as they are written. Ends when the node drains.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, ClientError>> + Send>>;

impl Client {
    /// The newest lines of a function, oldest of them first.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn logs(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        limit: Option<u32>,
    ) -> Result<Page<LogLine>, ClientError> {
        let request = self.request(Method::GET, &at(namespace, function, "/logs"));
        let request = request.header(header::ACCEPT, "application/json");
        let limit = limit.map(|limit| ("limit", limit));
        self.ask(request.query(&limit.as_slice())).await
    }

    /// The newest lines of a function, and then every line as it is written.
    ///
    /// # Errors
    ///
    /// The node does not let it begin. What ends it later is the stream's last item.
    pub async fn follow_logs(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        limit: Option<u32>,
    ) -> Result<LogStream, ClientError> {
        let request = self.request(Method::GET, &at(namespace, function, "/logs"));
        let request = request.header(header::ACCEPT, "text/event-stream");
        let limit = limit.map(|limit| ("limit", limit));
        let response = self.send(request.query(&limit.as_slice())).await?;
        let state = (self.clone(), response, Events::default());
        Ok(Box::pin(stream::unfold(Some(state), |state| async move {
            let (client, mut response, mut events) = state?;
            match next_line(&client, &mut response, &mut events).await {
                Ok(Some(line)) => Some((Ok(line), Some((client, response, events)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }

    /// How a function's invocations ended since the node started.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn invocations(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<InvocationSummary, ClientError> {
        self.get(&at(namespace, function, "/invocations")).await
    }

    /// Whether the node is alive.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn healthz(&self) -> Result<Health, ClientError> {
        self.get("/healthz").await
    }

    /// Whether the node takes traffic.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; a node that is not ready answers with the problem `busy`.
    pub async fn readyz(&self) -> Result<Health, ClientError> {
        self.get("/readyz").await
    }

    /// The document that describes this API.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/openapi.json").await
    }
}

async fn next_line(
    client: &Client,
    response: &mut reqwest::Response,
    events: &mut Events,
) -> Result<Option<LogLine>, ClientError> {
    loop {
        let event = events
            .next()
            .map_err(|error| client.odd(error.to_string()))?;
        if let Some(data) = event {
            let line = serde_json::from_slice(&data);
            return line
                .map(Some)
                .map_err(|error| client.odd(error.to_string()));
        }
        let read = tokio::time::timeout(SILENCE_MAX, response.chunk());
        let chunk = read.await.map_err(|_| client.silent(SILENCE_MAX))?;
        match chunk.map_err(|error| client.fault(error))? {
            Some(bytes) => events.push(&bytes),
            None => return Ok(None),
        }
    }
}
