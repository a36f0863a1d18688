//! Many guests on one thread: who waits for whom.
//!
//! What others on this machine do must not decide these tests, so waits are measured
//! in what the thread itself computed meanwhile.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use midge_model::Limits;
use midge_sandbox::{LoadedFunction, NodePowers, RequestBody, Sandbox, SandboxConfig};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};

use crate::kit::{self, CONFIG, Guest, invoke, reply};

/// Functions that share a thread.
struct Neighbours {
    sandbox: Sandbox,
    functions: Cell<u32>,
}

impl Neighbours {
    fn meet<T>(test: impl AsyncFnOnce(Self) -> T) -> T {
        let config = SandboxConfig {
            instances_max: 300,
            ..CONFIG
        };
        let powers = NodePowers::new(kit::powers()).unwrap();
        let neighbours = Self {
            sandbox: Sandbox::new(&config, powers).unwrap(),
            functions: Cell::new(0),
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test(neighbours))
    }

    fn function(&self, fixture: &str, change: impl FnOnce(&mut Limits)) -> Rc<LoadedFunction> {
        self.functions.set(self.functions.get() + 1);
        let name = format!("guest-{}", self.functions.get());
        self.revision(fixture, &name, change)
    }

    /// One more revision of the function of this name.
    fn revision(
        &self,
        fixture: &str,
        name: &str,
        change: impl FnOnce(&mut Limits),
    ) -> Rc<LoadedFunction> {
        let guest = Guest::of(fixture).named(name).limits(|limits| {
            limits.time = Duration::from_secs(600);
            change(limits);
        });
        guest.load_into(&self.sandbox).unwrap()
    }

    fn tiny(&self) -> Rc<LoadedFunction> {
        self.function("http02-tiny.wasm", |_| {})
    }

    /// One that computes until it has used up so much.
    fn busy(&self, cpu_ms: u64, weight: u32) -> Rc<LoadedFunction> {
        self.function("http02-busy.wasm", |limits| {
            limits.cpu = Duration::from_millis(cpu_ms);
            limits.weight = weight;
        })
    }
}

/// Clients that ask again as soon as they have an answer.
struct Crowd {
    /// End when this is dropped.
    _clients: JoinSet<()>,
    ended: Rc<Cell<u32>>,
}

impl Crowd {
    fn of(clients: usize, function: &Rc<LoadedFunction>, path: &'static str) -> Self {
        let ended = Rc::new(Cell::new(0));
        let mut all = JoinSet::new();
        for _ in 0..clients {
            let (function, ended) = (Rc::clone(function), Rc::clone(&ended));
            all.spawn_local(async move {
                loop {
                    drop(invoke(&function, get(path)).await);
                    ended.set(ended.get() + 1);
                }
            });
        }
        let _clients = all;
        Self { _clients, ended }
    }

    fn ended(&self) -> u32 {
        self.ended.get()
    }
}

fn get(path: &str) -> Request<RequestBody> {
    Request::get(path).body(RequestBody::empty()).unwrap()
}

fn used_by_this_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// What the thread computed while each of so many requests was answered, sorted.
async fn waits(function: &Rc<LoadedFunction>, requests: usize) -> Vec<Duration> {
    let mut pace = tokio::time::interval(Duration::from_millis(7));
    let mut waits = Vec::new();
    for _ in 0..requests {
        pace.tick().await;
        let function = Rc::clone(function);
        let asked: JoinHandle<Duration> = spawn_local(async move {
            let began = used_by_this_thread();
            let answer = invoke(&function, get("/")).await.unwrap();
            assert_eq!(reply(answer).await.unwrap().text(), "hi");
            used_by_this_thread() - began
        });
        waits.push(asked.await.unwrap());
    }
    waits.sort_unstable();
    waits
}

/// Several ticks of others, and what a debug build needs for the request itself. A turn for each
/// of two hundred guests would be 200 ms.
const P99_MAX: Duration = Duration::from_millis(20);

fn p99(waits: &[Duration]) -> Duration {
    waits[waits.len() * 99 / 100]
}

#[test]
fn a_quick_request_does_not_wait_for_two_hundred_busy_ones() {
    Neighbours::meet(async |neighbours| {
        let (tiny, busy) = (neighbours.tiny(), neighbours.busy(100, 100));
        waits(&tiny, 100).await;
        let crowd = Crowd::of(200, &busy, "/");
        let waits = waits(&tiny, 300).await;
        assert!(p99(&waits) < P99_MAX, "{waits:?}");
        drop(crowd);
    });
}

#[test]
fn a_quick_request_does_not_wait_for_two_hundred_that_begin() {
    Neighbours::meet(async |neighbours| {
        let (tiny, busy) = (neighbours.tiny(), neighbours.busy(10, 100));
        let crowd = Crowd::of(200, &busy, "/");
        let waits = waits(&tiny, 300).await;
        assert!(p99(&waits) < P99_MAX, "{waits:?}");
        drop(crowd);
    });
}

#[test]
fn a_quick_request_does_not_wait_for_two_hundred_quick_ones() {
    Neighbours::meet(async |neighbours| {
        let (tiny, flood) = (neighbours.tiny(), neighbours.tiny());
        let crowd = Crowd::of(200, &flood, "/");
        let waits = waits(&tiny, 300).await;
        assert!(p99(&waits) < P99_MAX, "{waits:?}");
        drop(crowd);
    });
}

/// Lets both work until the first has ended so many, and tells what both have.
async fn ended(one: &Crowd, other: &Crowd, until: u32) -> (u32, u32) {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while one.ended() < until {
        pace.tick().await;
    }
    (one.ended(), other.ended())
}

#[test]
fn two_busy_functions_get_the_same_whatever_their_crowds() {
    Neighbours::meet(async |neighbours| {
        let (one, two) = (neighbours.busy(10, 100), neighbours.busy(10, 100));
        let (many, few) = (Crowd::of(40, &one, "/"), Crowd::of(4, &two, "/"));
        let (many, few) = ended(&many, &few, 200).await;
        let apart = f64::from(many.abs_diff(few)) / f64::from(many);
        assert!(apart < 0.25, "{many} and {few}");
    });
}

#[test]
fn three_times_the_weight_is_three_times_the_work() {
    Neighbours::meet(async |neighbours| {
        let (heavy, light) = (neighbours.busy(10, 300), neighbours.busy(10, 100));
        let (heavy, light) = (Crowd::of(8, &heavy, "/"), Crowd::of(8, &light, "/"));
        let (heavy, light) = ended(&heavy, &light, 240).await;
        let ratio = f64::from(heavy) / f64::from(light);
        assert!((2.3..3.9).contains(&ratio), "{heavy} and {light}");
    });
}

#[test]
fn three_revisions_of_a_function_get_no_more_than_one() {
    Neighbours::meet(async |neighbours| {
        let busy = |limits: &mut Limits| {
            limits.cpu = Duration::from_millis(10);
            limits.weight = 100;
        };
        let revisions: Vec<_> = (0..3)
            .map(|_| neighbours.revision("http02-busy.wasm", "split", busy))
            .collect();
        let split: Vec<_> = revisions.iter().map(|one| Crowd::of(8, one, "/")).collect();
        let single = Crowd::of(8, &neighbours.busy(10, 100), "/");
        let (_, single) = ended(&split[0], &single, 80).await;
        let split: u32 = split.iter().map(Crowd::ended).sum();
        let apart = f64::from(split.abs_diff(single)) / f64::from(split);
        assert!(apart < 0.25, "{split} and {single}");
    });
}
