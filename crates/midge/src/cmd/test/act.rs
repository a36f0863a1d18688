//! One case in the real sandbox.
//!
//! Decides what a function finds around it: its manifest's grants and limits, and what the case gives
//! it in place of the world. It is asked as `midge run` would ask it.
//!
//! **Invariant:** each case has a sandbox, a store of values and a runtime of its own; nothing of one
//! is seen by another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use midge_ingress::in_place;
use midge_model::cases::Given;
use midge_model::quantity::format_bytes;
use midge_model::{
    FunctionName, Outcome, Policy, RequestId, Resolved, Revision, Route, RouteTable, SecretText,
    Use,
};
use midge_sandbox::{
    Aborted, Caller, Deployment, DnsConfig, Invocation, KeepsNone, LoadedFunction, NodePowers,
    PowersConfig, Rehearsal, RequestBody, RootsConfig, Sandbox, SandboxConfig, StandIn,
};
use midge_store::{Bucket, Keys as _, MemoryKeys};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::files::Planned;
use super::heard;
use crate::cmd::fault::chain;
use crate::functions::Function;
use crate::prepare::Prepared;
use crate::values::{Asking, ValuesDoor};

/// The longest answer that is compared.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Who asks, and where: what `midge run` listens on without being told otherwise.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const HOST_HERE: &str = "localhost:8080";

/// What a refusal says where no server answers in the case, or none any more. What guests write
/// begins with the name of its stream, so that no guest says the same.
const LACKS: [&str; 2] = ["below [[case.given.http]]", "write one more into `answers`"];

/// What all cases share; nothing of it changes.
pub(super) struct Stage {
    pub(super) functions: Vec<Function>,
    pub(super) prepared: Prepared,
    /// Which of them answers.
    pub(super) routes: RouteTable<usize>,
    pub(super) policy: Policy,
    pub(super) sandbox: SandboxConfig,
    pub(super) tmp_dir: PathBuf,
}

/// What became of a case.
pub(super) struct Act {
    /// Who answered, if any route matched.
    pub(super) function: Option<FunctionName>,
    /// The answer, or in a sentence why there is none.
    pub(super) reply: Result<Reply, String>,
    /// What the function wrote, with the stream in front.
    pub(super) log: Vec<String>,
    /// What it used.
    pub(super) uses: BTreeSet<Use>,
    pub(super) took: Duration,
}

/// A whole answer: what a caller reads.
pub(super) struct Reply {
    /// Why Midge answers in place of the function, if it does.
    pub(super) in_place: Option<String>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Act {
    /// Whether a request that its grants allow was refused because nothing in the case answers it.
    pub(super) fn lacks_stand_in(&self) -> bool {
        let says_so = |line: &str| LACKS.iter().any(|lack| line.contains(lack));
        let is_lack = |line: &String| line.starts_with("denied: ") && says_so(line);
        self.log.iter().any(is_lack)
    }
}

impl Stage {
    /// Acts a case to its end.
    pub(super) fn act(&self, planned: &Planned<'_>) -> Act {
        let begun = Instant::now();
        let mut act = Act {
            function: None,
            reply: Err(String::new()),
            log: Vec::new(),
            uses: BTreeSet::new(),
            took: Duration::ZERO,
        };
        let (reply, log) = heard::during(|| {
            crate::cmd::block_on(self.reply(planned, &mut act))
                .map_err(|error| format!("{error:#}"))
        });
        act.reply = reply.and_then(std::convert::identity);
        act.log = log;
        act.took = begun.elapsed();
        act
    }

    async fn reply(&self, planned: &Planned<'_>, act: &mut Act) -> Result<Reply, String> {
        let request = self.request(planned)?;
        let (route, index) = self.resolve(&request)?;
        let revision = &self.prepared.revisions[index];
        act.function = Some(revision.function.clone());
        let given = planned.given();
        let stand_ins = planned.stand_ins(&given);
        let stand_ins = stand_ins.map_err(|error| chain(&error))?;
        let (deployment, powers) = self.powers(revision, &given, stand_ins)?;
        // Kept until the function is gone: without the door nobody answers.
        let (_door, values) = values(&given, revision).await?;
        let powers = powers.with_values(Arc::new(values));
        let sandbox = Sandbox::new(&self.sandbox, powers).map_err(|error| chain(&error))?;
        let artifact = &self.prepared.artifacts[&revision.digest];
        let function = sandbox.load(artifact, deployment);
        let function = function.map_err(|error| chain(&error))?;
        let reply = ask(&function, request, route.mount()).await;
        act.uses.extend(function.take_uses());
        reply
    }

    /// The request as a door would hand it on.
    fn request(&self, planned: &Planned<'_>) -> Result<Request<RequestBody>, String> {
        let wanted = &planned.case.request;
        let body = planned.bytes(&wanted.body).map_err(|error| chain(&error))?;
        let mut request = Request::new(match body.is_empty() {
            true => RequestBody::empty(),
            false => RequestBody::full(body),
        });
        *request.method_mut() = wanted.method.clone();
        let target = wanted.target.parse();
        *request.uri_mut() = target.map_err(|error| format!("path {}: {error}", wanted.target))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static(HOST_HERE));
        headers.extend(wanted.headers.clone());
        let host = headers.get(HOST).cloned();
        for (name, value) in [
            (
                "x-forwarded-for",
                Some(HeaderValue::from_static("127.0.0.1")),
            ),
            ("x-forwarded-proto", Some(HeaderValue::from_static("http"))),
            ("x-forwarded-host", host),
        ] {
            if let Some(value) = value {
                headers
                    .entry(HeaderName::from_static(name))
                    .or_insert(value);
            }
        }
        Ok(request)
    }

