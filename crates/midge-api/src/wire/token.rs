//! Tokens, what each may do, and who one is.
//!
//! **Invariant:** a token's text is in one answer only, the one to the request that made it, and
//! is masked when that answer is printed.

use std::fmt;
use std::str::FromStr;

use midge_model::{NamespaceName, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// The longest name of a token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 100;
/// The longest life of a token that ends at all, in seconds: ten years.
pub const TOKEN_LIFE_S_MAX: u64 = 10 * 365 * 24 * 60 * 60;

/// What a token may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything in its scope, tokens too.
    Admin,
    /// Deploys, splits traffic, sets secrets.
    Deployer,
    /// Looks.
    Viewer,
    /// Invokes functions, and nothing else.
    Invoker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Deployer, Self::Viewer, Self::Invoker];

    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Deployer => "deployer",
            Self::Viewer => "viewer",
            Self::Invoker => "invoker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("role `{}` is not `admin`, `deployer`, `viewer` or `invoker`", .text.escape_debug())]
pub struct RoleError {
    text: String,
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| RoleError {
            text: text.chars().take(40).collect(),
        })
    }
}

/// The token that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What people call it, for example who or what uses it.
    #[schema(value_type = schema::TokenName)]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may; absent, in every namespace and on the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::NamespaceName>)]
    pub namespace: Option<NamespaceName>,
    /// How long it lives, in seconds; absent, until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000, example = 2_592_000)]
    pub expires_in_s: Option<u64>,
    /// A policy, as TOML, that caps what its deploys may be granted, beside the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65_536)]
    pub policy: Option<String>,
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Its name in paths and in the audit log.
    #[schema(value_type = schema::TokenId)]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may; absent, everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::NamespaceName>)]
    pub namespace: Option<NamespaceName>,
    /// What caps its deploys, as TOML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When it was made.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute or so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub last_used_at: Option<Timestamp>,
}

/// A new token, with its text: the node does not keep it and cannot show it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// What is known of it from now on.
    pub info: TokenInfo,
    /// What goes behind `authorization: Bearer`.
    pub token: String,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCreated")
            .field("info", &self.info)
            .field("token", &"***")
            .finish()
    }
}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The token's id; absent on a node that asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TokenId>)]
    pub token: Option<String>,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may; absent, everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::NamespaceName>)]
    pub namespace: Option<NamespaceName>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub expires_at: Option<Timestamp>,
    /// Whether a policy of its own caps its deploys.
    pub capped: bool,
}
