//! All attacks in one node, many at a time, beside a function that must not notice.
//!
//! In a module of this name because it measures, and so has the machine to itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use midge_testkit::http::{Client, RawConnection, get, whole};
use midge_testkit::{Midge, process, wait_until};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::attacks::{self, Attack};
use super::ends::Seen;
use super::ground::{CANARY, Ground, NEIGHBOUR};

const MIB: u64 = 1 << 20;

/// Attacks under way at a time, each on a connection of its own.
const AT_ONCE: usize = 12;

/// How often each is repeated, all of them at the same time.
const COPIES: usize = 3;

/// The most of a body that is kept to be looked at.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The bound on the neighbour's slowest hundredth: ten times what is promised of a release build.
const P99_MAX: Duration = Duration::from_millis(500);

/// What may still be held that was not held after the first round: each of two workers keeps up to 32
/// used slots in each of its two pools, with up to 4 MiB in every one, and takes its time to fill
/// them. Half of them are never had by anybody who writes so much.
const MEMORY_SPARE_BYTES: u64 = 256 * MIB;

/// What two workers may hold at any moment: every attack under way its 32 MiB, as much again in the
/// host for its handles, and what the node itself needs.
const MEMORY_PEAK_BYTES: u64 = (AT_ONCE as u64 * 64 + 512) * MIB;

/// Beside one for each function: the worker that had not loaded it yet in the first round may have
/// by now, and loaded code is an open file.
const DESCRIPTORS_SPARE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_ends_as_it_must_and_its_neighbour_does_not_notice() {
    let attacks = attacks::all();
    let ground = Ground::of(&attacks);
    let midge = ground.site.server().args(["--workers", "2"]).start();
    // The first round grows what is grown once: pools, caches, the allocator.
    let mut faults = strike(&midge, &attacks, 1).await;
    wait_until("the first round's connections are closed", || {
        midge.said().matches("request served").count() >= attacks.len()
    });
    let (memory_before, descriptors_before) = held(&midge);
    let workers = midge.workers();

    let neighbour = Neighbour::watch(&midge);
    faults.extend(strike(&midge, &attacks, COPIES).await);
    let latencies = neighbour.end();

    wait_until("the descriptors are back", || {
        held(&midge).1 <= descriptors_before + attacks.len() + DESCRIPTORS_SPARE
    });
    let (memory_after, _) = held(&midge);
    println!(
        "{} attacks: memory {} MiB before, {} MiB after, {} MiB at most; \
         neighbour: {latencies:?}",
        attacks.len() * (COPIES + 1),
        memory_before / MIB,
        memory_after / MIB,
        peak(&midge) / MIB
    );
    faults.extend(misread(&midge, &attacks));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_quiet(&midge);
    assert_eq!(midge.workers(), workers, "nobody had to be replaced");
    ground.assert_untouched();
    assert!(latencies.p99 < P99_MAX, "{latencies:?}");
    assert!(
        memory_after < memory_before + MEMORY_SPARE_BYTES,
        "{memory_before} bytes before, {memory_after} after"
    );
    assert!(peak(&midge) < MEMORY_PEAK_BYTES, "{} bytes", peak(&midge));
    for _ in 0..50 {
        let answer = get(midge.addr(), &format!("/{CANARY}/")).await.unwrap();
        assert_eq!(answer.text(), "fresh\n");
    }
}

/// Runs every attack so often at the same time; what was not as it must be.
async fn strike(midge: &Midge, attacks: &[Attack], copies: usize) -> Vec<String> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (number, attack) in attacks.iter().enumerate() {
        for copy in 0..copies {
            let (permits, addr, attack) = (Arc::clone(&permits), midge.addr(), *attack);
            running.spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                let client = if (number + copy) % 2 == 0 {
                    Client::http1(addr).await
                } else {
                    Client::http2(addr).await
                };
                judge(client.unwrap(), attack).await
            });
        }
    }
    running.join_all().await.into_iter().flatten().collect()
}

async fn judge(mut client: Client, attack: Attack) -> Option<String> {
    /// Longer than any limit of an attack, on a machine that is busy with them.
    const PATIENCE: Duration = Duration::from_secs(30);
    let (function, version) = (attack.function(), client.version());
    match tokio::time::timeout(PATIENCE, look(&mut client, &attack)).await {
        Ok(Ok(seen)) if attack.ends.allows(&seen) => None,
        Ok(seen) => Some(format!(
            "{function} over {version:?} is not {:?}: {seen:?}",
            attack.ends
        )),
        Err(_) => Some(format!("{function} over {version:?} never ended")),
    }
}

