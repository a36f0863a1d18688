//! Secrets: set, listed without their values, ended, and sealed anew with another key.
//!
//! Decides who may set which. Sealing is the store's vault; opening them for functions is the
//! node's feed.
//!
//! **Invariant:** a value comes in and never goes out of here: not in an answer, an error, a log
//! line or an audit entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};

use midge_api::{ErrorCode, KeyRotated, Page, SecretInfo, SecretValue};
use midge_model::{
    FunctionName, Grants, Limits, NamespaceName, SecretExposure, SecretGrant, suggest,
};
use midge_store::records::{
    self, FunctionRecord, RevisionRecord, SecretRecord, Versioned, all_secrets, functions_of,
    revisions_of_namespace, secret_key, secrets_of,
};
use midge_store::{Expect, Key, LIST_MAX, PutError, Vault, VaultError, now};
use serde_json::json;

use crate::audit::Deed;
use crate::control::{ATTEMPTS_MAX, Control};
use crate::counts::over;
use crate::error::ControlError;
use crate::namespaces::SUGGEST_NAMES_MAX;
use crate::page::{PageRequest, Part, page};
use crate::role::Operation;
use crate::who::Who;

/// How often all secrets are gone through to seal those that were missed.
const SEALING_ROUNDS_MAX: usize = 3;

/// Which functions use which secrets.
type Uses = BTreeMap<String, BTreeSet<FunctionName>>;

impl Control {
    /// The namespace's secrets, without their values.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such namespace, or the page is none.
    pub async fn list_secrets(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        request: &PageRequest,
    ) -> Result<Page<SecretInfo>, ControlError> {
        who.may(Operation::ListSecrets, Some(namespace))?;
        let limit = request.limit()?;
        self.namespace(who, namespace).await?;
        let after: Option<String> = request.after()?;
        let after = after.map(|name| self.secret_key(namespace, &name));
        let after = after.transpose().map_err(|error| ControlError {
            code: ErrorCode::InvalidRequest,
            ..error
        })?;
        let prefix = secrets_of(namespace);
        let part =
            Part::<SecretRecord>::read(self.registry(), &prefix, after.as_ref(), limit).await?;
        let next = part.next(|last| last.name.clone());
        if part.records.is_empty() {
            return Ok(Page::whole(Vec::new()));
        }
        let uses = self.uses(namespace).await?;
        let infos = part.records.into_iter();
        let infos = infos.map(|found| info_of(found.value, &uses));
        Ok(page(infos.collect(), next))
    }

