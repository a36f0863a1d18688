//! Whether the node lives and is ready, and what it speaks: for everybody.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use midge_api::{ErrorCode, Health};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::door::Door;
use crate::door::answer::{Answer, Refused, json};
use crate::door::document::Open;

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(openapi))
}

/// Whether the node is alive.
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "health", security(()),
    responses((status = 200, description = "It is.", body = Health), Open)
)]
async fn healthz() -> Response {
    fine()
}

/// Whether the node takes traffic.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "health", security(()),
    responses((status = 200, description = "It does.", body = Health), Open)
)]
async fn readyz(State(door): State<Arc<Door>>) -> Answer {
    let draining = *door.draining.borrow();
    if draining || !door.control.is_ready() {
        let detail = if draining {
            "the node is on its way to its end"
        } else {
            "the node does not take traffic yet"
        };
        return Err(Refused::new(ErrorCode::Busy, detail));
    }
    Ok(fine())
}

/// The document that describes this API.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "health", security(()),
    responses((status = 200, description = "This document.", body = Object), Open)
)]
async fn openapi(State(door): State<Arc<Door>>) -> Response {
    let mut response = door.openapi.clone().into_response();
    let media_type = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

fn fine() -> Response {
    let health = Health {
        status: "ok".to_owned(),
    };
    json(StatusCode::OK, &health)
}
