//! Sends back the body that it was sent, piece by piece.

use bench_guests as _;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new(request.into_body()))
}
