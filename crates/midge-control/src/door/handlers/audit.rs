//! The audit log.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{AuditEntry, Page, schema};
use midge_model::NamespaceName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::PageRequest;
use crate::door::Door;
use crate::door::answer::{Answer, json};
use crate::door::caller::Caller;
use crate::door::document::Reading;
use crate::door::extract::QueryOf;

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only what concerns this namespace.
    #[param(value_type = Option<schema::NamespaceName>)]
    namespace: Option<NamespaceName>,
    /// The `next` of the part before; without it, the first.
    #[param(value_type = Option<schema::AuditId>)]
    cursor: Option<String>,
    /// How many entries at most; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Who changed what, from where, and how that ended; newest first.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit", tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "Part of it.", body = Page<AuditEntry>), Reading)
)]
async fn list_audit(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    QueryOf(query): QueryOf<AuditQuery>,
) -> Answer {
    let AuditQuery {
        namespace,
        cursor,
        limit,
    } = query;
    let page = PageRequest { cursor, limit };
    let listed = door
        .control
        .list_audit(&who, namespace.as_ref(), &page)
        .await?;
    Ok(json(StatusCode::OK, &listed))
}
