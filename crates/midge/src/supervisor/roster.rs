//! What every worker is to serve, and how far each of them is.
//!
//! Keeps the newest state of every function, hands it to workers in the order of its changes, and
//! knows who has not applied it yet. Where the state comes from is the feed's business, or that of
//! `midge run`; workers themselves are `fleet.rs`.
//!
//! **Invariant:** no order is lost and none piles up: a worker that is slow finds the newest state
//! of a function where older ones stood, and one that is replaced gets all of it again.

mod fit;
mod outbox;
mod placement;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use midge_model::{
    BucketName, Digest, NamespaceName, Revision, RevisionNumber, SecretText, Traffic,
};
use midge_runtime::FUNCTIONS_MAX;
use midge_sandbox::UsagePage;

use self::fit::{ORDER_BYTES_MAX, TooLarge};
pub(crate) use self::outbox::Mailbox;
use self::outbox::Outbox;
use self::placement::{FOLDERS_OF_NAMESPACE_MAX, Placement, PlacementError, counted_folders};
pub(crate) use self::waiting::Served;
use self::waiting::Waiting;
use crate::protocol::{FOLDERS_MAX, FunctionKey, Order, PlannedFunction, PlannedRevision};

/// A function as it is to be served.
#[derive(Debug, Clone)]
pub(crate) struct WantedFunction {
    /// Which function.
    pub(crate) key: FunctionKey,
    /// Which of its revisions answer.
    pub(crate) traffic: Traffic,
    /// All that are kept, oldest first.
    pub(crate) revisions: Vec<Arc<Revision>>,
    /// The values of the secrets that they were granted.
    pub(crate) secrets: BTreeMap<String, SecretText>,
    /// The version of the registry that says so.
    pub(crate) version: u64,
}

