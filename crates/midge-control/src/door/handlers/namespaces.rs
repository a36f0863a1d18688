//! Namespaces and their quotas.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{NamespaceInfo, NamespaceRequest, Page, schema};
use midge_model::QuotaPatch;
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
        .routes(routes!(list_namespaces, create_namespace))
        .routes(routes!(get_namespace, delete_namespace))
        .routes(routes!(get_quota, set_quota))
}

/// The namespaces that this token may know of, by name.
#[utoipa::path(
    get, path = "/v1/namespaces", operation_id = "list_namespaces", tag = "namespaces",
    params(
        ("cursor" = Option<schema::NamespaceName>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<NamespaceInfo>), Reading)
)]
async fn list_namespaces(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let listed = door.control.list_namespaces(&who, &page.into()).await?;
    Ok(json(StatusCode::OK, &listed))
}

/// Makes a namespace.
#[utoipa::path(
    post, path = "/v1/namespaces", operation_id = "create_namespace", tag = "namespaces",
    params(("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    request_body = NamespaceRequest,
    responses((status = 201, description = "It is there.", body = NamespaceInfo), Writing)
)]
async fn create_namespace(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    Written(terms, request): Written<NamespaceRequest>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let made = control.create_namespace(&by, request).await?;
        Ok(Reply::json(StatusCode::CREATED, &made))
    };
    door.write(&who, &terms, work).await
}

/// One namespace.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}", operation_id = "get_namespace", tag = "namespaces",
    params(InNamespace),
    responses((status = 200, description = "It.", body = NamespaceInfo), Reading)
)]
async fn get_namespace(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
) -> Answer {
    let found = door.control.get_namespace(&who, &at.namespace).await?;
    Ok(json(StatusCode::OK, &found))
}

/// Removes a namespace that is empty.
#[utoipa::path(
    delete, path = "/v1/namespaces/{namespace}", operation_id = "delete_namespace", tag = "namespaces",
    params(InNamespace, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 204, description = "It is gone."), Writing)
)]
async fn delete_namespace(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        control.delete_namespace(&by, &at.namespace).await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}

/// What a namespace may use.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/quota", operation_id = "get_quota", tag = "namespaces",
    params(InNamespace),
    responses((status = 200, description = "The most of each.", body = schema::Quota), Reading)
)]
async fn get_quota(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
) -> Answer {
    let quota = door.control.get_quota(&who, &at.namespace).await?;
    Ok(json(StatusCode::OK, &quota))
}

/// Sets what a namespace may use; what is not named stays.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}/quota", operation_id = "set_quota", tag = "namespaces",
    params(InNamespace, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    request_body = schema::QuotaPatch,
    responses((status = 200, description = "The most of each, from now on.", body = schema::Quota), Writing)
)]
async fn set_quota(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
    Written(terms, patch): Written<QuotaPatch>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let quota = control.set_quota(&by, &at.namespace, patch).await?;
        Ok(Reply::json(StatusCode::OK, &quota))
    };
    door.write(&who, &terms, work).await
}
