//! Fetches from another server, `?url=…` or the variable `UPSTREAM`, and passes on what it answers.
//!
//! On the bare bindings: the client of the crate that the others use writes an empty body, too, and
//! fails where the other server has answered and closed by then.

use bench_guests as _;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, OutgoingBody,
    OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

wasip2::http::proxy::export!(Outbound);

/// So much is passed on at a time.
const PIECE_BYTES: u64 = 64 * 1024;

struct Outbound;

impl wasip2::exports::http::incoming_handler::Guest for Outbound {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let url = match target.split_once("?url=") {
            Some((_, url)) => url.to_owned(),
            None => std::env::var("UPSTREAM").expect("a variable UPSTREAM, or `?url=`"),
        };
        match fetch(&url) {
            Ok(answer) => pass_on(&answer, out),
            Err(code) => ResponseOutparam::set(out, Err(code)),
        }
    }
}

fn fetch(url: &str) -> Result<IncomingResponse, ErrorCode> {
    let (scheme, rest) = url.split_once("://").expect("a whole URL");
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request.set_authority(Some(authority)).expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    let answer = outgoing_handler::handle(request, None)?;
    answer.subscribe().block();
    let answer = answer.get().expect("it is there, we waited for it");
    answer.expect("nobody took it before")
}

fn pass_on(answer: &IncomingResponse, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(answer.status()).expect("a status that was a status");
    let body = response.body().expect("first taker of the body");
    ResponseOutparam::set(out, Ok(response));
    if copy(answer, &body).is_ok() {
        // Whoever asked may be gone by now.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn copy(answer: &IncomingResponse, body: &OutgoingBody) -> Result<(), StreamError> {
    let from: IncomingBody = answer.consume().expect("first taker of the body");
    let (input, output) = (from.stream(), body.write());
    let input = input.expect("first taker of the stream");
    let output = output.expect("first taker of the stream");
    loop {
        match output.blocking_splice(&input, PIECE_BYTES) {
            Ok(_) => {}
            Err(StreamError::Closed) => return output.blocking_flush(),
            Err(error) => return Err(error),
        }
    }
}