/// Reads an answer to its end and keeps its beginning: some are as long as a node allows.
async fn look(client: &mut Client, attack: &Attack) -> anyhow::Result<Seen> {
    let path = format!("/{}/?attack={}", attack.function(), attack.name);
    let response = client.begin(Request::get(path).body(whole(""))?).await?;
    let status = response.status();
    let mut body = response.into_body();
    let mut text = Vec::new();
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => {
                let room = TEXT_BYTES_MAX - text.len();
                text.extend_from_slice(&data[..data.len().min(room)]);
            }
            Ok(Err(_trailers)) => {}
            Err(_) => {
                is_whole = false;
                break;
            }
        }
    }
    Ok(Seen {
        status,
        text: text.into(),
        is_whole,
    })
}

/// Outcomes in the access log that an attack must not have.
fn misread(midge: &Midge, attacks: &[Attack]) -> Vec<String> {
    let mut faults = Vec::new();
    let requests = attacks.len() * (COPIES + 1);
    let served = |said: &str| said.matches("request served function=").count();
    wait_until("all attacks are in the log", || {
        served(&midge.said()) >= requests
    });
    let said = midge.said();
    for attack in attacks {
        let of_attack = format!("request served function={} ", attack.function());
        let lines = said.lines().filter(|line| line.contains(&of_attack));
        let mut count = 0;
        for line in lines {
            count += 1;
            let outcome = line.split("outcome=\"").nth(1).unwrap_or_default();
            let outcome = outcome.split('"').next().unwrap_or_default();
            if !attack.ends.outcomes().contains(&outcome) {
                faults.push(format!("not {:?}: {line}", attack.ends.outcomes()));
            }
        }
        if count != COPIES + 1 {
            faults.push(format!("{} lines for {}", count, attack.function()));
        }
    }
    faults
}

/// Guests' faults are no news: no line of the host's own that anybody has to look at.
fn assert_quiet(midge: &Midge) {
    for line in midge.said().lines().filter(|line| !line.starts_with('[')) {
        let is_loud = [" WARN ", " ERROR ", "panicked", "error:"]
            .iter()
            .any(|word| line.contains(word));
        assert!(!is_loud, "{line}");
    }
}

/// What a node holds: memory and descriptors of all its processes.
fn held(midge: &Midge) -> (u64, usize) {
    let workers = midge.workers().into_iter();
    let all: Vec<u32> = workers.chain([midge.pid()]).collect();
    let memory_bytes = all.iter().map(|&pid| process::memory_bytes(pid)).sum();
    (
        memory_bytes,
        all.into_iter().map(process::descriptors).sum(),
    )
}

/// The most memory that its workers ever held, as if they had all held it at once.
fn peak(midge: &Midge) -> u64 {
    let workers = midge.workers().into_iter();
    workers.map(process::memory_peak_bytes).sum()
}

/// A client of the harmless function, on a thread of its own so that it measures only the node.
struct Neighbour {
    stop: Arc<AtomicBool>,
    client: JoinHandle<Vec<Duration>>,
}

impl Neighbour {
    fn watch(midge: &Midge) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (addr, until) = (midge.addr(), Arc::clone(&stop));
        let client = std::thread::spawn(move || {
            const PAUSE: Duration = Duration::from_millis(5);
            let request = format!("GET /{NEIGHBOUR}/ HTTP/1.1\r\nhost: a\r\n\r\n");
            let mut connection = RawConnection::open(addr);
            let mut took = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let asked = Instant::now();
                connection.send(&request).unwrap();
                let answer = connection.read_until("\r\n\r\nhi");
                took.push(asked.elapsed());
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                // The pace of the load, not a wait for anything.
                std::thread::sleep(PAUSE);
            }
            took
        });
        Self { stop, client }
    }

    /// What it measured.
    fn end(self) -> Latencies {
        self.stop.store(true, Ordering::Relaxed);
        let mut took = self.client.join().unwrap();
        took.sort_unstable();
        assert!(took.len() > 500, "only {} answers", took.len());
        Latencies {
            answers: took.len(),
            p50: took[took.len() / 2],
            p99: took[took.len() * 99 / 100],
            max: took[took.len() - 1],
        }
    }
}

/// How long answers took.
#[derive(Debug)]
#[expect(dead_code, reason = "most of it is only printed")]
struct Latencies {
    answers: usize,
    p50: Duration,
    p99: Duration,
    max: Duration,
}
