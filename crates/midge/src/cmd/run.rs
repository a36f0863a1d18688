//! `midge run [PATH]`: serves functions over HTTP until told to stop.
//!
//! Walks from flags to a serving node: read and refuse (`run/asked.rs`), claim the
//! port, compile, open the door, supervise. Each step lives elsewhere; the order is decided
//! here.
//!
//! **Invariant:** what can be refused is refused before anything is compiled,
//! and nobody can connect before everything is.

mod asked;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use midge_ingress::{IngressConfig, Tls};
use midge_model::{Revision, Traffic};
use midge_sandbox::{NodePowers, PowersConfig, SandboxConfig, UsagePage};

use self::asked::Asked;
use super::Ending;
use super::fault::hinted;
use crate::cli::RunArgs;
use crate::config::{self, RunConfig, TlsPaths};
use crate::functions::Function;
use crate::learn::Learned;
use crate::log::{Format, LogConfig};
use crate::observed::Observed;
use crate::prepare::{Prepared, prepare};
use crate::protocol::{FOLDERS_MAX, FunctionKey, Plan, Shared};
use crate::supervisor::{
    self, Beside, Compiler, Components, NativeCode, Node, Progress, Roster, WantedFunction,
};
use crate::{log, machine, say};

/// What every worker's door allows; see `IngressConfig` for what each bound means.
pub(super) const INGRESS: IngressConfig = IngressConfig {
    connections_max: 10_000,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    stall_timeout: Duration::from_secs(30),
    header_bytes_max: 64 * 1024,
    header_count_max: 100,
    h2_streams_max: 128,
    receipt: false,
    access_log: true,
};

/// What is said while functions may do everything.
const LEARNING: &str = "learning: functions may do everything that the policy allows; \
                        stop with Ctrl-C to see what they used";

/// Serves until told to stop.
pub(super) fn run(args: RunArgs) -> anyhow::Result<Ending> {
    if args.end_with_parent {
        machine::die_with_parent();
    }
    let config = RunConfig::new(args).map_err(hinted)?;
    let _log = log::start(&config.log, None);
    machine::raise_descriptor_limit();
    super::block_on(serve(config))?
}

async fn serve(mut config: RunConfig) -> anyhow::Result<Ending> {
    let asked = Asked::read(&mut config)?;
    check_tls(config.tls.as_ref())?;
    let powers = config
        .powers
        .under(asked.policy.clone(), config::temporary_folder());
    // Each worker makes its own; whether they can be made is known before anything is compiled.
    drop(NodePowers::new(powers.clone())?);
    let (cache, sandbox) = super::open_cache(&config.cache_dir)?;
    let claim = supervisor::claim(config.listen).map_err(hinted)?;
    let compiler = Compiler {
        cache_dir: config.cache_dir.clone(),
        allocation: sandbox.allocation,
        wall_time_max: supervisor::WALL_TIME_MAX,
    };
    let progress = Progress::new(&config.log);
    let prepared = prepare(&asked.functions, &cache, &compiler, &progress)
        .await
        .map_err(hinted)?;
    let listener = claim.open().map_err(hinted)?;
    let address = listener
        .local_addr()
        .context("read the listening address")?;
    let mut ready = Ready::new(address, &config, &prepared.revisions);
    let plan = plan(&config, sandbox, powers);
    let counters = supervisor::page::counters(plan.workers).context("make the page of counters")?;
    let usage =
        supervisor::page::usage(plan.workers).context("make the page of folders' counts")?;
    let roster = roster(&asked.functions, &prepared, (&usage, plan.workers))?;
    let components = components(&asked.functions, &prepared);
    let node = Node {
        plan,
        roster,
        native: NativeCode::new(cache, compiler, components, progress),
        observed: Arc::new(Observed::new(midge_store::now())),
        relay: None,
        learned: Learned::of(asked.functions.iter().map(|function| &function.name)),
        shared: Shared {
            listener,
            internal: None,
            counters,
            usage,
        },
        workers: config.workers,
        grace: config.grace,
        is_service: false,
    };
    let life = supervisor::supervise(node, &mut ready)
        .await
        .map_err(hinted)?;
    if let Some(to) = &config.powers.learn {
        asked.write_learned(&life.learned, to)?;
    }
    Ok(conclude(life.ending))
}

