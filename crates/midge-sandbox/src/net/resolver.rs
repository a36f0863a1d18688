//! Names to addresses, for all guests of a worker.
//!
//! Decides whom to ask, how long, and how many may ask at once. Asks without a thread
//! per question: a guest's own name server may be as slow as it likes. What an address
//! may be used for is decided afterwards (`reach.rs`).
//!
//! **Invariant:** a look-up ends after [`LOOK_UP_TIME_MAX`], asked for or abandoned, and
//! gives back its place; no function takes more than its share of the places.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use midge_model::HostName;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::cache::Cache;
use crate::powers::DnsConfig;

/// Look-ups of one worker that wait for an answer; further ones wait for a place. At a few
/// milliseconds each these are thousands a second.
const LOOK_UPS_MAX: u32 = 32;

/// Those of one function, so that one with slow names does not keep the others from asking.
const LOOK_UPS_OF_FUNCTION_MAX: u32 = LOOK_UPS_MAX / 4;

/// Descriptors that all look-ups of a worker may have open: each asks for two kinds of address,
/// and repeats a question twice, from another port, while no answer comes.
pub const LOOK_UP_DESCRIPTORS_MAX: u32 = LOOK_UPS_MAX * 2 * 3;

/// A look-up as a whole, waiting for a place included. What C libraries wait for one server.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(5);

/// One try; the next one prefers another server if there is any.
const TRY_TIME_MAX: Duration = Duration::from_millis(1_500);

/// Tries after the first one, so that all end before [`LOOK_UP_TIME_MAX`].
const RETRIES: usize = 2;

/// Addresses of a name that are used. More would be tried by nobody.
const ADDRESSES_MAX: usize = 16;

/// What `localhost` and all below it is, whatever a name server thinks (RFC 6761).
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Looks up names. Clones are the same resolver and the same share of it.
#[derive(Clone)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
    /// The places of one function.
    share: Arc<Semaphore>,
}

struct Shared {
    servers: TokioResolver,
    hosts: Hosts,
    places: Semaphore,
    /// Locked for the time of a look into a map.
    cache: Mutex<Cache>,
}

/// Why there are no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    /// There is no such name, or it has no address: asking again will not help.
    #[error("there is no address of this name")]
    NotFound,
    /// No answer came in time.
    #[error("no name server answered in time")]
    Timeout,
    /// Nobody could be asked, or nobody knew.
    #[error("look-up failed: {reason}")]
    Failed {
        /// What was the matter.
        reason: String,
    },
}

impl Resolver {
    /// A resolver that asks whom `config` says.
    ///
    /// # Errors
    ///
    /// It could not be set up. A system without a name server is no error: functions that
    /// need no names run there, and look-ups say what is missing.
    pub(crate) fn new(config: &DnsConfig) -> Result<Self, NetError> {
        let mut builder =
            TokioResolver::builder_with_config(servers(config), TokioRuntimeProvider::default());
        *builder.options_mut() = options();
        let shared = Shared {
            servers: builder.build()?,
            // Without the file nobody but name servers knows names.
            hosts: Hosts::from_system().unwrap_or_default(),
            places: Semaphore::new(LOOK_UPS_MAX as usize),
            cache: Mutex::default(),
        };
        Ok(Self::with_a_share(Arc::new(shared)))
    }

    /// The same resolver with a share for another function.
    pub(crate) fn for_function(&self) -> Self {
        Self::with_a_share(Arc::clone(&self.shared))
    }

