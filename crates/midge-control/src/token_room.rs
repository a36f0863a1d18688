//! How many tokens there are, for the quotas, and how many that ended are kept.
//!
//! Tokens are kept by id and not by namespace, so counting them reads all of them. That happens
//! once in a while, before the turn to write and in a turn of its own, which only those wait for
//! who make tokens; in between the count is kept up with. Counting also takes away the oldest
//! tokens that ended, so that making and ending tokens fills nothing.
//!
//! **Invariant:** the turn to write never waits for a count, and a namespace keeps no more tokens
//! than its quota, those that ended, and those made since the last count.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use midge_api::ErrorCode;
use midge_model::{NamespaceName, Timestamp};
use midge_store::records::{self, TokenRecord, all_tokens};
use midge_store::{Key, LIST_MAX, Version, now};
use tokio::time::Instant;

use crate::authenticate::is_live;
use crate::control::Control;
use crate::counts::over;
use crate::error::ControlError;

/// The most tokens that ended and are kept, of one namespace and of the node.
const ENDED_TOKENS_MAX: usize = 100;
/// How many tokens are made between two counts at most.
const MADE_PER_COUNT: u32 = 100;
/// How long a count is trusted.
const COUNT_TRUSTED_MAX: Duration = Duration::from_secs(60 * 60);
/// How long a count is trusted that leaves no room: tokens end by themselves.
const FULL_TRUSTED_MAX: Duration = Duration::from_secs(10);
/// The most namespaces whose counts are remembered.
const COUNTS_MAX: usize = 10_000;

/// Live tokens by namespace; `None` are those of the whole node.
#[derive(Debug, Default)]
pub(crate) struct TokenCounts {
    known: Mutex<HashMap<Option<NamespaceName>, Count>>,
    /// Held while a token is made, so that nobody counts meanwhile.
    pub(crate) making: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    live: u32,
    made: u32,
    at: Instant,
}

/// A token that ended.
struct Ended {
    at: Timestamp,
    key: Key,
    version: Version,
}

impl TokenCounts {
    /// One more is there.
    pub(crate) fn made(&self, namespace: Option<&NamespaceName>) {
        self.change(namespace, |count| {
            count.live = count.live.saturating_add(1);
            count.made = count.made.saturating_add(1);
        });
    }

    /// One of them ended.
    pub(crate) fn ended(&self, namespace: Option<&NamespaceName>) {
        self.change(namespace, |count| count.live = count.live.saturating_sub(1));
    }

    fn change(&self, namespace: Option<&NamespaceName>, change: impl FnOnce(&mut Count)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get_mut(&namespace.cloned()) {
            change(count);
        }
    }

    fn get(&self, namespace: Option<&NamespaceName>) -> Option<Count> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&namespace.cloned()).copied()
    }

    fn set(&self, namespace: Option<&NamespaceName>, live: u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= COUNTS_MAX {
            known.clear();
        }
        let (made, at) = (0, Instant::now());
        known.insert(namespace.cloned(), Count { live, made, at });
    }
}

impl Count {
    fn is_good_for(&self, tokens_max: u32) -> bool {
        let trusted = match self.live < tokens_max {
            true => COUNT_TRUSTED_MAX,
            false => FULL_TRUSTED_MAX,
        };
        self.made < MADE_PER_COUNT && self.at.elapsed() < trusted
    }
}

impl Control {
    /// Refuses one token more than there may be. Tokens that ended do not count: who replaces
    /// them regularly needs no wider quota.
    ///
    /// # Errors
    ///
    /// There are as many as there may be, or the store does not answer.
    pub(crate) async fn room_for_token(
        &self,
        namespace: Option<&NamespaceName>,
        tokens_max: u32,
    ) -> Result<(), ControlError> {
        let known = self.tokens.get(namespace);
        let live = match known.filter(|count| count.is_good_for(tokens_max)) {
            Some(count) => count.live,
            None => self.count_tokens(namespace).await?,
        };
        if live < tokens_max {
            return Ok(());
        }
        Err(match namespace {
            Some(namespace) => over(namespace, "tokens", tokens_max),
            None => ControlError::new(
                ErrorCode::Quota,
                format!("there are {tokens_max} tokens of the whole node already"),
            )
            .with_hint("revoke some, or make tokens of a namespace"),
        })
    }

    /// Counts the live tokens, and takes away the oldest of too many that ended.
    async fn count_tokens(&self, namespace: Option<&NamespaceName>) -> Result<u32, ControlError> {
        let at = now();
        let mut live = 0_u32;
        let mut ended = Vec::new();
        let mut after = None;
        loop {
            let found = records::list_of::<TokenRecord>(
                self.registry(),
                &all_tokens(),
                after.as_ref(),
                LIST_MAX,
            )
            .await?;
            let is_last = found.len() < LIST_MAX;
            after = found.last().map(|(key, _)| key.clone());
            for (key, found) in found {
                let token = &found.value;
                if token.namespace.as_ref() != namespace {
                    continue;
                }
                if is_live(token, at) {
                    live = live.saturating_add(1);
                    continue;
                }
                let ends = [token.revoked_at, token.expires_at].into_iter().flatten();
                let at = ends.min().unwrap_or_default();
                let version = found.version;
                ended.push(Ended { at, key, version });
            }
            if is_last {
                break;
            }
        }
        self.tokens.set(namespace, live);
        ended.sort_by_key(|ended| ended.at);
        let excess = ended.len().saturating_sub(ENDED_TOKENS_MAX);
        for Ended { key, version, .. } in ended.into_iter().take(excess) {
            self.take_away(&key, version).await?;
        }
        Ok(live)
    }
}
