//! `midge serve`: a node that people deploy to.
//!
//! Walks from flags to a serving node: store, keys, doors, workers, control door. Each step lives
//! elsewhere; the order is decided here. What the node does when it is ready, and before it ends,
//! is `serve/life.rs`.
//!
//! **Invariant:** one node has a store at a time, and nothing is served before the store is open.

mod life;

use std::fs::{DirBuilder, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use midge_control::{Auth, Control, ControlConfig, ControlParts};
use midge_ingress::IngressConfig;
use midge_model::Policy;
use midge_sandbox::{NodePowers, PowersConfig, SandboxConfig, UsagePage};
use midge_store::{Embedded, Store, Vault};

use self::life::{Announcement, Life};
use super::Ending;
use super::fault::{hinted, with_hint};
use super::run::{INGRESS, check_tls, conclude};
use crate::cli::ServeArgs;
use crate::config::{self, ServeConfig, Workers};
use crate::control_door::certificate::Certificate;
use crate::control_door::{ControlDoor, DoorParts};
use crate::feed::{Feed, FeedParts};
use crate::learn::Learned;
use crate::log::Relay;
use crate::node::{NodeParts, ThisNode, compile};
use crate::observed::Observed;
use crate::protocol::{FOLDERS_MAX, Plan, Shared};
use crate::supervisor::{
    self, Compiler, Components, InternalDoor, NativeCode, Node, Progress, Roster,
};
use crate::values::ValuesDoor;
use crate::{log, machine, policy, say};

/// The file with the keys of secrets, in the store.
const KEY_FILE: &str = "secret.key";

/// Only the node's user has anything to do in its folders.
const DIR_MODE: u32 = 0o700;

/// Serves until told to stop.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<Ending> {
    let only_check = args.check;
    let config = ServeConfig::new(args).map_err(hinted)?;
    if only_check {
        return check(&config);
    }
    // A worker in this very process passes lines of guests on from here.
    let relay = (config.workers == Workers::InProcess).then(Arc::<Relay>::default);
    let _log = log::start(&config.log, relay.clone());
    machine::raise_descriptor_limit();
    super::block_on(serve(config, relay))?
}

/// Says what would be served how, after everything was looked at that can be without a store.
fn check(config: &ServeConfig) -> anyhow::Result<Ending> {
    let policy = policy::load_for_serve(&config.policy).map_err(hinted)?;
    powers(config, &policy)?;
    check_tls(config.tls.as_ref())?;
    for path in &config.with {
        std::fs::metadata(path).with_context(|| format!("read `{}`", path.display()))?;
    }
    say::data(&config.effective())?;
    Ok(Ending::Done)
}

/// What functions are lent under this policy.
fn powers(config: &ServeConfig, policy: &Policy) -> anyhow::Result<PowersConfig> {
    let policy = policy.clone().with_data_root(&config.data_root);
    let powers = config.lent.under(policy, config::temporary_folder(), false);
    // Each worker makes its own; whether they can be made is known before anything is started.
    drop(NodePowers::new(powers.clone())?);
    Ok(powers)
}

async fn serve(mut config: ServeConfig, relay: Option<Arc<Relay>>) -> anyhow::Result<Ending> {
    let policy = policy::load_for_serve(&config.policy).map_err(hinted)?;
    check_tls(config.tls.as_ref())?;
    let kept = open_kept(&mut config)?;
    let powers = powers(&config, &policy)?;
    let (cache, sandbox) = super::open_cache(&config.cache_dir)?;
    let doors = open_doors(&config).await?;
    let pages = Pages::new(config.workers.count())?;
    let roster = pages.roster(config.workers.count())?;
    let observed = Arc::new(Observed::new(midge_store::now()));
    let compiler = Compiler {
        cache_dir: config.cache_dir.clone(),
        allocation: sandbox.allocation,
        wall_time_max: supervisor::WALL_TIME_MAX_OF_TENANT,
    };
    let components = Components::Store(Arc::clone(&kept.store.artifacts));
    let native = NativeCode::new(cache, compiler, components, Progress::Logged);
    let (compiles, compile_answers) = compile::channel();
    tokio::task::spawn_local(compile_answers.answer_from(native.clone()));
    let face = ThisNode::new(NodeParts {
        roster: Arc::clone(&roster),
        observed: Arc::clone(&observed),
        compiles,
        door: doors.internal.path().to_owned(),
        domain: config.domain.clone(),
    });
    let feed = Feed::new(FeedParts {
        registry: Arc::clone(&kept.store.registry),
        vault: Arc::clone(&kept.vault),
        roster: Arc::clone(&roster),
        observed: Arc::clone(&observed),
        policy: policy.clone().with_data_root(&config.data_root),
    });
    let values = kept.open_values(&roster)?;
    let announcement = Announcement::new(&config, &doors)?;
    let control = Control::new(ControlParts {
        store: kept.store,
        vault: kept.vault,
        node: Arc::new(face),
        policy,
        config: control_config(&config, announcement.functions_url()),
    });
    let (door, certificate) = open_control(&mut config, control, doors.control)?;
    let mut life = Life::new(life::LifeParts {
        announcement,
        feed,
        roster: Arc::clone(&roster),
        observed: Arc::clone(&observed),
        door,
        certificate,
    });
    let node = Node {
        plan: plan(&config, sandbox, powers),
        roster,
        native,
        observed,
        values,
        relay,
        learned: Learned::default(),
        shared: pages.shared(doors.functions, doors.internal_listener),
        workers: config.workers,
        grace: config.grace,
        is_service: config.is_service,
    };
    let ended = supervisor::supervise(node, &mut life)
        .await
        .map_err(hinted)?;
    // The way to the workers stays open until there are none.
    drop(doors.internal);
    Ok(conclude(ended.ending))
}

