//! Who waits until all workers serve something.
//!
//! Decides when their wait is over, from what the roster says about the function. A deploy waits
//! here before it answers.
//!
//! **Invariant:** at most [`WAITING_MAX`] wait; a wait ends once every worker has answered.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::protocol::FunctionKey;

/// The control door takes 64 requests at a time; whoever went away may still stand here.
const WAITING_MAX: usize = 1_024;

/// Resolves when all workers serve what was waited for.
pub(crate) type Served = oneshot::Receiver<Result<(), NotServed>>;

/// Why a function is not served as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct NotServed {
    reason: String,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_function: BTreeMap<FunctionKey, Vec<Waiter>>,
    count: usize,
    /// The versions of functions that there was no place for, and why.
    refused: BTreeMap<FunctionKey, (u64, String)>,
    /// The version up to which the roster knows everything.
    seen: u64,
}

#[derive(Debug)]
struct Waiter {
    version: u64,
    answer: oneshot::Sender<Result<(), NotServed>>,
}

/// How far the workers are with a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    pub(super) version: u64,
    pub(super) all_applied: bool,
    pub(super) fault: Option<&'a str>,
}

impl Waiting {
    /// One more who waits.
    pub(super) fn add(&mut self, key: FunctionKey, version: u64) -> Served {
        let (answer, served) = oneshot::channel();
        if self.count >= WAITING_MAX {
            self.forget_gone();
        }
        if self.count >= WAITING_MAX {
            refuse(answer, "too many deploys wait for this node's workers");
            return served;
        }
        self.count += 1;
        let waiter = Waiter { version, answer };
        self.by_function.entry(key).or_default().push(waiter);
        served
    }

    /// The version up to which everything is known.
    pub(super) fn newest(&self) -> u64 {
        self.seen
    }

    /// Everything up to `version` is known; returns the functions that somebody waits for.
    pub(super) fn seen(&mut self, version: u64) -> Vec<FunctionKey> {
        self.seen = self.seen.max(version);
        self.by_function.keys().cloned().collect()
    }

    /// A removal that no worker is behind with is as good as seen.
    pub(super) fn removed(&mut self, key: &FunctionKey, version: u64) {
        self.end(key, |waiter| (waiter.version <= version).then_some(Ok(())));
    }

    /// A function will not be served as of this version, for this reason; without one it will.
    pub(super) fn refuse(&mut self, key: &FunctionKey, version: u64, reason: Option<&str>) {
        match reason {
            None => drop(self.refused.remove(key)),
            Some(reason) => {
                if self.refused.len() >= WAITING_MAX {
                    // Whoever asks for the one that goes will see that it is not served.
                    self.refused.pop_first();
                }
                let refusal = (version, reason.to_owned());
                self.refused.insert(key.clone(), refusal);
            }
        }
    }

    /// Ends the waits that this progress, or the absence of any function, is an answer to.
    pub(super) fn settle(&mut self, key: &FunctionKey, progress: Option<Progress<'_>>) {
        let seen = self.seen;
        let refused = self.refused.get(key).cloned();
        self.end(key, |waiter| match (&refused, progress) {
            (Some((version, reason)), _) if waiter.version <= *version => Some(Err(reason.clone())),
            (_, None) => (waiter.version <= seen).then_some(Ok(())),
            (_, Some(progress)) => {
                // What changed last may have been something else than this function.
                let known = progress.version.max(seen) >= waiter.version;
                match progress.fault {
                    Some(fault) if known => Some(Err(fault.to_owned())),
                    None if known && progress.all_applied => Some(Ok(())),
                    Some(_) | None => None,
                }
            }
        });
    }

    fn end(
        &mut self,
        key: &FunctionKey,
        answer_to: impl Fn(&Waiter) -> Option<Result<(), String>>,
    ) {
        let Some(waiters) = self.by_function.remove(key) else {
            return;
        };
        let mut left = Vec::new();
        for waiter in waiters {
            match answer_to(&waiter) {
                None => left.push(waiter),
                Some(answer) => {
                    self.count -= 1;
                    let answer = answer.map_err(|reason| NotServed { reason });
                    // Whoever waited may have gone.
                    drop(waiter.answer.send(answer));
                }
            }
        }
        if !left.is_empty() {
            self.by_function.insert(key.clone(), left);
        }
    }

    fn forget_gone(&mut self) {
        for waiters in self.by_function.values_mut() {
            waiters.retain(|waiter| !waiter.answer.is_closed());
        }
        self.by_function.retain(|_, waiters| !waiters.is_empty());
        self.count = self.by_function.values().map(Vec::len).sum();
    }
}

fn refuse(answer: oneshot::Sender<Result<(), NotServed>>, reason: &str) {
    let reason = reason.to_owned();
    drop(answer.send(Err(NotServed { reason })));
}