    fn resolve(&self, request: &Request<RequestBody>) -> Result<(&Route, usize), String> {
        let host = request.headers().get(HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let (method, path) = (request.method(), request.uri().path());
        match self.routes.resolve(host, method, path) {
            Resolved::Found { route, target } => Ok((route, *target)),
            Resolved::MethodNotAllowed { allow } => {
                let allow: Vec<_> = allow.iter().map(http::Method::as_str).collect();
                let allow = allow.join(", ");
                Err(format!(
                    "no route matches {method} {path}, only {allow} there"
                ))
            }
            Resolved::NoRoute => {
                let routes: Vec<_> = self
                    .routes
                    .iter()
                    .map(|(route, _)| route.to_string())
                    .collect();
                let routes = routes.join(", ");
                Err(format!(
                    "no route matches {method} {path}, there are: {routes}"
                ))
            }
        }
    }

    /// The revision as the manifest has it, with what the case gives it, and what it is lent.
    fn powers(
        &self,
        revision: &Revision,
        given: &Given,
        stand_ins: Vec<StandIn>,
    ) -> Result<(Deployment, NodePowers), String> {
        let mut revision = revision.clone();
        revision.grants.env.extend(given.env.clone());
        let deployment = Deployment {
            secrets: secrets(&revision, given)?,
            revision,
            usage: None,
        };
        let powers = PowersConfig {
            policy: self.policy.clone(),
            dns: DnsConfig::System,
            roots: RootsConfig::System,
            tmp_dir: self.tmp_dir.clone(),
            learn: false,
            rehearsal: Rehearsal {
                watch: true,
                stand_ins: Some(stand_ins),
                now: given.now,
                seed: given.random,
                ..Rehearsal::default()
            },
        };
        let powers = NodePowers::new(powers).map_err(|error| chain(&error))?;
        Ok((deployment, powers))
    }
}

/// The values of all secrets that the function is granted.
fn secrets(revision: &Revision, given: &Given) -> Result<BTreeMap<String, SecretText>, String> {
    let granted = revision.grants.secrets.iter();
    let value = |name: &String| {
        given.secrets.get(name).cloned().ok_or_else(|| {
            format!(
                "secret `{name}` is granted and has no value here, add to [given]: \
                 secrets = {{ {name} = \"…\" }}"
            )
        })
    };
    granted
        .map(|secret| Ok((secret.name.clone(), value(&secret.name)?)))
        .collect()
}

/// A store with what the case gives, gone with it.
async fn values(given: &Given, revision: &Revision) -> Result<(ValuesDoor, Asking), String> {
    let keys = MemoryKeys::default();
    for (name, values) in &given.kv {
        let bucket = Bucket::of(revision.namespace.clone(), name.clone());
        for (key, value) in values {
            let set = keys.set(&bucket, key, Bytes::from(value.clone())).await;
            set.map_err(|error| format!("bucket {name}, key `{key}`: {error}"))?;
        }
    }
    let fault = |error| format!("keep values for the case: {error}");
    let door = ValuesDoor::open(Arc::new(keys), None).map_err(fault)?;
    let asking = Asking::start(door.connect().map_err(fault)?).map_err(fault)?;
    Ok((door, asking))
}

/// Asks the function, and waits until the guest is gone: what it writes last is written then.
async fn ask(
    function: &std::rc::Rc<LoadedFunction>,
    request: Request<RequestBody>,
    mount: &str,
) -> Result<Reply, String> {
    let caller = Caller {
        peer: PEER,
        local: LOCAL,
        https: false,
        request_id: RequestId::keep("case").expect("`case` is an id"),
    };
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let (permit, gone) = oneshot::channel::<()>();
    let invocation = Invocation {
        request: Box::new(request),
        caller: &caller,
        mount,
        deadline: Instant::now() + function.revision().limits.time,
        permit: Box::new(KeepsNone(permit)),
        instance: None,
        ended: None,
    };
    let reply = match function.invoke(Box::new(invocation)).await {
        Ok(answer) => whole(answer.response).await,
        Err(outcome) => {
            let asked = (&method, &headers);
            let (parts, body) = in_place(&outcome, asked, &caller.request_id).into_parts();
            Ok(Reply {
                in_place: Some(in_words(&outcome)),
                status: parts.status,
                headers: parts.headers,
                body,
            })
        }
    };
    // Resolves when the permit is dropped, and nobody sends anything.
    drop(gone.await);
    reply
}

async fn whole(response: http::Response<midge_sandbox::ResponseBody>) -> Result<Reply, String> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast::<Aborted>() {
        Ok(aborted) => in_words(&aborted.outcome),
        Err(_) => format!(
            "the answer has more than {}, which is more than is compared",
            format_bytes(ANSWER_BYTES_MAX as u64)
        ),
    })?;
    Ok(Reply {
        in_place: None,
        status: parts.status,
        headers: parts.headers,
        body: body.to_bytes(),
    })
}

/// How an invocation ended, with what the engine says.
fn in_words(outcome: &Outcome) -> String {
    match outcome.reason() {
        Some(reason) => format!("{outcome}: {reason}"),
        None => outcome.to_string(),
    }
}
