//! The bytes of components on their way in.

use std::sync::Arc;

use axum::extract::{Request, State};
use http::StatusCode;
use midge_api::{ComponentInfo, ErrorCode, schema};
use midge_model::{Digest, NamespaceName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Upload;
use crate::door::Door;
use crate::door::answer::{Answer, Refused, Reply};
use crate::door::body;
use crate::door::caller::{Caller, Uploader};
use crate::door::document::{Reading, Writing};
use crate::door::extract::{PathOf, Terms};

/// What an upload may say it is.
const MEDIA_TYPES: [&str; 2] = ["application/wasm", "application/octet-stream"];

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new().routes(routes!(has_component, put_component))
}

/// One component.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfComponent {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// Which.
    #[param(value_type = schema::Digest)]
    digest: Digest,
}

/// Whether a component need not be put, because the namespace has it.
#[utoipa::path(
    head, path = "/v1/namespaces/{namespace}/components/{digest}", operation_id = "has_component", tag = "deploy",
    params(OfComponent),
    responses((status = 200, description = "It has."), Reading)
)]
async fn has_component(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfComponent>,
) -> Result<StatusCode, Refused> {
    door.control
        .has_component(&who, &at.namespace, &at.digest)
        .await?;
    Ok(StatusCode::OK)
}

/// Puts a component. Putting it again changes nothing, so it takes no idempotency key.
#[utoipa::path(
    put, path = "/v1/namespaces/{namespace}/components/{digest}", operation_id = "put_component", tag = "deploy",
    params(OfComponent),
    request_body(
        description = "The component as the developer built it.",
        content((schema::Component = "application/wasm"), (schema::Component = "application/octet-stream"))
    ),
    responses(
        (status = 201, description = "It is there.", body = ComponentInfo),
        (status = 200, description = "It was there.", body = ComponentInfo),
        Writing
    )
)]
async fn put_component(
    State(door): State<Arc<Door>>,
    Uploader(who): Uploader,
    PathOf(at): PathOf<OfComponent>,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    if let Err(refused) = body::expect_type(&parts.headers, &MEDIA_TYPES) {
        body::discard(body).await;
        return Err(refused);
    }
    let length_bytes = body::length(&parts.headers);
    let bytes_max = door.control.config().component_bytes_max;
    if let Some(bytes) = length_bytes.filter(|bytes| *bytes > bytes_max) {
        body::discard(body).await;
        let detail = format!("the component has {bytes} bytes, this node takes {bytes_max}");
        return Err(Refused::new(ErrorCode::TooLarge, detail));
    }
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let mut bytes = body::pieces(body);
        let upload = Upload {
            length_bytes,
            bytes: &mut bytes,
        };
        let put = control
            .put_component(&by, &at.namespace, &at.digest, upload)
            .await;
        if put.is_err() {
            body::discard_pieces(bytes).await;
        }
        let put = put.map_err(body::name_upload_fault)?;
        let status = if put.new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Ok(Reply::json(status, &put))
    };
    door.write(&who, &Terms::none(&parts), work).await
}
