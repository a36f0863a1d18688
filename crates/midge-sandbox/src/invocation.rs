//! One invocation, from a routed request to its outcome.
//!
//! Decides the order: bind the limits, run the guest in a task of its own, hand out
//! the response as soon as its head is there, note the outcome before anything of
//! the guest is torn down. Which function runs, and whether it may start now, was
//! decided above (midge-runtime).
//!
//! **Invariant:** a store serves one invocation and is thrown away with it, unless the function's
//! isolation says otherwise and it may be asked again (`instance.rs`) or by others (`shared.rs`).

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body;
use midge_model::{Outcome, Refusal, RequestId, Reuse};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::Store;

use crate::body::{RequestBody, ResponseBody};
use crate::contract::{CommandProgram, GuestHead, HeadSender, HttpProgram, Program};
use crate::contract::{cgi, command};
use crate::cpu::{Pace, Stopwatch};
use crate::function::{LoadedFunction, Shared};
use crate::guest::{self, Granted, Guest, Guest01};
use crate::guest_log::LogLabel;
use crate::host::tmp::TmpDir;
use crate::instance::{Instance, InstanceUse, Permit, Reused};
use crate::limits::{self, Meter, Metered, Vitals};
use crate::outcome::{Bounds, Watch};
use crate::powers::Lent;
use crate::running::{AnswerBounds, Head, Running};
use crate::shared::room::Question;
use crate::shared::{Session, Sharing, Visit, Visitor};
use crate::stdout_pipe::stdout_pipe;
use crate::task::GuestTask;

/// Who sent a request, and over which connection.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The client's address.
    pub peer: SocketAddr,
    /// The address it reached us at.
    pub local: SocketAddr,
    /// Whether it came over TLS.
    pub https: bool,
    /// Names the request in logs and answers.
    pub request_id: RequestId,
}

/// What to run a function for.
pub struct Invocation<'a> {
    /// The request as the caller sent it.
    pub request: Box<Request<RequestBody>>,
    /// Who sent it.
    pub caller: &'a Caller,
    /// The literal front of the route that matched: CGI's `SCRIPT_NAME`.
    pub mount: &'a str,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// Held until the guest is gone, whatever happens to the caller: slots, counters.
    pub permit: Box<dyn Permit>,
    /// An instance of this revision that there is already; `None` makes one.
    pub instance: Option<Reused>,
    /// Told how it ended once the guest is gone, if there ever was one.
    pub ended: Option<OnEnd>,
}

/// Takes how an invocation ended, and the processor time that it used.
pub type OnEnd = Box<dyn FnOnce(&Outcome, Duration)>;

/// A response, and what it cost up to its head.
pub struct Answer {
    /// The response; its body may still be written by the guest.
    pub response: Response<ResponseBody>,
    /// Making the instance.
    pub instantiate: Duration,
    /// Running the guest until the head of its response was there.
    pub run: Duration,
    /// The processor time it has used so far.
    pub cpu: Duration,
    /// The most memory the instance held so far, in bytes.
    pub memory_peak_bytes: u64,
    /// Which instance answered, where it may answer others too.
    pub instance: Option<InstanceUse>,
}

impl LoadedFunction {
    /// Runs this function once, in an instance of its own.
    ///
    /// Dropping the future, or the response body before its end, cancels the guest.
    ///
    /// # Errors
    ///
    /// How the invocation ended, if not with a response.
    pub async fn invoke(
        self: &Rc<Self>,
        invocation: Box<Invocation<'_>>,
    ) -> Result<Answer, Outcome> {
        // What stands here when the guest waits is held for every guest that waits.
        let started = Instant::now();
        let bounds = self.answer_bounds(&invocation)?;
        let vitals = Arc::new(Vitals::default());
        let tmp = match &invocation.instance {
            Some(_) => None,
            None => self.dirs.tmp().await?,
        };
        let mut running = self.start(invocation, tmp, &vitals)?;
        let instance = running.instance;
        let leaves = Leaves(&vitals);
        let head = running.head_or_end(&vitals).await;
        std::mem::forget(leaves);
        let response = head.and_then(|head| running.response(head, bounds, &vitals));
        // Whatever the guest made of it, it never saw the whole request.
        if let Some(too_large @ Outcome::Refused(Refusal::BodyTooLarge { .. })) = vitals.outcome() {
            return Err(too_large.clone());
        }
        let response = response?;
        let run = started.elapsed().saturating_sub(vitals.instantiate());
        Ok(Answer {
            response,
            instantiate: vitals.instantiate(),
            run,
            cpu: vitals.cpu(),
            memory_peak_bytes: vitals.memory_peak_bytes(),
            instance,
        })
    }

