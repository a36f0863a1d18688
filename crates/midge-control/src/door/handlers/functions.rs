//! Functions and revisions as they are, and the split between them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::StatusCode;
use midge_api::{FunctionInfo, InvocationSummary, Page, RevisionInfo, RollbackRequest, schema};
use midge_model::{FunctionName, NamespaceName, RevisionNumber, Traffic};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{InNamespace, OfFunction};
use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Comparing, Reading};
use crate::door::extract::{Conditional, NoBody, PageQuery, PathOf, QueryOf};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(list_functions))
        .routes(routes!(get_function, remove_function))
        .routes(routes!(list_revisions))
        .routes(routes!(get_revision))
        .routes(routes!(set_traffic))
        .routes(routes!(rollback))
        .routes(routes!(invocations))
}

/// One revision.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfRevision {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// Which function's.
    #[param(value_type = schema::FunctionName)]
    function: FunctionName,
    /// Which revision.
    #[param(value_type = schema::RevisionNumber)]
    revision: RevisionNumber,
}

/// A namespace's functions, by name.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions", operation_id = "list_functions", tag = "functions",
    params(
        InNamespace,
        ("cursor" = Option<schema::FunctionName>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<FunctionInfo>), Reading)
)]
async fn list_functions(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<InNamespace>,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let page = page.into();
    let listed = door
        .control
        .list_functions(&who, &at.namespace, &page)
        .await?;
    Ok(json(StatusCode::OK, &listed))
}

/// One function.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions/{function}", operation_id = "get_function", tag = "functions",
    params(OfFunction),
    responses(
        (status = 200, description = "It.", body = FunctionInfo, headers(("etag" = String, description = "Its version, for `if-match`."))),
        Reading
    )
)]
async fn get_function(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
) -> Answer {
    let found = door
        .control
        .get_function(&who, &at.namespace, &at.function)
        .await?;
    Ok(Reply::function(&found).into_response())
}

/// Removes a function with all its revisions.
#[utoipa::path(
    delete, path = "/v1/namespaces/{namespace}/functions/{function}", operation_id = "remove_function", tag = "functions",
    params(
        OfFunction,
        ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key."),
        ("if-match" = Option<schema::EntityTag>, Header, description = "Only if the function still has this version."),
    ),
    responses((status = 204, description = "It is gone."), Comparing)
)]
async fn remove_function(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
    Conditional(terms, NoBody): Conditional<NoBody>,
) -> Answer {
    let (control, by, if_match) = (Arc::clone(&door.control), who.clone(), terms.if_match);
    let work = async move {
        control
            .remove_function(&by, &at.namespace, &at.function, if_match)
            .await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}

/// A function's revisions, newest first: as many as are kept.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions/{function}/revisions", operation_id = "list_revisions", tag = "functions",
    params(OfFunction),
    responses((status = 200, description = "All of them.", body = Page<RevisionInfo>), Reading)
)]
async fn list_revisions(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
) -> Answer {
    let listed = door
        .control
        .list_revisions(&who, &at.namespace, &at.function)
        .await?;
    Ok(json(StatusCode::OK, &listed))
}

/// One revision.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions/{function}/revisions/{revision}", operation_id = "get_revision", tag = "functions",
    params(OfRevision),
    responses((status = 200, description = "It.", body = RevisionInfo), Reading)
)]
async fn get_revision(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfRevision>,
) -> Answer {
    let found = door
        .control
        .get_revision(&who, &at.namespace, &at.function, at.revision)
        .await?;
    Ok(json(StatusCode::OK, &found))
}

/// Splits a function's traffic over its revisions.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}/functions/{function}/traffic", operation_id = "set_traffic", tag = "functions",
    params(
        OfFunction,
        ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key."),
        ("if-match" = Option<schema::EntityTag>, Header, description = "Only if the function still has this version."),
    ),
    request_body = schema::Traffic,
    responses(
        (status = 200, description = "The function as it is now.", body = FunctionInfo, headers(("etag" = String, description = "Its version, for `if-match`."))),
        Comparing
    )
)]
async fn set_traffic(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
    Conditional(terms, traffic): Conditional<Traffic>,
) -> Answer {
    let (control, by, if_match) = (Arc::clone(&door.control), who.clone(), terms.if_match);
    let work = async move {
        let target = (&at.namespace, &at.function);
        let now = control.set_traffic(&by, target, traffic, if_match).await?;
        Ok(Reply::function(&now))
    };
    door.write(&who, &terms, work).await
}

/// Gives all traffic to an earlier revision, or undoes the last change of it.
#[utoipa::path(
    post, path = "/v1/namespaces/{namespace}/functions/{function}/rollback", operation_id = "rollback", tag = "functions",
    params(
        OfFunction,
        ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key."),
        ("if-match" = Option<schema::EntityTag>, Header, description = "Only if the function still has this version."),
    ),
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "The function as it is now.", body = FunctionInfo, headers(("etag" = String, description = "Its version, for `if-match`."))),
        Comparing
    )
)]
async fn rollback(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
    Conditional(terms, request): Conditional<RollbackRequest>,
) -> Answer {
    let (control, by, if_match) = (Arc::clone(&door.control), who.clone(), terms.if_match);
    let work = async move {
        let target = (&at.namespace, &at.function);
        let now = control.rollback(&by, target, request, if_match).await?;
        Ok(Reply::function(&now))
    };
    door.write(&who, &terms, work).await
}

/// How a function's invocations ended since the node started.
#[utoipa::path(
    get, path = "/v1/namespaces/{namespace}/functions/{function}/invocations", operation_id = "invocations", tag = "functions",
    params(OfFunction),
    responses((status = 200, description = "Counts and times.", body = InvocationSummary), Reading)
)]
async fn invocations(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
) -> Answer {
    let summary = door
        .control
        .invocations(&who, &at.namespace, &at.function)
        .await?;
    Ok(json(StatusCode::OK, &summary))
}
