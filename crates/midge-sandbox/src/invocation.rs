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
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use midge_model::{Outcome, Refusal, RequestId, cgi};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use wasmtime::Store;

use crate::body::{GuestBody, RequestBody, ResponseBody};
use crate::contract::{GuestHead, HeadSender, Program, command, http02, http03};
use crate::function::LoadedFunction;
use crate::guest::{self, Guest, Guest01};
use crate::guest_log::{GuestLog, LogLabel};
use crate::limits::{self, Metered, Vitals};
use crate::outcome;
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
}

/// A response, and what it cost up to its head.
pub struct Answer {
    /// The response; its body may still be written by the guest.
    pub response: Response<ResponseBody>,
    /// Making the instance.
    pub instantiate: Duration,
    /// Running the guest until the head of its response was there.
    pub run: Duration,
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
        let limits = self.revision.limits;
        refuse_large_body(&invocation.request, limits.request_body_bytes)?;
        let answer_has_body = invocation.request.method() != Method::HEAD;

        let vitals = Arc::new(Vitals::default());
        let mut running = self.start(invocation, &vitals)?;
        let Some(head) = running.head().await else {
            return Err(running.outcome_without_head(&vitals).await);
        };
        if vitals.body_too_large() {
            let limit_bytes = limits.request_body_bytes;
            return Err(Outcome::Refused(Refusal::BodyTooLarge { limit_bytes }));
        }
        // It failed before we could send a byte: better told than cut off.
        if let Some(outcome) = vitals.outcome().filter(|outcome| !outcome.is_success()) {
            return Err(outcome.clone());
        }
        let response = check_head(head)?;
        let run = started.elapsed().saturating_sub(vitals.instantiate());
        Ok(Answer {
            response: running.into_response(response, answer_has_body, &vitals),
            instantiate: vitals.instantiate(),
            run,
            memory_peak_bytes: vitals.memory_peak_bytes(),
        })
    }

    /// Spawns the guest; from here on it runs whether or not anybody polls.
    fn start(
        self: &Rc<Self>,
        invocation: Invocation<'_>,
        vitals: &Arc<Vitals>,
    ) -> Result<Running, Outcome> {
        let label = LogLabel {
            function: Arc::clone(&self.label),
            request_id: invocation.caller.request_id.as_str().into(),
        };
        let mut wasi =
            guest::granted(&self.revision, label.clone()).map_err(|error| Outcome::Host {
                reason: outcome::chain(&error),
            })?;
        let Invocation {
            request,
            caller,
            mount,
            deadline,
            permit,
        } = invocation;
        let (sender, receiver) = oneshot::channel();
        let head = HeadSender::new(sender, Arc::clone(vitals));
        let limit_bytes = self.revision.limits.request_body_bytes;

        let (request, stdout) = if self.is_command() {
            for (name, value) in cgi_variables(&request, caller, mount) {
                wasi.env(name, value);
            }
            wasi.arg(&*self.label);
            let (pipe, stdout) = stdout_pipe();
            let body = request.into_body().bounded(limit_bytes, Arc::clone(vitals));
            wasi.stdin(command::stdin(body)).stdout(pipe);
            (None, Some(stdout))
        } else {
            wasi.stdout(GuestLog::new(label, "stdout"));
            let request = request.map(|body| body.bounded(limit_bytes, Arc::clone(vitals)));
            (Some(request), None)
        };
        let https = caller.https;
        let function = Rc::clone(self);
        let vitals = Arc::clone(vitals);
        let task = tokio::task::spawn_local(async move {
            let _permit = permit;
            let _running = function.sandbox.ticker.enter();
            function
                .run(
                    wasi,
                    request.map(|request| (request, https)),
                    head,
                    Watch { deadline, vitals },
                )
                .await;
        });
        Ok(Running {
            task: AbortOnDrop(Some(task)),
            head: Some(receiver),
            stdout,
        })
    }

    async fn run(
        &self,
        wasi: wasmtime_wasi::WasiCtxBuilder,
        request: Option<(Request<RequestBody>, bool)>,
        head: HeadSender,
        watch: Watch,
    ) {
        let meter = guest::meter(&self.revision, &watch.vitals);
        if let Program::Command01(pre) = &self.program {
            let mut store = self.store(Guest01::new(wasi, meter), watch.deadline);
            self.watch(command::call01(pre, &mut store, head), &watch)
                .await;
            return;
        }
        let mut store = self.store(Guest::new(wasi, meter), watch.deadline);
        match (&self.program, request) {
            (Program::Http02(pre), Some((request, https))) => {
                self.watch(http02::call(pre, &mut store, request, https, head), &watch)
                    .await;
            }
            (Program::Http03(pre), Some((request, https))) => {
                self.watch(http03::call(pre, &mut store, request, https, head), &watch)
                    .await;
            }
            (Program::Command02(pre), _) => {
                self.watch(command::call02(pre, &mut store, head), &watch)
                    .await;
            }
            (Program::Command03(pre), _) => {
                self.watch(command::call03(pre, &mut store, head), &watch)
                    .await;
            }
            (Program::Http02(_) | Program::Http03(_), None) | (Program::Command01(_), _) => {
                unreachable!("HTTP contracts get a request, and preview 1 returned above")
            }
        }
    }

    fn store<T: Metered>(&self, state: T, deadline: Instant) -> Store<T> {
        let mut store = Store::new(&self.sandbox.engine.inner, state);
        limits::bind(&mut store, deadline);
        store
    }

    /// Waits for the guest, but not beyond its deadline, and notes how it ended.
    ///
    /// The outcome is noted while store and call still stand: taking them down closes the
    /// channels of the response, and whoever sees them close asks for the outcome.
    async fn watch(&self, call: impl Future<Output = wasmtime::Result<()>>, watch: &Watch) {
        let mut call = pin!(call);
        let guarded = AssertUnwindSafe(call.as_mut()).catch_unwind();
        let ended = timeout_at(watch.deadline, guarded).await;
        watch
            .vitals
            .end(outcome::of(ended, &self.revision.limits, &watch.vitals));
    }
}

