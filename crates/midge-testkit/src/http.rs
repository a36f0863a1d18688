//! Two clients: one that sends exactly the bytes a test gives it, and one that
//! speaks HTTP/1.1 or HTTP/2 for tests that care only about the answer.
//!
//! **Invariant:** no wait on the server is without a bound.

mod client;
mod raw;

pub use client::{Answer, Client, RequestBody, chunked, collect, whole};
pub use raw::RawConnection;

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;

/// Gets `path`, on a connection of its own.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn get(addr: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    send(addr, Request::get(path).body(Bytes::new())?).await
}

/// Posts `body` to `path`, on a connection of its own.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn post(addr: SocketAddr, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Answer> {
    send(addr, Request::post(path).body(body.into())?).await
}

/// Sends `request` over HTTP/1.1 on a connection of its own; adds `Host` where it is missing.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn send(addr: SocketAddr, request: Request<Bytes>) -> anyhow::Result<Answer> {
    let mut client = Client::http1(addr).await?;
    client.send(request.map(whole)).await
}
