//! Who asks.
//!
//! Made by [`crate::Control::authenticate`] and by nothing else; what such a caller may do is
//! `role.rs`.
//!
//! **Invariant:** a caller never gets more than its token says: its role, its namespace and its
//! cap are read once and only ever narrow.

use std::net::IpAddr;
use std::sync::Arc;

use midge_api::{Role, WhoAmI};
use midge_model::{NamespaceName, Policy, RequestId, Timestamp};
use midge_store::records::{Actor, RecordId};

/// A caller whose token is good.
#[derive(Debug, Clone)]
pub struct Who {
    /// The token's id, which is in the token's text too; `None` on a node that asks for none.
    pub token: Option<RecordId>,
    /// What people call the token.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only namespace it may know of; `None` for all.
    pub namespace: Option<NamespaceName>,
    /// The most that functions may be granted by what it does, beside the node's policy.
    pub cap: Option<Arc<Cap>>,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// Where it asks from.
    pub from: IpAddr,
    /// The request it asks with.
    pub request_id: RequestId,
}

/// A token's policy, read and as it was written.
#[derive(Debug)]
pub struct Cap {
    pub(crate) policy: Policy,
    pub(crate) text: String,
}

impl Who {
    /// Who it is in the audit log.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            token: self.token.clone(),
            name: self.name.clone(),
        }
    }

    /// Who it is in its own eyes.
    pub(crate) fn described(&self) -> WhoAmI {
        WhoAmI {
            token: self.token.as_ref().map(ToString::to_string),
            name: self.name.clone(),
            role: self.role,
            namespace: self.namespace.clone(),
            expires_at: self.expires_at,
            capped: self.cap.is_some(),
        }
    }
}
