//! One invocation, from a routed request to its outcome.
//!
//! Decides the order: bind the limits, run the guest in a task of its own, hand out
//! the response as soon as its head is there, note the outcome before anything of
//! the guest is torn down. Which function runs, and whether it may start now, was
//! decided above (midge-runtime).
//!
//! **Invariant:** a store serves one invocation and is thrown away with it, however
//! it ended.

use std::any::Any;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use midge_model::{Outcome, Refusal, RequestId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::Store;

use crate::body::{GuestBody, RequestBody, ResponseBody};
use crate::contract::{CommandProgram, GuestHead, HeadSender, HttpProgram, Program};
use crate::contract::{cgi, command, http02, http03};
use crate::cpu::Stopwatch;
use crate::function::{LoadedFunction, Shared};
use crate::guest::{self, Granted, Guest, Guest01};
use crate::guest_log::{GuestLog, LogLabel};
use crate::host::tmp::TmpDir;
use crate::limits::{self, Meter, Metered, Vitals};
use crate::outcome::Watch;
use crate::powers::Lent;
use crate::stdout_pipe::stdout_pipe;

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
    pub permit: Box<dyn Any>,
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
        let tmp = self.dirs.tmp().await?;
        let running = self.start(invocation, tmp, &vitals)?;
        let bounds = AnswerBounds {
            body_allowed: answer_has_body,
            body_bytes_max: limits.response_body_bytes,
        };
        let response = running.response(bounds, &vitals).await;
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
        })
    }

    /// Spawns the guest; from here on it runs whether or not anybody polls.
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
            ended,
        } = invocation;
        let revision = self.revision();
        let label = LogLabel {
            namespace: revision.namespace.clone(),
            function: revision.function.clone(),
            revision: revision.number,
            request_id: caller.request_id.as_str().into(),
            budget: self.powers.log.clone(),
        };
        let lent = self.powers.lend(label.clone());
        let mut granted = guest::granted(&lent, &self.dirs, tmp, label.clone())?;
        let limits = self.revision().limits;
        let watch = Watch {
            deadline,
            limits,
            vitals: Arc::clone(vitals),
            stopwatch: Stopwatch::new(Arc::clone(vitals), deadline),
            contender: self.share.contender(),
        };
        let run = Run {
            sandbox: Rc::clone(&self.sandbox),
            watch,
            lent,
            ended,
            _permit: permit,
        };
        let (sender, head) = oneshot::channel();
        let sender = HeadSender::new(sender, Arc::clone(vitals));
        let request =
            request.map(|body| body.bounded(limits.request_body_bytes, Arc::clone(vitals)));

        Ok(match &self.program {
            Program::Http(program) => {
                granted.wasi.stdout(GuestLog::new(label, "stdout"));
                let task = run.http(Rc::clone(program), granted, (request, caller.https), sender);
                Running {
                    task: spawn(task),
                    head: Head::Response(head),
                }
            }
            Program::Command(program) => {
                for (name, value) in cgi::variables(&request, caller, mount) {
                    granted.wasi.env(name, value);
                }
                let (pipe, stdout) = stdout_pipe();
                granted
                    .wasi
                    .arg(revision.function.as_str())
                    .stdin(command::stdin(request.into_body()))
                    .stdout(pipe);
                let task = run.command(Rc::clone(program), granted, sender);
                Running {
                    task: spawn(task),
                    head: Head::Stdout(stdout),
                }
            }
        })
    }
}

fn spawn(task: impl Future<Output = ()> + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::task::spawn_local(task))
}

/// What one run of a guest holds on to.
struct Run {
    sandbox: Rc<Shared>,
    watch: Watch,
    lent: Arc<Lent>,
    ended: Option<OnEnd>,
    /// Dropped after the store, which is a local of the run: the slot is free only then.
    _permit: Box<dyn Any>,
}

impl Run {
    async fn http(
        self,
        program: Rc<HttpProgram>,
        granted: Granted,
        (request, https): (Request<RequestBody>, bool),
        head: HeadSender,
    ) {
        let _ticking = self.sandbox.ticker.enter();
        let store = &mut self.store(Guest::new(granted, &self.lent, self.meter()));
        match &*program {
            HttpProgram::V02(pre) => {
                let call = http02::call(pre, store, request, https, head);
                self.watch.over(call).await;
            }
            HttpProgram::V03(pre) => {
                let call = http03::call(pre, store, request, https, head);
                self.watch.over(call).await;
            }
        }
    }

    async fn command(self, program: Rc<CommandProgram>, granted: Granted, head: HeadSender) {
        let _ticking = self.sandbox.ticker.enter();
        match &*program {
            CommandProgram::Preview1(pre) => {
                let store = &mut self.store(Guest01::new(granted, self.meter()));
                self.watch.over(command::call01(pre, store, head)).await;
            }
            CommandProgram::V02(pre) => {
                let store = &mut self.store(Guest::new(granted, &self.lent, self.meter()));
                self.watch.over(command::call02(pre, store, head)).await;
            }
            CommandProgram::V03(pre) => {
                let store = &mut self.store(Guest::new(granted, &self.lent, self.meter()));
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

    fn store<T: Metered>(&self, state: T) -> Store<T> {
        let mut store = Store::new(&self.sandbox.engine.inner, state);
        limits::bind(&mut store, self.watch.deadline, self.watch.stopwatch.pace());
        store
    }
}

impl Drop for Run {
    /// However the task came to its end. One that was dropped in the middle had nobody left to
    /// work for.
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            let vitals = &self.watch.vitals;
            ended(
                vitals.outcome().unwrap_or(&Outcome::Cancelled),
                vitals.cpu(),
            );
        }
    }
}

/// A guest on its way, seen from the request that waits for it. Dropping it ends the guest.
struct Running {
    task: AbortOnDropHandle<()>,
    head: Head,
}

/// Where the head of the response will come from.
enum Head {
    Response(oneshot::Receiver<GuestHead>),
    Stdout(mpsc::Receiver<Bytes>),
}

impl Running {
    /// The head of the guest's response, or how the guest ended without one.
    async fn response(
        self,
        bounds: AnswerBounds,
        vitals: &Arc<Vitals>,
    ) -> Result<Response<ResponseBody>, Outcome> {
        let head = match self.head {
            Head::Response(head) => head.await.ok(),
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

/// How a guest ended that never gave a head.
async fn outcome_without_head(task: AbortOnDropHandle<()>, vitals: &Vitals) -> Outcome {
    // The task catches panics and nobody else aborts it, so it ends by noting its outcome.
    drop(task.await);
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
    task: AbortOnDropHandle<()>,
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
    let guest = task.detach().abort_handle();
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
