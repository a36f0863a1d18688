//! The heart: from a request to an invocation.
//!
//! Decides the order - resolve, pick, load, admit, invoke - and nothing else; each step is
//! somebody else's. Cancel-safe: whoever drops the future ends the invocation.
//!
//! **Invariant:** one request reads one state of one function; what is published meanwhile never
//! changes an answer that is under way, and publishing never waits for one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use midge_model::{FunctionName, NamespaceName, Outcome, Refusal, RevisionNumber, RouteConflict};
use midge_sandbox::{Caller, InstanceUse, Invocation, LoadedFunction, RequestBody, ResponseBody};
use tokio::time::Instant;

use crate::admission::{Gate, Needs, Place, Slot};
use crate::counters::Counters;
use crate::eviction::{Loaded, LoadedBounds, LoadedCounts};
use crate::function::{Function, Kept, Lasting, Prepared, Published, Running};
use crate::instances::{Instances, WorkerBounds};
use crate::loading::{Few, LoadFailure, Loader};
use crate::table::{Table, Target};
use crate::tally::{Counted, FunctionTally, Tallies};

/// Routes requests to the functions of one worker.
pub struct Dispatcher {
    table: RefCell<Table>,
    instances: Rc<Instances>,
    counters: Counters,
    worker: usize,
    loader: Rc<dyn Loader>,
    loaded: Rc<Loaded<Kept>>,
    /// Revisions that are loaded only because somebody asked for them by their address.
    visited: Few<Kept>,
    /// Revisions that were loaded in advance.
    in_advance: Few<Kept>,
    tallies: Rc<Tallies>,
}

/// What a dispatcher is made of.
pub struct DispatcherParts {
    /// What the worker has for its guests.
    pub bounds: WorkerBounds,
    /// How much may be loaded at a time.
    pub loaded: LoadedBounds,
    /// Below which host functions have addresses; empty where none has.
    pub domain: String,
    /// Where the node's invocations are counted.
    pub counters: Counters,
    /// Which row of them is this worker's.
    pub worker: usize,
    /// What makes revisions ready to run.
    pub loader: Rc<dyn Loader>,
}

/// What became of a request.
pub struct Dispatched {
    /// Whom it was for; `None` when nothing answers there.
    pub addressee: Option<Addressee>,
    /// The answer, or how the invocation ended without one.
    pub result: Result<(Response<ResponseBody>, Receipt), Outcome>,
}

/// Whom a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Whose function.
    pub namespace: NamespaceName,
    /// Which.
    pub function: FunctionName,
    /// Which revision of it; `None` when it has not the one that was asked for.
    pub revision: Option<RevisionNumber>,
}

/// What an answer cost up to its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Waiting for the code to be loaded, and for a slot.
    pub queue: Duration,
    /// Making the instance.
    pub instantiate: Duration,
    /// Running the guest until the head of its response was there.
    pub run: Duration,
    /// The processor time it had used by then.
    pub cpu: Duration,
    /// The most memory the instance held so far.
    pub memory_peak_bytes: u64,
    /// Which instance answered, where it may answer others too.
    pub instance: Option<InstanceUse>,
}

/// A request's way: the function, the revision of it, and the account of both.
struct Chosen {
    target: Target,
    revision: Rc<Kept>,
    counted: Rc<Counted>,
}

impl Dispatcher {
    /// A dispatcher that has no functions yet.
    pub fn new(parts: DispatcherParts) -> Self {
        Self {
            table: RefCell::new(Table::new(parts.domain)),
            instances: Instances::new(parts.bounds),
            counters: parts.counters,
            worker: parts.worker,
            loader: parts.loader,
            loaded: Loaded::new(parts.loaded),
            visited: Few::default(),
            in_advance: Few::default(),
            tallies: Rc::default(),
        }
    }

