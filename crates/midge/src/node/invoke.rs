//! A request of the node's own, through the door that its workers share.
//!
//! The same path as any request from there on: limits, counts and log lines are the same. Who may
//! ask is the control door's to say.
//!
//! **Invariant:** the function that answers is the one that was named, whatever the request's own
//! headers say.

use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri, Version, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use midge_control::{Body, Invoke, InvokeFault};
use midge_model::{FunctionAddress, function_host};
use tokio::net::UnixStream;

/// How long a worker may take to take the connection: all may be busy for a moment.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Which revision is to answer.
const REVISION: HeaderName = HeaderName::from_static("x-midge-revision");

/// Has a function answer.
///
/// # Errors
///
/// No worker took the request, or the one that did is gone.
pub(super) async fn invoke(
    door: &Path,
    domain: &str,
    asked: Invoke,
) -> Result<http::Response<Body>, InvokeFault> {
    let Invoke {
        namespace,
        function,
        revision,
        mut request,
    } = asked;
    let host = function_host(&function, &namespace, domain);
    debug_assert!(FunctionAddress::of(&host, domain).is_some());
    let fault = |what: &str, error: &dyn std::fmt::Display| InvokeFault {
        message: format!("{what}: {error}"),
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path: Uri = path
        .parse()
        .map_err(|error| fault("read the path", &error))?;
    *request.uri_mut() = path;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let host = HeaderValue::try_from(host).map_err(|error| fault("name the host", &error))?;
    headers.insert(header::HOST, host);
    headers.remove(REVISION);
    if let Some(revision) = revision {
        let revision = HeaderValue::try_from(revision.to_string());
        let revision = revision.map_err(|error| fault("name the revision", &error))?;
        headers.insert(REVISION, revision);
    }
    let connected = tokio::time::timeout(CONNECT_MAX, UnixStream::connect(door)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(fault("reach a worker", &error)),
        Err(_) => return Err(fault("reach a worker", &"none had room")),
    };
    let begun = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = begun.map_err(|error| fault("reach a worker", &error))?;
    // It ends with its one request; why it ended is told by the request.
    tokio::spawn(async move { drop(connection.await) });
    let answered = sender.send_request(request).await;
    let response = answered.map_err(|error| fault("ask a worker", &error))?;
    Ok(response.map(Body::new))
}
