//! The smallest function in Rust: whatever the request, a greeting.

use bench_guests as _;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new("Hello from Rust!\n".to_owned().into()))
}
