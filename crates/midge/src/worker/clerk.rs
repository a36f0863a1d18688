//! Makes a worker serve what its supervisor orders.
//!
//! Decides when a function is swapped in: at once, or after what has traffic was loaded; and what
//! happens when it cannot be. Routing and loading are the runtime's.
//!
//! **Invariant:** the newest order about a function is the one that counts, however long an older
//! one took; an order is answered at least once, and one that could not be carried out is tried
//! again until it can or another takes its place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use midge_model::Revision;
use midge_runtime::{Deployment, Dispatcher, Published};
use midge_sandbox::UsagePage;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::cmd::fault::chain;
use crate::protocol::{Event, FunctionKey, PlannedFunction};

/// How long two functions may want the same requests before that is told: the order that takes
/// them from the other one may be a moment behind.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(1);

/// When a function that could not be loaded is tried again; it doubles each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The longest it doubles to.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Carries out orders about functions.
pub(super) struct Clerk {
    dispatcher: Rc<Dispatcher>,
    usage: UsagePage,
    events: mpsc::Sender<Event>,
    /// What is not done yet.
    under_way: RefCell<UnderWay>,
    /// The functions that are served, in whichever state.
    served: RefCell<BTreeSet<FunctionKey>>,
    /// Told whenever a function was swapped in or taken out, so that its routes may be free.
    moved: Rc<Notify>,
}

#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Result<(), NotDone>>,
    by_function: BTreeMap<FunctionKey, AbortHandle>,
}

/// A function that could not be served, where that is fatal.
#[derive(Debug, thiserror::Error)]
#[error("load function {key}: {reason}")]
pub(super) struct NotDone {
    key: String,
    reason: String,
}

/// Why a function was not swapped in.
enum Fault {
    /// What has traffic could not be loaded.
    NotLoaded(String),
    /// Another function has a route of it.
    RouteTaken(String),
}

impl Clerk {
    /// A clerk for this dispatcher, who tells of what is done.
    pub(super) fn new(
        dispatcher: Rc<Dispatcher>,
        usage: UsagePage,
        events: mpsc::Sender<Event>,
    ) -> Rc<Self> {
        Rc::new(Self {
            dispatcher,
            usage,
            events,
            under_way: RefCell::default(),
            served: RefCell::default(),
            moved: Rc::default(),
        })
    }

    /// Has a function served so. With `strict` a function that cannot be is not tried again:
    /// [`Clerk::all_done`] says what was wrong.
    pub(super) async fn apply(
        self: &Rc<Self>,
        function: Arc<PlannedFunction>,
        preload: bool,
        strict: bool,
    ) {
        self.give_up(&function.key);
        let published = self.published(&function);
        if !preload && self.dispatcher.apply(published.clone()).is_ok() {
            self.note_served(&function.key);
            return self.tell(&function, None).await;
        }
        let key = function.key.clone();
        let this = Rc::clone(self);
        let work = async move {
            if strict {
                this.once(&function, published).await
            } else {
                this.until_done(&function, published, preload).await;
                Ok(())
            }
        };
        let mut under_way = self.under_way.borrow_mut();
        let task = under_way.tasks.spawn_local(work);
        under_way.by_function.insert(key, task);
    }

    /// Has a function served no more.
    pub(super) async fn remove(&self, key: FunctionKey, seq: u64) {
        self.give_up(&key);
        self.dispatcher.remove(&key.namespace, &key.function);
        self.served.borrow_mut().remove(&key);
        self.moved.notify_waiters();
        let fault = None;
        say(&self.events, Event::Applied { key, seq, fault }).await;
    }

    /// Resolves when nothing is under way.
    ///
    /// # Errors
    ///
    /// The first strict order that could not be carried out.
    pub(super) async fn all_done(&self) -> Result<(), NotDone> {
        loop {
            // Taken out, so that orders that come meanwhile find room.
            let mut tasks = std::mem::take(&mut self.under_way.borrow_mut().tasks);
            if tasks.is_empty() {
                return Ok(());
            }
            while let Some(done) = tasks.join_next().await {
                // One that was given up for a newer order is not missed.
                done.unwrap_or(Ok(()))?;
            }
        }
    }

