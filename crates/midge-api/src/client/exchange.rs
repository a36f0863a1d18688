//! One request and its answer.
//!
//! Decides what becomes of each way in which an exchange can end.
//!
//! **Invariant:** no answer is read beyond [`ANSWER_BYTES_MAX`].

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, PageRequest, WriteOptions};
use crate::{ErrorCode, Problem};

/// The longest answer that is read: a page of revisions with every grant there can be.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How much of an answer that is no problem body stands in an error.
const ODD_ANSWER_CHARS_MAX: usize = 200;

impl Client {
    /// A request to this path below the door's address.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(self.request(Method::GET, path)).await
    }

    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        page: &PageRequest,
    ) -> Result<T, ClientError> {
        self.ask(self.request(Method::GET, path).query(&page.pairs()))
            .await
    }

    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        (method, path): (Method, &str),
        body: &impl Serialize,
        options: &WriteOptions,
    ) -> Result<T, ClientError> {
        self.ask(options.onto(self.request(method, path)).json(body))
            .await
    }

    pub(super) async fn remove(
        &self,
        path: &str,
        options: &WriteOptions,
    ) -> Result<(), ClientError> {
        let request = options.onto(self.request(Method::DELETE, path));
        self.send_in_time(request).await.map(drop)
    }

    /// Sends it and reads its answer, all within the client's time.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, ClientError> {
        let response = self.send_in_time(request).await?;
        self.read(response).await
    }

    /// The same for an answer that is bytes.
    pub(super) async fn ask_bytes(&self, request: RequestBuilder) -> Result<Bytes, ClientError> {
        let response = self.send_in_time(request).await?;
        self.body(response).await
    }

    async fn send_in_time(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        self.send(request.timeout(self.timeout)).await
    }

    /// Sends it; an answer that is no success is an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = self.send_any(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    /// Sends it, whatever the answer's status.
    pub(super) async fn send_any(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|error| self.fault(error))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<T, ClientError> {
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| self.odd(error.to_string()))
    }

    /// Why it was refused, from an answer that is no success.
    pub(super) async fn refused(&self, response: Response) -> ClientError {
        let status = response.status();
        if response.content_length() == Some(0) || status.is_redirection() {
            return bodyless(status).map_or_else(
                || self.odd(format!("it answers {status}")),
                |problem| ClientError::Problem(Box::new(problem)),
            );
        }
        let body = match self.body(response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let shown: String = text.trim().chars().take(ODD_ANSWER_CHARS_MAX).collect();
                self.odd(format!(
                    "it answers {status} and `{}`",
                    shown.escape_debug()
                ))
            }
        }
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.odd(format!(
                    "its answer is longer than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    pub(super) fn odd(&self, detail: String) -> ClientError {
        ClientError::Protocol {
            url: self.url.clone(),
            detail,
        }
    }

    pub(super) fn silent(&self, after: Duration) -> ClientError {
        ClientError::Timeout {
            url: self.url.clone(),
            after,
        }
    }

    pub(super) fn fault(&self, error: reqwest::Error) -> ClientError {
        let url = self.url.clone();
        // Its address is in our own sentence, and its query may say more than a log should.
        let source = error.without_url();
        if source.is_connect() {
            ClientError::Connect { url, source }
        } else if source.is_timeout() {
            self.silent(self.timeout)
        } else {
            // What reqwest cannot decode is a body that was cut off: it reads no JSON for us.
            ClientError::Broken { url, source }
        }
    }
}

impl PageRequest {
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let cursor = self.cursor.clone().map(|cursor| ("cursor", cursor));
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        cursor.into_iter().chain(limit).collect()
    }
}

impl WriteOptions {
    pub(super) fn onto(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(version) = self.if_match {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        request
    }
}

/// The answer to `HEAD` has no body to say why.
fn bodyless(status: StatusCode) -> Option<Problem> {
    let mut codes = ErrorCode::ALL.into_iter();
    let code = codes.find(|code| code.status() == status.as_u16())?;
    Some(Problem::new(code, code.title()))
}
