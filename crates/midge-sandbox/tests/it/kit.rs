//! Loads a committed guest and runs it once: `Guest::of("http02-echo.wasm").get("/")`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use midge_model::{
    Digest, Grants, Isolation, IsolationLevel, Limits, NamespaceName, Outcome, Policy, RequestId,
    Revision, SecretText,
};
use midge_sandbox::{
    Aborted, Allocation, Answer, ArtifactCache, Caller, Deployment, DnsConfig, Instance,
    Invocation, KeepsNone, KeyValues, LoadError, LoadedFunction, Lookup, NodePowers, Permit,
    PowersConfig, Rehearsal, RequestBody, ResponseBody, RootsConfig, Sandbox, SandboxConfig,
    UsageCells, compile,
};
use tokio::task::LocalSet;
use tokio::time::Instant;

pub(crate) const CONFIG: SandboxConfig = SandboxConfig {
    allocation: Allocation::Pooling,
    instances_max: 8,
};

/// A guest with the safe limits and no grants, until told otherwise.
pub(crate) struct Guest {
    name: String,
    source: Vec<u8>,
    limits: Limits,
    grants: Grants,
    isolation: Isolation,
    secrets: BTreeMap<String, SecretText>,
    usage: Option<UsageCells>,
    powers: PowersConfig,
    values: Option<Arc<dyn KeyValues>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, Outcome>,
    pub(crate) memory_peak_bytes: u64,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().unwrap()).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Guest {
    pub(crate) fn of(fixture: &str) -> Self {
        Self::from_bytes(&std::fs::read(midge_testkit::fixture(fixture)).unwrap())
    }

    pub(crate) fn from_bytes(source: &[u8]) -> Self {
        Self {
            name: "guest".to_owned(),
            source: source.to_vec(),
            limits: Limits::SAFE,
            grants: Grants::default(),
            isolation: Isolation::Fresh,
            secrets: BTreeMap::new(),
            usage: None,
            powers: powers(),
            values: None,
        }
    }

    /// Lets its instances be asked again.
    pub(crate) fn serial(mut self) -> Self {
        self.isolation = Isolation::of_level(IsolationLevel::Serial);
        self
    }

    /// Makes it another function than the guests of other names.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn grants(mut self, change: impl FnOnce(&mut Grants)) -> Self {
        change(&mut self.grants);
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        let value = SecretText::new(value.to_owned()).unwrap();
        self.secrets.insert(name.to_owned(), value);
        self
    }

    /// Counts its folders with a quota where others do.
    pub(crate) fn usage(mut self, usage: UsageCells) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Lets it keep values here.
    pub(crate) fn values(mut self, values: Arc<dyn KeyValues>) -> Self {
        self.values = Some(values);
        self
    }

    /// Changes what the node lends: policy, resolver, roots.
    pub(crate) fn powers(mut self, change: impl FnOnce(&mut PowersConfig)) -> Self {
        change(&mut self.powers);
        self
    }

    pub(crate) fn time(self, time: Duration) -> Self {
        self.limits(|limits| limits.time = time)
    }

    pub(crate) fn get(self, path: &str) -> Result<Reply, Outcome> {
        self.send(Request::get(path).body(RequestBody::empty()).unwrap())
    }

    pub(crate) fn post(self, path: &str, body: impl Into<Bytes>) -> Result<Reply, Outcome> {
        self.send(
            Request::post(path)
                .body(RequestBody::full(body.into()))
                .unwrap(),
        )
    }

    /// Runs one request in a runtime of its own.
    pub(crate) fn send(self, request: Request<RequestBody>) -> Result<Reply, Outcome> {
        self.run(async |function| reply(invoke(&function, request).await?).await)
    }

    /// Loads the guest and hands it to `test`, in a worker's kind of runtime.
    pub(crate) fn run<T>(self, test: impl AsyncFnOnce(Rc<LoadedFunction>) -> T) -> T {
        let function = self.try_load().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, test(function))
    }

    pub(crate) fn try_load(self) -> Result<Rc<LoadedFunction>, LoadError> {
        let mut powers = NodePowers::new(self.powers.clone()).unwrap();
        if let Some(values) = &self.values {
            powers = powers.with_values(Arc::clone(values));
        }
        let sandbox = Sandbox::new(&CONFIG, powers).unwrap();
        self.load_into(&sandbox)
    }

    /// Loads the guest beside others; what its node lends is the sandbox's.
    pub(crate) fn load_into(self, sandbox: &Sandbox) -> Result<Rc<LoadedFunction>, LoadError> {
        let engine = sandbox.engine();
        let cache = ArtifactCache::open(&midge_testkit::native_code_cache(), engine).unwrap();
        let digest = Digest::of(&self.source);
        let artifact = match cache.find(&digest).unwrap() {
            Lookup::Hit(path) => path,
            Lookup::Miss | Lookup::Dropped { .. } => compile(engine, &cache, &self.source).unwrap(),
        };
        let deployment = Deployment {
            revision: Revision {
                namespace: NamespaceName::default(),
                function: self.name.parse().unwrap(),
                number: midge_model::RevisionNumber::FIRST,
                digest,
                grants: self.grants,
                limits: self.limits,
                isolation: self.isolation,
                routes: Vec::new(),
            },
            secrets: self.secrets,
            usage: self.usage,
        };
        sandbox.load(&artifact, deployment)
    }
}

