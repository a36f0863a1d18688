//! Instances that several invocations have at a time: isolation `shared`.
//!
//! Decides the order of such an instance's life. One task runs it as long as anybody is in it; each
//! invocation is a task of its own, which brings its question, keeps its own deadline and waits for
//! its end. Once nobody is in it and the guest has nothing left to do, the instance waits like a
//! `serial` one. Who is in it, and what each of them used, is `room.rs`.
//!
//! What cannot go on ends all that are in it: a trap, memory that was refused, processor time that
//! one of them used up. Whoever runs out of time, or leaves, ends alone; nobody comes in any more,
//! and the others have their own time to finish.
//!
//! **Invariant:** nothing of the guest runs but in the time of an invocation that is in it, and it
//! never holds on to a place in which nobody is.

pub(crate) mod room;

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use midge_model::{Isolation, Limits, Outcome, Reuse};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::GuestTaskId;
use wasmtime_wasi::I32Exit;

use self::room::{Asker, OpenInstance, Question, Room, RoomParts, Seat};
use crate::contract::HttpProgram;
use crate::cpu::{Pace, Stopwatch, polled_again};
use crate::function::{LoadedFunction, Shared};
use crate::instance::{Instance, InstanceUse, Permit};
use crate::invocation::Held;
use crate::limits::Vitals;
use crate::outcome::{LARGE_BYTES, of_error, panic_text};
use crate::turns::Contender;

/// Which of a guest's tasks computes, as it was seen at the last tick of the engine's clock.
pub(crate) type Computing = Arc<Mutex<Option<GuestTaskId>>>;

/// What becomes of an invocation whose instance another one ended.
const ENDED_BY_ANOTHER: &str =
    "ended with its instance: another invocation in it used up its processor time";
const EXITED: &str = "ended with its instance, which exited";

/// How instances of a function are shared.
#[derive(Clone, Copy)]
pub(crate) struct Sharing {
    reuse: Reuse,
    concurrency: u32,
}

impl Sharing {
    /// How those of this program are, if they are.
    pub(crate) fn of(isolation: &Isolation, program: &HttpProgram) -> Option<Self> {
        match (isolation, program) {
            (&Isolation::Shared { reuse, concurrency }, HttpProgram::V03(_)) => {
                Some(Self { reuse, concurrency })
            }
            _ => None,
        }
    }
}

/// One invocation in an instance that it shares, until its end. Dropping it leaves the instance.
pub(crate) struct Visit {
    _seat: Seat,
    pub(crate) used: InstanceUse,
    over: oneshot::Receiver<()>,
    /// Dropped at the end: the guest may hold the other side of its response for longer.
    _cut: oneshot::Sender<Infallible>,
    vitals: Arc<Vitals>,
    deadline: Instant,
    time_max: Duration,
    held: Held,
}

/// Who asks for what, and what it holds.
pub(crate) struct Visitor {
    pub(crate) question: Question,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) deadline: Instant,
    pub(crate) held: Held,
}

impl Visit {
    /// Takes the seat.
    pub(crate) fn new(mut seat: Seat, visitor: Visitor, limits: &Limits) -> Self {
        let Visitor {
            mut question,
            vitals,
            deadline,
            held,
        } = visitor;
        let takes_back = question.request.body_mut().lend();
        let (cut, ends_body) = oneshot::channel();
        question.head = question.head.cut_by(ends_body);
        let asker = Asker {
            vitals: Arc::clone(&vitals),
            deadline,
            takes_back,
        };
        let (used, over) = seat.ask(question, asker);
        Self {
            _seat: seat,
            used,
            over,
            _cut: cut,
            vitals,
            deadline,
            time_max: limits.time,
            held,
        }
    }

    /// Waits for its end, and not beyond its deadline.
    pub(crate) async fn run(mut self) {
        if timeout_at(self.deadline, &mut self.over).await.is_err() {
            let limit = self.time_max;
            self.vitals.end(Outcome::OutOfTime { limit });
        }
    }
}

impl Drop for Visit {
    /// However it came to its end. Its seat goes next, and then what it holds.
    fn drop(&mut self) {
        self.held.tell_end(&self.vitals);
    }
}

/// An instance with those that are in it, from the first to the last.
pub(crate) struct Session {
    instance: Instance,
    program: Rc<HttpProgram>,
    room: Rc<Room>,
    sharing: Sharing,
    limits: Limits,
    /// The instance's, as long as this lasts.
    vitals: Arc<Vitals>,
    stopwatch: Stopwatch,
    computing: Computing,
    contender: Contender,
    sandbox: Rc<Shared>,
    /// What holds the instance's place. Last, so that the place is free only when it is.
    permit: Option<Box<dyn Permit>>,
}

/// How a session came to its end.
enum End {
    /// Nobody is in it, and the guest has nothing left to do.
    Quiet,
    /// Nobody is in it any more who wants anything.
    Deserted,
    /// The engine cannot go on.
    Broken(wasmtime::Error),
    /// One of them computed for too long.
    OutOfCpu,
}

