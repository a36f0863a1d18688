//! Which revisions answer, and how often each.
//!
//! Decides that every revision of a split is kept and allowed. What a split is, is the model's to
//! say; picking by it is the runtime's work.
//!
//! **Invariant:** traffic goes to revisions that are kept and that both policies allow to whoever
//! sends it there.

use midge_api::{ErrorCode, FunctionInfo, RollbackRequest};
use midge_model::Traffic;
use midge_store::records::{FunctionRecord, RevisionRecord};
use midge_store::{Version, now};
use serde_json::json;

use crate::audit::Deed;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::error::ControlError;
use crate::functions::no_revision;
use crate::publish::{Switch, Switched};
use crate::role::Operation;
use crate::standing::{Standing, Target};
use crate::who::Who;

impl Control {
    /// Splits a function's traffic anew; answers when every worker of this node does.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such function or revision, a policy does not allow one of
    /// the revisions, or the function is another version than `if_match`.
    pub async fn set_traffic(
        &self,
        who: &Who,
        target: Target<'_>,
        traffic: Traffic,
        if_match: Option<Version>,
    ) -> Result<FunctionInfo, ControlError> {
        self.let_through(who, Operation::SetTraffic, Some(target.0))
            .await?;
        let deed = Deed {
            operation: Operation::SetTraffic,
            namespace: Some(target.0),
            subject: target.1.to_string(),
            detail: json!({ "traffic": traffic.to_string() }),
        };
        let wanted = |_: &FunctionRecord| Ok(traffic.clone());
        let work = Box::pin(self.redirect(who, target, wanted, if_match));
        self.audited(who, deed, work, |_| json!({})).await
    }

    /// Gives all traffic to a revision that is kept, or splits it as before the last change;
    /// answers when every worker of this node does.
    ///
    /// # Errors
    ///
    /// As [`Control::set_traffic`], or there is nothing to go back to.
    pub async fn rollback(
        &self,
        who: &Who,
        target: Target<'_>,
        request: RollbackRequest,
        if_match: Option<Version>,
    ) -> Result<FunctionInfo, ControlError> {
        self.let_through(who, Operation::Rollback, Some(target.0))
            .await?;
        let deed = Deed {
            operation: Operation::Rollback,
            namespace: Some(target.0),
            subject: target.1.to_string(),
            detail: json!({ "to": request.to }),
        };
        let wanted = |record: &FunctionRecord| match request.to {
            Some(number) => Ok(Traffic::all_to(number)),
            None => traffic_before(record),
        };
        let work = Box::pin(self.redirect(who, target, wanted, if_match));
        let learnt = |info: &FunctionInfo| json!({ "traffic": info.traffic.to_string() });
        self.audited(who, deed, work, learnt).await
    }

    async fn redirect(
        &self,
        who: &Who,
        target: Target<'_>,
        wanted: impl Fn(&FunctionRecord) -> Result<Traffic, ControlError> + Send,
        if_match: Option<Version>,
    ) -> Result<FunctionInfo, ControlError> {
        let tenant = self.namespace(who, target.0).await?.value;
        let turn = self.turn().await?;
        self.still_there(who, &tenant).await?;
        for _ in 0..ATTEMPTS_MAX {
            let standing = self.existing(target).await?;
            Standing::check_match(Some(&standing), if_match)?;
            let traffic = wanted(&standing.record)?;
            let live = self.kept(&standing.record, &traffic).await?;
            for revision in &live {
                self.allow_revision(who, &revision.revision)?;
            }
            if traffic == standing.record.traffic {
                // Written again it would be what a rollback goes back to.
                drop(turn);
                self.served(target, standing.version).await?;
                return Ok(self.function_info(&standing));
            }
            let switch = Switch {
                standing: Some(&standing),
                record: FunctionRecord {
                    previous: Some(standing.record.traffic.clone()),
                    traffic,
                    updated_at: now(),
                    ..standing.record.clone()
                },
                live: live.iter().map(|live| &live.revision).collect(),
                new: None,
            };
            let Some(switched) = self.switch(who, switch, &turn).await? else {
                continue;
            };
            drop(turn);
            return self.redirected(target, switched, live).await;
        }
        Err(ControlError::contended(format!("function `{}`", target.1)))
    }

    async fn redirected(
        &self,
        target: Target<'_>,
        switched: Switched,
        live: Vec<RevisionRecord>,
    ) -> Result<FunctionInfo, ControlError> {
        let Switched {
            record,
            version,
            unneeded,
        } = switched;
        let (served, ()) = futures::join!(self.served(target, version), self.clear(unneeded));
        served?;
        let (namespace, function) = target;
        tracing::info!(%namespace, %function, traffic = %record.traffic, "traffic redirected");
        Ok(self.function_info(&Standing {
            record,
            version,
            live,
        }))
    }

    /// The revisions of a split, all of which must be kept.
    async fn kept(
        &self,
        record: &FunctionRecord,
        traffic: &Traffic,
    ) -> Result<Vec<RevisionRecord>, ControlError> {
        let target = (&record.namespace, &record.function);
        let mut kept = Vec::new();
        for share in traffic.shares() {
            let number = share.revision;
            let found = match record.revisions.contains(&number) {
                true => self.revision(target, number).await?,
                false => None,
            };
            kept.push(found.ok_or_else(|| no_revision(record, number, ErrorCode::Invalid))?);
        }
        Ok(kept)
    }
}

/// The split before the last change, among the revisions of it that are still kept.
fn traffic_before(record: &FunctionRecord) -> Result<Traffic, ControlError> {
    let previous = record.previous.as_ref();
    let kept =
        previous.and_then(|before| before.among(|number| record.revisions.contains(&number)));
    kept.ok_or_else(|| {
        let message = format!(
            "function `{}` has no traffic to go back to: {}",
            record.function,
            match previous {
                Some(_) => "the revisions of before are not kept",
                None => "it is as it was first deployed",
            }
        );
        let function = &record.function;
        ControlError::new(ErrorCode::Conflict, message).with_hint(format!(
            "see `midge revisions {function}`, and name one: `midge rollback {function} --to r1`"
        ))
    })
}