    /// Runs the function that this request is for. In its box to the end: each asynchronous function
    /// on the way keeps room for what it is given.
    pub async fn dispatch(
        &self,
        request: Box<Request<RequestBody>>,
        caller: &Caller,
    ) -> Dispatched {
        let resolved = self.table.borrow().resolve(&request);
        let target = match resolved {
            Ok(target) => target,
            Err(refusal) => return Dispatched::refused(None, refusal),
        };
        let revision = match target.revision(request.headers()) {
            Ok(revision) => Rc::clone(revision),
            Err(refusal) => return Dispatched::refused(Some(target.addressee(None)), refusal),
        };
        let chosen = Chosen {
            counted: Counted::begin(&target.function.lasting.tally, &self.tallies),
            target,
            revision,
        };
        let result = self.invoke(&chosen, request, caller).await;
        if let Err(outcome) = &result {
            chosen.counted.told(outcome);
        }
        Dispatched {
            addressee: Some(chosen.target.addressee(Some(chosen.revision.number()))),
            result,
        }
    }

    async fn invoke(
        &self,
        chosen: &Chosen,
        request: Box<Request<RequestBody>>,
        caller: &Caller,
    ) -> Result<(Response<ResponseBody>, Receipt), Outcome> {
        let running = self.running(chosen).await?;
        let slot = running.gate.enter().await?;
        let started = Instant::now();
        let time_max = running.function.revision().limits.time;
        let invocation = chosen.invocation(slot, request, caller, (started, time_max));
        let answer = running.function.invoke(invocation).await?;
        let receipt = Receipt {
            queue: started.duration_since(chosen.counted.began()),
            instantiate: answer.instantiate,
            run: answer.run,
            cpu: answer.cpu,
            memory_peak_bytes: answer.memory_peak_bytes,
            instance: answer.instance,
        };
        Ok((answer.response, receipt))
    }

    /// Loads what has traffic of a function that is about to be published, so that no request has
    /// to wait for it. What is loaded already, and did not change, is left alone; so is everything
    /// of a function that nobody asks for, where others have taken all the memory there is.
    ///
    /// # Errors
    ///
    /// The first revision that could not be loaded. The function can be published all the same:
    /// its requests try again.
    pub async fn preload(&self, published: Published) -> Result<Prepared, LoadFailure> {
        let old = self.function(&published.namespace, &published.function);
        let old = old.filter(|old| old.lasting.column == published.column);
        let mut loaded = Vec::new();
        let is_asked_for = old.as_ref().is_some_and(|old| old.is_loaded());
        if self.loaded.is_over() && !is_asked_for {
            return Ok(Prepared { published, loaded });
        }
        for deployment in &published.revisions {
            let number = deployment.revision.number;
            let before = old.as_ref().and_then(|old| old.unchanged(deployment));
            if published.traffic.has(number) && !before.is_some_and(|before| before.is_loaded()) {
                loaded.push((number, self.loader.load(deployment).await?));
            }
        }
        Ok(Prepared { published, loaded })
    }

    /// Publishes a function, between two requests: the next one sees all of it. Those under way
    /// keep the state they began with; what nobody uses any more is unloaded.
    ///
    /// # Errors
    ///
    /// A route matches the same requests as one of another function; everything is as it was.
    pub fn apply(&self, prepared: impl Into<Prepared>) -> Result<(), RouteConflict> {
        let prepared = prepared.into();
        let Published {
            namespace,
            function,
            ..
        } = &prepared.published;
        let old = self.function(namespace, function);
        let behind_gate = |function, lasting: &Lasting| self.behind_gate(function, lasting);
        let next = Function::after(old.as_deref(), prepared, behind_gate);
        self.table.borrow_mut().put(Rc::clone(&next))?;
        for kept in next.kept().iter().filter(|kept| kept.is_never_asked()) {
            if let Some(too_many) = self.in_advance.note(kept) {
                too_many.unload_if_never_asked();
            }
        }
        drop((old, next));
        self.make_room();
        Ok(())
    }

    /// Takes a function out. Requests under way go on.
    pub fn remove(&self, namespace: &NamespaceName, function: &FunctionName) {
        self.table.borrow_mut().remove(namespace, function);
    }

    /// Resolves when no guest runs any more, those included that work on after their response.
    pub async fn settled(&self) {
        self.instances.all_free().await;
    }

    /// Drops every instance that waits for its next request, and says how many there were. Costs
    /// what taking them down costs; their functions stay loaded and make new ones.
    pub fn release_idle(&self) -> usize {
        self.instances.drop_idle()
    }

