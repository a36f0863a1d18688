//! A worker without a door: `worker.get("hello.default.midge.test", "/")`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_trait::async_trait;
use http::Request;
use http_body::Body as _;
use midge_model::{
    Digest, Grants, Limits, NamespaceName, Outcome, Policy, RequestId, Revision, SecretText,
    Traffic,
};
use midge_runtime::{
    Caller, Counters, Dispatched, Dispatcher, DispatcherParts, LoadFailure, LoadedBounds, Loader,
    Published, RequestBody, ResponseBody, WorkerBounds,
};
use midge_sandbox::{
    Allocation, ArtifactCache, Deployment, DnsConfig, LoadedFunction, Lookup, NodePowers,
    PowersConfig, Rehearsal, RootsConfig, Sandbox, SandboxConfig, compile,
};
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// What answers with the variables that it was granted.
pub(crate) const ENV: &str = "http02-env.wasm";

/// A worker under test.
pub(crate) struct Worker {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) source: Rc<Source>,
}

/// Loads a fixture for every revision, or does what the test says.
pub(crate) struct Source {
    sandbox: Sandbox,
    artifact: PathBuf,
    /// Every function that was ever loaded.
    pub(crate) loaded: RefCell<Vec<Weak<LoadedFunction>>>,
    /// What loading fails with.
    pub(crate) fails: RefCell<Option<&'static str>>,
    /// Whether loading waits for [`Source::go_on`].
    pub(crate) waits: Cell<bool>,
    pub(crate) go_on: Notify,
    pub(crate) began: Cell<u32>,
}

impl Source {
    fn of(fixture: &str) -> Rc<Self> {
        let powers = PowersConfig {
            policy: Policy::operator(),
            dns: DnsConfig::Servers(Vec::new()),
            roots: RootsConfig::System,
            tmp_dir: std::env::temp_dir(),
            learn: false,
            rehearsal: Rehearsal::default(),
        };
        let config = SandboxConfig {
            allocation: Allocation::Pooling,
            instances_max: 32,
        };
        let sandbox = Sandbox::new(&config, NodePowers::new(powers).unwrap()).unwrap();
        let engine = sandbox.engine();
        let cache = ArtifactCache::open(&midge_testkit::native_code_cache(), engine).unwrap();
        let source = std::fs::read(midge_testkit::fixture(fixture)).unwrap();
        let artifact = match cache.find(&Digest::of(&source)).unwrap() {
            Lookup::Hit(artifact) => artifact,
            Lookup::Miss | Lookup::Dropped { .. } => compile(engine, &cache, &source).unwrap(),
        };
        Rc::new(Self {
            artifact,
            sandbox,
            loaded: RefCell::default(),
            fails: RefCell::default(),
            waits: Cell::new(false),
            go_on: Notify::new(),
            began: Cell::new(0),
        })
    }

    /// How many functions are loaded at the moment, whoever holds them.
    pub(crate) fn alive(&self) -> usize {
        let loaded = self.loaded.borrow();
        loaded.iter().filter(|one| one.strong_count() > 0).count()
    }
}

/// The dispatcher's half of a [`Source`].
struct Loads(Rc<Source>);

#[async_trait(?Send)]
impl Loader for Loads {
    async fn load(&self, deployment: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, LoadFailure> {
        let source = &self.0;
        source.began.set(source.began.get() + 1);
        if source.waits.get() {
            source.go_on.notified().await;
        }
        if let Some(message) = *source.fails.borrow() {
            let message = message.to_owned();
            return Err(LoadFailure { message });
        }
        let (mapper, artifact) = (source.sandbox.mapper(), source.artifact.clone());
        let deployment = Arc::clone(deployment);
        let mapped = tokio::task::spawn_blocking(move || mapper.map(&artifact, deployment));
        let function = source.sandbox.link(mapped.await.unwrap().unwrap()).unwrap();
        source.loaded.borrow_mut().push(Rc::downgrade(&function));
        Ok(function)
    }
}

impl Worker {
    /// Runs a test in a worker's kind of runtime, whose functions are all this fixture.
    pub(crate) fn of<T>(fixture: &str, test: impl AsyncFnOnce(Rc<Self>) -> T) -> T {
        let loaded = LoadedBounds {
            bytes_max: u64::MAX,
            revisions_max: u32::MAX,
        };
        Self::with(fixture, loaded, test)
    }

    /// The same, with bounds to what is loaded.
    pub(crate) fn with<T>(
        fixture: &str,
        loaded: LoadedBounds,
        test: impl AsyncFnOnce(Rc<Self>) -> T,
    ) -> T {
        let source = Source::of(fixture);
        let dispatcher = Dispatcher::new(DispatcherParts {
            bounds: WorkerBounds {
                instances_max: 32,
                descriptors_max: 1_000,
            },
            loaded,
            domain: "midge.test".to_owned(),
            counters: Counters::private().unwrap(),
            worker: 0,
            loader: Rc::new(Loads(Rc::clone(&source))),
        });
        let worker = Rc::new(Self { dispatcher, source });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, test(worker))
    }

    pub(crate) async fn send(&self, request: Request<RequestBody>) -> Dispatched {
        let caller = Caller {
            peer: "192.0.2.7:4321".parse().unwrap(),
            local: "127.0.0.1:8080".parse().unwrap(),
            https: false,
            request_id: RequestId::keep("test-request").unwrap(),
        };
        self.dispatcher.dispatch(Box::new(request), &caller).await
    }

    /// The body of the answer, or the code of the outcome without one.
    pub(crate) async fn get(&self, host: &str, path: &str) -> Result<String, &'static str> {
        let answer = self.send(get(host, path)).await.result;
        let (response, _) = answer.map_err(|outcome| outcome.code())?;
        text(response.into_body())
            .await
            .map_err(|outcome| outcome.code())
    }
}

pub(crate) fn get(host: &str, path: &str) -> Request<RequestBody> {
    let request = Request::get(path).header("host", host);
    request.body(RequestBody::empty()).unwrap()
}

/// Reads a body to its end.
pub(crate) async fn text(mut body: ResponseBody) -> Result<String, Outcome> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|aborted| aborted.outcome)?;
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    Ok(String::from_utf8(bytes).unwrap())
}

/// A function of the namespace `default` with these kept revisions, all at `/<function>/*`.
pub(crate) fn function(name: &str, traffic: &str, kept: &[u32]) -> Published {
    let shares = traffic.split(' ').map(|share| share.parse().unwrap());
    let kept = kept.iter().map(|number| Arc::new(revision(name, *number)));
    Published {
        namespace: NamespaceName::default(),
        function: name.parse().unwrap(),
        column: 0,
        traffic: Traffic::new(shares.collect(), None).unwrap(),
        revisions: kept.collect(),
    }
}

/// A revision that finds its number in its environment.
pub(crate) fn revision(name: &str, number: u32) -> Deployment {
    let function: midge_model::FunctionName = name.parse().unwrap();
    Deployment {
        revision: Revision {
            namespace: NamespaceName::default(),
            number: midge_model::RevisionNumber::new(number).unwrap(),
            digest: Digest::of(b""),
            grants: Grants {
                env: [("REVISION".to_owned(), format!("r{number}"))].into(),
                ..Grants::default()
            },
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: vec![midge_model::Route::default_of(&function)],
            function,
        },
        secrets: BTreeMap::new(),
        usage: None,
    }
}

pub(crate) fn secret(value: &str) -> SecretText {
    SecretText::new(value.to_owned()).unwrap()
}
