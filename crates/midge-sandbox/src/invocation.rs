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

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use midge_model::{Outcome, Refusal, RequestId, Reuse};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wasmtime::Store;

use crate::body::{GuestBody, RequestBody, ResponseBody};
use crate::contract::{CommandProgram, GuestHead, HeadSender, HttpProgram, Program};
use crate::contract::{cgi, command};
use crate::cpu::{Pace, Stopwatch};
use crate::function::{LoadedFunction, Shared};
use crate::guest::{self, Granted, Guest, Guest01};
use crate::guest_log::LogLabel;
use crate::host::tmp::TmpDir;
use crate::instance::{Instance, InstanceUse, Permit, Reused};
use crate::limits::{self, Meter, Metered, Vitals};
use crate::outcome::Watch;
use crate::powers::Lent;
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
    pub request: Request<RequestBody>,
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
    pub async fn invoke(self: &Rc<Self>, invocation: Invocation<'_>) -> Result<Answer, Outcome> {
        let started = Instant::now();
        let limits = self.revision().limits;
        refuse_large_body(&invocation.request, limits.request_body_bytes)?;
        let answer_has_body = invocation.request.method() != Method::HEAD;

        let vitals = Arc::new(Vitals::default());
        let tmp = match &invocation.instance {
            Some(_) => None,
            None => self.dirs.tmp().await?,
        };
        let running = self.start(invocation, tmp, &vitals)?;
        let instance = running.instance;
        let leaves = Leaves(&vitals);
        let bounds = AnswerBounds {
            body_allowed: answer_has_body,
            body_bytes_max: limits.response_body_bytes,
        };
        let response = running.response(bounds, &vitals).await;
        std::mem::forget(leaves);
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

    /// The guest with all that it needs, about to begin.
    fn start(
        &self,
        invocation: Invocation<'_>,
        tmp: Option<TmpDir>,
        vitals: &Arc<Vitals>,
    ) -> Result<Running, Outcome> {
        let Invocation {
            request,
            caller,
            mount,
            deadline,
            permit,
            instance,
            ended,
        } = invocation;
        let request_id: Arc<str> = caller.request_id.as_str().into();
        let held = Held {
            sandbox: Rc::clone(&self.sandbox),
            ended,
            permit: Some(permit),
        };
        let body_bytes_max = self.revision().limits.request_body_bytes;
        let (sender, head) = oneshot::channel();
        let sender = HeadSender::new(sender, Arc::clone(vitals));
        let request = request.map(|body| body.bounded(body_bytes_max, Arc::clone(vitals)));

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
                    .stdin(command::stdin(request.into_body()))
                    .stdout(pipe);
                let pace = Arc::new(Pace::new(deadline));
                let watch = self.watch(deadline, pace, vitals);
                let run = Run { watch, held };
                let task = run.command(Rc::clone(program), (lent, granted), sender);
                Ok(Running {
                    task: GuestTask::new(task),
                    head: Head::Stdout(stdout),
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
            limits: self.revision().limits,
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
    async fn http(mut self, mut instance: Instance, request: Request<RequestBody>, asked: Asked) {
        let Asked {
            program,
            https,
            reuse,
            head,
        } = asked;
        let sandbox = Rc::clone(&self.held.sandbox);
        let _ticking = sandbox.ticker.enter();
        let Some(reuse) = reuse else {
            let call = instance.ask(&program, (request, https), head);
            self.watch.over(call).await;
            return;
        };
        let (parts, body) = request.into_parts();
        let (body, takes_back) = body.lent();
        let request = Request::from_parts(parts, body);
        let call = instance.ask(&program, (request, https), head);
        let returned = self.watch.over(call).await;
        // Whatever the guest still holds of it.
        drop(takes_back);
        instance.note_failure(&self.watch.vitals);
        let is_clean = returned && self.watch.vitals.is_clean();
        if is_clean && instance.may_be_asked_again(&reuse) {
            self.held.tell_end(&self.watch.vitals);
            if let Some(permit) = self.held.permit.take() {
                permit.keep(instance);
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
            self.watch.limits.memory_bytes,
            Arc::clone(&self.watch.vitals),
        )
    }

    fn store<T: Metered>(&self, engine: &wasmtime::Engine, state: T) -> Store<T> {
        let mut store = Store::new(engine, state);
        limits::bind(&mut store, self.watch.stopwatch.pace());
        store
    }
}

impl Drop for Run {
    /// However the task came to its end. One that was dropped in the middle had nobody left to
    /// work for.
    fn drop(&mut self) {
        self.held.tell_end(&self.watch.vitals);
    }
}

/// A guest on its way, seen from the request that waits for it. Dropping it ends the guest.
struct Running {
    task: GuestTask,
    head: Head,
    instance: Option<InstanceUse>,
}

/// Where the head of the response will come from.
enum Head {
    Response(oneshot::Receiver<GuestHead>),
    /// The instance may hold the sender for longer than the invocation lasts.
    OfOneOfMany(oneshot::Receiver<GuestHead>),
    Stdout(mpsc::Receiver<Bytes>),
}

impl Running {
    /// The head of the guest's response, or how the guest ended without one.
    async fn response(
        mut self,
        bounds: AnswerBounds,
        vitals: &Arc<Vitals>,
    ) -> Result<Response<ResponseBody>, Outcome> {
        self.task.begin().await;
        let head = match self.head {
            Head::Response(head) => head.await.ok(),
            Head::OfOneOfMany(head) => tokio::select! {
                biased;
                head = head => head.ok(),
                () = self.task.ended() => return Err(noted_without_head(vitals)),
            },
            Head::Stdout(stdout) => cgi::read_head(stdout).await,
        };
        let Some(head) = head else {
            return Err(outcome_without_head(self.task, vitals).await);
        };
        // It failed before we could send a byte: better told than cut off.
        if let Some(outcome) = vitals.outcome().filter(|outcome| !outcome.is_success()) {
            return Err(outcome.clone());
        }
        let response = head.map_err(|error_code| Outcome::Failed {
            reason: format!("answered with {error_code}"),
        })?;
        with_body(response, self.task, bounds, vitals)
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

/// How a guest ended that never gave a head.
async fn outcome_without_head(mut task: GuestTask, vitals: &Vitals) -> Outcome {
    // Panics are caught and nobody else aborts it, so it ends by noting its outcome.
    task.ended().await;
    noted_without_head(vitals)
}

fn noted_without_head(vitals: &Vitals) -> Outcome {
    match vitals.outcome() {
        None | Some(Outcome::Responded) => Outcome::NoResponse,
        Some(outcome) => outcome.clone(),
    }
}

/// What the body of an answer is held to.
#[derive(Clone, Copy)]
struct AnswerBounds {
    /// Whether this method's answers have one at all.
    body_allowed: bool,
    body_bytes_max: u64,
}

/// Hands the running guest over to the body of its response.
fn with_body(
    response: Response<GuestBody>,
    task: GuestTask,
    bounds: AnswerBounds,
    vitals: &Arc<Vitals>,
) -> Result<Response<ResponseBody>, Outcome> {
    let body_on_the_wire = bounds.body_allowed
        && response.status() != StatusCode::NO_CONTENT
        && response.status() != StatusCode::NOT_MODIFIED;
    let declared_bytes = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let limit_bytes = bounds.body_bytes_max;
    if body_on_the_wire && declared_bytes.is_some_and(|bytes: u64| bytes > limit_bytes) {
        // Better told than cut off in the middle. The guest ends with its task.
        let too_large = Outcome::ResponseTooLarge { limit_bytes };
        vitals.end(too_large.clone());
        return Err(too_large);
    }
    let guest = task.detach();
    let vitals = Arc::clone(vitals);
    let response =
        response.map(|body| ResponseBody::new(body, declared_bytes, limit_bytes, vitals, guest));
    if body_on_the_wire {
        return Ok(response);
    }
    // The guest goes on writing to nobody until its own end or its deadline.
    Ok(response.map(|body| {
        let ended = body.finished_twin();
        tokio::task::spawn_local(body.drain());
        ended
    }))
}

fn refuse_large_body(request: &Request<RequestBody>, limit_bytes: u64) -> Result<(), Outcome> {
    if request.body().size_hint().lower() > limit_bytes {
        return Err(Outcome::Refused(Refusal::BodyTooLarge { limit_bytes }));
    }
    Ok(())
}