    /// What the answer may be, if the request may be as it is.
    fn answer_bounds(&self, invocation: &Invocation<'_>) -> Result<AnswerBounds, Outcome> {
        let limits = &self.revision().limits;
        refuse_large_body(&invocation.request, limits.request_body_bytes)?;
        Ok(AnswerBounds {
            body_allowed: invocation.request.method() != Method::HEAD,
            body_bytes_max: limits.response_body_bytes,
        })
    }

    /// The guest with all that it needs, about to begin.
    #[expect(
        clippy::boxed_local,
        reason = "unpacked by its caller, the box would stay while the guest runs"
    )]
    fn start(
        &self,
        invocation: Box<Invocation<'_>>,
        tmp: Option<TmpDir>,
        vitals: &Arc<Vitals>,
    ) -> Result<Running, Outcome> {
        let Invocation {
            mut request,
            caller,
            mount,
            deadline,
            permit,
            instance,
            ended,
        } = *invocation;
        let request_id: Arc<str> = caller.request_id.as_str().into();
        let held = Held {
            sandbox: Rc::clone(&self.sandbox),
            ended,
            permit: Some(permit),
        };
        let body_bytes_max = self.revision().limits.request_body_bytes;
        let (sender, head) = oneshot::channel();
        let sender = HeadSender::new(sender, Arc::clone(vitals));
        request.body_mut().bind(body_bytes_max, Arc::clone(vitals));

        match &self.program {
            Program::Http(program) => {
                let start = HttpStart {
                    question: Question {
                        request,
                        https: caller.https,
                        head: sender,
                    },
                    request_id,
                    tmp,
                    deadline,
                    instance,
                    held,
                };
                self.start_http(program, start, (vitals, head))
            }
            Program::Command(program) => {
                let (lent, mut granted) = self.granted(request_id, tmp)?;
                for (name, value) in cgi::variables(&request, caller, mount) {
                    granted.wasi.env(name, value);
                }
                let (pipe, stdout) = stdout_pipe();
                granted
                    .wasi
                    .arg(self.revision().function.as_str())
                    .args(&self.revision().grants.args)
                    .stdin(command::stdin(request.into_body()))
                    .stdout(pipe);
                let pace = Arc::new(Pace::new(deadline));
                let watch = self.watch(deadline, pace, vitals);
                let run = Run { watch, held };
                let task = run.command(Rc::clone(program), (lent, granted), sender);
                Ok(Running {
                    task: GuestTask::new(task),
                    head: Head::Stdout(Some(stdout)),
                    instance: None,
                })
            }
        }
    }

    fn start_http(
        &self,
        program: &Rc<HttpProgram>,
        start: HttpStart,
        (vitals, head): (&Arc<Vitals>, oneshot::Receiver<GuestHead>),
    ) -> Result<Running, Outcome> {
        if let Some(sharing) = Sharing::of(&self.revision().isolation, program) {
            let visit = self.visit(program, sharing, start, vitals)?;
            return Ok(Running {
                instance: Some(visit.used),
                task: GuestTask::new(visit.run()),
                head: Head::OfOneOfMany(head),
            });
        }
        let HttpStart {
            question,
            request_id,
            tmp,
            deadline,
            instance,
            held,
        } = start;
        let instance = match instance {
            Some(Reused::Whole(mut instance)) => {
                instance.renew(&request_id, vitals, deadline);
                instance
            }
            // Nobody gets a seat in one that is not shared.
            Some(Reused::Seat(_)) | None => {
                let guest = self.guest(request_id, tmp, vitals)?;
                Instance::new(program.engine(), guest, deadline)
            }
        };
        let reuse = self.revision().isolation.reuse().copied();
        let used = reuse.map(|_| instance.used());
        let watch = self.watch(deadline, instance.pace(), vitals);
        let run = Run { watch, held };
        let asked = Asked {
            program: Rc::clone(program),
            https: question.https,
            reuse,
            head: question.head,
        };
        Ok(Running {
            task: GuestTask::new(run.http(instance, question.request, asked)),
            head: Head::Response(head),
            instance: used,
        })
    }

    /// Takes a seat in an instance that others may have at the same time: one that runs, or one
    /// that from now on does.
    fn visit(
        &self,
        program: &Rc<HttpProgram>,
        sharing: Sharing,
        start: HttpStart,
        vitals: &Arc<Vitals>,
    ) -> Result<Visit, Outcome> {
        let limits = &self.revision().limits;
        let mut visitor = Visitor {
            question: start.question,
            vitals: Arc::clone(vitals),
            deadline: start.deadline,
            held: start.held,
        };
        let instance = match start.instance {
            Some(Reused::Seat(seat)) => return Ok(Visit::new(seat, visitor, limits)),
            Some(Reused::Whole(instance)) => instance,
            None => {
                let guest = self.guest(start.request_id, start.tmp, vitals)?;
                Instance::new(program.engine(), guest, start.deadline)
            }
        };
        let (session, seat) = Session::open(self, program, sharing, instance, &mut visitor);
        let visit = Visit::new(seat, visitor, limits);
        tokio::task::spawn_local(session.run());
        Ok(visit)
    }

    /// The state of an HTTP program's new instance.
    fn guest(
        &self,
        request_id: Arc<str>,
        tmp: Option<TmpDir>,
        vitals: &Arc<Vitals>,
    ) -> Result<Guest, Outcome> {
        let label = self.label(Arc::clone(&request_id));
        let (lent, mut granted) = self.granted(request_id, tmp)?;
        granted.log_stdout(label);
        let meter = Meter::new(self.revision().limits.memory_bytes, Arc::clone(vitals));
        Ok(Guest::new(granted, &lent, meter))
    }

    /// The powers of the function, lent to what runs for this request.
    fn granted(
        &self,
        request_id: Arc<str>,
        tmp: Option<TmpDir>,
    ) -> Result<(Arc<Lent>, Granted), Outcome> {
        let label = self.label(request_id);
        let lent = self.powers.lend(label.clone());
        let granted = guest::granted(&lent, &self.dirs, tmp, label)?;
        Ok((lent, granted))
    }

    fn label(&self, request_id: Arc<str>) -> LogLabel {
        let revision = self.revision();
        LogLabel {
            namespace: revision.namespace.clone(),
            function: revision.function.clone(),
            revision: revision.number,
            request_id,
            budget: self.powers.log.clone(),
        }
    }

    fn watch(&self, deadline: Instant, pace: Arc<Pace>, vitals: &Arc<Vitals>) -> Watch {
        Watch {
            deadline,
            bounds: Bounds::from(&self.revision().limits),
            vitals: Arc::clone(vitals),
            stopwatch: Stopwatch::new(Arc::clone(vitals), pace),
            contender: self.share.contender(),
        }
    }
}

