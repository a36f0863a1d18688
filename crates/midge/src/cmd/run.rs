//! `midge run [PATH]`: serves functions over HTTP until told to stop.
//!
//! Walks from flags to a serving node: read and refuse (`run/asked.rs`), claim the
//! port, compile, open the door, supervise. Each step lives elsewhere; the order is decided
//! here.
//!
//! **Invariant:** what can be refused is refused before anything is compiled,
//! and nobody can connect before everything is.

mod asked;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use midge_ingress::{IngressConfig, Tls};
use midge_sandbox::{NodePowers, PowersConfig, SandboxConfig};

use self::asked::Asked;
use super::Ending;
use super::fault::hinted;
use crate::cli::RunArgs;
use crate::config::{self, RunConfig, TlsPaths};
use crate::log::{Format, LogConfig};
use crate::prepare::prepare;
use crate::protocol::{Plan, PlannedRevision, Shared};
use crate::supervisor::{self, Compiler, Node, Progress};
use crate::{log, machine, say};

/// What every worker's door allows; see `IngressConfig` for what each bound means.
const INGRESS: IngressConfig = IngressConfig {
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
    let config = RunConfig::new(args).map_err(hinted)?;
    let _log = log::start(&config.log);
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
    let plan = plan(&config, (sandbox, powers), prepared.revisions);
    let counters = supervisor::page::counters(plan.workers, plan.revisions.len())
        .context("make the page of counters")?;
    let usage = supervisor::page::usage(plan.workers, plan.usage().folders())
        .context("make the page of folders' counts")?;
    let node = Node {
        plan,
        shared: Shared {
            listener,
            counters,
            usage,
        },
        workers: config.workers,
        grace: config.grace,
    };
    let life = supervisor::supervise(node, || ready.announce())
        .await
        .map_err(hinted)?;
    if let Some(to) = &config.powers.learn {
        asked.write_learned(&life.learned, to)?;
    }
    Ok(conclude(life.ending))
}

/// A certificate that cannot be used is known before anything is compiled.
fn check_tls(paths: Option<&TlsPaths>) -> anyhow::Result<()> {
    if let Some(TlsPaths { cert, key }) = paths {
        Tls::load(cert, key)?;
    }
    Ok(())
}

fn plan(
    config: &RunConfig,
    (sandbox, powers): (SandboxConfig, PowersConfig),
    revisions: Vec<PlannedRevision>,
) -> Plan {
    Plan {
        worker: 0,
        workers: config.workers.count(),
        revisions,
        ingress: IngressConfig {
            receipt: config.receipt,
            ..INGRESS
        },
        sandbox,
        powers,
        tls: config.tls.clone(),
        grace: config.grace,
        log: config.log.clone(),
    }
}

fn conclude(ending: supervisor::Ending) -> Ending {
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
    fn new(address: SocketAddr, config: &RunConfig, revisions: &[PlannedRevision]) -> Self {
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let routes = revisions.iter().flat_map(|planned| {
            let revision = &planned.revision;
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