/// Why a function is not served as it should be: it is served as before, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetError {
    /// There is no place for it.
    #[error(transparent)]
    Place(#[from] PlacementError),
    /// It is more than a worker is told.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The state that all workers are to have.
#[derive(Debug)]
pub(crate) struct Roster(Mutex<State>);

#[derive(Debug)]
struct State {
    functions: BTreeMap<FunctionKey, Entry>,
    outboxes: BTreeMap<usize, Arc<Outbox>>,
    placement: Placement,
    /// Where folders are counted; counts of earlier users are wiped from it.
    usage: Option<UsagePage>,
    waiting: Waiting,
    /// The number of the last order.
    seq: u64,
    /// Whether everything that there is at start is here.
    complete: bool,
    /// Whether workers load what has traffic before they open the door.
    preload_at_start: bool,
}

/// One function.
#[derive(Debug)]
struct Entry {
    /// `None` for one that is to be served no more.
    planned: Option<Arc<PlannedFunction>>,
    column: usize,
    /// The number of its last order.
    seq: u64,
    version: u64,
    /// The folders that workers may still count in for it.
    folders: BTreeSet<PathBuf>,
    /// The workers that have not applied its last order.
    behind: BTreeSet<usize>,
    /// The kept revisions that workers are not told about, for want of room.
    left_out: Vec<RevisionNumber>,
    /// Those that could not, and why.
    faults: BTreeMap<usize, String>,
}

impl Roster {
    /// Nothing yet. `preload_at_start` says whether workers load what has traffic before they open
    /// the door, or at the first request for it.
    pub(crate) fn new(usage: Option<UsagePage>, preload_at_start: bool) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            functions: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            placement: Placement::new(FUNCTIONS_MAX, (FOLDERS_MAX, FOLDERS_OF_NAMESPACE_MAX)),
            usage,
            waiting: Waiting::default(),
            seq: 0,
            complete: false,
            preload_at_start,
        })))
    }

    /// Has a function served so, from now on, by all workers. Kept revisions without traffic are
    /// left out where it would be too large with them.
    ///
    /// # Errors
    ///
    /// There is no place for it, or it is too large; it is served as before, or not at all.
    pub(crate) fn set(&self, mut wanted: WantedFunction) -> Result<(), SetError> {
        let key = wanted.key.clone();
        let version = wanted.version;
        let left_out = fit::fit(&mut wanted, ORDER_BYTES_MAX);
        let mut state = self.lock();
        let result = match left_out {
            Ok(left_out) => state.set(wanted, left_out).map_err(SetError::from),
            Err(error) => Err(error.into()),
        };
        let refusal = result.as_ref().err().map(ToString::to_string);
        state.waiting.refuse(&key, version, refusal.as_deref());
        state.settle(&key);
        result
    }

    /// Has a function served no more, as of this version.
    pub(crate) fn remove(&self, key: &FunctionKey, version: u64) {
        let mut state = self.lock();
        state.remove(key, version);
        state.settle(key);
    }

    /// Everything up to this version of the registry has been passed on.
    pub(crate) fn seen(&self, version: u64) {
        let mut state = self.lock();
        for key in state.waiting.seen(version) {
            state.settle(&key);
        }
    }

    /// Everything that there is at start has been passed on: workers may open the door.
    pub(crate) fn complete(&self) {
        let mut state = self.lock();
        state.complete = true;
        state.outboxes.values().for_each(|outbox| outbox.wake());
    }

    /// A new worker, to be told everything.
    pub(crate) fn join(self: &Arc<Self>, worker: usize) -> Mailbox {
        let mut state = self.lock();
        let outbox = Arc::new(Outbox::default());
        for (key, entry) in &mut state.functions {
            if entry.planned.is_some() {
                outbox.add(None, entry.seq, key);
                entry.behind.insert(worker);
            }
        }
        state.outboxes.insert(worker, Arc::clone(&outbox));
        Mailbox::new(Arc::clone(self), outbox)
    }

    /// A worker is gone; nobody waits for it.
    pub(crate) fn leave(&self, worker: usize) {
        let mut state = self.lock();
        state.outboxes.remove(&worker);
        let touched: Vec<_> = state
            .functions
            .iter_mut()
            .filter_map(|(key, entry)| {
                let was_behind = entry.behind.remove(&worker);
                let had_fault = entry.faults.remove(&worker).is_some();
                (was_behind || had_fault).then(|| key.clone())
            })
            .collect();
        for key in touched {
            state.settle(&key);
        }
    }

    /// Tells one worker something else than what to serve.
    pub(crate) fn tell(&self, worker: usize, order: Order) {
        if let Some(outbox) = self.lock().outboxes.get(&worker) {
            outbox.tell(order);
        }
    }

    /// Tells every worker something else than what to serve.
    pub(crate) fn tell_all(&self, order: &Order) {
        for outbox in self.lock().outboxes.values() {
            outbox.tell(order.clone());
        }
    }

    /// A worker says that it has applied an order, or why not. False if it was never given one for
    /// such a function: workers run foreign code and are not trusted to name more.
    pub(crate) fn applied(
        &self,
        worker: usize,
        key: &FunctionKey,
        seq: u64,
        fault: Option<String>,
    ) -> bool {
        let mut state = self.lock();
        let Some(entry) = state.functions.get_mut(key) else {
            return false;
        };
        // A later order is under way, and its answer is the one that counts.
        if entry.seq == seq {
            entry.behind.remove(&worker);
            match fault {
                Some(fault) => drop(entry.faults.insert(worker, fault)),
                None => drop(entry.faults.remove(&worker)),
            }
            state.settle(key);
        }
        true
    }

    /// Resolves when all workers serve the function as of this version, or later.
    pub(crate) fn served(&self, key: &FunctionKey, version: u64) -> Served {
        let mut state = self.lock();
        let served = state.waiting.add(key.clone(), version);
        state.settle(key);
        served
    }

    /// Whether some function is served under this name.
    pub(crate) fn has(&self, key: &FunctionKey) -> bool {
        let state = self.lock();
        let entry = state.functions.get(key);
        entry.is_some_and(|entry| entry.planned.is_some())
    }

    /// Whether this function has a component with this digest.
    pub(crate) fn has_component(&self, key: &FunctionKey, digest: &Digest) -> bool {
        let state = self.lock();
        let planned = state.functions.get(key).and_then(|it| it.planned.as_ref());
        planned.is_some_and(|planned| {
            let mut revisions = planned.revisions.iter();
            revisions.any(|planned| planned.revision.digest == *digest)
        })
    }

    /// Whether some function of a namespace is granted this bucket.
    pub(crate) fn grants_bucket(&self, namespace: &NamespaceName, bucket: &BucketName) -> bool {
        let state = self.lock();
        let own = state
            .functions
            .iter()
            .filter(|(key, _)| key.namespace == *namespace);
        let planned = own.filter_map(|(_, entry)| entry.planned.as_ref());
        let mut revisions = planned.flat_map(|planned| &planned.revisions);
        revisions.any(|planned| planned.revision.grants.kv.contains(bucket))
    }

    /// The number of the last order; what is served changes with it.
    pub(crate) fn last_order(&self) -> u64 {
        self.lock().seq
    }

    /// How many functions are to be served.
    pub(crate) fn functions(&self) -> usize {
        let state = self.lock();
        let entries = state.functions.values();
        entries.filter(|entry| entry.planned.is_some()).count()
    }

    /// The version of the registry up to which a worker serves everything.
    pub(crate) fn applied_by(&self, worker: usize) -> u64 {
        let state = self.lock();
        let entries = state.functions.values();
        let behind = entries.filter(|entry| entry.behind.contains(&worker));
        let oldest = behind.map(|entry| entry.version).min();
        let newest = state.waiting.newest();
        oldest.map_or(newest, |version| newest.min(version.saturating_sub(1)))
    }

    /// The newest version of the registry that workers were told about.
    pub(crate) fn newest(&self) -> u64 {
        self.lock().waiting.newest()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next order for whoever reads this outbox.
    fn take(&self, outbox: &Outbox) -> Option<Order> {
        let state = self.lock();
        loop {
            let Some(key) = outbox.next_key() else {
                return outbox.start_if(state.complete);
            };
            let Some(entry) = state.functions.get(&key) else {
                continue;
            };
            return Some(match &entry.planned {
                Some(function) => Order::Apply {
                    function: Arc::clone(function),
                    preload: state.preload_at_start || outbox.has_started(),
                },
                None => Order::Remove {
                    key,
                    seq: entry.seq,
                },
            });
        }
    }
}

