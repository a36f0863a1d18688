//! `midge run [PATH]`: serves functions over HTTP until told to stop.
//!
//! Walks from flags to a serving node: read and refuse (`run/asked.rs`), claim the
//! port, compile, open the door, supervise. Each step lives elsewhere; the order is decided
//! here.
//!
//! **Invariant:** what can be refused is refused before anything is compiled,
//! and nobody can connect before everything is.

mod asked;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use midge_ingress::{IngressConfig, Tls};
use midge_model::{Digest, Revision};
use midge_sandbox::{NodePowers, PowersConfig, SandboxConfig, UsagePage};
use midge_store::{Embedded, Keys, MemoryKeys};

pub(super) use self::asked::Asked;
use super::Ending;
use super::dev::{Reloading, Serving, Try};
use super::fault::hinted;
use crate::cli::RunArgs;
use crate::config::{self, RunConfig, TlsPaths};
use crate::functions::{self, Function};
use crate::learn::Learned;
use crate::log::{Format, LogConfig};
use crate::observed::Observed;
use crate::prepare::{Prepared, prepare};
use crate::protocol::{FOLDERS_MAX, Plan, Shared};
use crate::supervisor::{self, Beside, Compiler, Components, NativeCode, Node, Progress, Roster};
use crate::values::ValuesDoor;
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
    log_costs: false,
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
    super::block_on(serve(config, None))?
}

/// Serves until told to stop; with somebody who tries functions out, each change of theirs.
pub(super) async fn serve(mut config: RunConfig, tried: Option<Try>) -> anyhow::Result<Ending> {
    let asked = Asked::read(&mut config)?;
    check_tls(config.tls.as_ref())?;
    let components_named = asked.functions.iter().map(Function::component);
    functions::check_built(&config.path, components_named).map_err(hinted)?;
    let powers = powers(&config, &asked, tried.as_ref())?;
    let kept = keep_values(config.kv_dir.as_deref())?;
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
    let ready = Ready::new(address, &config, &prepared.revisions);
    let plan = plan(&config, sandbox, powers);
    let counters = supervisor::page::counters(plan.workers).context("make the page of counters")?;
    let usage =
        supervisor::page::usage(plan.workers).context("make the page of folders' counts")?;
    let roster = roster(&asked.functions, &prepared, (&usage, plan.workers))?;
    let (learn, grace, workers) = (config.powers.learn.clone(), config.grace, config.workers);
    // Who learns lets functions open what nobody granted them.
    let granted = learn.is_none().then(|| Arc::clone(&roster));
    let values = ValuesDoor::open(kept, granted).context("start the thread for values")?;
    let components = Components::Files(RefCell::new(components(&prepared)));
    let with = (cache.clone(), compiler.clone(), progress.clone());
    let native = NativeCode::new(cache, compiler, components, progress);
    let reloading = tried.map(|tried| {
        let (roster, native) = (Arc::clone(&roster), Rc::clone(&native));
        let serving = serving(&asked.functions, &prepared);
        Reloading::new(tried, config, with, (roster, native, serving))
    });
    let mut beside = Aside { ready, reloading };
    let node = Node {
        plan,
        roster,
        native,
        observed: Arc::new(Observed::new(midge_store::now())),
        values,
        relay: None,
        learned: Learned::of(asked.functions.iter().map(|function| &function.name)),
        shared: Shared {
            listener,
            values: None,
            internal: None,
            counters,
            usage,
        },
        workers,
        grace,
        is_service: false,
    };
    let life = supervisor::supervise(node, &mut beside)
        .await
        .map_err(hinted)?;
    if let Some(to) = &learn {
        asked.write_learned(&life.learned, to)?;
    }
    Ok(conclude(life.ending))
}

/// What workers lend to functions. Each makes its own; whether they can be made is known before
/// anything is compiled.
fn powers(config: &RunConfig, asked: &Asked, tried: Option<&Try>) -> anyhow::Result<PowersConfig> {
    let policy = asked.policy.clone();
    let mut powers = config.powers.under(policy, config::temporary_folder());
    if let Some(tried) = tried {
        powers.rehearsal.clone_from(&tried.rehearsal);
    }
    drop(NodePowers::new(powers.clone())?);
    Ok(powers)
}

/// Where functions keep values: in a folder, or in memory until the node ends.
fn keep_values(folder: Option<&Path>) -> anyhow::Result<Arc<dyn Keys>> {
    match folder {
        None => Ok(Arc::new(MemoryKeys::default())),
        Some(folder) => {
            let store = Embedded::open(folder);
            let store = store.with_context(|| format!("keep values in `{}`", folder.display()))?;
            Ok(store.keys)
        }
    }
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
    for serving in serving(functions, prepared) {
        roster
            .set(serving.wanted(0))
            .context("give each function its place")?;
    }
    roster.complete();
    Ok(roster)
}

/// Each function as it is served first.
fn serving(functions: &[Function], prepared: &Prepared) -> Vec<Serving> {
    let both = functions.iter().zip(&prepared.revisions);
    let serving = both.map(|(function, revision)| Serving {
        revision: revision.clone(),
        secrets: function.secrets.clone(),
    });
    serving.collect()
}

/// Where native code can be made from again, should the cache be wiped.
pub(super) fn components(prepared: &Prepared) -> BTreeMap<Digest, PathBuf> {
    let digests = prepared.revisions.iter().map(|revision| revision.digest);
    digests.zip(prepared.files.iter().cloned()).collect()
}

fn plan(config: &RunConfig, sandbox: SandboxConfig, powers: PowersConfig) -> Plan {
    Plan {
        worker: 0,
        workers: config.workers.count(),
        // Functions answer where their manifest says, whatever the host.
        domain: String::new(),
        ingress: IngressConfig {
            receipt: config.receipt,
            log_costs: config.log.brief,
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

/// What goes on beside the workers.
struct Aside {
    ready: Ready,
    /// For `midge dev`.
    reloading: Option<Reloading>,
}

impl Beside for Aside {
    fn ready(&mut self) {
        self.ready.announce();
    }

    fn reload(&mut self) {}

    async fn broken(&mut self) -> String {
        match &mut self.reloading {
            Some(reloading) => reloading.follow().await,
            None => pending().await,
        }
    }

    async fn close(&mut self, _: Duration) {}
}