    fn with_a_share(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            share: Arc::new(Semaphore::new(LOOK_UPS_OF_FUNCTION_MAX as usize)),
        }
    }

    /// The addresses of `host`, at least one and [`ADDRESSES_MAX`] at most, the older kind first.
    ///
    /// Names are absolute: `search` in `/etc/resolv.conf` is not for guests, who would otherwise
    /// get an answer for a name that nobody granted. Dropping the future ends the look-up.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub(crate) async fn resolve(&self, host: &HostName) -> Result<Vec<IpAddr>, ResolveError> {
        let name = match host {
            HostName::Ip(address) => return Ok(vec![*address]),
            HostName::Name(_) if host.is_localhost() => return Ok(LOOPBACK.to_vec()),
            HostName::Name(name) => name,
        };
        if let Some(addresses) = self.shared.cache().get(name, Instant::now()) {
            return Ok(addresses);
        }
        // In a task of its own, which runs to its end also when the guest that asked computes and
        // polls nothing; a panic over foreign bytes ends there, too.
        let look_up = tokio::spawn(self.clone().look_up(name.clone()));
        match AbortOnDropHandle::new(look_up).await {
            Ok(answer) => answer,
            Err(error) => Err(failed(&error)),
        }
    }

    async fn look_up(self, name: String) -> Result<Vec<IpAddr>, ResolveError> {
        let name_of_dns = Name::from_ascii(format!("{name}.")).map_err(|error| failed(&error))?;
        if let Some(addresses) = self.shared.in_hosts_file(&name_of_dns) {
            return Ok(addresses);
        }
        let asking = async {
            let never_closed = "nobody closes the semaphores";
            let _of_function = self.share.acquire().await.expect(never_closed);
            let _place = self.shared.places.acquire().await.expect(never_closed);
            self.shared.servers.lookup_ip(name_of_dns).await
        };
        let answer = tokio::time::timeout(LOOK_UP_TIME_MAX, asking).await;
        let answer = answer.map_err(|_| ResolveError::Timeout)?;
        let answer = answer.map_err(|error| said_no(&error))?;
        let records = answer.as_lookup().answers();
        let addresses = addresses(records);
        if addresses.is_empty() {
            return Err(ResolveError::NotFound);
        }
        // An alias on the way may be good for a shorter time than the address.
        let ttl_seconds = records.iter().map(|record| record.ttl).min().unwrap_or(0);
        let allowed = Duration::from_secs(u64::from(ttl_seconds));
        let now = Instant::now();
        self.shared.cache().keep(&name, &addresses, allowed, now);
        Ok(addresses)
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `/etc/hosts` says, for both kinds of address at once: a name that stands there is
    /// asked of nobody else.
    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let found = self
                .hosts
                .lookup_static_host(&Query::query(name.clone(), kind));
            addresses.extend(
                found
                    .iter()
                    .flat_map(|found| self::addresses(found.answers())),
            );
        }
        addresses.truncate(ADDRESSES_MAX);
        (!addresses.is_empty()).then_some(addresses)
    }
}

/// The servers to ask.
fn servers(config: &DnsConfig) -> ResolverConfig {
    let servers = match config {
        DnsConfig::System => match system_conf::read_system_conf() {
            Ok((system, _)) => system.name_servers().to_vec(),
            Err(error) => {
                tracing::debug!(%error, "no name server configured");
                Vec::new()
            }
        },
        DnsConfig::Servers(servers) => servers.iter().copied().map(server).collect(),
    };
    ResolverConfig::from_name_servers(servers)
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TRY_TIME_MAX;
    options.attempts = RETRIES;
    // One server at a time, which costs fewer sockets; the next try goes to another.
    options.num_concurrent_reqs = 1;
    // IPv4 first: many servers have an IPv6 address and no way out.
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Both are ours: see `cache.rs` and `in_hosts_file`.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

fn addresses(records: &[Record]) -> Vec<IpAddr> {
    let addresses = records.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0).to_canonical()),
        _ => None,
    });
    addresses.take(ADDRESSES_MAX).collect()
}

fn said_no(error: &NetError) -> ResolveError {
    match error {
        NetError::Timeout => ResolveError::Timeout,
        NetError::NoConnections => ResolveError::Failed {
            reason: "no name server is configured".to_owned(),
        },
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain | ResponseCode::NoError => ResolveError::NotFound,
            code => ResolveError::Failed {
                reason: format!("the name server says {code}"),
            },
        },
        error => failed(error),
    }
}

fn failed(error: &dyn std::error::Error) -> ResolveError {
    ResolveError::Failed {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