struct Watch {
    deadline: Instant,
    vitals: Arc<Vitals>,
}

/// A guest on its way, seen from the request that waits for it.
struct Running {
    task: AbortOnDrop,
    head: Option<oneshot::Receiver<GuestHead>>,
    /// A command's stdout, until the body takes it over.
    stdout: Option<mpsc::Receiver<Bytes>>,
}

impl Running {
    /// The head of the guest's response; `None` when it ended without one.
    async fn head(&mut self) -> Option<GuestHead> {
        if let Some(stdout) = self.stdout.take() {
            return read_cgi_head(stdout).await;
        }
        self.head.take()?.await.ok()
    }

    async fn outcome_without_head(mut self, vitals: &Vitals) -> Outcome {
        if let Some(task) = self.task.0.take() {
            // The task never panics (`watch` catches) and nobody else aborts it.
            drop(task.await);
        }
        match vitals.outcome() {
            None | Some(Outcome::Responded) => Outcome::NoResponse,
            Some(outcome) => outcome.clone(),
        }
    }

    fn into_response(
        mut self,
        response: Response<GuestBody>,
        request_allows_body: bool,
        vitals: &Arc<Vitals>,
    ) -> Response<ResponseBody> {
        let task = self
            .task
            .0
            .take()
            .expect("taken only here and in `outcome_without_head`");
        let status = response.status();
        let declared_bytes = response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let response = response.map(|guest| {
            ResponseBody::new(
                guest,
                declared_bytes,
                Arc::clone(vitals),
                task.abort_handle(),
            )
        });
        let body_on_the_wire = request_allows_body
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED;
        if body_on_the_wire {
            return response;
        }
        let (parts, body) = response.into_parts();
        let empty = body.finished_twin();
        tokio::task::spawn_local(body.drain());
        Response::from_parts(parts, empty)
    }
}

/// Ends the guest when the request that waits for it is dropped.
struct AbortOnDrop(Option<JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn refuse_large_body(request: &Request<RequestBody>, limit_bytes: u64) -> Result<(), Outcome> {
    if request.body().size_hint().lower() > limit_bytes {
        return Err(Outcome::Refused(Refusal::BodyTooLarge { limit_bytes }));
    }
    Ok(())
}

/// What no HTTP client would understand is a failure of the guest.
fn check_head(head: GuestHead) -> Result<Response<GuestBody>, Outcome> {
    let response = head.map_err(|error_code| Outcome::Failed {
        reason: format!("answered with error code {error_code}"),
    })?;
    if response.status().is_informational() {
        let reason = format!(
            "answered with status {}, which is not final",
            response.status()
        );
        return Err(Outcome::Failed { reason });
    }
    Ok(response)
}

/// The head of a command's answer; `None` when it wrote nothing at all.
async fn read_cgi_head(mut stdout: mpsc::Receiver<Bytes>) -> Option<GuestHead> {
    let mut parser = cgi::HeadParser::default();
    let mut first = stdout.recv().await?;
    let head = loop {
        if let Some(head) = parser.push(&first).transpose() {
            break head;
        }
        match stdout.recv().await {
            Some(chunk) => first = chunk,
            None => break parser.finish(),
        }
    };
    Some(match head {
        Ok(head) => {
            let body = GuestBody::Stdout {
                first: head.rest.into(),
                rest: stdout,
            };
            let mut response = Response::new(body);
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers;
            Ok(response)
        }
        Err(error) => Err(format!("stdout: {error}")),
    })
}

fn cgi_variables(
    request: &Request<RequestBody>,
    caller: &Caller,
    mount: &str,
) -> Vec<(String, String)> {
    let uri = request.uri();
    let authority = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| {
            request
                .headers()
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
        });
    let local_ip = caller.local.ip().to_string();
    cgi::meta_variables(&cgi::CgiRequest {
        method: request.method(),
        path: uri.path(),
        query: uri.query(),
        headers: request.headers(),
        script_name: mount,
        server_name: authority.map_or(&*local_ip, host_without_port),
        server_port: caller.local.port(),
        protocol: match request.version() {
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
        remote_addr: caller.peer.ip(),
        remote_port: caller.peer.port(),
        https: caller.https,
        body_bytes: request.body().size_hint().exact(),
    })
}

/// `example.org:80` and `[::1]:80` without their port.
fn host_without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}
