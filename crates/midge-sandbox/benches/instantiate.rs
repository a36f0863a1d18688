//! One invocation from request to the end of its response, and loading what was compiled before.
//!
//! Everything a worker does for a request below its routing: instance, guest, body, clean memory.
//! `tiny` is the smallest component there is; `hello-rust` is what people copy.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http_body::Body as _;
use midge_model::{
    Digest, Grants, Isolation, Limits, NamespaceName, Policy, RequestId, Revision, RevisionNumber,
};
use midge_sandbox::{
    Allocation, ArtifactCache, Caller, Deployment, DnsConfig, Invocation, KeepsNone,
    LoadedFunction, Lookup, NodePowers, PowersConfig, Rehearsal, RequestBody, RootsConfig, Sandbox,
    SandboxConfig, compile,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::Instant;

fn instantiate(criterion: &mut Criterion) {
    let guests = [
        ("tiny", midge_testkit::fixture("http02-tiny.wasm")),
        ("hello-rust", midge_testkit::example("hello-rust.wasm")),
    ];
    for (name, file) in guests {
        let sandbox = sandbox();
        let artifact = artifact(&sandbox, &file);
        criterion.bench_function(&format!("load/{name}"), |b| {
            b.iter(|| load(&sandbox, &artifact));
        });
        let function = load(&sandbox, &artifact);
        let runtime = runtime();
        criterion.bench_function(&format!("invoke/{name}"), |b| {
            b.iter_custom(|count| {
                LocalSet::new().block_on(&runtime, invocations(&function, count))
            });
        });
    }
}

/// How long so many invocations take, one after the other.
async fn invocations(function: &Rc<LoadedFunction>, count: u64) -> Duration {
    let caller = Caller {
        peer: ([192, 0, 2, 7], 4321).into(),
        local: ([127, 0, 0, 1], 8080).into(),
        https: false,
        request_id: RequestId::keep("bench").expect("a plain word is valid"),
    };
    let start = Instant::now();
    for _ in 0..count {
        let request = Request::get("/").header("host", "guest.test");
        let invocation = Invocation {
            request: Box::new(
                request
                    .body(RequestBody::empty())
                    .expect("our request is valid"),
            ),
            caller: &caller,
            mount: "",
            deadline: Instant::now() + function.revision().limits.time,
            permit: Box::new(KeepsNone(Box::new(()))),
            instance: None,
            ended: None,
        };
        let answer = function
            .invoke(Box::new(invocation))
            .await
            .expect("the guest answers");
        let mut body = answer.response.into_body();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            frame.expect("the body is whole");
        }
    }
    start.elapsed()
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("the machine has room for a runtime")
}

fn sandbox() -> Sandbox {
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
    Sandbox::new(&config, powers).expect("the machine has room for a pool")
}

fn artifact(sandbox: &Sandbox, file: &Path) -> PathBuf {
    let engine = sandbox.engine();
    let cache = ArtifactCache::open(&midge_testkit::native_code_cache(), engine);
    let cache = cache.expect("the cache of the tests is ours");
    let source = std::fs::read(file).expect("the guest was found before");
    match cache
        .find(&Digest::of(&source))
        .expect("the cache can be read")
    {
        Lookup::Hit(artifact) => artifact,
        Lookup::Miss | Lookup::Dropped { .. } => {
            compile(engine, &cache, &source).expect("a committed guest compiles")
        }
    }
}

fn load(sandbox: &Sandbox, artifact: &Path) -> Rc<LoadedFunction> {
    let deployment = Deployment {
        revision: Revision {
            namespace: NamespaceName::default(),
            function: "guest".parse().expect("a plain word is valid"),
            number: RevisionNumber::FIRST,
            digest: Digest::of(b""),
            grants: Grants::default(),
            limits: Limits::SAFE,
            isolation: Isolation::Fresh,
            routes: Vec::new(),
        },
        secrets: BTreeMap::new(),
        usage: None,
    };
    sandbox
        .load(artifact, deployment)
        .expect("what was compiled here loads here")
}

criterion_group!(benches, instantiate);
criterion_main!(benches);
