//! A text worker over WASI 0.3, where bodies are streams. `upper` and `count` hold one chunk of the
//! text at a time, however long it is.
//!
//! ```text
//! POST /upper   the text in capitals, sent back while it is still coming in
//! POST /count   lines, words and bytes
//! POST /sort    its lines in order
//! POST /slug    its first line as a word for a URL
//! ```

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use wasip3::http::types::{self, ErrorCode};
use wasip3::http_compat::{IncomingRequestBody, http_from_wasi_request, http_into_wasi_response};

wasip3::http::service::export!(TextWorker);

struct TextWorker;

type Body = UnsyncBoxBody<Bytes, ErrorCode>;

const USAGE: &str = "post a text to /upper, /count, /sort or /slug\n";

impl wasip3::exports::http::handler::Guest for TextWorker {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        let (head, body) = http_from_wasi_request(request)?.into_parts();
        let work = head.uri.path().rsplit('/').next().unwrap_or_default();
        let response = match (head.method, work) {
            (Method::POST, "upper") => answer(StatusCode::OK, upper(body)),
            (Method::POST, "count") => answer(StatusCode::OK, text(count(body).await?)),
            (Method::POST, "sort") => answer(StatusCode::OK, text(sort(body).await?)),
            (Method::POST, "slug") => answer(StatusCode::OK, text(slug(body).await?)),
            (Method::GET, "" | "text-rust") => answer(StatusCode::OK, text(USAGE)),
            (_, "upper" | "count" | "sort" | "slug") => {
                let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, text(USAGE));
                let methods = header::HeaderValue::from_static("POST");
                refusal.headers_mut().insert(header::ALLOW, methods);
                refusal
            }
            _ => answer(StatusCode::NOT_FOUND, text(USAGE)),
        };
        http_into_wasi_response(response)
    }
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn text(text: impl Into<String>) -> Body {
    text.into().map_err(|never| match never {}).boxed_unsync()
}

/// ASCII letters only: a chunk may end inside any other.
fn upper(body: IncomingRequestBody) -> Body {
    let capitals = |chunk: Bytes| Bytes::from(chunk.to_ascii_uppercase());
    body.map_frame(move |frame| frame.map_data(capitals))
        .boxed_unsync()
}

async fn count(mut body: IncomingRequestBody) -> Result<String, ErrorCode> {
    let (mut lines, mut words, mut bytes) = (0_u64, 0_u64, 0_u64);
    let mut in_word = false; // carried over, for words that two chunks share
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else {
            continue;
        };
        for byte in &chunk {
            bytes += 1;
            lines += u64::from(*byte == b'\n');
            let starts_word = !in_word && !byte.is_ascii_whitespace();
            words += u64::from(starts_word);
            in_word = !byte.is_ascii_whitespace();
        }
    }
    Ok(format!("{lines} lines, {words} words, {bytes} bytes\n"))
}

async fn sort(body: IncomingRequestBody) -> Result<String, ErrorCode> {
    let bytes = body.collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

async fn slug(body: IncomingRequestBody) -> Result<String, ErrorCode> {
    let bytes = body.collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let title = text.lines().next().unwrap_or_default().to_lowercase();
    let words = title.split(|letter: char| !letter.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    Ok(words.join("-") + "\n")
}
