//! The OpenAPI document: what is common to all operations, and the whole as text.
//!
//! Decides which refusals an operation of each kind can give. The operations describe themselves,
//! where their handlers are.
//!
//! **Invariant:** the document is made from the handlers that are served and from nothing else; a
//! test holds it against the copy that people read.

use std::collections::BTreeMap;

use bytes::Bytes;
use midge_api::{ErrorCode, PROBLEM_TYPE, Problem, schema};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{OneOf, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Required};
use utoipa::{IntoResponses, Modify, OpenApi};

use super::handlers;

/// What every operation may answer: it was not read, its caller is not known, the node is busy.
const ANY: [u16; 7] = [400, 401, 403, 421, 429, 500, 503];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Midge control API",
        version = "1",
        description = "Administers a Midge node: namespaces, functions, their revisions and \
                       traffic, secrets, tokens. Every answer that is not what was asked for is \
                       a problem (RFC 9457) with a stable `code`. A write may carry an \
                       `idempotency-key`: the same request with the same key is done once.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        Problem,
        ErrorCode,
        schema::EntityTag,
        schema::IdempotencyKey,
        schema::InvokeMethod,
        schema::InvokePath
    )),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Common;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some("A token of `midge token create`.".to_owned());
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The API document.
pub fn openapi() -> Document {
    let mut document = handlers::routes().into_openapi();
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.head,
        ];
        let mut operations: Vec<_> = operations.into_iter().flatten().collect();
        for operation in &mut operations {
            // A function may be asked without a body, which utoipa has no words for.
            if operation.operation_id.as_deref() == Some("invoke")
                && let Some(body) = &mut operation.request_body
            {
                body.required = Some(Required::False);
            }
        }
        let operations = operations.into_iter();
        for parameter in operations
            .flat_map(|operation| &mut operation.parameters)
            .flatten()
        {
            parameter.schema = parameter.schema.take().map(not_null);
        }
    }
    document
}

/// What may be left out of a path, a query or a head is never null there.
fn not_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::OneOf(OneOf { mut items, .. })) if items.len() == 2 => {
            // utoipa writes an option as null, or the thing.
            items.pop().expect("there are two")
        }
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &object.schema_type {
                let other = types.iter().find(|kind| **kind != Type::Null).cloned();
                object.schema_type = other.map_or(SchemaType::AnyValue, SchemaType::Type);
            }
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

/// What [`handlers::routes`] adds its operations to.
pub(super) fn common() -> Document {
    Common::openapi()
}

/// The document as it is served, and as `docs/reference/openapi.json` has it.
pub(super) fn text() -> Bytes {
    let mut text = openapi()
        .to_pretty_json()
        .expect("a document is plain data");
    text.push('\n');
    text.into()
}

/// What a question may be answered instead of an answer.
pub(super) struct Reading;

/// The same of a write.
pub(super) struct Writing;

/// The same of a write that compares versions.
pub(super) struct Comparing;

/// The same of a question whose answer has several media types.
pub(super) struct Following;

/// The same of an invocation.
pub(super) struct Invoking;

/// The same of what needs no token.
pub(super) struct Open;

impl IntoResponses for Reading {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&ANY, &[404]])
    }
}

impl IntoResponses for Writing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&ANY, &[404, 408, 409, 413, 415, 422, 507]])
    }
}

impl IntoResponses for Comparing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&ANY, &[404, 408, 409, 412, 413, 415, 422, 507]])
    }
}

impl IntoResponses for Following {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&ANY, &[404, 406]])
    }
}

impl IntoResponses for Invoking {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&ANY, &[404, 422]])
    }
}

impl IntoResponses for Open {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals(&[&[500, 503]])
    }
}

fn refusals(statuses: &[&[u16]]) -> BTreeMap<String, RefOr<Response>> {
    let statuses = statuses.iter().copied().flatten();
    statuses
        .map(|status| (status.to_string(), RefOr::T(refusal(*status))))
        .collect()
}

fn refusal(status: u16) -> Response {
    let codes = ErrorCode::ALL.iter().filter(|code| code.status() == status);
    let codes: Vec<String> = codes
        .map(|code| format!("`{code}`: {}.", code.title()))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(codes.join(" "))
        .content(PROBLEM_TYPE, content)
        .build()
}
