//! What a running function was seen to use, and the smallest grants that cover it.
//!
//! Pure: watching is the sandbox's work and writing a file the command's.
//!
//! **Invariant:** the smallest grants allow every use they were made of, and nothing that
//! the candidates did not allow beyond what their text must say.

#[cfg(test)]
mod tests;
mod toml;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ::http::Method;
use serde::{Deserialize, Serialize};

pub use self::toml::to_toml;
use crate::grant::{GRANTS_MAX, HTTP_GRANT_BYTES_MAX};
use crate::{
    BucketName, DirGrant, DirMode, Grants, HostName, HttpGrant, NameGrant, NetGrant, Outbound,
};

/// One power that a running function used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Use {
    /// It sent a request.
    Http {
        /// The method.
        method: String,
        /// Whether over TLS.
        https: bool,
        /// The host of its authority.
        host: HostName,
        /// The port of its authority, or the scheme's own.
        port: u16,
        /// The path without the query.
        path: String,
    },
    /// It connected over TCP.
    Tcp {
        /// The name it looked up, or the address.
        host: HostName,
        /// The port.
        port: u16,
    },
    /// It sent or received over UDP.
    Udp {
        /// The name it looked up, or the address.
        host: HostName,
        /// The port.
        port: u16,
    },
    /// It looked a name up.
    Name(HostName),
    /// It opened something in a host directory.
    Dir {
        /// The guest path of the grant.
        guest: String,
        /// Whether to write or to change it.
        wrote: bool,
    },
    /// It read a secret, or one was injected.
    Secret(String),
    /// It opened a bucket.
    Bucket(BucketName),
    /// It used its private temporary directory.
    Tmp,
    /// It listened on an address.
    Listen(SocketAddr),
}

/// The size of a private directory that was used without anybody having said how large.
const TMP_BYTES_DEFAULT: u64 = 64 << 20;

/// The smallest grants that allow all these uses.
///
/// One entry for each scheme, host and port of requests, with the methods seen and the folder
/// that all paths lie in; names that other entries imply are left out. Directories and secrets
/// are those of the candidates, as narrow as the use was. Environment variables are not
/// learned: nobody sees which of them mattered. More than [`GRANTS_MAX`] entries of a kind
/// become one for everything, because no manifest could say them; of buckets only so many are kept.
pub fn smallest(uses: &BTreeSet<Use>, candidates: &Grants) -> Grants {
    let mut grants = Grants {
        http: at_most(requests(uses), HttpGrant::ANY),
        ..Grants::default()
    };
    let mut names = Vec::new();
    for used in uses {
        match used {
            Use::Http { .. } | Use::Dir { .. } | Use::Secret(_) => {}
            Use::Tcp { host, port } => grants.tcp.push(NetGrant::exactly(host.clone(), *port)),
            Use::Udp { host, port } => grants.udp.push(NetGrant::exactly(host.clone(), *port)),
            Use::Name(host) => names.push(host),
            Use::Bucket(name) => grants.kv.push(name.clone()),
            Use::Tmp => {
                grants.tmp_bytes = candidates.tmp_bytes.or(Some(TMP_BYTES_DEFAULT));
            }
            Use::Listen(address) => {
                let host = HostName::from(address.ip());
                grants.listen.push(NetGrant::exactly(host, address.port()));
            }
        }
    }
    grants.tcp = at_most(grants.tcp, NetGrant::ANY);
    grants.udp = at_most(grants.udp, NetGrant::ANY);
    grants.listen = at_most(grants.listen, NetGrant::ANY);
    // No grant says all buckets, so those beyond are left out.
    grants.kv.truncate(GRANTS_MAX);
    // Last, when it is known what the other grants imply.
    names.retain(|host| !grants.may_resolve(host));
    let names = names.into_iter().filter_map(NameGrant::exactly).collect();
    grants.dns = at_most(names, NameGrant::ANY);
    grants.dirs = dirs(uses, &candidates.dirs);
    let is_used = |name: &String| uses.contains(&Use::Secret(name.clone()));
    let secrets = candidates.secrets.iter();
    grants.secrets = secrets
        .filter(|secret| is_used(&secret.name))
        .cloned()
        .collect();
    grants
}

fn at_most<T>(entries: Vec<T>, any: T) -> Vec<T> {
    if entries.len() > GRANTS_MAX {
        return vec![any];
    }
    entries
}