impl State {
    fn set(
        &mut self,
        wanted: WantedFunction,
        left_out: Vec<RevisionNumber>,
    ) -> Result<(), PlacementError> {
        let WantedFunction {
            key,
            traffic,
            revisions,
            secrets,
            version,
        } = wanted;
        let (column, revisions) = self.place(&key, revisions)?;
        let entry = self.functions.get_mut(&key).expect("just placed");
        entry.version = version;
        entry.note_left_out(&key, left_out);
        if let Some(planned) = &entry.planned
            && entry.faults.is_empty()
            && planned.traffic == traffic
            && planned.revisions == revisions
            && planned.secrets == secrets
        {
            return Ok(());
        }
        let seq = self.order(&key);
        let entry = self.functions.get_mut(&key).expect("just placed");
        entry.planned = Some(Arc::new(PlannedFunction {
            key,
            column,
            traffic,
            revisions,
            secrets,
            seq,
        }));
        Ok(())
    }

    fn remove(&mut self, key: &FunctionKey, version: u64) {
        let Some(entry) = self.functions.get_mut(key) else {
            return;
        };
        entry.version = version;
        if entry.planned.take().is_some() {
            self.order(key);
        }
    }

    /// Gives a function its column and its folders their numbers.
    fn place(
        &mut self,
        key: &FunctionKey,
        revisions: Vec<Arc<Revision>>,
    ) -> Result<(usize, Vec<PlannedRevision>), PlacementError> {
        let existing = self.functions.get(key);
        let held = existing.map(|entry| entry.folders.clone());
        let held = held.unwrap_or_default();
        let column = match existing {
            Some(entry) => entry.column,
            None => self.placement.column()?,
        };
        let mut taken = held.clone();
        let planned = revisions.into_iter().map(|revision| {
            let folders = self.folders(&revision, &mut taken)?;
            Ok(PlannedRevision { revision, folders })
        });
        let planned: Result<Vec<_>, PlacementError> = planned.collect();
        match planned {
            Ok(planned) => {
                let entry = self.functions.entry(key.clone());
                entry.or_insert_with(|| Entry::at(column)).folders = taken;
                Ok((column, planned))
            }
            Err(error) => {
                for path in taken.difference(&held) {
                    self.placement.free_folder(path);
                }
                if !self.functions.contains_key(key) {
                    self.placement.free_column(column);
                }
                Err(error)
            }
        }
    }

