//! One instance of an HTTP program, and whether it may be asked again.
//!
//! Decides what an instance takes along into its next invocation and what is renewed for that one.
//! Who gets it next, how long it waits, and when it has to go is decided above (midge-runtime).
//!
//! **Invariant:** only an instance whose guest came to its end by itself, with a response and
//! nothing left to do, is asked again; every other is dropped with whatever it was doing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Request;
use midge_model::{Outcome, Reuse};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p3::bindings::Service;

use crate::body::RequestBody;
use crate::contract::{HeadSender, HttpProgram, http02, http03};
use crate::cpu::Pace;
use crate::guest::Guest;
use crate::limits::{self, Metered, Vitals};
use crate::shared::Computing;
use crate::shared::room::{OpenInstance, Room, Seat};

/// How many instances this process has made.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// An instance between two invocations, or in one. Dropping it takes it down.
pub struct Instance {
    store: Store<Guest>,
    program: Option<Instantiated>,
    pace: Arc<Pace>,
    number: u64,
    asked: u32,
}

/// An instance that an invocation has after others, or with them.
#[derive(Debug)]
pub enum Reused {
    /// One that a permit was given to keep.
    Whole(Instance),
    /// A seat in one that runs.
    Seat(Seat),
}

impl From<Instance> for Reused {
    fn from(instance: Instance) -> Self {
        Self::Whole(instance)
    }
}

/// Which instance answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceUse {
    /// The how manieth of its worker it is.
    pub number: u64,
    /// How many invocations it has had, this one included.
    pub nth: u32,
}

/// What holds a guest's place, and takes the instance when it may be asked again.
pub trait Permit {
    /// Gives up what belongs to the instance rather than to the invocation, now that others may
    /// join them in it: who runs the instance holds that until it is kept or gone. `None`: nobody
    /// else finds it, and it is not kept.
    fn share(&mut self, _open: &OpenInstance) -> Option<Box<dyn Permit>> {
        None
    }

    /// Keeps the instance for another invocation of the same revision, or drops it.
    fn keep(self: Box<Self>, instance: Instance);
}

/// A permit that keeps no instance; holds what it is made of until the guest is gone.
pub struct KeepsNone<T>(pub T);

impl<T> Permit for KeepsNone<T> {
    fn keep(self: Box<Self>, _instance: Instance) {}
}

/// A program in its store, ready to be called.
pub(crate) enum Instantiated {
    V02(Proxy),
    V03(Service),
}

impl Instance {
    /// A store for this guest, with every limit on it, and nothing in it yet.
    pub(crate) fn new(engine: &wasmtime::Engine, guest: Guest, deadline: Instant) -> Self {
        let mut store = Store::new(engine, guest);
        let pace = Arc::new(Pace::new(deadline));
        limits::bind(&mut store, Arc::clone(&pace));
        Self {
            store,
            program: None,
            pace,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            asked: 1,
        }
    }

    /// The same for its next invocation.
    pub(crate) fn renew(&mut self, request_id: &Arc<str>, vitals: &Arc<Vitals>, deadline: Instant) {
        self.asked = self.asked.saturating_add(1);
        self.pace.renew(deadline);
        // Ticks that came while it waited are nobody's.
        self.store.set_epoch_deadline(1);
        self.store.data_mut().renew(request_id, Arc::clone(vitals));
    }

    /// The same for several at a time, from now on until nobody is in it: who computes is noted,
    /// and what the guest says is said in the instance's name, because nobody can tell which of
    /// them it is that says it.
    pub(crate) fn share(&mut self, vitals: &Arc<Vitals>, deadline: Instant) -> Computing {
        self.pace.renew(deadline);
        self.store.set_epoch_deadline(1);
        let name = format!("instance-{}", self.number).into();
        self.store.data_mut().renew(&name, Arc::clone(vitals));
        let computing = Computing::default();
        let pace = Arc::clone(&self.pace);
        limits::note_who_computes(&mut self.store, pace, Arc::clone(&computing));
        computing
    }

    /// How many it has answered, none of which is in it now.
    pub(crate) fn answered(&self) -> u32 {
        match self.program {
            Some(_) => self.asked,
            None => 0,
        }
    }

    /// Notes how many asked it, over all.
    pub(crate) fn note_asked(&mut self, asked: u32) {
        self.asked = asked;
    }

    /// Runs the invocations of a room, in a new instance if there is none yet, until there are no
    /// more and the guest has nothing left to do.
    pub(crate) async fn converse(
        &mut self,
        program: &HttpProgram,
        room: &Room,
    ) -> wasmtime::Result<()> {
        let instantiated = match &mut self.program {
            Some(instantiated) => instantiated,
            empty @ None => {
                let began = Instant::now();
                let made = program.instantiate(&mut self.store).await;
                room.note_instantiated(began.elapsed());
                empty.insert(made?)
            }
        };
        match instantiated {
            Instantiated::V03(service) => http03::converse(service, &mut self.store, room).await,
            Instantiated::V02(_) => unreachable!("one of WASI 0.2 has one invocation at a time"),
        }
    }

    /// Which it is.
    pub(crate) fn used(&self) -> InstanceUse {
        InstanceUse {
            number: self.number,
            nth: self.asked,
        }
    }

    /// What tells the engine when a stint is over.
    pub(crate) fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// Runs one invocation to the end of the guest, in a new instance if there is none yet.
    pub(crate) async fn ask(
        &mut self,
        program: &HttpProgram,
        (request, https): (Box<Request<RequestBody>>, bool),
        head: HeadSender,
    ) -> wasmtime::Result<()> {
        let instantiated = match &mut self.program {
            Some(instantiated) => instantiated,
            empty @ None => {
                let made = program.instantiate(&mut self.store).await;
                empty.insert(head.instantiated(made)?)
            }
        };
        match instantiated {
            Instantiated::V02(proxy) => {
                http02::call(proxy, &mut self.store, request, https, head).await
            }
            Instantiated::V03(service) => {
                http03::call(service, &mut self.store, request, https, head).await
            }
        }
    }

    /// Whether it may be asked again, its guest having come to its end by itself.
    pub(crate) fn may_be_asked_again(&mut self, reuse: &Reuse) -> bool {
        let guest = self.store.data_mut();
        let held_bytes = guest.meter().held_bytes();
        reuse.allows_another(self.asked, held_bytes) && guest.is_clean()
    }
}

impl Instance {
    /// Tells the function's author, if an instance that had answered before has just failed by its
    /// guest's doing.
    pub(crate) fn note_failure(&self, vitals: &Vitals) {
        let failed = match vitals.outcome() {
            Some(Outcome::Trapped { .. } | Outcome::Exited { .. }) => true,
            Some(Outcome::Responded) => !vitals.is_answered(),
            _ => false,
        };
        if failed && self.asked > 1 {
            self.store.data().note_asked_before(self.asked - 1);
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({:?})", self.used())
    }
}
