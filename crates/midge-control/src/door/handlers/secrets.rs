//! Secrets: values in, names out.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{Page, SecretInfo, SecretValue, schema};
use midge_model::NamespaceName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::InNamespace;
use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Reading, Writing};
use crate::door::extract::{NoBody, PageQuery, PathOf, QueryOf, Written};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(list_secrets))
        .routes(routes!(put_secret, delete_secret))
}

/// One secret.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfSecret {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// Which.
    #[param(value_type = schema::SecretName)]
    secret: String,
}

/// A namespace's secrets, by name, without their values.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/secrets", operation_id = "list_secrets", tag = "secrets",
    params(
        InNamespace,
        ("cursor" = Option<schema::SecretName>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<SecretInfo>), Reading)
)]
async fn list_secrets(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let page = page.into();
    let listed = door
        .control
        .list_secrets(&who, &at.namespace, &page)
        .await?;
    Ok(json(StatusCode::OK, &listed))
}

/// Sets a secret. Functions that were granted it get the new value with their next instance.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}/secrets/{secret}", operation_id = "put_secret", tag = "secrets",
    params(OfSecret, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    request_body = SecretValue,
    responses((status = 200, description = "It is set.", body = SecretInfo), Writing)
)]
async fn put_secret(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfSecret>,
    Written(terms, value): Written<SecretValue>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let set = control
            .put_secret(&by, &at.namespace, &at.secret, value)
            .await?;
        Ok(Reply::json(StatusCode::OK, &set))
    };
    door.write(&who, &terms, work).await
}

/// Deletes a secret.
#[utoipa::path(
    delete, path = "/v1/namespaces/{namespace}/secrets/{secret}", operation_id = "delete_secret", tag = "secrets",
    params(OfSecret, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 204, description = "It is gone."), Writing)
)]
async fn delete_secret(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfSecret>,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        control
            .delete_secret(&by, &at.namespace, &at.secret)
            .await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}
