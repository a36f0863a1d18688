//! From the store's records to what workers are to serve.
//!
//! Follows the registry, joins what belongs together - a function, its revisions, the secrets they
//! were granted - and keeps the roster at that. Writing the records is midge-control's business,
//! telling workers the supervisor's.
//!
//! **Invariant:** what is served is a function of the records and of nothing else: a node that
//! starts anew comes to the same. A record that does not read changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use midge_model::{NamespaceName, Policy, Revision, RevisionNumber, SecretText};
use midge_store::records::{
    self, FunctionRecord, RecordKey, RevisionRecord, SecretRecord, Versioned,
};
use midge_store::{Change, Key, Record, Registry, StoreError, Vault, Version, Watch};

use crate::cmd::fault::chain;
use crate::observed::Observed;
use crate::protocol::FunctionKey;
use crate::supervisor::{Roster, WantedFunction};

/// How long until the store is asked again after it did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the feed is made of.
#[derive(Debug)]
pub(crate) struct FeedParts {
    /// What is followed.
    pub(crate) registry: Arc<dyn Registry>,
    /// What opens secrets.
    pub(crate) vault: Arc<Mutex<Vault>>,
    /// What is kept at that.
    pub(crate) roster: Arc<Roster>,
    /// What forgets functions that are no more.
    pub(crate) observed: Arc<Observed>,
    /// The most that functions may be granted now, whatever held when they were deployed.
    pub(crate) policy: Policy,
}

/// Follows the registry.
#[derive(Debug)]
pub(crate) struct Feed {
    parts: FeedParts,
    functions: BTreeMap<FunctionKey, Known>,
    /// As they are kept; opened when a function is planned.
    secrets: BTreeMap<Key, Versioned<SecretRecord>>,
}

/// A function as it is known.
#[derive(Debug)]
struct Known {
    record: Versioned<FunctionRecord>,
    /// Its kept revisions, as far as they were found.
    revisions: BTreeMap<RevisionNumber, Arc<Revision>>,
}

/// The watches that a feed follows.
#[derive(Debug)]
pub(crate) struct Watches {
    functions: Watch,
    secrets: Watch,
}

/// Revisions that were read in advance.
type Revisions = BTreeMap<FunctionKey, BTreeMap<RevisionNumber, Arc<Revision>>>;

