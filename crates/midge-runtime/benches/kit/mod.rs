//! A worker without a door, with so many functions, all of them the smallest guest there is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Request;
use http_body::Body as _;
use midge_model::{
    Digest, Grants, Isolation, Limits, NamespaceName, Policy, RequestId, Revision, RevisionNumber,
    Route, Traffic,
};
use midge_runtime::{
    Caller, Counters, Dispatcher, DispatcherParts, LoadFailure, LoadedBounds, Loader, Published,
    RequestBody, WorkerBounds,
};
use midge_sandbox::{
    Allocation, ArtifactCache, Deployment, DnsConfig, LoadedFunction, Lookup, NodePowers,
    PowersConfig, Rehearsal, RootsConfig, Sandbox, SandboxConfig, compile,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// How many functions a worker has.
pub(crate) const FUNCTIONS: [u32; 3] = [1, 1_000, 10_000];
/// Below which host they have addresses.
const DOMAIN: &str = "midge.test";

/// A worker and the thread it runs on.
pub(crate) struct Worker {
    dispatcher: Dispatcher,
    runtime: Runtime,
}

/// Maps the one guest for every revision.
struct Loads {
    sandbox: Sandbox,
    artifact: PathBuf,
}

#[async_trait(?Send)]
impl Loader for Loads {
    async fn load(&self, deployment: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, LoadFailure> {
        let mapped = self
            .sandbox
            .mapper()
            .map(&self.artifact, Arc::clone(deployment));
        let mapped = mapped.expect("what was compiled here loads here");
        Ok(self
            .sandbox
            .link(mapped)
            .expect("the guest's imports are known"))
    }
}

impl Worker {
    /// A worker with these many functions, `f0` and on, at `/f0/*` and on.
    pub(crate) fn with(functions: u32) -> Self {
        let loaded = LoadedBounds {
            bytes_max: u64::MAX,
            revisions_max: u32::MAX,
        };
        let dispatcher = Dispatcher::new(DispatcherParts {
            bounds: WorkerBounds {
                instances_max: 64,
                descriptors_max: 1_000,
            },
            loaded,
            domain: DOMAIN.to_owned(),
            counters: Counters::private().expect("memory for the counters"),
            worker: 0,
            loader: Rc::new(Loads::new()),
        });
        for number in 0..functions {
            let published = published(&format!("f{number}"));
            dispatcher
                .apply(published)
                .expect("no two routes are the same");
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            dispatcher,
            runtime: runtime.expect("the machine has room for a runtime"),
        }
    }

    /// How long it takes to send the request so many times, one after the other, and to read what
    /// comes back; and what did, the last time.
    pub(crate) fn send(&self, host: &str, path: &str, count: u64) -> (Duration, &'static str) {
        LocalSet::new().block_on(&self.runtime, async {
            let caller = Caller {
                peer: ([192, 0, 2, 7], 4321).into(),
                local: ([127, 0, 0, 1], 8080).into(),
                https: false,
                request_id: RequestId::keep("bench").expect("a plain word is valid"),
            };
            let start = Instant::now();
            let mut code = "";
            for _ in 0..count {
                code = self.once(host, path, &caller).await;
            }
            (start.elapsed(), code)
        })
    }

    async fn once(&self, host: &str, path: &str, caller: &Caller) -> &'static str {
        let request = Request::get(path).header("host", host);
        let request = request
            .body(RequestBody::empty())
            .expect("our request is valid");
        match self
            .dispatcher
            .dispatch(Box::new(request), caller)
            .await
            .result
        {
            Ok((response, _)) => {
                let mut body = response.into_body();
                let mut next =
                    async || std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
                while let Some(frame) = next().await {
                    frame.expect("the body is whole");
                }
                "responded"
            }
            Err(outcome) => outcome.code(),
        }
    }
}

impl Loads {
    fn new() -> Self {
        let powers = NodePowers::new(PowersConfig {
            policy: Policy::operator(),
            dns: DnsConfig::Servers(Vec::new()),
            roots: RootsConfig::System,
            tmp_dir: std::env::temp_dir(),
            learn: false,
            rehearsal: Rehearsal::default(),
        });
        let config = SandboxConfig {
            allocation: Allocation::Pooling,
            instances_max: 64,
        };
        let powers = powers.expect("nothing is lent that is not there");
        let sandbox = Sandbox::new(&config, powers).expect("the machine has room for a pool");
        let cache = ArtifactCache::open(&midge_testkit::native_code_cache(), sandbox.engine());
        let cache = cache.expect("the cache of the tests is ours");
        let source = std::fs::read(midge_testkit::fixture("http02-tiny.wasm"));
        let source = source.expect("the guest was found before");
        let artifact = match cache
            .find(&Digest::of(&source))
            .expect("the cache can be read")
        {
            Lookup::Hit(artifact) => artifact,
            Lookup::Miss | Lookup::Dropped { .. } => {
                compile(sandbox.engine(), &cache, &source).expect("a committed guest compiles")
            }
        };
        Self { sandbox, artifact }
    }
}

fn published(name: &str) -> Published {
    let function: midge_model::FunctionName = name.parse().expect("a plain word is valid");
    let deployment = Deployment {
        revision: Revision {
            namespace: NamespaceName::default(),
            number: RevisionNumber::FIRST,
            digest: Digest::of(b""),
            grants: Grants::default(),
            limits: Limits::SAFE,
            isolation: Isolation::Fresh,
            routes: vec![Route::default_of(&function)],
            function: function.clone(),
        },
        secrets: BTreeMap::new(),
        usage: None,
    };
    let all = "r1=100".parse().expect("a share of traffic");
    Published {
        namespace: NamespaceName::default(),
        function,
        column: 0,
        traffic: Traffic::new(vec![all], None).expect("all of the traffic"),
        revisions: vec![Arc::new(deployment)],
    }
}
