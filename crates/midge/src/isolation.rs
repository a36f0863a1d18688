//! Whether instances on this machine are fresh: thousands of canaries, one after another.
//!
//! Each instance looks for what another one left in memory, table, globals, descriptors and
//! files, says whether it found any, and leaves its own (`isolation/canary.wat`). Who runs this
//! and what is printed is `cmd/doctor.rs`.
//!
//! **Invariant:** the sandbox is the one that workers have, configured in the same way; what is
//! not said to be fresh counts as stale.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body as _;
use midge_model::{Digest, Grants, Limits, NamespaceName, Outcome, Policy, RequestId, Revision};
use midge_sandbox::{
    Allocation, ArtifactCache, Caller, CompileError, Deployment, DnsConfig, EngineError,
    Invocation, KeepsNone, LoadError, LoadedFunction, NodePowers, PowersConfig, PowersError,
    Rehearsal, RequestBody, ResetMechanism, RootsConfig, Sandbox, SandboxConfig, Scans, compile,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The guest, with three words to put in.
const CANARY: &str = include_str!("isolation/canary.wat");

/// How the canaries differ: how far apart they write, up to where, and how they end. One writes
/// every page, one a few of them, one ends badly, and one writes every second page, so that the
/// pages between are kept as well; as different components they never share an image.
const CANARIES: [(&str, &str, &str); 4] = [
    ("4096", WHOLE, "nop"),
    ("300008", WHOLE, "nop"),
    ("4096", WHOLE, "unreachable"),
    ("8192", "0x0ffff8", "nop"),
];

/// The end of all memory that a canary has.
const WHOLE: &str = "0x4ffff8";

/// What a fresh instance says.
const FRESH: &[u8] = b"fresh\n";

/// Instances alive at a time, while each component has slots of its own.
const AT_ONCE: u32 = 8;

/// Slots of a pool so small that the components must take over each other's.
const SHARED_SLOTS: u32 = 4;

/// What each canary may write into its private folder.
const TMP_BYTES: u64 = 1 << 20;

/// How long private folders may stay behind their instances: they are removed aside.
const REMOVED_WITHIN: Duration = Duration::from_secs(10);

/// How often they are looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a canary may say; it says some words.
const ANSWER_BYTES_MAX: usize = 4096;

/// What was found.
#[derive(Debug)]
pub(crate) struct Report {
    /// How memory becomes fresh here.
    pub(crate) mechanism: ResetMechanism,
    /// Instances that ran.
    pub(crate) cycles: u32,
    /// Those that got a slot that another one had before; `None` without a pool.
    pub(crate) reused: Option<u32>,
    /// Those that ended badly on purpose.
    pub(crate) trapped: u32,
    /// How often the kernel was asked what they had written.
    pub(crate) scans: Scans,
    /// How long all of that took.
    pub(crate) took: Duration,
    /// What was not fresh, and how often.
    pub(crate) stale: BTreeMap<String, u32>,
}

/// Why freshness could be neither shown nor refuted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IsolationError {
    /// No sandbox.
    #[error("start the sandbox")]
    Engine(#[source] EngineError),
    /// No powers to lend.
    #[error("prepare what instances are lent")]
    Powers(#[source] PowersError),
    /// The canary did not compile.
    #[error("compile the canary")]
    Compile(#[source] Box<CompileError>),
    /// The canary did not load.
    #[error("load the canary")]
    Load(#[source] LoadError),
    /// It did not run as it should have.
    #[error("run the canary: {outcome}")]
    Run { outcome: Outcome },
    /// The folder of private folders cannot be looked into.
    #[error("look into `{}`", path.display())]
    Folder {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

/// Runs `cycles` canaries and tells what they found. `folder` is empty and ours.
///
/// # Errors
///
/// The canaries could not be run.
pub(crate) async fn prove(
    cycles: u32,
    (cache, config): (&ArtifactCache, SandboxConfig),
    folder: &Path,
) -> Result<Report, IsolationError> {
    let started = Instant::now();
    let small = SandboxConfig {
        instances_max: SHARED_SLOTS,
        ..config
    };
    let yards = match config.allocation {
        Allocation::Pooling => vec![
            (config, AT_ONCE, cycles.div_ceil(2)),
            (small, SHARED_SLOTS, cycles / 2),
        ],
        // Without a pool there are no slots to take over.
        Allocation::OnDemand => vec![(config, AT_ONCE, cycles)],
    };
    let mut findings = Findings::default();
    let mut reused = None;
    let mut mechanism = ResetMechanism::NoReuse;
    let before = Scans::so_far();
    for (config, at_once, cycles) in yards {
        let yard = Yard::open((config, at_once), cache, folder, &canaries())?;
        yard.run(cycles, &mut findings).await?;
        mechanism = yard.sandbox.engine().reset_mechanism();
        if let Some(slots) = yard.sandbox.engine().warm_slots() {
            *reused.get_or_insert(0) += cycles.saturating_sub(slots);
        }
    }
    findings.note_leftovers(folder).await?;
    let scans = Scans::so_far();
    Ok(Report {
        mechanism,
        cycles: findings.cycles,
        reused,
        trapped: findings.trapped,
        scans: Scans {
            asked: scans.asked - before.asked,
            merged: scans.merged - before.merged,
        },
        took: started.elapsed(),
        stale: findings.stale,
    })
}

/// The text of each canary.
fn canaries() -> Vec<String> {
    let text = |(step, reach, ending)| {
        let text = CANARY.replace("STEP", step).replace("REACH", reach);
        text.replace("ENDING", ending)
    };
    CANARIES.into_iter().map(text).collect()
}

/// One sandbox with the canaries in it.
struct Yard {
    sandbox: Sandbox,
    canaries: Vec<Rc<LoadedFunction>>,
    /// A place is taken until the instance is gone, so no more than these are ever alive.
    places: Arc<Semaphore>,
    at_once: u32,
}

impl Yard {
    fn open(
        (config, at_once): (SandboxConfig, u32),
        cache: &ArtifactCache,
        folder: &Path,
        texts: &[String],
    ) -> Result<Self, IsolationError> {
        let powers = PowersConfig {
            policy: Policy::operator(),
            dns: DnsConfig::System,
            roots: RootsConfig::System,
            tmp_dir: folder.to_owned(),
            learn: false,
            rehearsal: Rehearsal::default(),
        };
        let powers = NodePowers::new(powers).map_err(IsolationError::Powers)?;
        let sandbox = Sandbox::new(&config, powers).map_err(IsolationError::Engine)?;
        let canaries = texts.iter().map(|text| load(&sandbox, cache, text));
        Ok(Self {
            canaries: canaries.collect::<Result<_, _>>()?,
            sandbox,
            places: Arc::new(Semaphore::new(at_once as usize)),
            at_once,
        })
    }

    /// Runs the canaries in turn.
    async fn run(&self, cycles: u32, findings: &mut Findings) -> Result<(), IsolationError> {
        let mut running = JoinSet::new();
        for (_, canary) in (0..cycles).zip(self.canaries.iter().cycle()) {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("nobody closes the semaphore");
            running.spawn_local(run_once(Rc::clone(canary), Box::new(place)));
            while let Some(ended) = running.try_join_next() {
                findings.note(ended.expect("a canary's task does not panic"))?;
            }
        }
        while let Some(ended) = running.join_next().await {
            findings.note(ended.expect("a canary's task does not panic"))?;
        }
        // Answered is not gone: slots are counted when the last instance has given its own back.
        drop(self.places.acquire_many(self.at_once).await);
        Ok(())
    }
}

fn load(
    sandbox: &Sandbox,
    cache: &ArtifactCache,
    text: &str,
) -> Result<Rc<LoadedFunction>, IsolationError> {
    // Compiled here and not by a compiler process: this text is ours.
    let artifact = compile(sandbox.engine(), cache, text.as_bytes())
        .map_err(|error| IsolationError::Compile(Box::new(error)))?;
    let revision = Revision {
        namespace: NamespaceName::default(),
        function: "canary".parse().expect("`canary` is a name"),
        number: midge_model::RevisionNumber::FIRST,
        digest: Digest::of(text.as_bytes()),
        grants: Grants {
            tmp_bytes: Some(TMP_BYTES),
            ..Grants::default()
        },
        limits: Limits::SAFE,
        isolation: midge_model::Isolation::Fresh,
        routes: Vec::new(),
    };
    let deployment = Deployment {
        revision,
        secrets: BTreeMap::new(),
        usage: None,
    };
    sandbox
        .load(&artifact, deployment)
        .map_err(IsolationError::Load)
}

/// What one canary said, and how it ended if not well.
struct Ended {
    said: Vec<u8>,
    outcome: Option<Outcome>,
}

async fn run_once(canary: Rc<LoadedFunction>, place: Box<dyn std::any::Any>) -> Ended {
    let nobody = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let caller = Caller {
        peer: nobody,
        local: nobody,
        https: false,
        request_id: RequestId::keep("canary").expect("`canary` is harmless"),
    };
    let request = http::Request::get("http://canary.invalid/").body(RequestBody::empty());
    let invocation = Invocation {
        request: Box::new(request.expect("a literal that parses")),
        caller: &caller,
        mount: "",
        deadline: Instant::now() + Limits::SAFE.time,
        permit: Box::new(KeepsNone(place)),
        instance: None,
        ended: None,
    };
    let mut said = Vec::new();
    let answer = match canary.invoke(Box::new(invocation)).await {
        Ok(answer) => answer,
        Err(outcome) => {
            let outcome = Some(outcome);
            return Ended { said, outcome };
        }
    };
    let mut body = answer.response.into_body();
    let mut outcome = None;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) if said.len() < ANSWER_BYTES_MAX => {
                said.extend(frame.into_data().unwrap_or_default());
            }
            Ok(_) => {}
            Err(aborted) => outcome = Some(aborted.outcome),
        }
    }
    Ended { said, outcome }
}

/// Whether a canary ended as its text says, by `unreachable`.
fn is_on_purpose(reason: &str) -> bool {
    reason.contains(CANARIES[2].2)
}

#[derive(Default)]
struct Findings {
    cycles: u32,
    trapped: u32,
    stale: BTreeMap<String, u32>,
}

impl Findings {
    fn note(&mut self, Ended { said, outcome }: Ended) -> Result<(), IsolationError> {
        self.cycles += 1;
        match outcome {
            None if said == FRESH => {}
            // On purpose; it may have been heard before or not.
            Some(Outcome::Trapped { reason }) if is_on_purpose(&reason) => {
                self.trapped += 1;
                if !said.is_empty() && said != FRESH {
                    self.note_stale(&said);
                }
            }
            // What else could make a canary stumble than what another one left?
            Some(Outcome::Trapped { reason }) => {
                self.note_stale(&said);
                self.note_stale(reason.lines().next().unwrap_or_default().as_bytes());
            }
            Some(outcome) => return Err(IsolationError::Run { outcome }),
            None => self.note_stale(&said),
        }
        Ok(())
    }

    fn note_stale(&mut self, said: &[u8]) {
        for place in String::from_utf8_lossy(said).lines() {
            *self.stale.entry(place.to_owned()).or_default() += 1;
        }
    }

    /// Private folders die with their instances, soon after the last word of those.
    async fn note_leftovers(&mut self, folder: &Path) -> Result<(), IsolationError> {
        let deadline = Instant::now() + REMOVED_WITHIN;
        loop {
            let left = leftovers(folder).map_err(|source| IsolationError::Folder {
                path: folder.to_owned(),
                source,
            })?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.stale.insert("private folder".to_owned(), left);
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// How many folders of instances there are: each process has a folder for its own.
fn leftovers(folder: &Path) -> std::io::Result<u32> {
    let mut left = 0;
    for process in std::fs::read_dir(folder)? {
        match std::fs::read_dir(process?.path()) {
            Ok(instances) => left += u32::try_from(instances.count()).unwrap_or(u32::MAX),
            // It went while we were looking.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests;