    /// Forgets the tasks that are over. Called now and then.
    pub(super) fn tidy(&self) {
        let mut under_way = self.under_way.borrow_mut();
        while under_way.tasks.try_join_next().is_some() {}
        under_way.by_function.retain(|_, task| !task.is_finished());
    }

    /// A newer order takes the place of this one.
    fn give_up(&self, key: &FunctionKey) {
        if let Some(task) = self.under_way.borrow_mut().by_function.remove(key) {
            task.abort();
        }
    }

    fn published(&self, function: &PlannedFunction) -> Published {
        let deployment = |planned: &crate::protocol::PlannedRevision| {
            Arc::new(Deployment {
                revision: Revision::clone(&planned.revision),
                secrets: function.secrets_of(&planned.revision),
                usage: Some(self.usage.cells(planned.folders.iter().copied())),
            })
        };
        Published {
            namespace: function.key.namespace.clone(),
            function: function.key.function.clone(),
            column: function.column,
            traffic: function.traffic.clone(),
            revisions: function.revisions.iter().map(deployment).collect(),
        }
    }

    async fn once(&self, function: &PlannedFunction, published: Published) -> Result<(), NotDone> {
        match self.attempt(&published, true).await {
            Ok(()) => {
                self.note_served(&function.key);
                self.tell(function, None).await;
                Ok(())
            }
            Err(Fault::NotLoaded(reason) | Fault::RouteTaken(reason)) => {
                let FunctionKey {
                    namespace,
                    function,
                } = &function.key;
                let key = function.in_namespace(namespace);
                Err(NotDone { key, reason })
            }
        }
    }

    /// Tries until it works. Meanwhile the function is served as it was before.
    async fn until_done(&self, function: &PlannedFunction, published: Published, preload: bool) {
        let mut told = None;
        let mut delay = RETRY_FIRST;
        loop {
            // From before the attempt on, so that no move is missed that makes the next one work.
            let mut moved = pin!(self.moved.notified());
            let (reason, route_taken) = match self.attempt(&published, preload).await {
                Ok(()) => {
                    self.note_served(&function.key);
                    return self.tell(function, None).await;
                }
                Err(Fault::NotLoaded(reason)) => (reason, false),
                Err(Fault::RouteTaken(reason)) => (reason, true),
            };
            if route_taken && told.is_none() && timeout(CONFLICT_PATIENCE, &mut moved).await.is_ok()
            {
                continue;
            }
            if told.as_ref() != Some(&reason) {
                self.tell(function, Some(reason.clone())).await;
                told = Some(reason);
            }
            // A function that was not served at all is better served late than never: its first
            // request loads it, or says why not.
            if !self.serves(&function.key) && self.dispatcher.apply(published.clone()).is_ok() {
                self.note_served(&function.key);
            }
            tokio::select! {
                () = sleep(delay) => {}
                () = &mut moved, if route_taken => {}
            }
            delay = delay.saturating_mul(2).min(RETRY_MAX);
        }
    }

    /// Whether some state of a function is served.
    fn serves(&self, key: &FunctionKey) -> bool {
        self.served.borrow().contains(key)
    }

    fn note_served(&self, key: &FunctionKey) {
        self.served.borrow_mut().insert(key.clone());
        self.moved.notify_waiters();
    }

    async fn attempt(&self, published: &Published, preload: bool) -> Result<(), Fault> {
        let applied = if preload {
            let prepared = self.dispatcher.preload(published.clone()).await;
            let prepared = prepared.map_err(|failure| Fault::NotLoaded(failure.message))?;
            self.dispatcher.apply(prepared)
        } else {
            self.dispatcher.apply(published.clone())
        };
        applied.map_err(|conflict| Fault::RouteTaken(chain(&conflict)))
    }

    async fn tell(&self, function: &PlannedFunction, fault: Option<String>) {
        let event = Event::Applied {
            key: function.key.clone(),
            seq: function.seq,
            fault: fault.map(|fault| shortened(&fault)),
        };
        say(&self.events, event).await;
    }
}

/// Says something to the supervisor.
pub(super) async fn say(events: &mpsc::Sender<Event>, event: Event) {
    // Without a listener there is nobody who would act on it.
    drop(events.send(event).await);
}

/// What fits a line whatever it says.
fn shortened(text: &str) -> String {
    const BYTES_MAX: usize = 4 << 10;
    text[..text.floor_char_boundary(BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests;
