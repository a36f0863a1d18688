//! What a process can lend to its guests, what one function was granted of it, and
//! what one invocation holds of that.
//!
//! Three steps, made at three times: [`NodePowers`] when the process starts,
//! [`Powers`] when a function is loaded, [`Lent`] when an invocation begins. Each
//! capability is a file in `host/` that gets the last of them and decides from the
//! grants in it.
//!
//! **Invariant:** a capability that finds no grant refuses; nothing here allows
//! anything by being absent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use midge_model::{Grants, Limits, NamespaceName, Policy, Revision, SecretText};
use serde::{Deserialize, Serialize};

use crate::by_function::ByFunction;
use crate::guest_log::LogLabel;
use crate::guest_log::budget::LogBudget;
use crate::host::denied::Denials;
use crate::host::http_out::{Budget, HttpClient, HttpOut, InjectError, Pool, RootsError};
use crate::host::kv::{self, KeyValues, Turns};
use crate::host::learned::Learned;
use crate::host::quota::UsageCells;
use crate::host::sockets::Handed;
use crate::host::tmp::TmpRoot;
use crate::net::resolver::Resolver;
use crate::rehearsal::{Rehearsal, Rehearsed};

/// What the operator lends to guests; the binary decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowersConfig {
    /// The most that functions may be granted, by namespace.
    pub policy: Policy,
    /// Who is asked for addresses.
    pub dns: DnsConfig,
    /// Who vouches for the servers that guests speak TLS with.
    pub roots: RootsConfig,
    /// Where the private folders of instances are made.
    pub tmp_dir: PathBuf,
    /// Whether functions are watched, to write down afterwards what they used.
    pub learn: bool,
    /// How the world is bent for functions that are tried out.
    #[serde(default)]
    pub rehearsal: Rehearsal,
}

/// Who is asked for the addresses of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsConfig {
    /// Who the system asks: `/etc/resolv.conf` and `/etc/hosts`.
    System,
    /// These servers, over UDP and TCP (RFC 1035), and `/etc/hosts`.
    Servers(Vec<SocketAddr>),
}

/// Which certificate authorities guests' connections trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootsConfig {
    /// Those of the system.
    System,
    /// Those in this PEM file, and no others.
    Pem(PathBuf),
}

/// A revision, and what belongs to it without being part of it. Two that are equal run alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// What runs.
    pub revision: Revision,
    /// The values of its secrets, by name.
    pub secrets: BTreeMap<String, SecretText>,
    /// Where its folders with a quota are counted, so that all workers count together; `None` on a
    /// node of one worker.
    pub usage: Option<UsageCells>,
}

