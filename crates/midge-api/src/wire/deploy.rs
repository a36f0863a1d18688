//! A deploy: what is asked for, what it would change, what became of it.
//!
//! Decides their JSON. What counts as a difference is the model's to say.

use midge_model::{
    Difference, Digest, FunctionName, Grants, Isolation, LimitsPatch, NamespaceName,
    RevisionNumber, Route,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RevisionInfo;
use crate::schema;

/// The longest message of a deploy, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_000;

/// A new revision, as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The component; its bytes are put first.
    #[schema(value_type = schema::Digest)]
    pub digest: Digest,
    /// Which requests it answers; none means `/<function>/*`.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Route>, max_items = 100)]
    pub routes: Vec<Route>,
    /// The limits that are not the default.
    #[serde(default)]
    #[schema(value_type = schema::LimitsPatch)]
    pub limits: LimitsPatch,
    /// What its invocations share; absent, nothing.
    #[serde(default, skip_serializing_if = "Isolation::is_fresh")]
    #[schema(value_type = schema::Isolation)]
    pub isolation: Isolation,
    /// What it may touch.
    #[serde(default)]
    #[schema(value_type = schema::Grants)]
    pub grants: Grants,
    /// How many revisions of the function are kept; absent, as many as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub keep: Option<u32>,
    /// What the deployer says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub message: Option<String>,
    /// Whether it may widen what the live revision may do.
    #[serde(default)]
    pub widen: bool,
}

/// Whether a deploy makes, changes or leaves a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeployChange {
    /// There was no such function.
    New,
    /// There is, and it will be another.
    Changed,
    /// It is already exactly so, with all traffic.
    Unchanged,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeployPlan {
    /// Where.
    #[schema(value_type = schema::NamespaceName)]
    pub namespace: NamespaceName,
    /// To which function.
    #[schema(value_type = schema::FunctionName)]
    pub function: FunctionName,
    /// Whether it makes, changes or leaves the function.
    pub change: DeployChange,
    /// The revision with the most traffic, which it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::RevisionNumber>)]
    pub live: Option<RevisionNumber>,
    /// What would be different.
    #[schema(value_type = schema::Difference)]
    pub difference: Difference,
    /// Whether the function could do or take more than the live revision.
    pub widens: bool,
    /// What a policy would refuse.
    pub refused: Vec<Verdict>,
    /// What is odd and no reason to refuse.
    pub warnings: Vec<String>,
    /// Whether the node has the component's bytes.
    pub component_known: bool,
    /// Where it would answer.
    pub url: String,
}

/// What a deploy did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// Whether it made, changed or left the function.
    pub change: DeployChange,
    /// The revision that has all traffic now.
    pub revision: RevisionInfo,
    /// Where it answers, most memorable first.
    pub urls: Vec<String>,
    /// What is odd and was no reason to refuse.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How long native code took; 0 if the node had it.
    pub compile_ms: u64,
    /// How long it took until every worker served it.
    pub serve_ms: u64,
}

/// What a policy says to one grant or limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// What was asked for.
    pub asked: String,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether the function gets it.
    pub allowed: bool,
    /// What to write instead, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<midge_model::PolicyVerdict> for Verdict {
    fn from(verdict: midge_model::PolicyVerdict) -> Self {
        let midge_model::PolicyVerdict {
            asked,
            rule,
            allowed,
            hint,
        } = verdict;
        Self {
            asked,
            rule,
            allowed,
            hint,
        }
    }
}

/// A component that the node keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentInfo {
    /// Its name.
    #[schema(value_type = schema::Digest)]
    pub digest: Digest,
    /// How large it is.
    pub size_bytes: u64,
    /// Whether the node did not have it before.
    pub new: bool,
}