impl Feed {
    /// A feed that knows nothing yet.
    pub(crate) fn new(parts: FeedParts) -> Self {
        Self {
            parts,
            functions: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// Brings the roster to what is there now.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub(crate) async fn catch_up(&mut self) -> Result<Watches, StoreError> {
        let registry = Arc::clone(&self.parts.registry);
        let mut watches = Watches {
            secrets: registry.watch(&records::all_secrets()).await?,
            functions: registry.watch(&records::all_functions()).await?,
        };
        self.secrets.clear();
        loop {
            match watches.secrets.next().await? {
                Change::Current(_) => break,
                change => drop(self.note_secret(change)),
            }
        }
        let mut found = self.all_revisions().await?;
        let mut gone: BTreeSet<_> = self.functions.keys().cloned().collect();
        let mut there = Vec::new();
        let version = loop {
            match watches.functions.next().await? {
                Change::Current(version) => break version,
                Change::Put(record) => {
                    if let Some(key) = self.note_function(&record, &mut found).await? {
                        gone.remove(&key);
                        let created_at = self.functions[&key].record.value.created_at;
                        there.push((created_at, key));
                    }
                }
                Change::Deleted { .. } => {}
            }
        };
        // Where there is not room for all, who was there first is served.
        there.sort_unstable();
        for (_, key) in there {
            self.plan_known(&key);
        }
        for key in gone {
            self.forget(&key, version);
        }
        self.parts.roster.seen(version.get());
        Ok(watches)
    }

    /// Follows every change from there on, for as long as it is polled.
    pub(crate) async fn follow(&mut self, mut watches: Watches) {
        loop {
            let Err(error) = self.follow_until_lost(&mut watches).await else {
                return pending().await;
            };
            tracing::warn!(reason = chain(&error), "store not followed, trying again");
            watches = loop {
                tokio::time::sleep(RETRY_AFTER).await;
                match self.catch_up().await {
                    Ok(watches) => break watches,
                    Err(error) => {
                        tracing::warn!(reason = chain(&error), "store not read, trying again");
                    }
                }
            };
            tracing::info!("store followed again");
        }
    }

    async fn follow_until_lost(&mut self, watches: &mut Watches) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                change = watches.functions.next() => self.function_changed(change?).await?,
                change = watches.secrets.next() => self.secret_changed(change?),
            }
        }
    }

    async fn function_changed(&mut self, change: Change) -> Result<(), StoreError> {
        let version = match change {
            Change::Put(record) => {
                let noted = self.note_function(&record, &mut BTreeMap::new()).await?;
                if let Some(key) = noted {
                    self.plan_known(&key);
                }
                record.version
            }
            Change::Deleted { key, version } => {
                if let Some(RecordKey::Function(namespace, function)) = RecordKey::parse(&key) {
                    let key = FunctionKey {
                        namespace,
                        function,
                    };
                    self.forget(&key, version);
                }
                version
            }
            Change::Current(version) => version,
        };
        self.parts.roster.seen(version.get());
        Ok(())
    }

    /// Plans every function anew that was granted the secret.
    fn secret_changed(&mut self, change: Change) {
        let Some((secret, version)) = self.note_secret(change) else {
            return;
        };
        for (key, known) in &self.functions {
            if known.names_secret(&secret) {
                self.plan(key, known, version);
            }
        }
    }

    fn note_secret(&mut self, change: Change) -> Option<(Key, Version)> {
        match change {
            Change::Put(record) => match records::decode(&record) {
                Ok(secret) => {
                    self.secrets.insert(record.key.clone(), secret);
                    Some((record.key, record.version))
                }
                Err(error) => {
                    warn_unreadable(&error);
                    None
                }
            },
            Change::Deleted { key, version } => {
                self.secrets.remove(&key);
                Some((key, version))
            }
            Change::Current(_) => None,
        }
    }

    /// Learns a function. The revisions that are not in `found` are read.
    async fn note_function(
        &mut self,
        record: &Record,
        found: &mut Revisions,
    ) -> Result<Option<FunctionKey>, StoreError> {
        let record: Versioned<FunctionRecord> = match records::decode(record) {
            Ok(record) => record,
            Err(error) => {
                warn_unreadable(&error);
                return Ok(None);
            }
        };
        let key = FunctionKey {
            namespace: record.value.namespace.clone(),
            function: record.value.function.clone(),
        };
        let mut revisions = match self.functions.remove(&key) {
            // A function of the same name that was removed meanwhile had other revisions.
            Some(known) if known.record.value.created_at == record.value.created_at => {
                known.revisions
            }
            Some(_) | None => BTreeMap::new(),
        };
        revisions.extend(found.remove(&key).unwrap_or_default());
        revisions.retain(|number, _| record.value.revisions.contains(number));
        for number in &record.value.revisions {
            if !revisions.contains_key(number)
                && let Some(revision) = self.read_revision(&key, *number).await?
            {
                revisions.insert(*number, Arc::new(revision));
            }
        }
        let known = Known { record, revisions };
        self.functions.insert(key.clone(), known);
        Ok(Some(key))
    }

    async fn read_revision(
        &self,
        key: &FunctionKey,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        let name = records::revision_key(&key.namespace, &key.function, number);
        match records::read::<RevisionRecord>(&*self.parts.registry, &name).await {
            Ok(Some(record)) => Ok(Some(fitting(record.value.revision))),
            Ok(None) => {
                // It was pruned since, and a newer state of the function is on its way.
                tracing::debug!(%key, revision = %number, "revision is not there any more");
                Ok(None)
            }
            Err(error @ StoreError::Unreadable { .. }) => {
                warn_unreadable(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All revisions there are, in few reads.
    async fn all_revisions(&self) -> Result<Revisions, StoreError> {
        let mut found = Revisions::new();
        let mut after = None;
        loop {
            let prefix = records::all_revisions();
            let registry = &self.parts.registry;
            let page = registry
                .list(&prefix, after.as_ref(), records::LIST_ALL_PAGE)
                .await?;
            let is_last = page.len() < records::LIST_ALL_PAGE;
            after = page.last().map(|record| record.key.clone());
            for record in page {
                match records::decode::<RevisionRecord>(&record) {
                    Ok(record) => {
                        let revision = fitting(record.value.revision);
                        let key = FunctionKey {
                            namespace: revision.namespace.clone(),
                            function: revision.function.clone(),
                        };
                        let of = found.entry(key).or_default();
                        of.insert(revision.number, Arc::new(revision));
                    }
                    Err(error) => warn_unreadable(&error),
                }
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    fn plan_known(&self, key: &FunctionKey) {
        if let Some(known) = self.functions.get(key) {
            self.plan(key, known, known.record.version);
        }
    }

    /// Has a function served as it is known.
    fn plan(&self, key: &FunctionKey, known: &Known, version: Version) {
        let wanted = WantedFunction {
            key: key.clone(),
            traffic: known.record.value.traffic.clone(),
            revisions: self.allowed(known),
            secrets: self.secrets_of(key, known),
            version: version.max(known.record.version).get(),
        };
        if let Err(error) = self.parts.roster.set(wanted) {
            let FunctionKey {
                namespace,
                function,
            } = key;
            let reason = chain(&error);
            tracing::warn!(%namespace, %function, reason, "function not served as it should be");
        }
    }

    /// The revisions that the policy still allows. An operator who made it stricter means what is
    /// deployed already, too, and old revisions that anybody may still ask for.
    fn allowed(&self, known: &Known) -> Vec<Arc<Revision>> {
        let revisions = known.revisions.values();
        let allowed = revisions.filter(|revision| {
            let Revision {
                namespace,
                function,
                number,
                grants,
                limits,
                ..
            } = &***revision;
            let mut verdicts = self.parts.policy.check(namespace, grants, limits).into_iter();
            let Some(refused) = verdicts.find(|verdict| !verdict.allowed) else {
                return true;
            };
            let (asked, rule) = (refused.asked, refused.rule.unwrap_or_default());
            tracing::warn!(%namespace, %function, revision = %number, asked, rule, "revision not served, the policy does not allow it any more");
            false
        });
        allowed.cloned().collect()
    }

    /// The values of what a function's revisions were granted. A secret without a value is left
    /// out: the guest is better served without it than not at all, and sees that it is not there.
    fn secrets_of(&self, key: &FunctionKey, known: &Known) -> BTreeMap<String, SecretText> {
        let revisions = known.revisions.values();
        let grants = revisions.flat_map(|revision| &revision.grants.secrets);
        let names: BTreeSet<_> = grants.map(|grant| &grant.name).collect();
        let FunctionKey {
            namespace,
            function,
        } = key;
        let valued = names.into_iter().filter_map(|name| {
            let value = self.secret(namespace, name);
            if value.is_none() {
                tracing::warn!(%namespace, %function, name, "function is granted a secret that has no value");
            }
            Some((name.clone(), value?))
        });
        valued.collect()
    }

    fn secret(&self, namespace: &NamespaceName, name: &str) -> Option<SecretText> {
        let key = records::secret_key(namespace, name).ok()?;
        let secret = self.secrets.get(&key)?;
        let vault = self.parts.vault.lock();
        let vault = vault.unwrap_or_else(PoisonError::into_inner);
        match vault.open_sealed(key.as_str(), &secret.value.sealed) {
            Ok(value) => Some(value),
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(%namespace, name, reason, "secret cannot be opened");
                None
            }
        }
    }

    fn forget(&mut self, key: &FunctionKey, version: Version) {
        self.functions.remove(key);
        self.parts.roster.remove(key, version.get());
        self.parts.observed.forget(key);
    }
}

impl Known {
    /// Whether one of its revisions was granted the secret with this key.
    fn names_secret(&self, secret: &Key) -> bool {
        let granted = |revision: &Revision| {
            let mut grants = revision.grants.secrets.iter();
            grants.any(|grant| {
                let key = records::secret_key(&revision.namespace, &grant.name);
                key.is_ok_and(|key| key == *secret)
            })
        };
        self.revisions.values().any(|revision| granted(revision))
    }
}

/// A revision that takes no more room than it has to: it is kept for as long as there is one. What
/// is read of a list of one has room for four.
fn fitting(mut revision: Revision) -> Revision {
    revision.routes.shrink_to_fit();
    revision
}

fn warn_unreadable(error: &StoreError) {
    tracing::warn!(reason = chain(error), "record not read, left as it was");
}

#[cfg(test)]
mod tests;
