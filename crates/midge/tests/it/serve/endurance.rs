//! What is promised for many deploys, many kills and many functions, at a size that a suite can
//! bear. `MIDGE_KILLS`, `MIDGE_FUNCTIONS` ask for more, and the figures are printed
//! (`--no-capture`).
#![expect(
    clippy::print_stdout,
    reason = "seeds and figures, for who repeats a run"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use midge_api::{PageRequest, WriteOptions};
use midge_testkit::Run;
use tokio::time::Instant;

use super::kit::{Node, Store, name, ns, request};
use crate::kit::BINARY;

/// Functions that are deployed at the same time.
const BUSY: [&str; 4] = ["one", "two", "three", "four"];

/// What the outside knows of a function: the newest version that was acknowledged, and one that
/// was asked for and not answered.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    acknowledged: u32,
    asked: u32,
}

#[tokio::test]
async fn every_acknowledged_deploy_survives_kills_at_random_moments() {
    let kills = at_least("MIDGE_KILLS", 6);
    let mut moments = Moments::from_seed();
    let store = Store::new();
    let mut node = store.node();
    node.deploy("warm", "http02-env.wasm", 1).await;
    let known: Arc<Mutex<BTreeMap<&str, Known>>> = Arc::default();
    let mut slowest_start = Duration::ZERO;
    for kill in 1..=kills {
        let busy = BUSY.map(|function| {
            let client = store.client(&node.midge.control());
            tokio::spawn(deploy_until_killed(client, function, Arc::clone(&known)))
        });
        tokio::time::sleep(moments.next()).await;
        node.midge.signal("KILL");
        for deploying in busy {
            deploying.await.unwrap();
        }
        let killed = Instant::now();
        node = store.again(node.midge);
        slowest_start = slowest_start.max(killed.elapsed());
        let before = known.lock().unwrap().clone();
        for (function, before) in before {
            let acknowledged = live(&node, function, before, kill).await;
            known
                .lock()
                .unwrap()
                .entry(function)
                .or_default()
                .acknowledged = acknowledged;
        }
        assert_sound(&store);
    }
    let known = known.lock().unwrap();
    let deploys: u32 = known.values().map(|known| known.acknowledged).sum();
    println!("{kills} kills, {deploys} deploys, slowest start {slowest_start:?}");
}

/// Deploys one version after the other, and writes down what it knows before and after each.
async fn deploy_until_killed(
    client: midge_api::Client,
    function: &'static str,
    known: Arc<Mutex<BTreeMap<&'static str, Known>>>,
) {
    let (namespace, name) = (ns(), name(function));
    loop {
        let version = {
            let mut known = known.lock().unwrap();
            let known = known.entry(function).or_default();
            known.asked = known.asked.max(known.acknowledged) + 1;
            known.asked
        };
        let (request, _) = request("http02-env.wasm", version);
        let options = WriteOptions::default();
        let deploy = client.deploy(&namespace, &name, &request, &options);
        if deploy.await.is_err() {
            return;
        }
        let mut known = known.lock().unwrap();
        known.entry(function).or_default().acknowledged = version;
    }
}

/// The version that answers now, which must be one that the outside may expect.
async fn live(node: &Node, function: &str, known: Known, kill: u32) -> u32 {
    let version = node.version("anywhere", &format!("/{function}/")).await;
    let number = version.strip_prefix('v').and_then(|text| text.parse().ok());
    match number {
        Some(number) if (known.acknowledged..=known.asked).contains(&number) => number,
        None if known.acknowledged == 0 => 0,
        _ => panic!("after kill {kill} `{function}` answers `{version}`: {known:?}"),
    }
}

fn assert_sound(store: &Store) {
    let shown = store.path().to_string_lossy().into_owned();
    let checked = Run::of(BINARY, ["store", "check", "--store", &shown]).to_end();
    assert!(checked.starts_with("exit: 0\n"), "{checked}");
}

#[tokio::test]
async fn a_node_with_many_functions_starts_and_lists_as_one_with_few() {
    let functions = at_least("MIDGE_FUNCTIONS", 60);
    let store = Store::new();
    let mut node = store.node();
    let (request, _) = request("http02-tiny.wasm", 1);
    node.deploy("first", "http02-tiny.wasm", 1).await;
    let began = Instant::now();
    for number in 1..functions {
        let (namespace, function) = (ns(), name(&format!("fn-{number}")));
        let options = WriteOptions::default();
        let deploy = node
            .client
            .deploy(&namespace, &function, &request, &options);
        deploy.await.unwrap();
    }
    let deploying = began.elapsed();
    let (namespace, first) = (ns(), PageRequest::default());
    let page = node.client.list_functions(&namespace, &first);
    assert!(!page.await.unwrap().items.is_empty());
    let all = node.client.all_functions(&ns()).await.unwrap();
    assert_eq!(all.len(), usize::try_from(functions).unwrap());
    node.midge.signal("TERM");
    assert_eq!(node.midge.wait_for_exit().code(), Some(0));
    let began = Instant::now();
    let node = store.node();
    let starting = began.elapsed();
    let last = format!("/fn-{}/", functions - 1);
    assert_eq!(node.get("anywhere", &last).await.text(), "hi");
    println!("{functions} functions: deployed in {deploying:?}, started in {starting:?}");
}

/// The number that the environment asks for, or this one.
fn at_least(variable: &str, usual: u32) -> u32 {
    let asked = std::env::var_os(variable).map(|text| text.into_string().unwrap());
    asked.map_or(usual, |text| text.parse().unwrap())
}

/// Moments to kill at, the same for the same seed.
struct Moments(u64);

impl Moments {
    /// The seed is printed, so that a failure can be had again.
    fn from_seed() -> Self {
        let seed = at_least("MIDGE_SEED", std::process::id());
        println!("MIDGE_SEED={seed}");
        Self(seed.into())
    }

    /// Up to 300 ms, by a sequence that is spread evenly (Weyl's).
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Duration::from_millis((self.0 >> 32) % 300)
    }
}
