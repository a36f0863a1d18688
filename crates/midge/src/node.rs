//! This node, as its control door sees it.
//!
//! Answers what the control core asks: native code from the supervisor's compilers, how far the
//! workers are from the roster, a request through the node's own door. Decides nothing of what is
//! served: that stands in the registry.
//!
//! **Invariant:** everything here may be called from another thread than the supervisor's.

pub(crate) mod compile;
mod invoke;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use midge_api::{InvocationSummary, NodeStatus, WorkerStatus};
use midge_control::{
    Body, CompileFault, CompileReport, Invoke, InvokeFault, LogFeed, Node, NotServed,
};
use midge_model::{Digest, FunctionName, NamespaceName};
use midge_store::Version;

use self::compile::CompileAsker;
use crate::machine;
use crate::observed::Observed;
use crate::protocol::{FunctionKey, SILENT_MAX};
use crate::supervisor::Roster;

/// How long a deploy waits for workers: two that fall silent one after the other are replaced
/// within it.
const SERVED_WITHIN: Duration = SILENT_MAX.saturating_mul(3);

/// What the node's face is made of.
#[derive(Debug)]
pub(crate) struct NodeParts {
    /// What workers are to serve.
    pub(crate) roster: Arc<Roster>,
    /// How they are.
    pub(crate) observed: Arc<Observed>,
    /// Who has components compiled.
    pub(crate) compiles: CompileAsker,
    /// The node's own door.
    pub(crate) door: PathBuf,
    /// Below which domain functions have addresses.
    pub(crate) domain: String,
}

/// This node.
#[derive(Debug)]
pub(crate) struct ThisNode(NodeParts);

impl ThisNode {
    /// The node that is made of these.
    pub(crate) fn new(parts: NodeParts) -> Self {
        Self(parts)
    }
}

fn key(namespace: &NamespaceName, function: &FunctionName) -> FunctionKey {
    FunctionKey {
        namespace: namespace.clone(),
        function: function.clone(),
    }
}

#[async_trait]
impl Node for ThisNode {
    async fn compile(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        digest: &Digest,
    ) -> Result<CompileReport, CompileFault> {
        let target = (namespace, function);
        self.0.compiles.compile(target, digest).await
    }

    async fn serves(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        version: Version,
    ) -> Result<(), NotServed> {
        let served = self
            .0
            .roster
            .served(&key(namespace, function), version.get());
        let message = match tokio::time::timeout(SERVED_WITHIN, served).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "the node is ending".to_owned(),
            Err(_) => format!(
                "not all workers serve it after {} seconds",
                SERVED_WITHIN.as_secs()
            ),
        };
        Err(NotServed { message })
    }

    async fn invoke(&self, asked: Invoke) -> Result<http::Response<Body>, InvokeFault> {
        invoke::invoke(&self.0.door, &self.0.domain, asked).await
    }

    fn logs(&self, namespace: &NamespaceName, function: &FunctionName) -> LogFeed {
        let (recent, follow) = self.0.observed.lines(&key(namespace, function));
        LogFeed { recent, follow }
    }

    fn invocations(&self, namespace: &NamespaceName, function: &FunctionName) -> InvocationSummary {
        self.0.observed.invocations(&key(namespace, function))
    }

    fn status(&self) -> NodeStatus {
        let NodeParts {
            roster, observed, ..
        } = &self.0;
        let workers = observed.workers();
        let own = std::process::id();
        let processes = workers.values().map(|seen| seen.pid);
        let others = processes.filter(|pid| *pid != own);
        let memory = others.chain([own]).map(machine::resident_bytes);
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: observed.since,
            ready: observed.is_ready(),
            draining: observed.is_draining(),
            memory_bytes: memory.sum(),
            workers: workers
                .into_iter()
                .map(|(worker, seen)| WorkerStatus {
                    worker: u32::try_from(worker).unwrap_or(u32::MAX),
                    pid: seen.pid,
                    ready: seen.ready,
                    applied: roster.applied_by(worker),
                    loaded: seen.loaded.revisions,
                    evicted: seen.loaded.evicted,
                })
                .collect(),
            functions: roster.functions() as u64,
            registry_version: roster.newest(),
            log_lines_dropped: observed.lines_lost(),
        }
    }

    fn ready(&self) -> bool {
        self.0.observed.is_ready()
    }
}
