//! A JSON API that prices parcels: path and query parameters, a validated JSON body, a header, and
//! errors that a program can read. It keeps nothing between requests.
//!
//! ```text
//! GET  /sizes                       all sizes
//! GET  /sizes/{name}?weight_g=500   the price of one parcel
//! POST /quotes                      the price of several: {"parcels":[{"size":"small","weight_g":500}]}
//! ```

mod error;
mod price;

use serde_json::{Value, json};
use wstd::http::{Body, Error, Method, Request, Response};

use error::ApiError;
use price::{Customer, Quote, Size};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let response = Response::builder().header("content-type", "application/json");
    Ok(match route(request).await {
        Ok(value) => response.body(format!("{value}\n").into())?,
        Err(error) => {
            let mut response = response.status(error.status);
            if let Some(methods) = error.allow {
                response = response.header("allow", methods);
            }
            response.body(format!("{}\n", error.body()).into())?
        }
    })
}

async fn route(mut request: Request<Body>) -> Result<Value, ApiError> {
    let customer = Customer::from_headers(request.headers());
    let uri = request.uri().clone();
    // A function sees the whole path: with the prefix of its route, or without if it serves `/`.
    let path = uri.path().strip_prefix("/api-rust").unwrap_or(uri.path());
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();

    match (request.method(), &*segments) {
        (&Method::GET, []) => Ok(json!({ "see": ["/sizes", "/sizes/{name}", "/quotes"] })),
        (&Method::GET, ["sizes"]) => Ok(json!({ "sizes": Size::ALL.map(Size::describe) })),
        (&Method::GET, ["sizes", name]) => {
            let size = Size::named(name).ok_or_else(|| ApiError::no_such_size(name))?;
            let weight_g = weight_in(uri.query().unwrap_or_default())?;
            Ok(json!({ "size": size, "cents": customer.pays(size.cents(weight_g)?) }))
        }
        (&Method::POST, ["quotes"]) => {
            ApiError::unless_json(request.headers())?;
            let bytes = request
                .body_mut()
                .contents()
                .await
                .map_err(ApiError::body_lost)?;
            let quote: Quote = serde_json::from_slice(bytes).map_err(ApiError::malformed)?;
            Ok(json!({ "cents": customer.pays(quote.cents()?) }))
        }
        (_, [] | ["sizes"] | ["sizes", _]) => Err(ApiError::method_not_allowed("GET, HEAD")),
        (_, ["quotes"]) => Err(ApiError::method_not_allowed("POST")),
        _ => Err(ApiError::no_such_path(path)),
    }
}

/// The query's `weight_g`; one that is absent is 0.
fn weight_in(query: &str) -> Result<u32, ApiError> {
    match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("weight_g="))
    {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            ApiError::invalid(
                "weight_g",
                format!("`{text}` is not a whole number of grams"),
            )
        }),
    }
}