/// What `midge run` lends without a policy.
pub(crate) fn powers() -> PowersConfig {
    PowersConfig {
        policy: Policy::operator(),
        dns: DnsConfig::System,
        roots: RootsConfig::System,
        tmp_dir: std::env::temp_dir(),
        learn: false,
        rehearsal: Rehearsal::default(),
    }
}

/// Starts `request`; the answer's body is still to be read.
pub(crate) async fn invoke(
    function: &Rc<LoadedFunction>,
    request: Request<RequestBody>,
) -> Result<Answer, Outcome> {
    invoke_with(function, request, Box::new(())).await
}

/// The same with a permit to watch: it is dropped when the guest is gone.
pub(crate) async fn invoke_with(
    function: &Rc<LoadedFunction>,
    request: Request<RequestBody>,
    permit: Box<dyn std::any::Any>,
) -> Result<Answer, Outcome> {
    invoke_in(function, request, Box::new(KeepsNone(permit)), None).await
}

/// Where an instance waits between two invocations.
#[derive(Clone, Default)]
pub(crate) struct Shelf(pub(crate) Rc<RefCell<Option<Instance>>>);

impl Permit for Shelf {
    fn keep(self: Box<Self>, instance: Instance) {
        *self.0.borrow_mut() = Some(instance);
    }
}

/// Asks the instance on the shelf, or a new one, and waits until it is there again or gone.
pub(crate) async fn ask_again(
    function: &Rc<LoadedFunction>,
    shelf: &Shelf,
    path: &str,
) -> (Result<String, Outcome>, u32) {
    let request = Request::get(path).body(RequestBody::empty()).unwrap();
    let instance = shelf.0.borrow_mut().take();
    let answer = invoke_in(function, request, Box::new(shelf.clone()), instance).await;
    let (answer, nth) = match answer {
        Ok(answer) => {
            let nth = answer.instance.unwrap().nth;
            (reply(answer).await, nth)
        }
        Err(outcome) => (Err(outcome), 0),
    };
    while Rc::strong_count(&shelf.0) > 1 {
        tokio::task::yield_now().await;
    }
    let text = answer.and_then(|reply| {
        let body = reply.body?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    });
    (text, nth)
}

async fn invoke_in(
    function: &Rc<LoadedFunction>,
    mut request: Request<RequestBody>,
    permit: Box<dyn Permit>,
    instance: Option<Instance>,
) -> Result<Answer, Outcome> {
    if !request.headers().contains_key("host") {
        request
            .headers_mut()
            .insert("host", "guest.test:8080".parse().unwrap());
    }
    let caller = Caller {
        peer: "192.0.2.7:4321".parse().unwrap(),
        local: "127.0.0.1:8080".parse().unwrap(),
        https: false,
        request_id: RequestId::keep("test-request").unwrap(),
    };
    let invocation = Invocation {
        request: Box::new(request),
        caller: &caller,
        mount: "",
        deadline: Instant::now() + function.revision().limits.time,
        permit,
        instance: instance.map(Into::into),
        ended: None,
    };
    function.invoke(Box::new(invocation)).await
}

/// Reads an answer to its end.
pub(crate) async fn reply(answer: Answer) -> Result<Reply, Outcome> {
    let (parts, mut body) = answer.response.into_parts();
    let (mut bytes, mut failed) = (Vec::new(), None);
    while let Some(frame) = next_frame(&mut body).await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
            Err(aborted) => failed = Some(aborted.outcome),
        }
    }
    Ok(Reply {
        status: parts.status,
        headers: parts.headers,
        body: failed.map_or(Ok(bytes.into()), Err),
        memory_peak_bytes: answer.memory_peak_bytes,
    })
}

/// The next frame of a body.
pub(crate) async fn next_frame(
    body: &mut ResponseBody,
) -> Option<Result<http_body::Frame<Bytes>, Aborted>> {
    std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}
