//! Which role may do what, and how far each operation reaches.
//!
//! Pure: one table. Who the caller is comes from `authenticate.rs`; what a policy caps is
//! `cap.rs`.
//!
//! **Invariant:** whoever may not know of a namespace is answered as if it were not there,
//! before its role is looked at and before anything is read.

use std::fmt;

use midge_api::{ErrorCode, Role};
use midge_model::NamespaceName;

use crate::error::ControlError;
use crate::who::Who;

/// Everything that can be asked of the control API, named as in the API document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who am I.
    Whoami,
    /// How the node is.
    NodeStatus,
    /// All namespaces the caller may know of.
    ListNamespaces,
    /// A new namespace.
    CreateNamespace,
    /// One namespace.
    GetNamespace,
    /// The end of a namespace.
    DeleteNamespace,
    /// How much a namespace may have.
    GetQuota,
    /// Another bound on that.
    SetQuota,
    /// A namespace's functions.
    ListFunctions,
    /// One function.
    GetFunction,
    /// The end of a function.
    RemoveFunction,
    /// Whether a component was uploaded.
    HasComponent,
    /// An upload.
    PutComponent,
    /// What a deploy would do.
    Plan,
    /// A new revision.
    Deploy,
    /// A function's revisions.
    ListRevisions,
    /// One revision.
    GetRevision,
    /// Another split of traffic.
    SetTraffic,
    /// Back to what was.
    Rollback,
    /// What a function wrote.
    Logs,
    /// How its invocations ended.
    Invocations,
    /// An invocation.
    Invoke,
    /// The names of secrets.
    ListSecrets,
    /// A secret's value.
    PutSecret,
    /// The end of a secret.
    DeleteSecret,
    /// A new key for all secrets.
    RotateKey,
    /// Buckets.
    ListBuckets,
    /// The keys of a bucket.
    ListEntries,
    /// The value of a key.
    GetEntry,
    /// A value for a key.
    PutEntry,
    /// The end of a key.
    DeleteEntry,
    /// The end of all keys of a bucket.
    ClearBucket,
    /// Tokens.
    ListTokens,
    /// A new token.
    CreateToken,
    /// One token.
    GetToken,
    /// The end of a token.
    RevokeToken,
    /// Who did what.
    ListAudit,
}

/// How far an operation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The whole node: tokens of a namespace never may.
    Node,
    /// One namespace.
    Namespace,
    /// As far as the caller does: others' things are left out of its answer.
    Caller,
}

