//! The node itself: who asks, how it is, its key.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{KeyRotated, NodeStatus, WhoAmI};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Reading, Writing};
use crate::door::extract::{NoBody, Written};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(whoami))
        .routes(routes!(node_status))
        .routes(routes!(rotate_key))
}

/// Who this token is.
#[utoipa::path(
    get, path = "/v1/whoami", operation_id = "whoami", tag = "node",
    responses((status = 200, description = "Who asks.", body = WhoAmI), Reading)
)]
async fn whoami(State(door): State<Arc<Door>>, Caller(who): Caller) -> Answer {
    Ok(json(StatusCode::OK, &door.control.whoami(&who)))
}

/// How the node is.
#[utoipa::path(
    get, path = "/v1/node", operation_id = "node_status", tag = "node",
    responses((status = 200, description = "Its state.", body = NodeStatus), Reading)
)]
async fn node_status(State(door): State<Arc<Door>>, Caller(who): Caller) -> Answer {
    Ok(json(StatusCode::OK, &door.control.node_status(&who)?))
}

/// Makes a new key for secrets and seals all of them with it.
#[utoipa::path(
    post, path = "/v1/secrets/rotate-key", operation_id = "rotate_key", tag = "node",
    params(("idempotency-key" = Option<midge_api::schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 200, description = "All secrets are sealed with it.", body = KeyRotated), Writing)
)]
async fn rotate_key(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let rotated = control.rotate_key(&by).await?;
        Ok(Reply::json(StatusCode::OK, &rotated))
    };
    door.write(&who, &terms, work).await
}
