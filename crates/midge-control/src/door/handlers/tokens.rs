//! Tokens: made, looked at, revoked.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use midge_api::{Page, TokenCreated, TokenInfo, TokenRequest, schema};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::door::Door;
use crate::door::answer::{Answer, Reply, json};
use crate::door::caller::Caller;
use crate::door::document::{Reading, Writing};
use crate::door::extract::{NoBody, PageQuery, PathOf, QueryOf, Written};

pub(super) fn routes() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(get_token, revoke_token))
}

/// One token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfToken {
    /// Which.
    #[param(value_type = schema::TokenId)]
    id: String,
}

/// The tokens that this one may see.
#[utoipa::path(
    get, path = "/v1/tokens", operation_id = "list_tokens", tag = "tokens",
    params(
        ("cursor" = Option<schema::TokenId>, Query, description = "The `next` of the part before; the first part without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 without it."),
    ),
    responses((status = 200, description = "Part of them.", body = Page<TokenInfo>), Reading)
)]
async fn list_tokens(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    QueryOf(page): QueryOf<PageQuery>,
) -> Answer {
    let listed = door.control.list_tokens(&who, &page.into()).await?;
    Ok(json(StatusCode::OK, &listed))
}

/// Makes a token. Its text is in this answer only, and not in one that is repeated for its
/// idempotency key.
#[utoipa::path(
    post, path = "/v1/tokens", operation_id = "create_token", tag = "tokens",
    params(("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    request_body = TokenRequest,
    responses((status = 201, description = "It is good from now on.", body = TokenCreated), Writing)
)]
async fn create_token(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    Written(terms, request): Written<TokenRequest>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        let made = control.create_token(&by, request).await?;
        Ok(Reply {
            keeps: false,
            ..Reply::json(StatusCode::CREATED, &made)
        })
    };
    door.write(&who, &terms, work).await
}

/// One token, without its text.
#[utoipa::path(
    get, path = "/v1/tokens/{id}", operation_id = "get_token", tag = "tokens",
    params(OfToken),
    responses((status = 200, description = "It.", body = TokenInfo), Reading)
)]
async fn get_token(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfToken>,
) -> Answer {
    let found = door.control.get_token(&who, &at.id).await?;
    Ok(json(StatusCode::OK, &found))
}

/// Revokes a token, from the next request on.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", operation_id = "revoke_token", tag = "tokens",
    params(OfToken, ("idempotency-key" = Option<schema::IdempotencyKey>, Header, description = "Done once for this key.")),
    responses((status = 204, description = "It is good for nothing any more."), Writing)
)]
async fn revoke_token(
    State(door): State<Arc<Door>>,
    Caller(who): Caller,
    PathOf(at): PathOf<OfToken>,
    Written(terms, NoBody): Written<NoBody>,
) -> Answer {
    let (control, by) = (Arc::clone(&door.control), who.clone());
    let work = async move {
        control.revoke_token(&by, &at.id).await?;
        Ok(Reply::nothing())
    };
    door.write(&who, &terms, work).await
}