/// Roles that may, in the order admin, deployer, viewer, invoker.
type Row = (&'static str, Reach, [bool; 4]);

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 37] = [
        Self::Whoami,
        Self::NodeStatus,
        Self::ListNamespaces,
        Self::CreateNamespace,
        Self::GetNamespace,
        Self::DeleteNamespace,
        Self::GetQuota,
        Self::SetQuota,
        Self::ListFunctions,
        Self::GetFunction,
        Self::RemoveFunction,
        Self::HasComponent,
        Self::PutComponent,
        Self::Plan,
        Self::Deploy,
        Self::ListRevisions,
        Self::GetRevision,
        Self::SetTraffic,
        Self::Rollback,
        Self::Logs,
        Self::Invocations,
        Self::Invoke,
        Self::ListSecrets,
        Self::PutSecret,
        Self::DeleteSecret,
        Self::RotateKey,
        Self::ListBuckets,
        Self::ListEntries,
        Self::GetEntry,
        Self::PutEntry,
        Self::DeleteEntry,
        Self::ClearBucket,
        Self::ListTokens,
        Self::CreateToken,
        Self::GetToken,
        Self::RevokeToken,
        Self::ListAudit,
    ];

    const fn row(self) -> Row {
        const EVERYBODY: [bool; 4] = [true, true, true, true];
        /// Who looks at things.
        const READ: [bool; 4] = [true, true, true, false];
        /// Who changes functions.
        const WRITE: [bool; 4] = [true, true, false, false];
        /// Who has functions run: looking must not have effects, so a viewer may not.
        const RUN: [bool; 4] = [true, true, false, true];
        const ADMIN: [bool; 4] = [true, false, false, false];
        use Reach::{Caller, Namespace, Node};
        match self {
            Self::Whoami => ("whoami", Caller, EVERYBODY),
            Self::NodeStatus => ("node_status", Node, READ),
            Self::ListNamespaces => ("list_namespaces", Caller, READ),
            Self::CreateNamespace => ("create_namespace", Node, ADMIN),
            Self::GetNamespace => ("get_namespace", Namespace, READ),
            Self::DeleteNamespace => ("delete_namespace", Node, ADMIN),
            Self::GetQuota => ("get_quota", Namespace, READ),
            // Who is bounded by a quota does not set it.
            Self::SetQuota => ("set_quota", Node, ADMIN),
            Self::ListFunctions => ("list_functions", Namespace, READ),
            Self::GetFunction => ("get_function", Namespace, READ),
            Self::RemoveFunction => ("remove_function", Namespace, WRITE),
            Self::HasComponent => ("has_component", Namespace, WRITE),
            Self::PutComponent => ("put_component", Namespace, WRITE),
            Self::Plan => ("plan", Namespace, WRITE),
            Self::Deploy => ("deploy", Namespace, WRITE),
            Self::ListRevisions => ("list_revisions", Namespace, READ),
            Self::GetRevision => ("get_revision", Namespace, READ),
            Self::SetTraffic => ("set_traffic", Namespace, WRITE),
            Self::Rollback => ("rollback", Namespace, WRITE),
            Self::Logs => ("logs", Namespace, READ),
            Self::Invocations => ("invocations", Namespace, READ),
            Self::Invoke => ("invoke", Namespace, RUN),
            Self::ListSecrets => ("list_secrets", Namespace, READ),
            Self::PutSecret => ("put_secret", Namespace, WRITE),
            Self::DeleteSecret => ("delete_secret", Namespace, WRITE),
            Self::RotateKey => ("rotate_key", Node, ADMIN),
            Self::ListBuckets => ("list_buckets", Namespace, READ),
            Self::ListEntries => ("list_entries", Namespace, READ),
            Self::GetEntry => ("get_entry", Namespace, READ),
            Self::PutEntry => ("put_entry", Namespace, WRITE),
            Self::DeleteEntry => ("delete_entry", Namespace, WRITE),
            Self::ClearBucket => ("clear_bucket", Namespace, WRITE),
            Self::ListTokens => ("list_tokens", Caller, ADMIN),
            Self::CreateToken => ("create_token", Caller, ADMIN),
            Self::GetToken => ("get_token", Caller, ADMIN),
            Self::RevokeToken => ("revoke_token", Caller, ADMIN),
            Self::ListAudit => ("list_audit", Caller, ADMIN),
        }
    }

    /// Its name in the API document, in audit entries and in messages.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// How far it reaches.
    pub const fn reach(self) -> Reach {
        self.row().1
    }

    /// Whether it changes state, so that even an attempt is worth an entry in the audit log.
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::CreateNamespace
                | Self::DeleteNamespace
                | Self::SetQuota
                | Self::RemoveFunction
                | Self::PutComponent
                | Self::Deploy
                | Self::SetTraffic
                | Self::Rollback
                | Self::PutSecret
                | Self::DeleteSecret
                | Self::RotateKey
                | Self::PutEntry
                | Self::DeleteEntry
                | Self::ClearBucket
                | Self::CreateToken
                | Self::RevokeToken
        )
    }

    /// Whether a token of this role may.
    pub const fn allows(self, role: Role) -> bool {
        let column = match role {
            Role::Admin => 0,
            Role::Deployer => 1,
            Role::Viewer => 2,
            Role::Invoker => 3,
        };
        self.row().2[column]
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Who {
    /// Lets the caller through to an operation, on this namespace if it is about one.
    ///
    /// # Errors
    ///
    /// The namespace is one that the caller may not know of (the same words as if it were not
    /// there), its role may not, or its token does not reach the whole node.
    pub(crate) fn may(
        &self,
        operation: Operation,
        namespace: Option<&NamespaceName>,
    ) -> Result<(), ControlError> {
        if let Some(namespace) = namespace.filter(|namespace| !self.knows_of(namespace)) {
            return Err(self.no_namespace(namespace, None));
        }
        if !operation.allows(self.role) {
            let message = format!("role `{}` may not {}", self.role, in_words(operation));
            return Err(ControlError::new(ErrorCode::Forbidden, message));
        }
        if let (Reach::Node, Some(own)) = (operation.reach(), &self.namespace) {
            let message = format!(
                "a token of namespace `{own}` may not {}",
                in_words(operation)
            );
            return Err(ControlError::new(ErrorCode::Forbidden, message)
                .with_hint("ask an admin of the node"));
        }
        Ok(())
    }

    /// Whether this namespace, if it is there, is the caller's to know of.
    pub(crate) fn knows_of(&self, namespace: &NamespaceName) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
    }

    /// The answer to a namespace that is not there or not the caller's: one for both. `nearest`
    /// must be a name that the caller may see.
    pub(crate) fn no_namespace(
        &self,
        namespace: &NamespaceName,
        nearest: Option<String>,
    ) -> ControlError {
        let message = format!("there is no namespace `{namespace}`");
        let hint = match (&self.namespace, nearest) {
            (Some(own), _) => Some(format!("this token is for namespace `{own}`")),
            (None, Some(nearest)) => Some(format!("did you mean `{nearest}`?")),
            (None, None) => Some(format!("midge namespace create {namespace}")),
        };
        ControlError::new(ErrorCode::NotFound, message).with_hint_if(hint)
    }
}

/// `set_quota` as people say it: `set quota`.
fn in_words(operation: Operation) -> String {
    operation.as_str().replace('_', " ")
}