/// What was seen of one scheme, host and port.
#[derive(Default)]
struct Seen<'a> {
    methods: BTreeSet<&'a str>,
    paths: BTreeSet<&'a str>,
}

fn requests(uses: &BTreeSet<Use>) -> Vec<HttpGrant> {
    let mut servers: BTreeMap<(&HostName, u16, bool), Seen<'_>> = BTreeMap::new();
    for used in uses {
        if let Use::Http {
            method,
            https,
            host,
            port,
            path,
        } = used
        {
            let seen = servers.entry((host, *port, *https)).or_default();
            seen.methods.insert(method);
            seen.paths.insert(path);
        }
    }
    servers
        .into_iter()
        .filter_map(|((host, port, https), seen)| seen.narrowest(host, port, https))
        .collect()
}

impl Seen<'_> {
    /// The narrowest grant that can be written and allows everything seen.
    ///
    /// `None` for a host that is none, which no request ever reached.
    fn narrowest(&self, host: &HostName, port: u16, https: bool) -> Option<HttpGrant> {
        let scheme = if https { "https" } else { "http" };
        let methods: Vec<_> = self.methods.iter().copied().collect();
        let methods = format!("{} ", methods.join(","));
        let server = format!("{scheme}://{host}:{port}");
        // What was seen may be more than a pattern can say: `//`, `*`, methods in lower case.
        let mut paths = self.folders();
        paths.push(String::new());
        let texts = [methods.as_str(), ""].into_iter().flat_map(|methods| {
            let text = |path: &String| format!("{methods}{server}{path}");
            paths.iter().map(text).collect::<Vec<_>>()
        });
        texts
            .filter_map(|text| text.parse().ok())
            .find(|grant| self.is_allowed_by(grant, host, port, https))
    }

    /// The one path, or the folders that all paths lie in, the deepest first.
    fn folders(&self) -> Vec<String> {
        let mut paths = self.paths.iter().map(|path| segments(path));
        let mut common = paths.next().unwrap_or_default();
        let mut folders = Vec::new();
        match self.paths.first() {
            Some(path) if self.paths.len() == 1 => {
                folders.push((*path).to_owned());
                common.pop();
            }
            _ => {}
        }
        for path in paths {
            let same = common.iter().zip(&path).take_while(|(a, b)| a == b);
            common.truncate(same.count());
        }
        // Longer ones cannot be written, and a guest chooses how many there would be.
        let mut length_bytes = 0;
        let fitting = common.iter().take_while(|part| {
            length_bytes += "/".len() + part.len();
            length_bytes <= HTTP_GRANT_BYTES_MAX
        });
        common.truncate(fitting.count());
        loop {
            let folder: String = common.iter().map(|part| format!("/{part}")).collect();
            folders.push(format!("{folder}/*"));
            if common.pop().is_none() {
                return folders;
            }
        }
    }

    fn is_allowed_by(&self, grant: &HttpGrant, host: &HostName, port: u16, https: bool) -> bool {
        let methods = self.methods.iter().map(|method| method.parse::<Method>());
        methods.flatten().all(|method| {
            self.paths.iter().all(|path| {
                grant.matches(&Outbound {
                    method: &method,
                    https,
                    host,
                    port,
                    path,
                })
            })
        })
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.strip_prefix('/').unwrap_or(path).split('/').collect()
}

/// The candidates that were used, read-only where nothing was written.
fn dirs(uses: &BTreeSet<Use>, candidates: &[DirGrant]) -> Vec<DirGrant> {
    let was = |guest: &String, wrote| {
        let guest = guest.clone();
        uses.contains(&Use::Dir { guest, wrote })
    };
    let used: Vec<_> = candidates
        .iter()
        .filter(|dir| was(&dir.guest, true) || was(&dir.guest, false))
        .collect();
    let any_written = used.iter().any(|dir| was(&dir.guest, true));
    let narrowed = used.iter().map(|dir| {
        // One tree has one mode: what shares files with another one is left as it was.
        let shares = |other: &&DirGrant| other.guest != dir.guest && dir.shares_files(other);
        let stays = was(&dir.guest, true) || (any_written && used.iter().any(shares));
        let mut dir = (*dir).clone();
        if !stays {
            dir.mode = DirMode::ReadOnly;
            dir.quota_bytes = None;
        }
        dir
    });
    narrowed.collect()
}
