//! The end of a function.
//!
//! **Invariant:** the function's record goes first: what is left after a crash is revisions and
//! claims that nobody names, which is what a sweep looks for.

use midge_model::{FunctionName, NamespaceName};
use midge_store::records::{self, RevisionRecord, function_key, revisions_of};
use midge_store::{Expect, Key, PutError, Version};
use serde_json::json;

use crate::audit::Deed;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::error::ControlError;
use crate::role::Operation;
use crate::standing::{Standing, Target};
use crate::who::Who;

impl Control {
    /// Removes a function with all its revisions; answers when no worker of this node serves it.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such function, or it is another version than `if_match`.
    pub async fn remove_function(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        function: &FunctionName,
        if_match: Option<Version>,
    ) -> Result<(), ControlError> {
        let target = (namespace, function);
        self.let_through(who, Operation::RemoveFunction, Some(target.0))
            .await?;
        let deed = Deed {
            operation: Operation::RemoveFunction,
            namespace: Some(target.0),
            subject: target.1.to_string(),
            detail: json!({}),
        };
        let work = async {
            let (version, unneeded) = self.unpublish(who, target, if_match).await?;
            let (served, ()) = futures::join!(self.served(target, version), self.clear(unneeded));
            // Its component may be nobody's now.
            self.untidy.notify_one();
            served?;
            tracing::info!(%namespace, %function, "function removed");
            Ok(())
        };
        self.audited(who, deed, Box::pin(work), |()| json!({}))
            .await
    }

    async fn unpublish(
        &self,
        who: &Who,
        target: Target<'_>,
        if_match: Option<Version>,
    ) -> Result<(Version, Vec<(Key, Version)>), ControlError> {
        let tenant = self.namespace(who, target.0).await?.value;
        let _turn = self.turn().await?;
        self.still_there(who, &tenant).await?;
        for _ in 0..ATTEMPTS_MAX {
            let standing = match (self.standing(target).await?, if_match) {
                (Some(standing), _) => standing,
                (None, Some(_)) => {
                    Standing::check_match(None, if_match)?;
                    continue;
                }
                (None, None) => return Err(self.no_function(target).await?),
            };
            Standing::check_match(Some(&standing), if_match)?;
            let mut unneeded = self.claims_held(target, &standing.routes()).await?;
            // Those that the record does not name too: a deploy that was cut short left them.
            let prefix = revisions_of(target.0, target.1);
            let revisions = records::list_all::<RevisionRecord>(self.registry(), &prefix).await?;
            unneeded.extend(
                revisions
                    .into_iter()
                    .map(|(key, found)| (key, found.version)),
            );
            let key = function_key(target.0, target.1);
            let expect = Expect::Version(standing.version);
            match records::remove(self.registry(), &key, expect).await {
                Ok(version) => {
                    self.counts.functions_changed(target.0, -1);
                    return Ok((version, unneeded));
                }
                Err(PutError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::contended(format!("function `{}`", target.1)))
    }
}