/// Why a process cannot lend what it should.
#[derive(Debug, thiserror::Error)]
pub enum PowersError {
    /// The given root certificates cannot be used.
    #[error("load root certificates for guests")]
    Roots {
        /// Why.
        source: RootsError,
    },
    /// No resolver for names.
    #[error("start the resolver for names")]
    Resolver {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What one process lends to its guests.
pub struct NodePowers {
    config: PowersConfig,
    policy: Arc<Policy>,
    resolver: Resolver,
    tmp: Arc<TmpRoot>,
    http: HttpClient,
    kv: Option<Arc<dyn KeyValues>>,
    rehearsed: Option<Arc<Rehearsed>>,
    functions: ByFunction<Together>,
}

/// What all revisions of a function are granted together.
pub(crate) struct Together {
    /// Its HTTP connections.
    pool: Pool,
    /// Looks names up, with the function's share of places.
    resolver: Resolver,
    /// What it may write into its log.
    log: LogBudget,
    /// Turns to call where values are kept.
    kv: Turns,
}

/// What one revision was granted.
pub(crate) struct Powers {
    pub(crate) namespace: NamespaceName,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
    pub(crate) secrets: BTreeMap<String, SecretText>,
    pub(crate) policy: Arc<Policy>,
    /// Looks names up, with the function's share of places.
    pub(crate) resolver: Resolver,
    /// Its function's HTTP connections, and the secrets that go into requests.
    pub(crate) http: HttpOut,
    pub(crate) log: LogBudget,
    /// Where its values are kept, if this process knows a place.
    pub(crate) kv: Option<Arc<dyn KeyValues>>,
    pub(crate) kv_turns: Turns,
    /// Kept, so that the next revision finds it.
    _together: Arc<Together>,
    /// Present when the function is watched.
    pub(crate) learned: Option<Learned>,
    /// Whether it is watched to find out what it should be granted, and so gets what the policy allows.
    pub(crate) is_learning: bool,
    /// Present when it is tried out.
    pub(crate) rehearsed: Option<Arc<Rehearsed>>,
}

/// What one invocation holds.
pub(crate) struct Lent {
    pub(crate) powers: Arc<Powers>,
    pub(crate) denials: Denials,
    /// The addresses it was told for names.
    pub(crate) handed: Handed,
    /// What it may still call, send and fetch.
    pub(crate) budget: Budget,
}

impl NodePowers {
    /// The powers that `config` describes.
    ///
    /// # Errors
    ///
    /// What could not be started; the operator corrects the configuration.
    pub fn new(config: PowersConfig) -> Result<Self, PowersError> {
        let resolver = Resolver::new(&config.dns).map_err(|error| PowersError::Resolver {
            source: error.into(),
        })?;
        Ok(Self {
            policy: Arc::new(config.policy.clone()),
            resolver,
            http: HttpClient::new(&config.roots).map_err(|source| PowersError::Roots { source })?,
            tmp: Arc::new(TmpRoot::new(config.tmp_dir.clone())),
            functions: ByFunction::default(),
            kv: None,
            rehearsed: Rehearsed::of(&config.rehearsal).map(Arc::new),
            config,
        })
    }

    /// The same, with a place where guests keep values; without one their calls fail.
    #[must_use]
    pub fn with_values(mut self, values: Arc<dyn KeyValues>) -> Self {
        self.kv = Some(values);
        self
    }

    /// Where private folders are made.
    pub(crate) fn tmp(&self) -> &Arc<TmpRoot> {
        &self.tmp
    }

    /// What a revision gets of them.
    pub(crate) fn of(&self, deployment: &Deployment) -> Result<Arc<Powers>, InjectError> {
        let revision = &deployment.revision;
        let together = self.functions.get(revision, || Together {
            pool: self.http.pool(),
            resolver: self.resolver.for_function(),
            log: LogBudget::of(&revision.limits),
            kv: kv::turns(),
        });
        Ok(Arc::new(Powers {
            http: HttpOut::new(&self.http, &together.pool, deployment)?,
            log: together.log.for_revision(&revision.limits),
            resolver: together.resolver.clone(),
            kv: self.kv.clone(),
            kv_turns: Arc::clone(&together.kv),
            _together: together,
            namespace: revision.namespace.clone(),
            grants: revision.grants.clone(),
            limits: revision.limits,
            secrets: deployment.secrets.clone(),
            policy: Arc::clone(&self.policy),
            learned: (self.config.learn || self.config.rehearsal.watch).then(Learned::default),
            is_learning: self.config.learn,
            rehearsed: self.rehearsed.clone(),
        }))
    }
}

impl Powers {
    /// Notes a use, if anybody wants to know.
    pub(crate) fn saw(&self, what: impl FnOnce() -> midge_model::Use) {
        if let Some(learned) = &self.learned {
            learned.saw(what());
        }
    }

    /// What one invocation gets of them.
    pub(crate) fn lend(self: &Arc<Self>, label: LogLabel) -> Arc<Lent> {
        Arc::new(Lent {
            powers: Arc::clone(self),
            denials: Denials::new(label),
            handed: Handed::default(),
            budget: Budget::new(&self.limits),
        })
    }
}

impl Lent {
    /// Lends the same to the instance's next invocation: what may be called, sent and fetched is
    /// whole again, and refusals are told in its name. Addresses that the instance was told stay.
    pub(crate) fn renew(&self, request_id: &Arc<str>) {
        self.denials.renew(request_id);
        self.budget.renew();
    }
}

#[cfg(test)]
impl Lent {
    /// What an invocation holds of these grants under this policy, with no name server to ask.
    pub(crate) fn of_a_test(grants: Grants, policy: Policy) -> Arc<Self> {
        let powers = NodePowers::new(PowersConfig {
            policy,
            dns: DnsConfig::Servers(Vec::new()),
            roots: RootsConfig::System,
            tmp_dir: std::env::temp_dir(),
            learn: false,
            rehearsal: Rehearsal::default(),
        });
        let revision = Revision {
            namespace: NamespaceName::default(),
            function: "guest".parse().unwrap(),
            number: midge_model::RevisionNumber::FIRST,
            digest: midge_model::Digest::of(b""),
            grants,
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: Vec::new(),
        };
        let secrets = BTreeMap::new();
        let powers = powers.unwrap().of(&Deployment {
            revision,
            secrets,
            usage: None,
        });
        powers.unwrap().lend(LogLabel::of_a_test())
    }
}
