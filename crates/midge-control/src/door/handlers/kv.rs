//! Values by key: bytes in, bytes out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use midge_api::{BucketInfo, EntryKey, Page, schema};
use midge_model::{BucketName, NamespaceName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::InNamespace;
use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Reading, Writing};
use crate::door::extract::{NoBody, PageQuery, PathOf, QueryOf, Written, WrittenBytes};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(list_buckets))
        .routes(routes!(list_entries, clear_bucket))
        .routes(routes!(get_entry, put_entry, delete_entry))
}

/// One bucket.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfBucket {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// Which.
    #[param(value_type = schema::BucketName)]
    bucket: BucketName,
}

/// One key.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfEntry {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// In which bucket.
    #[param(value_type = schema::BucketName)]
    bucket: BucketName,
    /// Which.
    #[param(value_type = schema::EntryKeyText)]
    key: String,
}

/// A namespace's buckets that hold something, by name.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/kv", operation_id = "list_buckets", tag = "kv",
    params(
        InNamespace,
        ("cursor" = Option<schema::BucketName>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<BucketInfo>), Reading)
)]
async fn list_buckets(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let page = page.into();
    let listed = door
        .control
        .list_buckets(&who, &at.namespace, &page)
        .await?;
    Ok(json(StatusCode::OK, &listed))
}

/// The keys of a bucket, in order.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/kv/{bucket}", operation_id = "list_entries", tag = "kv",
    params(
        OfBucket,
        ("cursor" = Option<schema::EntryKeyText>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<EntryKey>), Reading)
)]
async fn list_entries(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfBucket>,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let page = page.into();
    let of = (&at.namespace, &at.bucket);
    let listed = door.control.list_entries(&who, of, &page).await?;
    Ok(json(StatusCode::OK, &listed))
}

/// Forgets everything in a bucket. One that is empty is empty then.
#[utoipa::path(
    delete, path = "/v1/namespaces/{namespace}/kv/{bucket}", operation_id = "clear_bucket", tag = "kv",
    params(OfBucket, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 204, description = "It is empty."), Writing)
)]
async fn clear_bucket(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfBucket>,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        control
            .clear_bucket(&by, (&at.namespace, &at.bucket))
            .await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}

/// The value of a key.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/kv/{bucket}/{key}", operation_id = "get_entry", tag = "kv",
    params(OfEntry),
    responses(
        (status = 200, description = "Its bytes.", body = schema::EntryValue, content_type = "application/octet-stream"),
        Reading
    )
)]
async fn get_entry(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfEntry>,
) -> Answer {
    let of = (&at.namespace, &at.bucket);
    let found = door.control.get_entry(&who, of, &at.key).await?;
    let mut response = Response::new(Body::from(found.value));
    let media_type = HeaderValue::from_static("application/octet-stream");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Gives a key a value, in place of the one it may have. Functions see it at once.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}/kv/{bucket}/{key}", operation_id = "put_entry", tag = "kv",
    params(OfEntry, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    request_body(description = "Its bytes.", content((schema::EntryValue = "application/octet-stream"))),
    responses((status = 204, description = "It is kept."), Writing)
)]
async fn put_entry(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfEntry>,
    WrittenBytes(terms, value): WrittenBytes,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let of = (&at.namespace, &at.bucket);
        control.put_entry(&by, of, &at.key, value).await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}

/// Forgets a key.
#[utoipa::path(
    delete, path = "/v1/namespaces/{namespace}/kv/{bucket}/{key}", operation_id = "delete_entry", tag = "kv",
    params(OfEntry, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 204, description = "It is gone."), Writing)
)]
async fn delete_entry(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfEntry>,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let of = (&at.namespace, &at.bucket);
        control.delete_entry(&by, of, &at.key).await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}