/// What an invocation of an HTTP program begins with.
struct HttpStart {
    question: Question,
    request_id: Arc<str>,
    tmp: Option<TmpDir>,
    deadline: Instant,
    instance: Option<Reused>,
    held: Held,
}

/// One run of a guest.
struct Run {
    watch: Watch,
    held: Held,
}

/// What a run holds on to. Dropped after the store, which is a local of the run: the slot is free
/// only then.
pub(crate) struct Held {
    sandbox: Rc<Shared>,
    ended: Option<OnEnd>,
    pub(crate) permit: Option<Box<dyn Permit>>,
}

impl Held {
    /// Tells how it ended, once.
    pub(crate) fn tell_end(&mut self, vitals: &Vitals) {
        if let Some(ended) = self.ended.take() {
            ended(
                vitals.outcome().unwrap_or(&Outcome::Cancelled),
                vitals.cpu(),
            );
        }
    }
}

/// What an HTTP program is asked, beside the request.
struct Asked {
    program: Rc<HttpProgram>,
    https: bool,
    /// How long the instance is used, if it is used again at all.
    reuse: Option<Reuse>,
    head: HeadSender,
}

impl Run {
    /// Not an asynchronous function, which would hold what it is given twice: as it came, and as
    /// it is used.
    fn http(
        self,
        instance: Instance,
        request: Box<Request<RequestBody>>,
        asked: Asked,
    ) -> impl Future<Output = ()> {
        let Asked {
            program,
            https,
            reuse,
            head,
        } = asked;
        let mut at_work = AtWork {
            instance,
            run: self,
            program,
            reuse,
        };
        async move {
            if at_work.answers_well((request, https), head).await {
                at_work.keep();
            }
        }
    }