    /// Gives a secret a value. Functions that are granted it get the new one at once.
    ///
    /// # Errors
    ///
    /// The caller may not, or has a policy that does not allow it this secret; the name is none,
    /// or the namespace has as many as it may.
    pub async fn put_secret(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        name: &str,
        value: SecretValue,
    ) -> Result<SecretInfo, ControlError> {
        self.let_through(who, Operation::PutSecret, Some(namespace))
            .await?;
        let deed = Deed {
            operation: Operation::PutSecret,
            namespace: Some(namespace),
            subject: shown(name),
            detail: json!({}),
        };
        let work = async {
            let tenant = self.namespace(who, namespace).await?.value;
            let key = self.secret_key(namespace, name)?;
            self.may_touch(who, (namespace, name))?;
            // A key that is being rotated must not retire between the sealing and the writing.
            let _sealing = self.sealing.read().await;
            let _turn = self.turn().await?;
            let tenant = self.still_there(who, &tenant).await?;
            for _ in 0..ATTEMPTS_MAX {
                let found = records::read::<SecretRecord>(self.registry(), &key).await?;
                if found.is_none() {
                    self.room_for_secret(namespace, tenant.quota.secrets)
                        .await?;
                }
                let generation = found.as_ref().map_or(0, |found| found.value.generation);
                let sealed = self.vault().seal(key.as_str(), &value.value);
                let record = SecretRecord {
                    namespace: namespace.clone(),
                    name: name.to_owned(),
                    sealed: sealed.map_err(ControlError::internal)?,
                    generation: generation + 1,
                    updated_at: now(),
                    updated_by: who.name.clone(),
                };
                let expect = found.map_or(Expect::Absent, |found| Expect::Version(found.version));
                match records::write(self.registry(), &key, &record, expect).await {
                    Ok(_) => return Ok(record),
                    Err(PutError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(ControlError::contended(format!("secret `{name}`")))
        };
        let learnt = |record: &SecretRecord| json!({ "generation": record.generation });
        let record = self.audited(who, deed, work, learnt).await?;
        let uses = self.uses(namespace).await?;
        Ok(info_of(record, &uses))
    }

    /// Ends a secret that no function with traffic is granted.
    ///
    /// # Errors
    ///
    /// The caller may not, there is no such secret, or it is in use.
    pub async fn delete_secret(
        &self,
        who: &Who,
        namespace: &NamespaceName,
        name: &str,
    ) -> Result<(), ControlError> {
        self.let_through(who, Operation::DeleteSecret, Some(namespace))
            .await?;
        let deed = Deed {
            operation: Operation::DeleteSecret,
            namespace: Some(namespace),
            subject: shown(name),
            detail: json!({}),
        };
        let work = async {
            self.namespace(who, namespace).await?;
            let key = self.secret_key(namespace, name)?;
            // Within the turn, so that no deploy that counts on it comes in between.
            let _turn = self.turn().await?;
            let found = records::read::<SecretRecord>(self.registry(), &key).await?;
            let Some(found) = found else {
                return Err(self.no_secret((namespace, name)).await?);
            };
            self.may_touch(who, (namespace, name))?;
            let uses = self.uses(namespace).await?;
            if let Some(function) = uses.get(name).and_then(BTreeSet::first) {
                let message = format!("secret `{name}` is in use by function `{function}`");
                return Err(ControlError::new(ErrorCode::Conflict, message)
                    .with_hint("deploy the function without it first, or set another value"));
            }
            let expect = Expect::Version(found.version);
            records::remove(self.registry(), &key, expect).await?;
            Ok(())
        };
        self.audited(who, deed, work, |()| json!({})).await
    }

    /// Seals every secret with a new key, and retires the old ones.
    ///
    /// The new key is on disk before anything is sealed with it, and the old ones go when nothing
    /// is sealed with them. Whatever stops it in between, doing it again goes on from there.
    ///
    /// # Errors
    ///
    /// The caller may not, the keys come from the environment, or a secret could not be sealed
    /// anew; all of them still open.
    pub async fn rotate_key(&self, who: &Who) -> Result<KeyRotated, ControlError> {
        self.let_through(who, Operation::RotateKey, None).await?;
        let deed = Deed {
            operation: Operation::RotateKey,
            namespace: None,
            subject: "key".to_owned(),
            detail: json!({}),
        };
        let work = async {
            let _sealing = self.sealing.write().await;
            self.with_vault(add_key).await??;
            let mut left = usize::MAX;
            for _ in 0..SEALING_ROUNDS_MAX {
                left = self.seal_all().await?;
                if left == 0 {
                    break;
                }
            }
            if left > 0 {
                return Err(ControlError::contended(format!("{left} of the secrets")));
            }
            let secrets = self.count_secrets().await?;
            self.with_vault(retire_keys).await??;
            let key_id = self.vault().newest().to_owned();
            tracing::info!(secrets, "key of secrets rotated");
            Ok(KeyRotated { key_id, secrets })
        };
        let learnt = |done: &KeyRotated| json!({ "key_id": done.key_id, "secrets": done.secrets });
        self.audited(who, deed, Box::pin(work), learnt).await
    }

    /// Seals anew what is not sealed with the newest key; says how many others changed meanwhile.
    async fn seal_all(&self) -> Result<usize, ControlError> {
        let mut missed = 0;
        for (key, found) in
            records::list_all::<SecretRecord>(self.registry(), &all_secrets()).await?
        {
            let Versioned { mut value, version } = found;
            if self.vault().is_newest(&value.sealed) {
                continue;
            }
            value.sealed = {
                let vault = self.vault();
                let text = vault.open_sealed(key.as_str(), &value.sealed);
                let sealed = text.and_then(|text| vault.seal(key.as_str(), &text));
                sealed.map_err(|error| cannot_seal(&value, error))?
            };
            let expect = Expect::Version(version);
            match records::write(self.registry(), &key, &value, expect).await {
                Ok(_) => {}
                Err(PutError::Conflict { .. }) => missed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(missed)
    }

    async fn count_secrets(&self) -> Result<u64, ControlError> {
        let all = records::list_all::<SecretRecord>(self.registry(), &all_secrets()).await?;
        Ok(all.len() as u64)
    }

    pub(crate) fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the vault that writes its file, on a thread that may wait for the disk.
    async fn with_vault<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vault) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let vault = self.vault.clone();
        let work = move || work(&mut vault.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(ControlError::internal)
    }

    /// Where a secret is kept, if it can have that name.
    fn secret_key(&self, namespace: &NamespaceName, name: &str) -> Result<Key, ControlError> {
        SecretGrant::new(name, SecretExposure::Env)
            .map_err(|error| ControlError::invalid(error.to_string()))?;
        secret_key(namespace, name).map_err(ControlError::internal)
    }

    /// Who may not grant a secret may not change it either: what it would be used for is out of
    /// the token's reach.
    fn may_touch(&self, who: &Who, target: (&NamespaceName, &str)) -> Result<(), ControlError> {
        let (namespace, name) = target;
        let Some(cap) = &who.cap else {
            return Ok(());
        };
        let grant = SecretGrant::new(name, SecretExposure::Env);
        let grants = Grants {
            secrets: vec![grant.map_err(|error| ControlError::invalid(error.to_string()))?],
            ..Grants::default()
        };
        let limits = cap.policy.lower(namespace, &Limits::SAFE);
        let mut verdicts = cap.policy.check(namespace, &grants, &limits).into_iter();
        match verdicts.find(|verdict| !verdict.allowed) {
            None => Ok(()),
            Some(refused) => {
                let message = format!("the token's policy does not allow secret `{name}`");
                Err(ControlError::new(ErrorCode::RefusedPolicy, message).with_hint_if(refused.hint))
            }
        }
    }

    async fn room_for_secret(
        &self,
        namespace: &NamespaceName,
        secrets_max: u32,
    ) -> Result<(), ControlError> {
        let prefix = secrets_of(namespace);
        let all = records::list_all::<SecretRecord>(self.registry(), &prefix).await?;
        if all.len() < usize::try_from(secrets_max).unwrap_or(usize::MAX) {
            return Ok(());
        }
        Err(over(namespace, "secrets", secrets_max))
    }

    async fn no_secret(
        &self,
        target: (&NamespaceName, &str),
    ) -> Result<ControlError, ControlError> {
        let (namespace, name) = target;
        let prefix = secrets_of(namespace);
        let known =
            Part::<SecretRecord>::read(self.registry(), &prefix, None, SUGGEST_NAMES_MAX).await?;
        let names = known.records.iter().map(|found| found.value.name.as_str());
        let hint = match suggest::nearest(name, names) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("midge secret list --namespace {namespace}"),
        };
        let message = format!("namespace `{namespace}` has no secret `{name}`");
        Ok(ControlError::new(ErrorCode::NotFound, message).with_hint(hint))
    }

    /// Which functions' revisions with traffic are granted which secrets. Read in pages: one read
    /// for each of 10,000 functions would take seconds.
    async fn uses(&self, namespace: &NamespaceName) -> Result<Uses, ControlError> {
        let functions =
            records::list_all::<FunctionRecord>(self.registry(), &functions_of(namespace)).await?;
        let traffic: HashMap<_, _> = functions
            .into_iter()
            .map(|(_, found)| (found.value.function, found.value.traffic))
            .collect();
        let mut uses = Uses::new();
        let prefix = revisions_of_namespace(namespace);
        let mut after = None;
        loop {
            let found = records::list_of::<RevisionRecord>(
                self.registry(),
                &prefix,
                after.as_ref(),
                LIST_MAX,
            )
            .await?;
            for (_, found) in &found {
                let revision = &found.value.revision;
                let traffic = traffic.get(&revision.function);
                if traffic.is_some_and(|traffic| traffic.has(revision.number)) {
                    for grant in &revision.grants.secrets {
                        let users = uses.entry(grant.name.clone()).or_default();
                        users.insert(revision.function.clone());
                    }
                }
            }
            if found.len() < LIST_MAX {
                return Ok(uses);
            }
            after = found.into_iter().last().map(|(key, _)| key);
        }
    }
}

fn info_of(record: SecretRecord, uses: &Uses) -> SecretInfo {
    let users = uses.get(&record.name);
    SecretInfo {
        namespace: record.namespace,
        name: record.name,
        generation: record.generation,
        updated_at: record.updated_at,
        updated_by: record.updated_by,
        used_by: users.into_iter().flatten().cloned().collect(),
    }
}

/// A new key. Those from the environment are rotated there, by putting a new one in front; then
/// this seals with that one. Too many keys are the traces of rotations that did not end; the
/// newest of them is as good as another.
fn add_key(vault: &mut Vault) -> Result<(), ControlError> {
    match vault.rotate() {
        Ok(_) | Err(VaultError::FromEnvironment | VaultError::TooManyKeys) => Ok(()),
        Err(error) => Err(vault_refused(error)),
    }
}

fn retire_keys(vault: &mut Vault) -> Result<(), ControlError> {
    match vault.retire_old() {
        Ok(_) | Err(VaultError::FromEnvironment) => Ok(()),
        Err(error) => Err(vault_refused(error)),
    }
}

fn vault_refused(error: VaultError) -> ControlError {
    ControlError::new(ErrorCode::Store, "the key file could not be written")
        .with_hint("see the node's log; every secret still opens")
        .because(error)
}

fn cannot_seal(record: &SecretRecord, error: VaultError) -> ControlError {
    let (namespace, name) = (&record.namespace, &record.name);
    let message = format!("secret `{name}` of namespace `{namespace}` could not be sealed anew");
    ControlError::new(ErrorCode::Conflict, message)
        .with_hint("set it again or delete it, and rotate again; no key was retired")
        .because(error)
}

/// A name that may be nonsense, short enough for a log.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
