//! The JSON of [`midge_model::Grants`].

#![expect(
    unused_qualifications,
    reason = "utoipa's macro writes paths in full, beside which ours are imported"
)]
#![expect(dead_code, reason = "stand-ins are described, never made")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{BucketName, HttpGrant, NameGrant, NetGrant, SecretName, SizeText};

/// Everything one function may touch; empty is the default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Environment variables, by name.
    #[schema(required = false)]
    env: BTreeMap<String, String>,
    /// What follows the name of a command on its command line.
    #[schema(required = false, max_items = 64)]
    args: Vec<String>,
    /// Host directories.
    #[schema(required = false, max_items = 256)]
    dirs: Vec<DirGrant>,
    /// HTTP requests.
    #[schema(required = false, max_items = 256)]
    http: Vec<HttpGrant>,
    /// Connections over TCP.
    #[schema(required = false, max_items = 256)]
    tcp: Vec<NetGrant>,
    /// Datagrams over UDP.
    #[schema(required = false, max_items = 256)]
    udp: Vec<NetGrant>,
    /// Names that may be looked up, besides those that other grants imply.
    #[schema(required = false, max_items = 256)]
    dns: Vec<NameGrant>,
    /// Addresses to listen on.
    #[schema(required = false, max_items = 256)]
    listen: Vec<NetGrant>,
    /// Secrets.
    #[schema(required = false, max_items = 256)]
    secrets: Vec<SecretGrant>,
    /// Buckets of its namespace that it may keep values in.
    #[schema(required = false, max_items = 256)]
    kv: Vec<BucketName>,
    /// How finely time may be measured.
    #[schema(required = false)]
    clock: Clock,
    /// The size of a private temporary directory.
    tmp_bytes: Option<SizeText>,
}

/// How finely time may be measured.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum Clock {
    /// To the millisecond.
    Coarse,
    /// As finely as the machine can.
    Real,
}

/// A host directory that a function sees.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirGrant {
    /// Where it lies: absolute, or relative to the namespace's folder in the node's data root.
    #[schema(
        example = "./data",
        pattern = r"^\./[a-z0-9_-]{1,40}(/[a-z0-9_-]{1,40}){0,8}$"
    )]
    host: String,
    /// Where the guest sees it.
    #[schema(
        example = "/data",
        pattern = "^/[a-z0-9_-]{1,40}(/[a-z0-9_-]{1,40}){0,8}$"
    )]
    guest: String,
    /// Whether the guest may write.
    mode: DirMode,
    /// How much it may hold.
    quota_bytes: Option<SizeText>,
}

/// Whether a guest may write to a directory.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum DirMode {
    /// Only read.
    Ro,
    /// Read and write.
    Rw,
}

/// One secret that a function gets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretGrant {
    /// Which.
    name: SecretName,
    /// How it gets it.
    exposure: SecretExposure,
}

/// How a function gets a secret.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum SecretExposure {}

impl PartialSchema for SecretExposure {
    /// By hand, because the derived one would let an object have more keys than `inject`.
    fn schema() -> RefOr<Schema> {
        let named = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["env", "config"]))
            .description(Some(
                "As an environment variable of the same name, or as a key of `wasi:config/store`.",
            ));
        let injected = ObjectBuilder::new()
            .property("inject", Ref::from_schema_name(SecretInjection::name()))
            .required("inject")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .description(Some(
                "Not at all: the host puts it into a header of outbound requests.",
            ));
        RefOr::T(Schema::OneOf(
            OneOfBuilder::new().item(named).item(injected).build(),
        ))
    }
}

impl ToSchema for SecretExposure {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("SecretExposure")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((
            SecretInjection::name().into_owned(),
            SecretInjection::schema(),
        ));
        SecretInjection::schemas(schemas);
    }
}

/// A header that the host fills in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretInjection {
    /// The header in lower case.
    #[schema(
        example = "authorization",
        pattern = "^(x-[a-z][a-z0-9-]{0,30}|authorization)$"
    )]
    header: String,
    /// The header's value, with `{}` once where the secret goes.
    #[schema(
        example = "Bearer {}",
        pattern = r"^([A-Za-z0-9]{1,20} )?\{\}[A-Za-z0-9]{0,20}$"
    )]
    format: String,
    /// The requests that get the header.
    #[schema(min_items = 1, max_items = 256)]
    to: Vec<HttpGrant>,
}
