//! A function over WASI 0.3: `handle` is called for each request. The host may call it again while
//! it awaits something, in the same instance.

use std::fmt::Display;

use form_urlencoded::parse;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Either};
use percent_encoding::percent_decode_str;
use wasip3::http::types::{self, ErrorCode};
use wasip3::http_compat::{self, IncomingRequestBody};

use wasi::keyvalue::store;

// The module `wasi`, from what wit/world.wit imports.
wit_bindgen::generate!({ path: "wit", generate_all });

wasip3::http::service::export!(Function);

struct Function;

impl wasip3::exports::http::handler::Guest for Function {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        let request = http_compat::http_from_wasi_request(request)?;
        http_compat::http_into_wasi_response(answer(request).await)
    }
}

/// A text of ours, or the request's body.
type Body = Either<String, IncomingRequestBody>;

async fn answer(request: Request<IncomingRequestBody>) -> Response<Body> {
    let (request, body) = request.into_parts();
    let query = request.uri.query().unwrap_or_default();
    let path: Vec<&str> = request.uri.path().split('/').skip(1).collect();

    match (&request.method, &*path) {
        (&Method::GET, [""]) => text(200, "Hello from Rust!"),
        (&Method::GET, ["hello", name]) if !name.is_empty() => {
            let name = percent_decode_str(name).decode_utf8_lossy();
            let greeting = parameter(query, "greeting").unwrap_or("Hello".into());
            let mut response = text(200, format!("{greeting}, {name}!"));
            let language = http::HeaderValue::from_static("Rust");
            response.headers_mut().insert("x-language", language);
            response
        }
        (&Method::POST, ["echo"]) => {
            // The body goes back as it comes in; it is never all in memory.
            let mut response = Response::new(Either::Right(body));
            if let Some(kind) = request.headers.get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, kind.clone());
            }
            response
        }
        (&Method::GET, ["fetch"]) => fetch(parameter(query, "url")).await,
        (&Method::GET, ["count"]) => match count() {
            Ok(count) => text(200, count),
            Err(error) => text(500, format!("no count: {error}")),
        },
        _ => text(404, "no such path"),
    }
}

/// A line of text as response.
fn text(status: u16, line: impl Display) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = response.header(CONTENT_TYPE, "text/plain");
    let body = Either::Left(format!("{line}\n"));
    response.body(body).expect("status and header are ours")
}

/// The first value of this name in a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Says status and length of what `url` answers; `allow.http` in midge.toml says where it may go.
async fn fetch(url: Option<String>) -> Response<Body> {
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return text(400, "say what: /fetch?url=https://example.com/");
    };
    match get(&url).await {
        Ok((status, length)) => text(200, format!("{status} {length}")),
        Err(error) => text(502, format!("no answer from {url}: {error}")),
    }
}

async fn get(url: &str) -> Result<(u16, usize), ErrorCode> {
    let request = Request::get(url).body(String::new());
    let request = request.map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let request = http_compat::http_into_wasi_request(request)?;
    let response = wasip3::http::client::send(request).await?;
    let response = http_compat::http_from_wasi_response(response)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, body.len()))
}

/// How often this was called so far; `allow.kv` in midge.toml names the buckets that it may open.
fn count() -> Result<u64, store::Error> {
    let bucket = store::open("default")?;
    let before = bucket.get("count")?.unwrap_or_default();
    let before: u64 = String::from_utf8_lossy(&before).parse().unwrap_or(0);
    bucket.set("count", (before + 1).to_string().as_bytes())?;
    Ok(before + 1)
}
