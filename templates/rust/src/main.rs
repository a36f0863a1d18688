//! A function over WASI 0.2: `main` is called for each request.

use std::fmt::Display;

use form_urlencoded::parse;
use percent_encoding::percent_decode_str;
use wasi::keyvalue::store;
use wstd::http::{Body, Client, Error, Method, Request, Response};

// The module `wasi`, from what wit/world.wit imports.
wit_bindgen::generate!({ path: "wit", generate_all });

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (request, body) = request.into_parts();
    let query = request.uri.query().unwrap_or_default();
    let path: Vec<&str> = request.uri.path().split('/').skip(1).collect();

    match (&request.method, &*path) {
        (&Method::GET, [""]) => text(200, "Hello from Rust!"),
        (&Method::GET, ["hello", name]) if !name.is_empty() => {
            let name = percent_decode_str(name).decode_utf8_lossy();
            let greeting = parameter(query, "greeting").unwrap_or("Hello".into());
            let mut response = text(200, format!("{greeting}, {name}!"))?;
            response.headers_mut().insert("x-language", "Rust".parse()?);
            Ok(response)
        }
        (&Method::POST, ["echo"]) => {
            // The body goes back as it comes in; it is never all in memory.
            let mut response = Response::new(body);
            if let Some(kind) = request.headers.get("content-type") {
                response.headers_mut().insert("content-type", kind.clone());
            }
            Ok(response)
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
fn text(status: u16, line: impl Display) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status);
    let response = response.header("content-type", "text/plain");
    Ok(response.body(format!("{line}\n").into())?)
}

/// The first value of this name in a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Says status and length of what `url` answers; `allow.http` in midge.toml says where it may go.
async fn fetch(url: Option<String>) -> Result<Response<Body>, Error> {
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return text(400, "say what: /fetch?url=https://example.com/");
    };
    match get(&url).await {
        Ok((status, length)) => text(200, format!("{status} {length}")),
        Err(error) => text(502, format!("no answer from {url}: {error}")),
    }
}

async fn get(url: &str) -> Result<(u16, usize), Error> {
    let request = Request::get(url).body(Body::empty())?;
    let mut response = Client::new().send(request).await?;
    let length = response.body_mut().contents().await?.len();
    Ok((response.status().as_u16(), length))
}

/// How often this was called so far; `allow.kv` in midge.toml names the buckets that it may open.
fn count() -> Result<u64, store::Error> {
    let bucket = store::open("default")?;
    let before = bucket.get("count")?.unwrap_or_default();
    let before: u64 = String::from_utf8_lossy(&before).parse().unwrap_or(0);
    bucket.set("count", (before + 1).to_string().as_bytes())?;
    Ok(before + 1)
}
