//! A function as it is published to a worker: its revisions, its traffic, what it holds.
//!
//! Decides what of a function outlives that another state of it is published: revisions that did
//! not change stay loaded as long as they have traffic, and counts go on. Who is asked which
//! revision is `table.rs` and `pick.rs`; loading is `loading.rs`.
//!
//! **Invariant:** a state of a function never changes once it was published. What is loaded of it
//! may come and go.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use midge_model::{FunctionName, NamespaceName, RevisionNumber, Route, Traffic};
use midge_sandbox::{Deployment, LoadedFunction};

use crate::admission::Gate;
use crate::eviction::Seat;
use crate::instances::Held;
use crate::loading::Loading;
use crate::pick::Sequence;
use crate::tally::Tally;

/// What a worker is told of a function: all of it, whenever any of it changes.
#[derive(Debug, Clone)]
pub struct Published {
    /// Whose function.
    pub namespace: NamespaceName,
    /// Which.
    pub function: FunctionName,
    /// Where its invocations are counted: its own of the [`FUNCTIONS_MAX`](crate::FUNCTIONS_MAX)
    /// columns of the node.
    pub column: usize,
    /// Which revisions answer, and how often.
    pub traffic: Traffic,
    /// Every revision that is kept, with or without traffic. One that is equal to what was published
    /// before stays loaded, so another value of a secret loads it anew.
    pub revisions: Vec<Arc<Deployment>>,
}

/// A function that is about to be published, with what of it was loaded in advance.
pub struct Prepared {
    pub(crate) published: Published,
    pub(crate) loaded: Vec<(RevisionNumber, Rc<LoadedFunction>)>,
}

impl From<Published> for Prepared {
    /// Nothing was loaded: the first request of each revision waits for it.
    fn from(published: Published) -> Self {
        Self {
            published,
            loaded: Vec::new(),
        }
    }
}

/// A revision that runs: its code behind its gate.
pub(crate) struct Running {
    pub(crate) function: Rc<LoadedFunction>,
    pub(crate) gate: Rc<Gate>,
    /// What it holds of the worker.
    pub(crate) seat: Seat<Kept>,
    /// What all revisions of its function hold at the moment.
    pub(crate) held: Rc<Held>,
}

impl Drop for Running {
    /// Whatever comes after it, even the same revision loaded anew, makes instances of its own.
    fn drop(&mut self) {
        self.gate.close();
    }
}

/// One state of a function.
pub(crate) struct Function {
    pub(crate) namespace: NamespaceName,
    pub(crate) name: FunctionName,
    /// Among revisions that are kept; `None` if none of those with traffic is.
    pub(crate) traffic: Option<Rc<Traffic>>,
    /// By number.
    kept: Vec<Rc<Kept>>,
    pub(crate) lasting: Rc<Lasting>,
}

/// A revision, loaded or not.
pub(crate) struct Kept {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) loading: Loading<Rc<Running>>,
}

/// What is a function's whatever its state.
pub(crate) struct Lasting {
    pub(crate) column: usize,
    pub(crate) held: Rc<Held>,
    pub(crate) sequence: Sequence,
    pub(crate) tally: Rc<Tally>,
}

impl Function {
    /// The state that follows on `old`. What was loaded in advance is put behind a gate.
    pub(crate) fn after(
        old: Option<&Self>,
        prepared: Prepared,
        behind_gate: impl Fn(Rc<LoadedFunction>, &Lasting) -> Rc<Running>,
    ) -> Rc<Self> {
        let Prepared {
            mut published,
            mut loaded,
        } = prepared;
        let number = |deployment: &Arc<Deployment>| deployment.revision.number;
        published.revisions.sort_by_key(number);
        published
            .revisions
            .dedup_by_key(|deployment| number(deployment));
        let traffic = published
            .traffic
            .among(|share| published.revisions.iter().any(|kept| number(kept) == share));
        // In another column its invocations are counted anew, so no gate can go on either.
        let old = old.filter(|old| old.lasting.column == published.column);
        let lasting = old.map_or_else(|| Lasting::new(&published), |old| Rc::clone(&old.lasting));
        let keep = |deployment: Arc<Deployment>| {
            let number = number(&deployment);
            if !traffic.as_ref().is_some_and(|traffic| traffic.has(number)) {
                return Kept::new(deployment, None);
            }
            let in_advance = loaded.iter().position(|(of, _)| *of == number);
            let in_advance = in_advance.map(|at| loaded.swap_remove(at).1);
            match (old.and_then(|old| old.unchanged(&deployment)), in_advance) {
                // Its gate has a queue, which goes on.
                (Some(before), in_advance) if before.is_loaded() || in_advance.is_none() => {
                    match old.is_some_and(|old| old.has_traffic(number)) {
                        true => Rc::clone(before),
                        // It was a visitor's, and must not be unloaded as one.
                        false => Kept::new(deployment, before.loading.ready()),
                    }
                }
                (_, in_advance) => {
                    let running = in_advance.map(|function| behind_gate(function, &lasting));
                    Kept::new(deployment, running)
                }
            }
        };
        let kept = published.revisions.into_iter().map(keep).collect();
        Rc::new(Self {
            namespace: published.namespace,
            name: published.function,
            traffic: traffic.map(Rc::new),
            kept,
            lasting,
        })
    }

