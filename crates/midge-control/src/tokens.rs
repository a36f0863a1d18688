//! Tokens: who gets one, what it may, when it ends.
//!
//! Decides what a caller may hand on. Reading a request's token is `authenticate.rs`, its text
//! `bearer.rs`, how many there may be `token_room.rs`.
//!
//! **Invariant:** nobody hands on more than they have: not another namespace, not a wider cap,
//! not a longer life. A token's text is answered once and kept nowhere.

use std::io;
use std::time::Duration;

use midge_api::{
    ErrorCode, Page, Role, TOKEN_LIFE_S_MAX, TOKEN_NAME_BYTES_MAX, TokenCreated, TokenInfo,
    TokenRequest,
};
use midge_model::{NamespaceName, Quota, Timestamp};
use midge_store::records::{self, RecordId, TokenRecord, Versioned, all_tokens, token_key};
use midge_store::{Expect, PutError, now};
use serde_json::{Value, json};

use crate::audit::Deed;
use crate::authenticate::{is_live, read_cap};
use crate::bearer::Minted;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::error::ControlError;
use crate::page::{PageRequest, Part, page};
use crate::role::Operation;
use crate::who::Who;

/// The longest policy of a token: it is read at each of its requests.
const CAP_BYTES_MAX: usize = 16 << 10;
/// How the token of the first start is called.
const FIRST_NAME: &str = "first admin";

/// What a token is to be, checked.
struct Wanted {
    name: String,
    role: Role,
    namespace: Option<NamespaceName>,
    policy: Option<String>,
    expires_at: Option<Timestamp>,
}

impl Control {
    /// Makes an admin token if there is no live one, and says whether it did. `keep` gets its
    /// text and puts it where the operator finds it, before the node knows the token: a crash in
    /// between leaves a text that opens nothing, and the next start makes another.
    ///
    /// # Errors
    ///
    /// The text could not be kept, or the store does not answer.
    pub async fn first_token(
        &self,
        keep: impl FnOnce(&str) -> io::Result<()> + Send,
    ) -> Result<bool, ControlError> {
        let at = now();
        let is_admin = |token: &TokenRecord| {
            let is_whole = token.namespace.is_none() && token.policy.is_none();
            is_whole && token.role == Role::Admin.as_str() && is_live(token, at)
        };
        if self.any_token(is_admin).await? {
            return Ok(false);
        }
        let minted = Minted::new()?;
        keep(&minted.text).map_err(ControlError::internal)?;
        let wanted = Wanted {
            name: FIRST_NAME.to_owned(),
            role: Role::Admin,
            namespace: None,
            policy: None,
            expires_at: None,
        };
        let record = wanted.record(&minted);
        let key = token_key(&record.id);
        records::write(self.registry(), &key, &record, Expect::Absent).await?;
        Ok(true)
    }

