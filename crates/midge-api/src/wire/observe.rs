//! What can be seen of a running node: lines, numbers, health.

use std::collections::BTreeMap;

use midge_model::{FunctionName, NamespaceName, RevisionNumber, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// A line that a function wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub at: Timestamp,
    /// Whose function.
    #[schema(value_type = schema::NamespaceName)]
    pub namespace: NamespaceName,
    /// Which function.
    #[schema(value_type = schema::FunctionName)]
    pub function: FunctionName,
    /// Which of its revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevisionNumber>)]
    pub revision: Option<RevisionNumber>,
    /// In which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// `stdout`, `stderr`, or `denied` where the host says what it did not allow.
    pub stream: String,
    /// The line, without its end.
    pub line: String,
}

/// How a function's invocations ended since the node started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InvocationSummary {
    /// Since when these are counted.
    #[schema(value_type = schema::Timestamp)]
    pub since: Timestamp,
    /// How many there were.
    pub count: u64,
    /// How many ended in which way.
    pub by_outcome: BTreeMap<String, u64>,
    /// Half of them took no longer than this; absent while there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Nine of ten took no longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    /// Ninety-nine of a hundred took no longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// The time on a CPU that all of them took together.
    pub cpu_ms: u64,
}

/// The state of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Of the program.
    pub version: String,
    /// When it started.
    #[schema(value_type = schema::Timestamp)]
    pub started_at: Timestamp,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Whether it is on its way to its end.
    pub draining: bool,
    /// Its workers.
    pub workers: Vec<WorkerStatus>,
    /// How many functions it serves.
    pub functions: u64,
    /// The memory of all its processes.
    pub memory_bytes: u64,
    /// The newest version of the registry.
    pub registry_version: u64,
    /// Lines of functions that were not kept because there were too many.
    pub log_lines_dropped: u64,
}

/// The state of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub worker: u32,
    /// Its process.
    pub pid: u32,
    /// Whether it takes traffic.
    pub ready: bool,
    /// The version of the registry up to which it serves.
    pub applied: u64,
    /// Revisions whose code it has loaded.
    #[serde(default)]
    pub loaded: u32,
    /// Revisions that it unloaded for want of memory since it started.
    #[serde(default)]
    pub evicted: u64,
}

/// That a node is alive, or ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