    /// How many instances wait for their next request.
    pub fn idle_instances(&self) -> usize {
        self.instances.idle_count()
    }

    /// Every revision that is loaded at the moment.
    pub fn loaded(&self) -> Vec<Rc<LoadedFunction>> {
        let table = self.table.borrow();
        let kept = table.functions().flat_map(|function| function.kept());
        let running = kept.filter_map(|kept| kept.loading.ready());
        running
            .map(|running| Rc::clone(&running.function))
            .collect()
    }

    /// Unloads what was used longest ago, while more is loaded than should be. Loading does so too;
    /// this is for what was in use then.
    pub fn make_room(&self) {
        self.loaded.make_room(Kept::unload_if_idle);
    }

    /// How much is loaded, and how often something had to go.
    pub fn loaded_counts(&self) -> LoadedCounts {
        self.loaded.counts()
    }

    /// What was counted since this was last asked, of the functions where anything was.
    pub fn take_tallies(&self) -> Vec<FunctionTally> {
        self.tallies.take()
    }

    fn function(&self, namespace: &NamespaceName, name: &FunctionName) -> Option<Rc<Function>> {
        self.table.borrow().function(namespace, name).map(Rc::clone)
    }

    /// The chosen revision, after loading it if need be.
    async fn running(&self, chosen: &Chosen) -> Result<Rc<Running>, Refusal> {
        let Chosen {
            target, revision, ..
        } = chosen;
        if let Some(running) = revision.loading.ready() {
            running.seat.ask();
            return Ok(running);
        }
        let load = async || {
            let function = self.loader.load(&revision.deployment).await?;
            if !target.function.has_traffic(revision.number())
                && let Some(too_many) = self.visited.note(revision)
            {
                too_many.loading.unload();
            }
            let running = self.behind_gate(function, &target.function.lasting);
            running.seat.belongs_to(revision);
            Ok(running)
        };
        let revision = &revision.deployment.revision;
        let running = chosen.revision.loading.get(revision, load).await?;
        running.seat.ask();
        if self.loaded.is_over() {
            // Behind this request, which has waited long enough.
            let loaded = Rc::clone(&self.loaded);
            tokio::task::spawn_local(async move { loaded.make_room(Kept::unload_if_idle) });
        }
        Ok(running)
    }

    fn behind_gate(&self, function: Rc<LoadedFunction>, lasting: &Lasting) -> Rc<Running> {
        let place = Place {
            counters: self.counters.clone(),
            worker: self.worker,
            function: lasting.column,
        };
        let revision = function.revision();
        let needs = Needs {
            namespace: &revision.namespace,
            held: &lasting.held,
            slots: function.pool_slots(),
            descriptors: function.descriptors_max(),
            isolation: &revision.isolation,
        };
        let gate = Gate::new(place, &revision.limits, needs, &self.instances);
        Rc::new(Running {
            seat: self.loaded.seat(function.held_bytes()),
            held: Rc::clone(&lasting.held),
            function,
            gate,
        })
    }
}

impl Chosen {
    /// What the function is to be run for. A function of its own, and in a box: what is put together
    /// in an asynchronous one is held there until the answer comes.
    fn invocation<'a>(
        &'a self,
        mut slot: Slot,
        request: Box<Request<RequestBody>>,
        caller: &'a Caller,
        (started, time_max): (Instant, Duration),
    ) -> Box<Invocation<'a>> {
        let counted = Rc::clone(&self.counted);
        Box::new(Invocation {
            request,
            caller,
            mount: self.target.mount(),
            // The clock starts with the guest: waiting has bounds of its own.
            deadline: started + time_max,
            instance: slot.take_instance(),
            permit: Box::new(slot),
            ended: Some(Box::new(move |outcome, cpu| counted.ended(outcome, cpu))),
        })
    }
}

impl Dispatched {
    fn refused(addressee: Option<Addressee>, refusal: Refusal) -> Self {
        Self {
            addressee,
            result: Err(Outcome::Refused(refusal)),
        }
    }
}

impl Target {
    fn addressee(&self, revision: Option<RevisionNumber>) -> Addressee {
        Addressee {
            namespace: self.function.namespace.clone(),
            function: self.function.name.clone(),
            revision,
        }
    }
}
