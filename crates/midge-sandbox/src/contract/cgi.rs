//! CGI/1.1 between a command and its request: variables in, header block out.
//!
//! What the variables and the block mean is the model's `cgi`; this file finds their
//! parts in an HTTP request and reads the block from a running command.

use bytes::Bytes;
use http::{Request, Response, Version, header, uri};
use http_body::Body;
use midge_model::cgi::{CgiRequest, HeadParser, meta_variables};
use tokio::sync::mpsc;

use crate::body::{GuestBody, RequestBody};
use crate::contract::GuestHead;
use crate::invocation::Caller;

/// The head of a command's answer; `None` when it wrote nothing at all.
pub(crate) async fn read_head(mut stdout: mpsc::Receiver<Bytes>) -> Option<GuestHead> {
    let mut parser = HeadParser::default();
    let mut first = stdout.recv().await?;
    let head = loop {
        if let Some(head) = parser.push(&first).transpose() {
            break head;
        }
        match stdout.recv().await {
            Some(chunk) => first = chunk,
            None => break parser.finish(),
        }
    };
    Some(match head {
        Ok(head) => {
            let body = GuestBody::Stdout {
                first: head.rest.into(),
                rest: stdout,
            };
            let mut response = Response::new(body);
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers;
            Ok(response)
        }
        Err(error) => Err(format!("stdout: {error}")),
    })
}

/// The request as a command finds it in its environment.
pub(crate) fn variables(
    request: &Request<RequestBody>,
    caller: &Caller,
    mount: &str,
) -> Vec<(String, String)> {
    let uri = request.uri();
    let authority = uri.authority().map(uri::Authority::as_str).or_else(|| {
        request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
    });
    let local_ip = caller.local.ip().to_string();
    meta_variables(&CgiRequest {
        method: request.method(),
        path: uri.path(),
        query: uri.query(),
        headers: request.headers(),
        script_name: mount,
        server_name: authority.map_or(&*local_ip, host_without_port),
        server_port: caller.local.port(),
        protocol: match request.version() {
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        remote_addr: caller.peer.ip(),
        remote_port: caller.peer.port(),
        https: caller.https,
        body_bytes: request.body().size_hint().exact(),
    })
}

/// `example.org:80` and `[::1]:80` without their port.
fn host_without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        assert_eq!(host_without_port("example.org:80"), "example.org");
        assert_eq!(host_without_port("example.org"), "example.org");
        assert_eq!(host_without_port("[::1]:80"), "[::1]");
        assert_eq!(host_without_port("[::1]"), "[::1]");
    }
}