    /// The tokens that the caller may know of; not those that were revoked.
    ///
    /// # Errors
    ///
    /// The caller may not, or the page is none.
    pub async fn list_tokens(
        &self,
        who: &Who,
        request: &PageRequest,
    ) -> Result<Page<TokenInfo>, ControlError> {
        who.may(Operation::ListTokens, None)?;
        let limit = request.limit()?;
        let mut after = request.after::<RecordId>()?.map(|id| token_key(&id));
        let mut infos = Vec::new();
        // A part may hold nothing for this caller, and a page is to be full.
        loop {
            let part =
                Part::<TokenRecord>::read(self.registry(), &all_tokens(), after.as_ref(), limit)
                    .await?;
            let next = part.next(|last| last.id.to_string());
            after = part.records.last().map(|last| token_key(&last.value.id));
            for found in part.records {
                if !is_for(who, &found.value) {
                    continue;
                }
                infos.push(info_of(found.value)?);
                if infos.len() == limit {
                    let next = infos.last().map(|last| last.id.clone());
                    return Ok(page(infos, next));
                }
            }
            if next.is_none() {
                return Ok(Page::whole(infos));
            }
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    ///
    /// The caller may not, or asked for more than it has itself.
    pub async fn create_token(
        &self,
        who: &Who,
        request: TokenRequest,
    ) -> Result<TokenCreated, ControlError> {
        let namespace = request.namespace.clone();
        self.let_through(who, Operation::CreateToken, namespace.as_ref())
            .await?;
        let deed = Deed {
            operation: Operation::CreateToken,
            namespace: namespace.as_ref(),
            subject: request.name.chars().take(TOKEN_NAME_BYTES_MAX).collect(),
            detail: json!({ "role": request.role }),
        };
        let work = async {
            let wanted = wanted(who, request)?;
            let _making = self.tokens.making.lock().await;
            let quota = match &wanted.namespace {
                Some(namespace) => self.namespace(who, namespace).await?.value.quota,
                None => Quota::DEFAULT,
            };
            let scope = wanted.namespace.clone();
            self.room_for_token(scope.as_ref(), quota.tokens).await?;
            let _turn = self.turn().await?;
            // Within the turn, in which no namespace ends.
            if let Some(namespace) = &scope {
                self.namespace(who, namespace).await?;
            }
            let minted = Minted::new()?;
            let record = wanted.record(&minted);
            let key = token_key(&record.id);
            records::write(self.registry(), &key, &record, Expect::Absent).await?;
            self.tokens.made(scope.as_ref());
            Ok(TokenCreated {
                info: info_of(record)?,
                token: minted.text,
            })
        };
        self.audited(who, deed, work, |made| json!({ "token": made.info.id }))
            .await
    }

    /// One token.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is none that it may know of and that was not revoked.
    pub async fn get_token(&self, who: &Who, id: &str) -> Result<TokenInfo, ControlError> {
        who.may(Operation::GetToken, None)?;
        info_of(self.token(who, id).await?.value)
    }

    /// Ends a token, at once.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is none that it may know of and that was not revoked.
    pub async fn revoke_token(&self, who: &Who, id: &str) -> Result<(), ControlError> {
        self.let_through(who, Operation::RevokeToken, None).await?;
        let found = self.token(who, id).await?.value;
        let deed = Deed {
            operation: Operation::RevokeToken,
            namespace: found.namespace.as_ref(),
            subject: found.id.to_string(),
            detail: json!({ "name": found.name }),
        };
        let work = async {
            for _ in 0..ATTEMPTS_MAX {
                let Versioned { value, version } = self.token(who, id).await?;
                // Nothing of it is kept: what it did, and its name, are in the audit log.
                let key = token_key(&value.id);
                let expect = Expect::Version(version);
                match records::remove(self.registry(), &key, expect).await {
                    Ok(_) => {
                        if is_live(&value, now()) {
                            self.tokens.ended(value.namespace.as_ref());
                        }
                        return Ok(());
                    }
                    Err(PutError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(ControlError::contended("the token"))
        };
        self.audited(who, deed, work, |()| Value::Null).await
    }

    /// A token that the caller may know of. One of another namespace is answered as if it were
    /// not there.
    async fn token(&self, who: &Who, id: &str) -> Result<Versioned<TokenRecord>, ControlError> {
        let found = match id.parse::<RecordId>() {
            Ok(id) => records::read::<TokenRecord>(self.registry(), &token_key(&id)).await?,
            Err(_) => None,
        };
        found
            .filter(|found| is_for(who, &found.value))
            .ok_or_else(|| {
                let id: String = id.chars().take(40).collect();
                let message = format!("there is no token `{}`", id.escape_debug());
                ControlError::new(ErrorCode::NotFound, message).with_hint("midge token list")
            })
    }

    async fn any_token(
        &self,
        is_it: impl Fn(&TokenRecord) -> bool + Send,
    ) -> Result<bool, ControlError> {
        let all = records::list_all::<TokenRecord>(self.registry(), &all_tokens()).await?;
        Ok(all.iter().any(|(_, token)| is_it(&token.value)))
    }
}

/// What the caller asked for, if it may hand that on.
fn wanted(who: &Who, request: TokenRequest) -> Result<Wanted, ControlError> {
    let TokenRequest {
        name,
        role,
        namespace,
        expires_in_s,
        policy,
    } = request;
    check_name(&name)?;
    if let (Some(own), None) = (&who.namespace, &namespace) {
        let message = format!("a token of namespace `{own}` makes tokens of that namespace only");
        return Err(ControlError::new(ErrorCode::Forbidden, message)
            .with_hint(format!("name it: `--namespace {own}`")));
    }
    let policy = cap_to_hand_on(who, policy)?;
    let expires_at = expires_in_s.map(end_after).transpose()?;
    // `None` is later than any time, which is not how options sort.
    let expires_at = match (who.expires_at, expires_at) {
        (Some(own), Some(asked)) if asked > own => return Err(outlives(own)),
        (Some(own), None) => Some(own),
        (_, asked) => asked,
    };
    Ok(Wanted {
        name,
        role,
        namespace,
        policy,
        expires_at,
    })
}

fn check_name(name: &str) -> Result<(), ControlError> {
    if name.trim().is_empty() {
        return Err(ControlError::invalid("the token has no name")
            .with_hint("say who or what uses it: `ci of the shop`"));
    }
    if name.len() > TOKEN_NAME_BYTES_MAX || name.chars().any(is_unseen) {
        let message = format!(
            "a token's name is at most {TOKEN_NAME_BYTES_MAX} bytes and without characters that are not seen"
        );
        return Err(ControlError::invalid(message));
    }
    Ok(())
}

/// Whether a character is not seen itself and may change how others look: one name could be
/// written to look like another.
fn is_unseen(found: char) -> bool {
    found.is_control()
        || matches!(found,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The cap of a token that this caller makes. Whether one policy is narrower than another cannot
/// be told in general, so who has a cap hands on exactly that.
fn cap_to_hand_on(who: &Who, asked: Option<String>) -> Result<Option<String>, ControlError> {
    if let (Some(own), Some(asked)) = (&who.cap, &asked)
        && own.text != *asked
    {
        let message = "a token with a policy makes tokens with the same policy only";
        return Err(ControlError::new(ErrorCode::Forbidden, message)
            .with_hint("leave the policy out: the new token gets yours"));
    }
    let Some(text) = asked else {
        return Ok(who.cap.as_ref().map(|own| own.text.clone()));
    };
    if text.len() > CAP_BYTES_MAX {
        let message = format!(
            "the policy has {} bytes, a token's has at most {CAP_BYTES_MAX}",
            text.len()
        );
        return Err(ControlError::invalid(message));
    }
    match read_cap(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(
            ControlError::invalid(format!("the token's policy: {error}"))
                .with_hint_if(error.hint()),
        ),
    }
}

fn end_after(life_s: u64) -> Result<Timestamp, ControlError> {
    if !(1..=TOKEN_LIFE_S_MAX).contains(&life_s) {
        let message =
            format!("a token lives for 1 to {TOKEN_LIFE_S_MAX} seconds, and not {life_s}");
        return Err(ControlError::invalid(message));
    }
    Ok(now().plus(Duration::from_secs(life_s)))
}

fn outlives(own: Timestamp) -> ControlError {
    let message = format!("a token makes no token that lives longer: it ends at {own} itself");
    ControlError::new(ErrorCode::Forbidden, message)
        .with_hint("ask for a shorter life, or for none")
}

impl Wanted {
    fn record(self, minted: &Minted) -> TokenRecord {
        TokenRecord {
            id: minted.bearer.id.clone(),
            name: self.name,
            role: self.role.to_string(),
            namespace: self.namespace,
            hash: minted.bearer.hash,
            policy: self.policy,
            created_at: now(),
            expires_at: self.expires_at,
            revoked_at: None,
            last_used_at: None,
        }
    }
}

/// Whether a token is one that the caller may know of. A revoked one is nobody's any more; what
/// it did is in the audit log.
fn is_for(who: &Who, token: &TokenRecord) -> bool {
    let is_own = match (&who.namespace, &token.namespace) {
        (None, _) => true,
        (Some(own), of) => of.as_ref() == Some(own),
    };
    is_own && token.revoked_at.is_none()
}

fn info_of(record: TokenRecord) -> Result<TokenInfo, ControlError> {
    let role = record.role.parse().map_err(ControlError::internal)?;
    Ok(TokenInfo {
        id: record.id.to_string(),
        name: record.name,
        role,
        namespace: record.namespace,
        policy: record.policy,
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
        last_used_at: record.last_used_at,
    })
}