impl Session {
    /// Opens an instance, with a seat for whoever made it.
    pub(crate) fn open(
        of: &LoadedFunction,
        program: &Rc<HttpProgram>,
        sharing: Sharing,
        mut instance: Instance,
        founder: &mut Visitor,
    ) -> (Self, Seat) {
        let vitals = Arc::<Vitals>::default();
        let computing = instance.share(&vitals, founder.deadline);
        let pace: Arc<Pace> = instance.pace();
        let room = Room::new(RoomParts {
            instance: instance.used().number,
            asked: instance.answered(),
            concurrency: sharing.concurrency,
            requests_max: sharing.reuse.requests_max,
            pace: Arc::clone(&pace),
        });
        let open = OpenInstance(Rc::clone(&room));
        let permit = founder
            .held
            .permit
            .as_mut()
            .and_then(|permit| permit.share(&open));
        let seat = room.seat();
        let session = Self {
            instance,
            program: Rc::clone(program),
            room,
            sharing,
            limits: of.revision().limits,
            stopwatch: Stopwatch::new(Arc::clone(&vitals), pace),
            vitals,
            computing,
            contender: of.share.contender(),
            sandbox: Rc::clone(&of.sandbox),
            permit,
        };
        (session, seat)
    }

    /// Runs the instance until nobody is in it.
    pub(crate) async fn run(self) {
        let Self {
            mut instance,
            program,
            room,
            sharing,
            limits,
            vitals,
            stopwatch,
            computing,
            contender,
            sandbox,
            permit,
        } = self;
        let _ticking = sandbox.ticker.enter();
        let watch = Watch {
            room: &room,
            sharing,
            limits,
            vitals: &vitals,
            stopwatch,
            computing,
            contender: &contender,
        };
        let is_quiet = {
            let mut call = pin!(instance.converse(&program, &room));
            // Outcomes are noted while the call and its store still stand, see `outcome.rs`.
            watch.over(call.as_mut()).await
        };
        // From here on nobody finds it open; whoever comes next gets it from the permit.
        room.close();
        instance.note_asked(room.asked());
        instance.note_failure(&vitals);
        if is_quiet && instance.may_be_asked_again(&sharing.reuse) {
            if let Some(permit) = permit {
                permit.keep(instance);
            }
            return;
        }
        if vitals.memory_peak_bytes() >= LARGE_BYTES {
            contender.pays_until_dropped();
        }
        drop(instance);
        drop(permit);
    }
}

/// What a session is held to.
struct Watch<'a> {
    room: &'a Room,
    sharing: Sharing,
    limits: Limits,
    vitals: &'a Vitals,
    stopwatch: Stopwatch,
    computing: Computing,
    contender: &'a Contender,
}

impl Watch<'_> {
    /// Runs the instance, and notes how everybody in it ended. Says whether it could be used again.
    async fn over(&self, call: Pin<&mut impl Future<Output = wasmtime::Result<()>>>) -> bool {
        let ended = AssertUnwindSafe(self.in_turns(call)).catch_unwind().await;
        let limits = &self.limits;
        match ended {
            Ok(End::Quiet) => {
                let may_go_on = !self.room.is_closed();
                self.vitals.note_answered();
                self.vitals.end(Outcome::Responded);
                return may_go_on;
            }
            Ok(End::Deserted) => self.vitals.end(Outcome::Cancelled),
            Ok(End::Broken(error)) => {
                let outcome = of_error(&error, limits.into(), self.vitals);
                let is_exit = matches!(error.downcast_ref(), Some(I32Exit(0)));
                let is_alone = self.room.waiting() <= 1;
                self.room.end_all(|_, is_answered| match is_exit {
                    // Which of them it was that exited nobody knows.
                    true if !is_answered && !is_alone => failed(EXITED),
                    _ => outcome.clone(),
                });
                self.vitals.end(outcome);
            }
            Ok(End::OutOfCpu) => {
                let out_of_cpu = Outcome::OutOfCpu { limit: limits.cpu };
                self.room
                    .end_all(|vitals, _| match vitals.cpu() > limits.cpu {
                        true => out_of_cpu.clone(),
                        false => failed(ENDED_BY_ANOTHER),
                    });
                self.vitals.end(out_of_cpu);
            }
            Err(panic) => {
                let reason = format!("panicked: {}", panic_text(&*panic));
                let host = Outcome::Host { reason };
                self.room.end_all(|_, _| host.clone());
                self.vitals.end(host);
            }
        }
        false
    }

    /// Polls the guest whenever it is its turn, and sees after each stint to what became of those
    /// that are in it.
    async fn in_turns(
        &self,
        mut call: Pin<&mut impl Future<Output = wasmtime::Result<()>>>,
    ) -> End {
        loop {
            if self.room.is_deserted() {
                return End::Deserted;
            }
            self.contender.turn().await;
            let (polled, stint) = poll_fn(|cx| {
                let stint = self.stopwatch.measure(|| call.as_mut().poll(cx));
                Poll::Ready(stint)
            })
            .await;
            self.contender.end_turn(stint.used, stint.interrupted);
            // Only who was interrupted is known to have computed all the while.
            let computing = self.computing().filter(|_| stint.interrupted);
            let memory_bytes = self.vitals.memory_peak_bytes();
            self.room.charge(stint.used, computing, memory_bytes);
            let memory_max = self.sharing.reuse.memory_max_bytes.unwrap_or(u64::MAX);
            if memory_bytes > memory_max || self.vitals.memory_refused() {
                self.room.close();
            }
            match polled {
                Poll::Ready(Ok(())) => {
                    self.room.end_answered(true);
                    return End::Quiet;
                }
                Poll::Ready(Err(error)) => return End::Broken(error),
                Poll::Pending => self.room.end_answered(false),
            }
            if self.room.is_over(self.limits.cpu) {
                return End::OutOfCpu;
            }
            if !stint.interrupted && !self.room.is_deserted() {
                // What it waits for has the task's waker, and so has the room.
                polled_again().await;
            }
        }
    }

    fn computing(&self) -> Option<GuestTaskId> {
        let mut computing = self
            .computing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        computing.take()
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed {
        reason: reason.to_owned(),
    }
}
