//! Looking at what runs, and having it run: passed on to the node.
//!
//! **Invariant:** the node is asked about functions only that are there and that the caller may
//! know of.

use axum::body::Body;
use midge_api::{ErrorCode, InvocationSummary, NodeStatus, WhoAmI};
use midge_model::{FunctionName, NamespaceName};

use crate::control::Control;
use crate::error::ControlError;
use crate::functions::no_revision;
use crate::node::{Invoke, LogFeed};
use crate::role::Operation;
use crate::standing::{Standing, Target};
use crate::who::Who;

impl Control {
    /// Who the caller is.
    pub fn whoami(&self, who: &Who) -> WhoAmI {
        who.described()
    }

    /// How the node is.
    ///
    /// # Errors
    ///
    /// The caller may not.
    pub fn node_status(&self, who: &Who) -> Result<NodeStatus, ControlError> {
        who.may(Operation::NodeStatus, None)?;
        Ok(self.node.status())
    }

    /// What a function wrote lately, and what it will.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such function.
    pub async fn logs(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<LogFeed, ControlError> {
        self.seen(who, Operation::Logs, (namespace, function))
            .await?;
        Ok(self.node.logs(namespace, function))
    }

    /// How a function's invocations ended since the node started.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such function.
    pub async fn invocations(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<InvocationSummary, ControlError> {
        self.seen(who, Operation::Invocations, (namespace, function))
            .await?;
        Ok(self.node.invocations(namespace, function))
    }

    /// Has a function answer a request. What it answers, its errors too, is passed on.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such function or revision, or nobody could be asked.
    pub async fn invoke(
        &self,
        who: &Who,
        asked: Invoke,
    ) -> Result<http::Response<Body>, ControlError> {
        let target = (&asked.namespace, &asked.function);
        let standing = self.seen(who, Operation::Invoke, target).await?;
        if let Some(number) = asked.revision
            && !standing.record.revisions.contains(&number)
        {
            return Err(no_revision(&standing.record, number, ErrorCode::NotFound));
        }
        let answered = self.node.invoke(asked).await;
        answered.map_err(|fault| ControlError::new(ErrorCode::NotInvoked, fault.to_string()))
    }

    async fn seen(
        &self,
        who: &Who,
        operation: Operation,
        target: Target<'_>,
    ) -> Result<Standing, ControlError> {
        who.may(operation, Some(target.0))?;
        self.namespace(who, target.0).await?;
        self.existing(target).await
    }
}
