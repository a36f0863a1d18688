//! What the control core needs of the node it stands in.
//!
//! A port: the binary implements it over its supervisor, tests over a list of what was asked.
//! Nothing here decides; control and runtime do not know each other.
//!
//! **Invariant:** nothing is published through this trait. What is live stands in the registry,
//! and the node only says how far it is with that.

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use midge_api::{InvocationSummary, LogLine, NodeStatus};
use midge_model::{Digest, FunctionName, NamespaceName, RevisionNumber};
use midge_store::Version;
use tokio::sync::broadcast;

/// The node as the control core sees it.
#[async_trait]
pub trait Node: Send + Sync {
    /// Native code of a component that is in the store, made under the compile budget if it is
    /// not in the cache. It waits for its namespace's turn; the function's name is for messages.
    ///
    /// # Errors
    ///
    /// The component's fault, or the host's: [`CompileFault::blame`] says whose.
    async fn compile(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        digest: &Digest,
    ) -> Result<CompileReport, CompileFault>;

    /// Resolves when every worker of this node serves the function as of this version of the
    /// registry, or later; for a function that was removed, when none serves it any more.
    ///
    /// # Errors
    ///
    /// A worker could not load it. What was published stays published.
    async fn serves(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        version: Version,
    ) -> Result<(), NotServed>;

    /// Has the function answer a request, through the same path as traffic.
    ///
    /// # Errors
    ///
    /// Nobody could be asked. What the function itself answers is never an error.
    async fn invoke(&self, asked: Invoke) -> Result<http::Response<Body>, InvokeFault>;

    /// What the function wrote lately, and what it will.
    fn logs(&self, namespace: &NamespaceName, function: &FunctionName) -> LogFeed;

    /// How the function's invocations ended since the node started.
    fn invocations(&self, namespace: &NamespaceName, function: &FunctionName) -> InvocationSummary;

    /// How the node and its workers are.
    fn status(&self) -> NodeStatus;

    /// Whether the node takes traffic.
    fn ready(&self) -> bool;
}

/// What making native code took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileReport {
    /// How long it took.
    pub took: Duration,
    /// Whether it was there already.
    pub cached: bool,
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CompileFault {
    /// The component's fault or the host's.
    pub blame: CompileBlame,
    /// One sentence for whoever deploys.
    pub message: String,
    /// What would help.
    pub hint: Option<String>,
}

/// Whose fault it is that there is no native code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompileBlame {
    /// The component cannot be compiled, or not within its budget: deploying it again is no use.
    Guest,
    /// The node could not: no room, no compiler, no file. Trying again may help.
    Host,
}

/// Why a worker does not serve what was published.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NotServed {
    /// One sentence for whoever deploys.
    pub message: String,
}

/// A request to a function that does not come through the traffic door.
#[derive(Debug)]
pub struct Invoke {
    /// Whose function.
    pub namespace: NamespaceName,
    /// Which function.
    pub function: FunctionName,
    /// Exactly this revision; by traffic without.
    pub revision: Option<RevisionNumber>,
    /// What to ask it.
    pub request: http::Request<Body>,
}

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct InvokeFault {
    /// One sentence for whoever asked.
    pub message: String,
}

/// What a function writes.
#[derive(Debug)]
pub struct LogFeed {
    /// What it wrote lately, oldest first.
    pub recent: Vec<LogLine>,
    /// What it will write; a slow reader misses lines and is told how many.
    pub follow: broadcast::Receiver<LogLine>,
}
