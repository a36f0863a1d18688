//! The operations: one handler each, thin.
//!
//! A handler asks who it is, reads what is asked, calls the method of the core that has the
//! operation's name, and writes what that gives.
//!
//! **Invariant:** every operation asks who its caller is (`caller.rs`) before it reads
//! anything else; those that need no token are in `health.rs`.

#![expect(
    unused_qualifications,
    reason = "utoipa's macro repeats the names of parameters in a qualified way"
)]

mod audit;
mod components;
mod deploy;
mod functions;
mod health;
mod invoke;
mod kv;
mod logs;
mod namespaces;
mod node;
mod secrets;
mod tokens;

use std::sync::Arc;

use axum::extract::Request;
use midge_api::{ErrorCode, schema};
use midge_model::{FunctionName, NamespaceName};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;

use super::Door;
use super::answer::Refused;
use super::document;

/// Every operation, with its part of the document.
pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::with_openapi(document::common())
        .merge(health::routes())
        .merge(node::routes())
        .merge(namespaces::routes())
        .merge(functions::routes())
        .merge(components::routes())
        .merge(deploy::routes())
        .merge(logs::routes())
        .merge(invoke::routes())
        .merge(secrets::routes())
        .merge(kv::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
}

/// One namespace.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct InNamespace {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
}

/// One function.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfFunction {
    /// Whose.
    #[param(value_type = schema::NamespaceName)]
    namespace: NamespaceName,
    /// Which function.
    #[param(value_type = schema::FunctionName)]
    function: FunctionName,
}

/// Nothing answers here.
pub(super) async fn no_such_path() -> Refused {
    Refused::new(ErrorCode::NotFound, "there is no such path")
}

/// Something answers here, and not to this.
pub(super) async fn no_such_method(request: Request) -> Refused {
    let method: String = request.method().as_str().chars().take(40).collect();
    let detail = format!("this path has no method `{method}`");
    Refused::new(ErrorCode::MethodNotAllowed, detail)
}