/// A certificate that cannot be used is known before anything is compiled.
pub(super) fn check_tls(paths: Option<&TlsPaths>) -> anyhow::Result<()> {
    if let Some(TlsPaths { cert, key }) = paths {
        Tls::load(cert, key)?;
    }
    Ok(())
}

/// What all workers are to serve: everything, loaded before the door opens.
fn roster(
    functions: &[Function],
    prepared: &Prepared,
    (usage, workers): (&std::fs::File, usize),
) -> anyhow::Result<Arc<Roster>> {
    let usage = UsagePage::map(usage, workers, FOLDERS_MAX);
    let roster = Roster::new(Some(usage.context("share the counts of folders")?), true);
    for (function, revision) in functions.iter().zip(&prepared.revisions) {
        let wanted = WantedFunction {
            key: FunctionKey {
                namespace: revision.namespace.clone(),
                function: revision.function.clone(),
            },
            traffic: Traffic::all_to(revision.number),
            revisions: vec![Arc::new(revision.clone())],
            secrets: function.secrets.clone(),
            version: 0,
        };
        roster.set(wanted).context("give each function its place")?;
    }
    roster.complete();
    Ok(roster)
}

/// Where native code can be made from again, should the cache be wiped.
fn components(functions: &[Function], prepared: &Prepared) -> Components {
    let revisions = prepared.revisions.iter();
    let files = revisions.zip(functions).map(|(revision, function)| {
        let component = function.component.clone();
        (revision.digest, component)
    });
    Components::Files(files.collect::<BTreeMap<_, _>>())
}

fn plan(config: &RunConfig, sandbox: SandboxConfig, powers: PowersConfig) -> Plan {
    Plan {
        worker: 0,
        workers: config.workers.count(),
        // Functions answer where their manifest says, whatever the host.
        domain: String::new(),
        ingress: IngressConfig {
            receipt: config.receipt,
            ..INGRESS
        },
        sandbox,
        powers,
        memory_target_bytes: config.memory_target_bytes,
        cache_dir: config.cache_dir.clone(),
        data_root: None,
        tls: config.tls.clone(),
        grace: config.grace,
        strict: true,
        tells: false,
        log: config.log.clone(),
    }
}

pub(super) fn conclude(ending: supervisor::Ending) -> Ending {
    match ending {
        supervisor::Ending::Interrupted => Ending::Interrupted,
        supervisor::Ending::Drained(total) => {
            let supervisor::DrainedAll {
                finished,
                cut,
                lost,
            } = total;
            if cut == 0 && lost == 0 {
                tracing::info!(finished, "drained");
                return Ending::Done;
            }
            tracing::warn!(
                finished,
                cut,
                workers_lost = lost,
                "grace period over, requests cut"
            );
            Ending::Partial
        }
    }
}

/// What is said once all workers accept connections.
struct Ready {
    url: String,
    /// Route and function.
    routes: Vec<(String, String)>,
    learning: bool,
    log: LogConfig,
}

impl Ready {
    fn new(address: SocketAddr, config: &RunConfig, revisions: &[Revision]) -> Self {
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let routes = revisions.iter().flat_map(|revision| {
            let function = revision.function.to_string();
            revision
                .routes
                .iter()
                .map(move |route| (route.to_string(), function.clone()))
        });
        let url = format!("{scheme}://{address}");
        Self {
            url,
            routes: routes.collect(),
            learning: config.powers.learn.is_some(),
            log: config.log.clone(),
        }
    }

    fn announce(&self) {
        if self.learning {
            match self.log.format {
                Format::Json => tracing::warn!("learning, everything is allowed"),
                Format::Text => say::line(LEARNING),
            }
        }
        let width = self
            .routes
            .iter()
            .map(|(route, _)| route.chars().count())
            .max()
            .unwrap_or(0);
        for (route, function) in &self.routes {
            match self.log.format {
                Format::Json => tracing::info!(route, function, "route ready"),
                Format::Text if self.log.quiet => {}
                Format::Text => say::line(&format!("{route:width$}  -> {function}")),
            }
        }
        match self.log.format {
            Format::Json => tracing::info!(url = self.url, "listening"),
            Format::Text if self.log.quiet => {}
            Format::Text => say::line(&format!("listening on {}", self.url)),
        }
    }
}

impl Beside for Ready {
    fn ready(&mut self) {
        self.announce();
    }

    fn reload(&mut self) {}

    async fn broken(&mut self) -> String {
        pending().await
    }

    async fn close(&mut self, _: Duration) {}
}
