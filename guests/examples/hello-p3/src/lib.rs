//! The smallest function for WASI 0.3: its handler is an `async fn` that the host runs.

use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

wasip3::http::service::export!(Hello);

struct Hello;

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let request = http_from_wasi_request(request)?;
        let text = format!(
            "Hello from WASI 0.3, you asked for {}\n",
            request.uri().path()
        );
        http_into_wasi_response(http::Response::new(text))
    }
}
