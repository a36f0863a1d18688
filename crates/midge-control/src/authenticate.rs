//! Who a request comes from.
//!
//! Decides whether a token is good. What it may do is `role.rs`; how tokens are made and ended is
//! `tokens.rs`; counting failures per address is the door's.
//!
//! **Invariant:** a token that is unknown, expired or revoked gets one and the same answer, and
//! the comparison takes as long whichever it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use midge_api::Role;
use midge_model::{NamespaceName, Policy, RequestId, Timestamp};
use midge_store::records::{self, RecordId, TokenRecord, Versioned, token_key};
use midge_store::{Expect, Registry, now};

use crate::bearer::{Bearer, Minted, TokenHash};
use crate::config::Auth;
use crate::control::Control;
use crate::error::ControlError;
use crate::who::{Cap, Who};

/// How often at most the time of a token's last use is written down.
const LAST_USED_EVERY: Duration = Duration::from_secs(60);
/// How a token's policy is called in verdicts.
const CAP_NAME: &str = "the token's policy";
/// The most tokens that live in memory only.
const LOCAL_TOKENS_MAX: usize = 64;

/// Tokens that live as long as the process and are nowhere else.
#[derive(Debug, Default)]
pub(crate) struct LocalTokens(Mutex<HashMap<RecordId, LocalToken>>);

#[derive(Clone)]
struct LocalToken {
    hash: TokenHash,
    name: String,
    role: Role,
    namespace: Option<NamespaceName>,
}

impl Control {
    /// Who shows this token, the text behind `authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// The token is missing, unknown, expired or revoked, which is not told apart; or the store
    /// does not answer.
    pub async fn authenticate(
        &self,
        bearer: Option<&str>,
        from: IpAddr,
        request_id: RequestId,
    ) -> Result<Who, ControlError> {
        let nobody = Who {
            token: None,
            name: "anyone".to_owned(),
            role: Role::Admin,
            namespace: None,
            cap: None,
            expires_at: None,
            from,
            request_id,
        };
        if self.config.auth == Auth::None {
            return Ok(nobody);
        }
        let bearer = bearer
            .and_then(Bearer::parse)
            .ok_or_else(ControlError::unauthenticated)?;
        if let Some(local) = self.local.find(&bearer) {
            return Ok(Who {
                token: Some(bearer.id),
                name: local.name,
                role: local.role,
                namespace: local.namespace,
                ..nobody
            });
        }
        let token = self.kept_token(&bearer).await?;
        let cap = cap_of(&token.value)?;
        let role = token.value.role.parse();
        let who = Who {
            token: Some(bearer.id),
            name: token.value.name.clone(),
            // A role of a newer node is no role here.
            role: role.map_err(|_| ControlError::unauthenticated())?,
            namespace: token.value.namespace.clone(),
            cap,
            expires_at: token.value.expires_at,
            ..nobody
        };
        self.note_use(token);
        Ok(who)
    }

    /// A token that lives in memory only, for the node's own requests: it ends with the process.
    ///
    /// # Errors
    ///
    /// The system gave no random bytes, or there are too many such tokens.
    pub fn local_token(
        &self,
        name: &str,
        role: Role,
        namespace: Option<NamespaceName>,
    ) -> Result<String, ControlError> {
        let minted = Minted::new()?;
        let token = LocalToken {
            hash: minted.bearer.hash,
            name: name.to_owned(),
            role,
            namespace,
        };
        self.local.add(minted.bearer.id, token)?;
        Ok(minted.text)
    }

    async fn kept_token(&self, bearer: &Bearer) -> Result<Versioned<TokenRecord>, ControlError> {
        let key = token_key(&bearer.id);
        let found = records::read::<TokenRecord>(self.registry(), &key).await?;
        // An unknown id is compared too, so that time does not tell which ids there are.
        let hash = found.as_ref().map_or([0; 32], |found| found.value.hash);
        let is_same = bearer.matches(&hash);
        found
            .filter(|found| is_same && is_live(&found.value, now()))
            .ok_or_else(ControlError::unauthenticated)
    }

    /// Refuses to go on for a caller whose token ended since the request began: an upload or a
    /// compile takes longer than it takes to revoke a token that was stolen.
    ///
    /// # Errors
    ///
    /// The token is not good any more.
    pub(crate) async fn still_good(&self, who: &Who) -> Result<(), ControlError> {
        let Some(id) = &who.token else {
            return Ok(());
        };
        if self.local.knows(id) {
            return Ok(());
        }
        let found = records::read::<TokenRecord>(self.registry(), &token_key(id)).await?;
        let is_good = found.is_some_and(|found| is_live(&found.value, now()));
        is_good
            .then_some(())
            .ok_or_else(ControlError::unauthenticated)
    }

    /// Writes down that the token was used, off the request's path and at most once a minute.
    fn note_use(&self, token: Versioned<TokenRecord>) {
        let at = now();
        let Versioned { mut value, version } = token;
        let is_recent = |used: Timestamp| at.since(used) < LAST_USED_EVERY;
        if value.last_used_at.is_some_and(is_recent) {
            return;
        }
        value.last_used_at = Some(at);
        let registry: Arc<dyn Registry> = self.store.registry.clone();
        tokio::spawn(async move {
            let key = token_key(&value.id);
            // By version: whoever revokes the token meanwhile wins. Of many requests in the same
            // moment one writes and the others find its version.
            let written = records::write(&*registry, &key, &value, Expect::Version(version)).await;
            if let Err(error) = written {
                tracing::debug!(%error, "use of a token not written down");
            }
        });
    }
}

/// Whether a token is good at this moment.
pub(crate) fn is_live(token: &TokenRecord, at: Timestamp) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|end| at < end)
}

/// Reads a token's policy.
///
/// # Errors
///
/// The text, and what is wrong with it.
pub(crate) fn read_cap(text: &str) -> Result<Cap, midge_model::PolicyError> {
    let policy = Policy::parse(text)?.named(CAP_NAME);
    let text = text.to_owned();
    Ok(Cap { policy, text })
}

/// A policy that was good when the token was made and does not read now closes the token: without
/// its cap it would do more than it may.
fn cap_of(token: &TokenRecord) -> Result<Option<Arc<Cap>>, ControlError> {
    let Some(text) = &token.policy else {
        return Ok(None);
    };
    let cap = read_cap(text).map_err(ControlError::internal)?;
    Ok(Some(Arc::new(cap)))
}

impl LocalTokens {
    fn find(&self, bearer: &Bearer) -> Option<LocalToken> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tokens.get(&bearer.id)?;
        bearer.matches(&found.hash).then(|| found.clone())
    }

    fn knows(&self, id: &RecordId) -> bool {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.contains_key(id)
    }

    fn add(&self, id: RecordId, token: LocalToken) -> Result<(), ControlError> {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= LOCAL_TOKENS_MAX {
            return Err(ControlError::internal(format!(
                "there are {LOCAL_TOKENS_MAX} tokens in memory already"
            )));
        }
        tokens.insert(id, token);
        Ok(())
    }
}

impl std::fmt::Debug for LocalToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalToken")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
