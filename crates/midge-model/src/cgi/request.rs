//! The variables that a command finds in its environment.
//!
//! RFC 3875 section 4, with these choices. `AUTH_TYPE`, `REMOTE_USER` and
//! `REMOTE_IDENT` are left out, because Midge authenticates nobody; for the same reason
//! `HTTP_AUTHORIZATION` is passed on: the function is the one that checks it.
//! `PATH_TRANSLATED` is left out, because there is no document tree. A body of unknown
//! length has no `CONTENT_LENGTH` and is read to its end.
//!
//! **Invariant:** no value contains a zero byte, and no two headers share a variable.

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, HeaderName, Method};

use super::is_hop_by_hop;

/// What the variables are made from.
#[derive(Debug, Clone, Copy)]
pub struct CgiRequest<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The path as sent, percent-encoding kept.
    pub path: &'a str,
    /// The query as sent, without the `?`.
    pub query: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The route's mount, as [`crate::Route::mount`] gives it.
    pub script_name: &'a str,
    /// The host that the client asked for, without the port.
    pub server_name: &'a str,
    /// The port that the request came in on.
    pub server_port: u16,
    /// For example `HTTP/1.1`.
    pub protocol: &'a str,
    /// The client's address.
    pub remote_addr: IpAddr,
    /// The client's port.
    pub remote_port: u16,
    /// Whether the request came over TLS.
    pub https: bool,
    /// The body's length where it is known.
    pub body_bytes: Option<u64>,
}

/// The variables for this request, in no particular order, each name once.
pub fn meta_variables(request: &CgiRequest<'_>) -> Vec<(String, String)> {
    let remote_addr = request.remote_addr.to_string();
    let query = request.query.unwrap_or_default();
    let mut variables = Vec::with_capacity(20 + request.headers.len());
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set("PATH_INFO", &decode(path_info(request)));
    set("QUERY_STRING", query);
    set("REMOTE_ADDR", &remote_addr);
    // The RFC asks for the address where the name is unknown, and we look up no names.
    set("REMOTE_HOST", &remote_addr);
    set("REMOTE_PORT", &request.remote_port.to_string());
    set("REQUEST_METHOD", request.method.as_str());
    set("REQUEST_URI", &request_uri(request));
    set("SCRIPT_NAME", &decode(request.script_name));
    set("SERVER_NAME", request.server_name);
    set("SERVER_PORT", &request.server_port.to_string());
    set("SERVER_PROTOCOL", request.protocol);
    set(
        "SERVER_SOFTWARE",
        concat!("midge/", env!("CARGO_PKG_VERSION")),
    );
    if request.https {
        set("HTTPS", "on");
    }
    if let Some(length) = content_length(request) {
        set("CONTENT_LENGTH", &length.to_string());
    }
    if let Some(value) = request.headers.get(CONTENT_TYPE) {
        set("CONTENT_TYPE", &String::from_utf8_lossy(value.as_bytes()));
    }
    if !request.headers.contains_key(HOST) {
        // HTTP/2 sends the host elsewhere, and programs look for it here.
        set("HTTP_HOST", &authority(request));
    }
    for name in request.headers.keys().filter(|name| is_passed_on(name)) {
        set(&variable_name(name), &joined(request.headers, name));
    }
    variables
}

/// What is below the mount. Where the path is not, something matched it by other means.
fn path_info<'a>(request: &CgiRequest<'a>) -> &'a str {
    match request.path.strip_prefix(request.script_name) {
        Some(below) if below.is_empty() || below.starts_with('/') => below,
        _ => request.path,
    }
}

fn request_uri(request: &CgiRequest<'_>) -> String {
    match request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.to_owned(),
    }
}

/// The RFC wants the variable exactly where there is a body; an announced empty one counts.
fn content_length(request: &CgiRequest<'_>) -> Option<u64> {
    let announced = request.headers.contains_key(CONTENT_LENGTH);
    request
        .body_bytes
        .filter(|length_bytes| *length_bytes > 0 || announced)
}

fn authority(request: &CgiRequest<'_>) -> String {
    let default_port = if request.https { 443 } else { 80 };
    if request.server_port == default_port {
        return request.server_name.to_owned();
    }
    format!("{}:{}", request.server_name, request.server_port)
}

/// `Proxy` would become `HTTP_PROXY`, which programs take for their outgoing proxy
/// (httpoxy, CVE-2016-5385). `a_b` would share its variable with `a-b`, so that a caller
/// could forge what a proxy before us sets.
fn is_passed_on(name: &HeaderName) -> bool {
    let has_own_variable = *name == CONTENT_TYPE || *name == CONTENT_LENGTH;
    !has_own_variable
        && name.as_str() != "proxy"
        && !name.as_str().contains('_')
        && !is_hop_by_hop(name)
}

fn variable_name(name: &HeaderName) -> String {
    let mut variable = String::with_capacity("HTTP_".len() + name.as_str().len());
    variable.push_str("HTTP_");
    variable.extend(name.as_str().chars().map(|found| match found {
        '-' => '_',
        found => found.to_ascii_uppercase(),
    }));
    variable
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let separator = if *name == COOKIE { "; " } else { ", " };
    let mut joined = String::new();
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    joined
}

/// Takes percent-encoding off. What does not decode to text is replaced, and `%00` and
/// broken escapes stay as they are: `REQUEST_URI` has the original.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, below @ ..] = left {
        left = below;
        match (*first, escaped(below)) {
            (b'%', Some(byte)) if byte != 0 => {
                bytes.push(byte);
                left = &below[2..];
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escaped(after_percent: &[u8]) -> Option<u8> {
    let high = char::from(*after_percent.first()?).to_digit(16)?;
    let low = char::from(*after_percent.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests;