    async fn command(
        self,
        program: Rc<CommandProgram>,
        (lent, granted): (Arc<Lent>, Granted),
        head: HeadSender,
    ) {
        let _ticking = self.held.sandbox.ticker.enter();
        match &*program {
            CommandProgram::Preview1(pre) => {
                let store = &mut self.store(program.engine(), Guest01::new(granted, self.meter()));
                self.watch.over(command::call01(pre, store, head)).await;
            }
            CommandProgram::V02(pre) => {
                let store =
                    &mut self.store(program.engine(), Guest::new(granted, &lent, self.meter()));
                self.watch.over(command::call02(pre, store, head)).await;
            }
            CommandProgram::V03(pre) => {
                let store =
                    &mut self.store(program.engine(), Guest::new(granted, &lent, self.meter()));
                self.watch.over(command::call03(pre, store, head)).await;
            }
        }
    }

    fn meter(&self) -> Meter {
        Meter::new(
            self.watch.bounds.memory_bytes,
            Arc::clone(&self.watch.vitals),
        )
    }

    fn store<T: Metered>(&self, engine: &wasmtime::Engine, state: T) -> Store<T> {
        let mut store = Store::new(engine, state);
        limits::bind(&mut store, self.watch.stopwatch.pace());
        store
    }
}

/// An instance at work, which is gone before the slot that it has is free.
struct AtWork {
    instance: Instance,
    run: Run,
    program: Rc<HttpProgram>,
    /// How long the instance is used, if it is used again at all.
    reuse: Option<Reuse>,
}

impl AtWork {
    /// Runs the guest to its end, and says whether its instance may be asked again.
    async fn answers_well(
        &mut self,
        (mut request, https): (Box<Request<RequestBody>>, bool),
        head: HeadSender,
    ) -> bool {
        let Self {
            instance,
            run,
            program,
            reuse,
        } = self;
        let _ticking = run.held.sandbox.ticker.enter();
        let takes_back = reuse.and_then(|_| request.body_mut().lend());
        let call = instance.ask(program, (request, https), head);
        let returned = run.watch.over(call).await;
        // Whatever the guest still holds of it.
        drop(takes_back);
        let Some(reuse) = reuse else {
            return false;
        };
        instance.note_failure(&run.watch.vitals);
        returned && run.watch.vitals.is_clean() && instance.may_be_asked_again(reuse)
    }

    /// Gives the instance to whoever keeps it for the next.
    fn keep(self) {
        let Self {
            instance, mut run, ..
        } = self;
        run.held.tell_end(&run.watch.vitals);
        if let Some(permit) = run.held.permit.take() {
            permit.keep(instance);
        }
    }
}

impl Drop for Run {
    /// However the task came to its end. One that was dropped in the middle had nobody left to
    /// work for.
    fn drop(&mut self) {
        self.held.tell_end(&self.watch.vitals);
    }
}

/// Notes that a caller left before there was a response, at once: the guest's task is dropped a
/// moment later, and nobody may come to an instance in between that it was in.
struct Leaves<'a>(&'a Vitals);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.end(Outcome::Cancelled);
    }
}

fn refuse_large_body(request: &Request<RequestBody>, limit_bytes: u64) -> Result<(), Outcome> {
    if request.body().size_hint().lower() > limit_bytes {
        return Err(Outcome::Refused(Refusal::BodyTooLarge { limit_bytes }));
    }
    Ok(())
}
