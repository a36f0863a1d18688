//! A node that compiles and serves whatever it is asked to, and remembers that it was.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use midge_api::{InvocationSummary, NodeStatus};
use midge_control::{
    CompileBlame, CompileFault, CompileReport, Invoke, InvokeFault, LogFeed, Node, NotServed,
};
use midge_model::{Digest, FunctionName, NamespaceName, Timestamp};
use midge_store::Version;
use tokio::sync::broadcast;

/// Says yes, unless told otherwise.
#[derive(Debug, Default)]
pub(crate) struct TestNode {
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) compile_fault: Mutex<Option<CompileBlame>>,
    pub(crate) serve_fault: Mutex<Option<String>>,
}

impl TestNode {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

#[async_trait]
impl Node for TestNode {
    async fn compile(
        &self,
        _namespace: &NamespaceName,
        function: &FunctionName,
        _digest: &Digest,
    ) -> Result<CompileReport, CompileFault> {
        self.note(format!("compile {function}"));
        // Others get their turn, as with a real compiler.
        tokio::task::yield_now().await;
        match *self.compile_fault.lock().unwrap() {
            None => Ok(CompileReport {
                took: Duration::from_millis(7),
                cached: false,
            }),
            Some(blame) => Err(CompileFault {
                blame,
                message: "it does not compile".to_owned(),
                hint: None,
            }),
        }
    }

    async fn serves(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        version: Version,
    ) -> Result<(), NotServed> {
        self.note(format!("serve {namespace}/{function} {version}"));
        match &*self.serve_fault.lock().unwrap() {
            None => Ok(()),
            Some(message) => Err(NotServed {
                message: message.clone(),
            }),
        }
    }

    async fn invoke(&self, asked: Invoke) -> Result<http::Response<Body>, InvokeFault> {
        self.note(format!("invoke {}", asked.function));
        Ok(http::Response::new(Body::from("hello")))
    }

    fn logs(&self, _namespace: &NamespaceName, function: &FunctionName) -> LogFeed {
        self.note(format!("logs {function}"));
        LogFeed {
            recent: Vec::new(),
            follow: broadcast::channel(1).1,
        }
    }

    fn invocations(
        &self,
        _namespace: &NamespaceName,
        _function: &FunctionName,
    ) -> InvocationSummary {
        InvocationSummary {
            since: Timestamp::default(),
            count: 0,
            by_outcome: [].into(),
            p50_ms: None,
            p90_ms: None,
            p99_ms: None,
            cpu_ms: 0,
        }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            version: "0".to_owned(),
            started_at: Timestamp::default(),
            ready: true,
            draining: false,
            workers: Vec::new(),
            functions: 0,
            memory_bytes: 0,
            registry_version: 0,
            log_lines_dropped: 0,
        }
    }

    fn ready(&self) -> bool {
        true
    }
}
