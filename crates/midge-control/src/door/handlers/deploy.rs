//! Deploys: what one would do, and doing it.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{DeployChange, DeployPlan, DeployRequest, Deployed, schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::OfFunction;
use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Comparing, Writing};
use crate::door::extract::{Asked, Conditional, PathOf};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(plan))
        .routes(routes!(deploy))
}

/// What a deploy would change, and what would be refused.
#[utoipa::path(
    post, path = "/v1/namespaces/{namespace}/functions/{function}/plan", operation_id = "plan", tag = "deploy",
    params(OfFunction),
    request_body = DeployRequest,
    responses((status = 200, description = "What it would do; nothing is done.", body = DeployPlan), Writing)
)]
async fn plan(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
    Asked(request): Asked<DeployRequest>,
) -> Answer {
    let plan = door
        .control
        .plan(&who, &at.namespace, &at.function, request)
        .await?;
    Ok(json(StatusCode::OK, &plan))
}

/// Makes a revision and gives it all traffic. Answers when every worker serves it.
#[utoipa::path(
    post, path = "/v1/namespaces/{namespace}/functions/{function}/revisions", operation_id = "deploy", tag = "deploy",
    params(
        OfFunction,
        ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key."),
        ("if-match" = Option<schema::EntityTag>, Header, description = "Only if the function still has this version."),
    ),
    request_body = DeployRequest,
    responses(
        (status = 201, description = "The new revision serves.", body = Deployed),
        (status = 200, description = "It was already exactly so.", body = Deployed),
        Comparing
    )
)]
async fn deploy(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfFunction>,
    Conditional(terms, request): Conditional<DeployRequest>,
) -> Answer {
    let (control, by, if_match) = (Arc::clone(&door.control), who.clone(), terms.if_match);
    let work = async move {
        let target = (&at.namespace, &at.function);
        let deployed = control.deploy(&by, target, request, if_match).await?;
        let status = match deployed.change {
            DeployChange::New | DeployChange::Changed => StatusCode::CREATED,
            DeployChange::Unchanged => StatusCode::OK,
        };
        Ok(Reply::json(status, &deployed))
    };
    door.write(&who, &terms, work).await
}