/// Opens the control door.
fn open_control(
    config: &mut ServeConfig,
    control: Control,
    listener: TcpListener,
) -> anyhow::Result<(ControlDoor, Option<Arc<Certificate>>)> {
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let acceptor = certificate.as_ref().map(Certificate::acceptor);
    let door = ControlDoor::open(DoorParts {
        control: Arc::new(control),
        listener,
        tls: acceptor.transpose()?,
        store: config.store.clone(),
        with: std::mem::take(&mut config.with),
        auth: config.auth,
    })?;
    Ok((door, certificate))
}

/// What is on disk, and the keys to it.
struct Kept {
    store: Store,
    vault: Arc<Mutex<Vault>>,
}

impl Kept {
    /// Where workers ask for values of functions.
    fn open_values(&self, roster: &Arc<Roster>) -> anyhow::Result<ValuesDoor> {
        let keys = Arc::clone(&self.store.keys);
        let values = ValuesDoor::open(keys, Some(Arc::clone(roster)));
        values.context("start the thread for values")
    }
}

fn open_kept(config: &mut ServeConfig) -> anyhow::Result<Kept> {
    let store = Embedded::open(&config.store).context("open the store")?;
    // Folders are known by their real names, because no link is followed on the way to one.
    for dir in [
        &mut config.store,
        &mut config.cache_dir,
        &mut config.data_root,
    ] {
        let shown = dir.display().to_string();
        let made = DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&*dir);
        made.with_context(|| format!("make folder `{shown}`"))?;
        let real = dir.canonicalize();
        *dir = real.with_context(|| format!("find folder `{shown}`"))?;
    }
    let key = config.secret_key.take();
    let vault = Vault::open(
        &config.store.join(KEY_FILE),
        key.as_ref().map(|key| key.expose()),
    );
    let vault = vault.context("open the keys of secrets")?;
    Ok(Kept {
        store,
        vault: Arc::new(Mutex::new(vault)),
    })
}

/// Where requests come from.
struct Doors {
    functions: TcpListener,
    control: TcpListener,
    internal: InternalDoor,
    internal_listener: UnixListener,
}

async fn open_doors(config: &ServeConfig) -> anyhow::Result<Doors> {
    let functions = supervisor::open_soon(config.listen).await.map_err(hinted)?;
    let control = supervisor::open_soon(config.control).await;
    let control = control.map_err(|error| {
        let free = SocketAddr::new(config.control.ip(), 0);
        with_hint(
            anyhow::Error::new(error).context("open the control door"),
            format!("choose another port, or let the system pick one: --control {free}"),
        )
    })?;
    let (internal, internal_listener) =
        InternalDoor::open(&config.store).context("open the node's own door")?;
    Ok(Doors {
        functions,
        control,
        internal,
        internal_listener,
    })
}

/// The pages that workers share.
struct Pages {
    counters: File,
    usage: File,
}

impl Pages {
    fn new(workers: usize) -> anyhow::Result<Self> {
        Ok(Self {
            counters: supervisor::page::counters(workers).context("make the page of counters")?,
            usage: supervisor::page::usage(workers).context("make the page of folders' counts")?,
        })
    }

    /// A roster of so many workers, which counts folders in these pages.
    fn roster(&self, workers: usize) -> anyhow::Result<Arc<Roster>> {
        let usage = UsagePage::map(&self.usage, workers, FOLDERS_MAX);
        let usage = usage.context("share the counts of folders")?;
        Ok(Roster::new(Some(usage), false))
    }

    /// What workers share, these pages and the doors.
    fn shared(self, listener: TcpListener, internal: UnixListener) -> Shared {
        Shared {
            listener,
            values: None,
            internal: Some(internal),
            counters: self.counters,
            usage: self.usage,
        }
    }
}

fn control_config(config: &ServeConfig, public_url: String) -> ControlConfig {
    ControlConfig {
        domain: config.domain.clone(),
        public_url,
        data_root: config.data_root.clone(),
        component_bytes_max: config.component_bytes_max,
        auth: match config.auth {
            true => Auth::Tokens,
            false => Auth::None,
        },
    }
}

fn plan(config: &ServeConfig, sandbox: SandboxConfig, powers: PowersConfig) -> Plan {
    Plan {
        worker: 0,
        workers: config.workers.count(),
        domain: config.domain.clone(),
        ingress: IngressConfig {
            receipt: config.receipt,
            ..INGRESS
        },
        sandbox,
        powers,
        memory_target_bytes: config.memory_target_bytes,
        cache_dir: config.cache_dir.clone(),
        data_root: Some(config.data_root.clone()),
        tls: config.tls.clone(),
        grace: config.grace,
        strict: false,
        tells: true,
        log: config.log.clone(),
    }
}