    /// The numbers of a revision's folders; `taken` are those that its function has already.
    fn folders(
        &mut self,
        revision: &Revision,
        taken: &mut BTreeSet<PathBuf>,
    ) -> Result<Vec<usize>, PlacementError> {
        let mut numbers = Vec::new();
        for path in counted_folders(&revision.grants) {
            let placed = self.placement.folder(&revision.namespace, path)?;
            if !taken.insert(path.to_owned()) {
                // The function counts as one user, however many of its revisions there are.
                self.placement.free_folder(path);
            }
            if let (true, Some(usage)) = (placed.fresh, &self.usage) {
                usage.forget(placed.number);
            }
            numbers.push(placed.number);
        }
        Ok(numbers)
    }

    /// A new order about this function for every worker.
    fn order(&mut self, key: &FunctionKey) -> u64 {
        self.seq += 1;
        let entry = self.functions.get_mut(key).expect("orders are about one");
        let before = std::mem::replace(&mut entry.seq, self.seq);
        entry.faults.clear();
        for (worker, outbox) in &self.outboxes {
            entry.behind.insert(*worker);
            outbox.add(Some(before), self.seq, key);
        }
        self.seq
    }

    /// What follows from how far the workers are with a function.
    fn settle(&mut self, key: &FunctionKey) {
        if let Some(entry) = self.functions.get_mut(key)
            && entry.behind.is_empty()
        {
            let used: BTreeSet<_> = entry.counted().map(PathBuf::from).collect();
            for path in entry.folders.difference(&used) {
                self.placement.free_folder(path);
            }
            entry.folders = used;
            if entry.planned.is_none() {
                let version = entry.version;
                self.placement.free_column(entry.column);
                self.functions.remove(key);
                self.waiting.removed(key, version);
            }
        }
        let entry = self.functions.get(key);
        self.waiting.settle(key, entry.map(Entry::progress));
    }
}

impl Entry {
    fn at(column: usize) -> Self {
        Self {
            planned: None,
            column,
            seq: 0,
            version: 0,
            folders: BTreeSet::new(),
            behind: BTreeSet::new(),
            left_out: Vec::new(),
            faults: BTreeMap::new(),
        }
    }

    /// The folders that it counts in as it is planned now.
    fn counted(&self) -> impl Iterator<Item = &std::path::Path> {
        let revisions = self.planned.iter().flat_map(|planned| &planned.revisions);
        revisions.flat_map(|planned| counted_folders(&planned.revision.grants))
    }

    fn note_left_out(&mut self, key: &FunctionKey, left_out: Vec<RevisionNumber>) {
        if !left_out.is_empty() && left_out != self.left_out {
            let FunctionKey {
                namespace,
                function,
            } = key;
            let revisions: Vec<_> = left_out.iter().map(ToString::to_string).collect();
            let revisions = revisions.join(" ");
            tracing::warn!(%namespace, %function, revisions, bytes_max = ORDER_BYTES_MAX, "old revisions do not answer, the function is too large with them");
        }
        self.left_out = left_out;
    }

    fn progress(&self) -> waiting::Progress<'_> {
        waiting::Progress {
            version: self.version,
            all_applied: self.behind.is_empty(),
            fault: self.faults.values().next().map(String::as_str),
        }
    }
}
