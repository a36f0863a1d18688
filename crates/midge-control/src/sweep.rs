//! Taking away what nobody needs: what deploys that were cut short left, and what grew old.
//!
//! Decides what is nobody's. The order of writes in `publish.rs` makes leftovers harmless, so a
//! sweep is never urgent and gives up at the first error; the next one goes on.
//!
//! **Invariant:** nothing is taken away that is younger than any operation can last, or that
//! changed since it was looked at.

use std::collections::HashSet;
use std::time::Duration;

use midge_model::{Digest, FunctionName, NamespaceName, Timestamp};
use midge_store::records::{
    self, ClaimRecord, ComponentRecord, FunctionRecord, IdempotencyRecord, Kept, NamespaceRecord,
    RevisionRecord, TokenRecord, Versioned, all_claims, all_components, all_namespaces,
    all_revisions, all_tokens, component_key, function_key, idempotencies,
};
use midge_store::{Expect, Key, LIST_MAX, Prefix, StoreError, now};

use crate::audit_list::audit_scopes;
use crate::claims::key_of_host;
use crate::components::UNUSED_COMPONENT_AGE;
use crate::control::Control;
use crate::error::ControlError;

/// How old a revision must be that no function names: no deploy takes that long.
const ORPHAN_AGE: Duration = Duration::from_secs(60 * 60);
/// How long tokens that ended are kept, for who reads the audit log.
const ENDED_TOKEN_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often to sweep if nothing asks for it.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long to wait after being asked: who removes many functions asks many times.
const SWEEP_DELAY: Duration = Duration::from_secs(30);

/// What a sweep took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Revisions that no function names.
    pub revisions: u64,
    /// Claims whose function does not answer the route.
    pub claims: u64,
    /// Components that no revision of their namespace names.
    pub components: u64,
    /// Artifacts that no namespace has.
    pub artifacts: u64,
    /// Answers, tokens and audit entries that grew old.
    pub old: u64,
}

/// When a sweep happens, and how old things must be that it takes.
struct Ages {
    at: Timestamp,
    orphan: Duration,
    component: Duration,
}

