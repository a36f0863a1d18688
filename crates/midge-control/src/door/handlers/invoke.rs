//! Invoking a function through the control door.
//!
//! Decides what of the control request is the function's: its body and its header fields but
//! those between two peers, the door's own and the caller's token. The answer is the function's,
//! marked with how long it took, which no function can claim by itself.
//!
//! **Invariant:** a function never sees a token of the control API, and the caller can tell a
//! function's answer from the door's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use midge_api::{PASSED_ON_PREFIX, TIMING_HEADER, schema};
use midge_model::RevisionNumber;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::OfFunction;
use crate::Invoke;
use crate::door::Door;
use crate::door::answer::{Answer, Refused};
use crate::door::caller::Invoker;
use crate::door::document::Invoking;
use crate::door::extract::{PathOf, QueryOf};

/// What stands in a path and a query beside letters and digits.
const PATH_MARKS: &[u8] = b"._~!$&'()*+,;=:@%/?-";
/// The longest path with its query.
const PATH_BYTES_MAX: usize = 8192;
/// The longest method: the registered ones have at most 17 letters.
const METHOD_BYTES_MAX: usize = 32;
/// What begins the names of our own fields.
const OURS: &str = "x-midge-";
/// Fields that are between two peers (RFC 9110, section 7.6.1), the host, the token.
const NOT_PASSED_ON: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new().routes(routes!(invoke))
}

/// What to ask.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// From the function's root on, with the query; `/` without it.
    #[param(value_type = Option<schema::InvokePath>)]
    path: Option<String>,
    /// The method; `GET` without it.
    #[param(value_type = Option<schema::InvokeMethod>)]
    method: Option<String>,
    /// A certain revision; else by traffic.
    #[param(value_type = Option<schema::RevisionNumber>)]
    revision: Option<RevisionNumber>,
}

/// Invokes a function. Its answer is passed back as it is, with `x-midge-timing`; a problem
/// without that field is the node's.
#[utoipa::path(
    post, path = "/v1/namespaces/{namespace}/functions/{function}/invoke", operation_id = "invoke", tag = "functions",
    params(OfFunction, Asked),
    request_body(description = "What the function gets as its body.", content((schema::Component = "*/*"))),
    responses(
        (status = 200, description = "What the function answered."),
        (status = "default", description = "What the function answered."),
        Invoking
    )
)]
async fn invoke(
    State(door): State<Arc<Door>>,
    Invoker(who): Invoker,
    PathOf(at): PathOf<OfFunction>,
    QueryOf(asked): QueryOf<Asked>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let request = inner(&asked, &parts.headers, body)?;
    let began = Instant::now();
    let invoke = Invoke {
        namespace: at.namespace,
        function: at.function,
        revision: asked.revision,
        request,
    };
    let mut response = door.control.invoke(&who, invoke).await?;
    let took_ms = began.elapsed().as_secs_f64() * 1000.0;
    let headers = response.headers_mut();
    for name in &NOT_PASSED_ON {
        headers.remove(name);
    }
    let timing = HeaderValue::try_from(format!("{took_ms:.3}"));
    let timing = timing.expect("a number is a header value");
    headers.insert(TIMING_HEADER, timing);
    Ok(response)
}

/// The request as the function gets it.
fn inner(asked: &Asked, headers: &HeaderMap, body: Body) -> Result<http::Request<Body>, Refused> {
    let path = asked.path.as_deref().unwrap_or("/");
    let parsed: Option<PathAndQuery> = path.parse().ok().filter(|_| is_path(path));
    let path = parsed.ok_or_else(|| {
        Refused::malformed("`path` is no path of a URL, write for example `/orders?open=1`")
    })?;
    let method = asked.method.as_deref().unwrap_or("GET");
    let parsed: Option<Method> = method.parse().ok().filter(|_| is_method(method));
    let method = parsed.ok_or_else(|| {
        Refused::malformed("`method` is nothing to ask a function, write for example `POST`")
    })?;
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(path);
    *request.headers_mut() = passed_on(headers);
    Ok(request)
}

/// The characters of RFC 3986, sections 3.3 and 3.4.
fn is_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || PATH_MARKS.contains(&byte);
    path.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.bytes().all(allowed)
}

/// `CONNECT` asks for a tunnel, which a function is not.
fn is_method(method: &str) -> bool {
    let is_upper = method.bytes().all(|byte| byte.is_ascii_uppercase());
    is_upper && method.len() <= METHOD_BYTES_MAX && method != Method::CONNECT
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    // What `connection` names is between two peers as well.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let inside = match name.as_str().strip_prefix(PASSED_ON_PREFIX) {
            Some(inside) => inside.parse().ok(),
            None if name.as_str().starts_with(OURS) => None,
            None if NOT_PASSED_ON.contains(name) || named.contains(name) => None,
            None => Some(name.clone()),
        };
        if let Some(inside) = inside {
            passed.append(inside, value.clone());
        }
    }
    passed
}
