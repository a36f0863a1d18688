//! What the node's policy and the token's say to a revision.
//!
//! **Invariant:** a revision gets traffic only if both allow all of it, by whichever operation:
//! a deploy, another split, or the way back.

use std::collections::BTreeSet;

use midge_api::ErrorCode;
use midge_model::{Limits, NamespaceName, PolicyVerdict, Revision};

use crate::control::Control;
use crate::error::ControlError;
use crate::who::Who;

/// How many refused grants a message names; the plan lists all.
const REFUSED_SHOWN_MAX: usize = 3;

impl Control {
    /// What the node's policy refuses, and then what the token's does.
    pub(crate) fn refused(&self, who: &Who, asked: &Revision) -> Vec<PolicyVerdict> {
        let Revision {
            namespace,
            grants,
            limits,
            routes,
            ..
        } = asked;
        let cap = who.cap.as_ref().map(|cap| &cap.policy);
        let policies = [Some(&self.policy), cap].into_iter().flatten();
        let verdicts = policies.flat_map(|policy| {
            let mut verdicts = policy.check(namespace, grants, limits);
            verdicts.extend(policy.check_hosts(namespace, routes));
            verdicts
        });
        // Where names lead is asked of the node's policy alone, when the function runs.
        let names = cap.map(|cap| cap.check_names_below(&self.policy, namespace, grants));
        let verdicts = verdicts.chain(names.into_iter().flatten());
        verdicts.filter(|verdict| !verdict.allowed).collect()
    }

    /// The limits of who asks for none: safe ones, as far as both policies allow those.
    pub(crate) fn base_limits(&self, who: &Who, namespace: &NamespaceName) -> Limits {
        let base = self.policy.lower(namespace, &Limits::SAFE);
        match &who.cap {
            Some(cap) => cap.policy.lower(namespace, &base),
            None => base,
        }
    }

    /// Refuses what a policy refuses.
    ///
    /// # Errors
    ///
    /// What is refused, by which rule, and what to write instead.
    pub(crate) fn allow(&self, who: &Who, asked: &Revision) -> Result<(), ControlError> {
        let refused = self.refused(who, asked);
        let Some(first) = refused.first() else {
            return Ok(());
        };
        let shown = refused.iter().take(REFUSED_SHOWN_MAX);
        let shown: Vec<_> = shown
            .map(|verdict| format!("`{}`", verdict.asked))
            .collect();
        let mut message = format!("refused: {}", shown.join(", "));
        if let more @ 1.. = refused.len().saturating_sub(REFUSED_SHOWN_MAX) {
            message.push_str(&format!(" and {more} more"));
        }
        // Two rules at most: what the reader needs is who says no.
        let rules: BTreeSet<_> = refused.iter().filter_map(|no| no.rule.clone()).collect();
        let rules: Vec<_> = rules.into_iter().take(2).collect();
        if !rules.is_empty() {
            message.push_str(&format!(", by {}", rules.join(" and ")));
        }
        Err(ControlError::new(ErrorCode::RefusedPolicy, message).with_hint_if(first.hint.clone()))
    }

    /// Refuses to give traffic to a revision that the caller may not deploy, or that the node's
    /// policy would not let anybody deploy any more.
    ///
    /// # Errors
    ///
    /// What is refused, by which rule.
    pub(crate) fn allow_revision(
        &self,
        who: &Who,
        revision: &Revision,
    ) -> Result<(), ControlError> {
        let allowed = self.allow(who, revision);
        allowed.map_err(|error| ControlError {
            message: format!("revision {} is {}", revision.number, error.message),
            ..error
        })
    }
}