impl Control {
    /// Sweeps a little after the start, after something was removed, and once an hour. Never
    /// returns.
    pub async fn tidy(&self) {
        // Who starts has more urgent things to read.
        tokio::time::sleep(SWEEP_DELAY).await;
        loop {
            match self.sweep().await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(swept) => tracing::info!(?swept, "store swept"),
                Err(error) => tracing::warn!(%error, "sweep not finished"),
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = self.untidy.notified() => tokio::time::sleep(SWEEP_DELAY).await,
            }
        }
    }

    /// Takes away what nobody needs.
    ///
    /// # Errors
    ///
    /// The store does not answer; what was taken away is gone, the rest waits for the next time.
    pub async fn sweep(&self) -> Result<Swept, ControlError> {
        self.sweep_as(Ages {
            at: now(),
            orphan: ORPHAN_AGE,
            component: UNUSED_COMPONENT_AGE,
        })
        .await
    }

    /// [`Control::sweep`] as if all that is unneeded were old enough: for tests and for an
    /// operator who knows that nothing is being deployed.
    ///
    /// # Errors
    ///
    /// As [`Control::sweep`].
    pub async fn sweep_all(&self) -> Result<Swept, ControlError> {
        self.sweep_as(Ages {
            at: now(),
            orphan: Duration::ZERO,
            component: Duration::ZERO,
        })
        .await
    }

    async fn sweep_as(&self, ages: Ages) -> Result<Swept, ControlError> {
        // Before the revisions that may name them: one that a deploy renews meanwhile has another
        // version when its turn comes.
        let components = self.old_components(&ages).await?;
        let (named, revisions) = self.sweep_revisions(&ages).await?;
        let claims = self.sweep_claims().await?;
        let mut taken = 0;
        for (key, found) in components {
            let component = &found.value;
            if named.contains(&(component.namespace.clone(), component.digest)) {
                continue;
            }
            if self.take_away(&key, found.version).await? {
                self.counts.forget(&component.namespace);
                taken += 1;
            }
        }
        Ok(Swept {
            revisions,
            claims,
            components: taken,
            artifacts: self.sweep_artifacts(&ages).await?,
            old: self.sweep_old(&ages).await?,
        })
    }

    async fn old_components(
        &self,
        ages: &Ages,
    ) -> Result<Vec<(Key, Versioned<ComponentRecord>)>, ControlError> {
        let mut all =
            records::list_all::<ComponentRecord>(self.registry(), &all_components()).await?;
        all.retain(|(_, found)| ages.at.since(found.value.uploaded_at) >= ages.component);
        Ok(all)
    }

    /// The components that revisions name, and how many revisions went because no function names
    /// them.
    async fn sweep_revisions(
        &self,
        ages: &Ages,
    ) -> Result<(HashSet<(NamespaceName, Digest)>, u64), ControlError> {
        let mut named = HashSet::new();
        let mut taken = 0;
        let mut after = None;
        // Revisions of one function stand together, so its record is read once.
        let mut function: Option<(NamespaceName, FunctionName, Option<FunctionRecord>)> = None;
        loop {
            let page = self
                .page::<RevisionRecord>(&all_revisions(), after.as_ref())
                .await?;
            for (key, found) in &page {
                let revision = &found.value.revision;
                let is_same = function.as_ref().is_some_and(|(namespace, name, _)| {
                    (namespace, name) == (&revision.namespace, &revision.function)
                });
                if !is_same {
                    let (namespace, name) = (&revision.namespace, &revision.function);
                    let record = self.function_record(namespace, name).await?;
                    function = Some((namespace.clone(), name.clone(), record));
                }
                let record = function.as_ref().and_then(|(_, _, record)| record.as_ref());
                let is_named =
                    record.is_some_and(|record| record.revisions.contains(&revision.number));
                let is_old = ages.at.since(found.value.created_at) >= ages.orphan;
                if !is_named && is_old && self.take_orphan(key, found).await? {
                    taken += 1;
                } else {
                    named.insert((revision.namespace.clone(), revision.digest));
                }
            }
            if page.len() < LIST_MAX {
                return Ok((named, taken));
            }
            after = page.into_iter().last().map(|(key, _)| key);
        }
    }

    /// Looks again within a turn: a deploy of this process may have named it since.
    async fn take_orphan(
        &self,
        key: &Key,
        found: &Versioned<RevisionRecord>,
    ) -> Result<bool, ControlError> {
        let _turn = self.turn().await?;
        let revision = &found.value.revision;
        let record = self
            .function_record(&revision.namespace, &revision.function)
            .await?;
        if record.is_some_and(|record| record.revisions.contains(&revision.number)) {
            return Ok(false);
        }
        self.take_away(key, found.version).await
    }

    async fn sweep_claims(&self) -> Result<u64, ControlError> {
        let mut taken = 0;
        let mut hosts = Vec::new();
        let mut routed = HashSet::new();
        let mut after = None;
        loop {
            let page = self
                .page::<ClaimRecord>(&all_claims(), after.as_ref())
                .await?;
            let last = page.last().map(|(key, _)| key.clone());
            let is_last = page.len() < LIST_MAX;
            for (key, found) in page {
                let claim = &found.value;
                let host = claim.route.host().map(str::to_owned);
                match host {
                    Some(host) if key == key_of_host(&host) => hosts.push((host, key, found)),
                    _ if self.is_stale(claim).await? => {
                        taken += u64::from(self.take_claim(&key, &found).await?);
                    }
                    Some(host) => {
                        routed.insert((claim.namespace.clone(), host));
                    }
                    None => {}
                }
            }
            if is_last {
                break;
            }
            after = last;
        }
        // Hosts last, when it is known which of them are routed: to look for each of them among
        // all would take the square of their number.
        for (host, key, found) in hosts {
            let owner = (found.value.namespace.clone(), host);
            if !routed.contains(&owner) {
                taken += u64::from(self.take_claim(&key, &found).await?);
            }
        }
        Ok(taken)
    }

    /// Looks again within a turn, where no deploy is between its claims and its record.
    async fn take_claim(
        &self,
        key: &Key,
        found: &Versioned<ClaimRecord>,
    ) -> Result<bool, ControlError> {
        let _turn = self.turn().await?;
        let claim = &found.value;
        let is_unneeded = match claim.route.host() {
            Some(host) if *key == key_of_host(host) => {
                self.is_host_free(&claim.namespace, host).await?
            }
            _ => self.is_stale(claim).await?,
        };
        if !is_unneeded {
            return Ok(false);
        }
        self.take_away(key, found.version).await
    }

    async fn sweep_artifacts(&self, ages: &Ages) -> Result<u64, ControlError> {
        let namespaces = self.all::<NamespaceRecord>(&all_namespaces()).await?;
        let components = self.all::<ComponentRecord>(&all_components()).await?;
        let named: HashSet<Digest> = components.iter().map(|found| found.digest).collect();
        let mut taken = 0;
        let mut after = None;
        loop {
            let found = self.store.artifacts.list(after.as_ref(), LIST_MAX).await?;
            for artifact in &found {
                let is_old = ages.at.since(artifact.stored_at) >= ages.component;
                if named.contains(&artifact.digest) || !is_old {
                    continue;
                }
                // Whoever uploaded it since looks for the artifact in its own turn.
                let _turn = self.turn().await?;
                if !self.is_had(&namespaces, &artifact.digest).await? {
                    taken += u64::from(self.store.artifacts.delete(&artifact.digest).await?);
                }
            }
            if found.len() < LIST_MAX {
                return Ok(taken);
            }
            after = found.last().map(|last| last.digest);
        }
    }

    /// Whether any namespace has the component now.
    pub(crate) async fn is_named(&self, digest: &Digest) -> Result<bool, ControlError> {
        let namespaces = self.all::<NamespaceRecord>(&all_namespaces()).await?;
        self.is_had(&namespaces, digest).await
    }

    /// Whether a namespace has the component. Namespaces that were made since cannot have had it
    /// before this turn without storing the artifact anew, which makes it young.
    async fn is_had(
        &self,
        namespaces: &[NamespaceRecord],
        digest: &Digest,
    ) -> Result<bool, ControlError> {
        for namespace in namespaces {
            let key = component_key(&namespace.name, digest);
            if self.registry().get(&key).await?.is_some() {
                return Ok(true);
            }
        }
        // Storing it again counts as new.
        Ok(false)
    }

    async fn sweep_old(&self, ages: &Ages) -> Result<u64, ControlError> {
        let mut taken = 0;
        for (key, found) in
            records::list_all::<IdempotencyRecord>(self.registry(), &idempotencies()).await?
        {
            if ages.at >= found.value.expires_at {
                taken += u64::from(self.take_away(&key, found.version).await?);
            }
        }
        for (key, found) in records::list_all::<TokenRecord>(self.registry(), &all_tokens()).await?
        {
            let token = &found.value;
            let ends = [token.revoked_at, token.expires_at].into_iter().flatten();
            let is_old = |end: Timestamp| ages.at.since(end) >= ENDED_TOKEN_AGE;
            if ends.min().is_some_and(is_old) {
                taken += u64::from(self.take_away(&key, found.version).await?);
            }
        }
        for scope in audit_scopes(self.registry()).await? {
            taken += self.trim_audit(&scope).await?;
        }
        Ok(taken)
    }

    /// Takes a record away if it is as it was seen; says whether it was.
    pub(crate) async fn take_away(
        &self,
        key: &Key,
        version: midge_store::Version,
    ) -> Result<bool, ControlError> {
        match records::remove(self.registry(), key, Expect::Version(version)).await {
            Ok(_) => Ok(true),
            Err(midge_store::PutError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn function_record(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Result<Option<FunctionRecord>, StoreError> {
        let key = function_key(namespace, function);
        let found = records::read::<FunctionRecord>(self.registry(), &key).await?;
        Ok(found.map(|found| found.value))
    }

    async fn page<T: Kept>(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
    ) -> Result<Vec<(Key, Versioned<T>)>, StoreError> {
        records::list_of::<T>(self.registry(), prefix, after, LIST_MAX).await
    }

    async fn all<T: Kept>(&self, prefix: &Prefix) -> Result<Vec<T>, StoreError> {
        let all = records::list_all::<T>(self.registry(), prefix).await?;
        Ok(all.into_iter().map(|(_, found)| found.value).collect())
    }
}
