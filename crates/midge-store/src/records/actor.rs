//! Who may do something, what they did, and what they keep secret.

use std::fmt;

use midge_model::{Digest, NamespaceName, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Kept, RecordId};
use crate::Sealed;
use crate::hex;

/// A secret as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// Whose it is.
    pub namespace: NamespaceName,
    /// What it is called, in the case it was given in.
    pub name: String,
    /// Its value, for whoever has the node's key.
    pub sealed: Sealed,
    /// How often it was set, counted from 1.
    pub generation: u64,
    /// When it was set last.
    pub updated_at: Timestamp,
    /// The name of the token that did.
    pub updated_by: String,
}

/// A token, without what its owner shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The part of it that may be known.
    pub id: RecordId,
    /// What people call it.
    pub name: String,
    /// Which role it has; midge-control knows the roles.
    pub role: String,
    /// The only namespace it is for; `None` for all.
    #[serde(default)]
    pub namespace: Option<NamespaceName>,
    /// The SHA-256 of what its owner shows, in hexadecimal digits. Enough, because that is random
    /// and long: there is nothing to guess.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// The policy that caps what it deploys, as it was written.
    #[serde(default)]
    pub policy: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When somebody ended it.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, coarsely.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

/// One thing that somebody did or tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// A UUID of version 7, so that entries sort by time.
    pub id: RecordId,
    /// When it began.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The address they did it from.
    pub from: String,
    /// The request that it was.
    pub request_id: String,
    /// What was done: the operation's name.
    pub action: String,
    /// In which namespace; `None` for what is about the node.
    #[serde(default)]
    pub namespace: Option<NamespaceName>,
    /// What it was done to.
    pub subject: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// More about it, by action.
    #[serde(default)]
    pub detail: serde_json::Value,
}

/// Who did something, as far as the log needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The token's id; `None` where none was needed.
    #[serde(default)]
    pub token: Option<RecordId>,
    /// The token's name, or what stands for it.
    pub name: String,
}

/// How something that somebody did ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// Not yet, or the node stopped in the middle.
    Begun,
    /// As it should.
    Done,
    /// With a no; nothing was changed.
    Refused(String),
    /// With an error, of this code; some of it may have been done.
    Failed(String),
}

/// What was answered to a write, for the same request when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// Of which request, as a tag of the vault: another one under the same key is refused. Never
    /// a plain hash, which would tell a short secret that was set by the request.
    pub request_hash: Digest,
    /// The answer; `None` while the first request is still at it.
    #[serde(default)]
    pub answer: Option<IdempotentAnswer>,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// An answer to give again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotentAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

impl Kept for SecretRecord {
    const KIND: &'static str = "secret";
}

impl Kept for TokenRecord {
    const KIND: &'static str = "token";
}

impl Kept for AuditRecord {
    const KIND: &'static str = "audit";
}

impl Kept for IdempotencyRecord {
    const KIND: &'static str = "idempotency";
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