    /// The revision of this number, if it is kept.
    pub(crate) fn revision(&self, number: RevisionNumber) -> Option<&Rc<Kept>> {
        let found = self
            .kept
            .binary_search_by_key(&number, |kept| kept.number());
        found.ok().map(|at| &self.kept[at])
    }

    /// The revision that is what this deployment says.
    pub(crate) fn unchanged(&self, deployment: &Deployment) -> Option<&Rc<Kept>> {
        self.revision(deployment.revision.number)
            .filter(|kept| *kept.deployment == *deployment)
    }

    /// Whether both are states of one function.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.namespace == other.namespace
    }

    /// Every revision that is kept.
    pub(crate) fn kept(&self) -> &[Rc<Kept>] {
        &self.kept
    }

    /// Whether anything of it is loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.kept.iter().any(|kept| kept.is_loaded())
    }

    /// Whether this revision has traffic.
    pub(crate) fn has_traffic(&self, number: RevisionNumber) -> bool {
        let traffic = self.traffic.as_ref();
        traffic.is_some_and(|traffic| traffic.has(number))
    }

    /// The routes of the revisions that have traffic. Each is answered by those that have it: a
    /// route that only the newest has goes to the newest only.
    pub(crate) fn routes(&self) -> Vec<(Route, Rc<Traffic>)> {
        let Some(traffic) = &self.traffic else {
            return Vec::new();
        };
        let mut routes = BTreeMap::<String, (&Route, Vec<RevisionNumber>)>::new();
        for kept in self.kept.iter().filter(|kept| traffic.has(kept.number())) {
            for route in &kept.deployment.revision.routes {
                let (_, of) = routes.entry(route.shape()).or_insert((route, Vec::new()));
                of.push(kept.number());
            }
        }
        let split = |of: &[RevisionNumber]| {
            if traffic
                .shares()
                .iter()
                .all(|share| of.contains(&share.revision))
            {
                return Rc::clone(traffic);
            }
            let among = traffic.among(|number| of.contains(&number));
            Rc::new(among.expect("a revision with traffic has the route"))
        };
        let routes = routes.into_values();
        routes
            .map(|(route, of)| (route.clone(), split(&of)))
            .collect()
    }
}

impl Kept {
    fn new(deployment: Arc<Deployment>, loaded: Option<Rc<Running>>) -> Rc<Self> {
        let kept = Rc::new(Self {
            deployment,
            loading: Loading::new(loaded.clone()),
        });
        if let Some(running) = loaded {
            running.seat.belongs_to(&kept);
        }
        kept
    }

    /// Unloads it, unless it is not loaded or in use. Says whether it did.
    pub(crate) fn unload_if_idle(self: &Rc<Self>) -> bool {
        // What is loaded, and this look at it.
        const HOLDERS: usize = 2;
        let Some(running) = self.loading.ready() else {
            return false;
        };
        // Who waits for a slot holds it; who has one is counted.
        let in_use = Rc::strong_count(&running) > HOLDERS || running.held.instances.get() > 0;
        if !in_use {
            self.loading.unload();
        }
        !in_use
    }

    /// Whether it was loaded in advance, and nobody asked for it since.
    pub(crate) fn is_never_asked(&self) -> bool {
        let running = self.loading.ready();
        running.is_some_and(|running| !running.seat.was_asked())
    }

    /// Unloads it if it was loaded in advance, and nobody asked for it since.
    pub(crate) fn unload_if_never_asked(self: &Rc<Self>) {
        if self.is_never_asked() {
            self.unload_if_idle();
        }
    }

    pub(crate) fn number(&self) -> RevisionNumber {
        self.deployment.revision.number
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.loading.ready().is_some()
    }
}

impl Lasting {
    fn new(published: &Published) -> Rc<Self> {
        Rc::new(Self {
            column: published.column,
            held: Rc::default(),
            sequence: Sequence::default(),
            tally: Tally::new(&published.namespace, &published.function),
        })
    }
}
