//! What the host has to offer, by interface and version.
//!
//! Decides whether an import can be satisfied; what is said about one that cannot is `diagnosis/`.
//! The list below is checked against the linkers by a test, so it cannot promise
//! what is not linked.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one.

use serde::Serialize;

/// One thing a file asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Interface or module, without version: `wasi:http/types`.
    pub name: String,
    /// The version asked for: `0.2.6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What of it, as far as that is known without looking into the code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// Whether this host has it.
    pub provided: bool,
    /// Whether it is not here and linked all the same, because the SDK imports it in every
    /// program: a call ends the invocation.
    #[serde(skip_serializing_if = "is_false")]
    pub ends_when_called: bool,
    /// The grant without which it is there but answers "denied".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_grant: Option<&'static str>,
    /// What it could reach with such a grant, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaches: Option<&'static str>,
}

impl Import {
    /// Reads an import name as it stands in the file: `wasi:http/types@0.2.6`.
    pub(crate) fn of(full_name: &str) -> Self {
        let (name, version) = match full_name.rsplit_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (full_name, None),
        };
        let offered = offer_of(name, version);
        Self {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            functions: Vec::new(),
            provided: offered.is_some(),
            ends_when_called: false,
            needs_grant: offered.and_then(|offer| offer.grant),
            reaches: offered.and_then(|offer| offer.grant).map(reach_of),
        }
    }

    /// Whether a file that imports it cannot be linked.
    pub fn is_missing(&self) -> bool {
        !self.provided && !self.ends_when_called
    }

    /// The name as it stands in the file.
    pub fn full_name(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }

    /// The versions in which this host has the interface, that without a number among them; none if it does
    /// not know it.
    pub fn versions_here(&self) -> Vec<&'static str> {
        let same_interface = HOST.iter().filter(|offer| offer.names(&self.name));
        same_interface.map(|offer| offer.version).collect()
    }

    /// The version of this host that it is linked with.
    pub(crate) fn version_here(&self) -> Option<&'static str> {
        offer_of(&self.name, self.version.as_deref()).map(|offer| offer.version)
    }
}

/// As `serde` asks for what it leaves out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What satisfies an import.
fn offer_of(name: &str, version: Option<&str>) -> Option<&'static Offer> {
    match version {
        None if is_preview1(name) => Some(&PREVIEW1),
        version => {
            let version = as_released(version.unwrap_or(NO_VERSION));
            HOST.iter().find(|offer| offer.satisfies(name, version))
        }
    }
}

/// Whether `module` is the core-module interface of WASI preview 1.
pub(crate) fn is_preview1(module: &str) -> bool {
    module == PREVIEW1.package
}

/// The version that `version` is called here: a candidate that was released as it was goes by the
/// release's name.
pub(crate) fn as_released(version: &str) -> &str {
    match version == CANDIDATE_RELEASED_AS_IT_WAS {
        true => RELEASE_OF_CANDIDATE,
        false => version,
    }
}

/// The packages of WASI that this host has something of.
pub(crate) fn packages_of_wasi() -> String {
    let mut packages: Vec<_> = HOST
        .iter()
        .map(|offer| offer.package)
        .filter(|package| package.starts_with("wasi:"))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages.join(", ")
}

/// What could be reached with a grant. Which of it can be is what the grant's text says.
fn reach_of(grant: &str) -> &'static str {
    match grant {
        FILES => "folders of the host",
        HTTP => "HTTP servers",
        TCP => "servers over TCP",
        UDP => "hosts over UDP",
        SOCKETS => "hosts over TCP and UDP",
        DNS => "names in the DNS",
        SECRETS => "secrets",
        KV => "values in buckets",
        // A test asks for a word for every grant above.
        _ => "what is granted",
    }
}

/// The one version of `wasi:config` there is; a release will be another interface.
pub(crate) const CONFIG_VERSION: &str = "0.2.0-rc.1";

/// The drafts of `wasi:keyvalue` that guests are built with; neither was ever released.
pub(crate) const KEYVALUE_DRAFT: &str = "0.2.0-draft";
pub(crate) const KEYVALUE_DRAFT2: &str = "0.2.0-draft2";

/// The version of `fermyon:spin` that guests without tasks import.
pub(crate) const SPIN_VERSION: &str = "2.0.0";

/// A release candidate whose interfaces were released unchanged, and that release. Tools wrote it for
/// some months: `docs/decisions/0038-a-candidate-that-was-released-as-it-was.md`.
pub(crate) const CANDIDATE_RELEASED_AS_IT_WAS: &str = "0.3.0-rc-2026-03-15";
pub(crate) const RELEASE_OF_CANDIDATE: &str = "0.3.0";

/// What stands in the place of a version where an interface has none.
pub(crate) const NO_VERSION: &str = "";

/// The grants that interfaces need, as the manifest writes them.
const FILES: &str = "dirs or tmp";
const HTTP: &str = "http";
const TCP: &str = "tcp or listen";
const UDP: &str = "udp";
/// Both of them are one interface in 0.3.
const SOCKETS: &str = "tcp, udp or listen";
const DNS: &str = "dns";
const SECRETS: &str = "secrets";
const KV: &str = "kv";

/// Interfaces of one package in one version.
struct Offer {
    package: &'static str,
    /// The newest version the host has.
    version: &'static str,
    interfaces: &'static [&'static str],
    grant: Option<&'static str>,
}

impl Offer {
    fn names(&self, name: &str) -> bool {
        name.split_once('/').is_some_and(|(package, interface)| {
            package == self.package && self.interfaces.contains(&interface)
        })
    }

    /// Within 0.2 and 0.3 a host satisfies any guest of the same minor version: the engine
    /// links by semantic versioning, and an interface of a later patch release only adds.
    fn satisfies(&self, name: &str, version: &str) -> bool {
        let same_minor = |a: &str, b: &str| {
            let minor = |v: &str| {
                v.splitn(3, '.')
                    .take(2)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            minor(a) == minor(b)
        };
        // Before a release each version is an interface of its own.
        let releases = ![self.version, version]
            .iter()
            .any(|text| text.contains('-'));
        self.names(name)
            && (version == self.version || releases && same_minor(self.version, version))
    }
}

static PREVIEW1: Offer = Offer {
    package: "wasi_snapshot_preview1",
    version: NO_VERSION,
    interfaces: &[],
    // Of all that it has, files alone are a power.
    grant: Some(FILES),
};

/// All functions of preview 1.
pub(crate) const PREVIEW1_FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stderr",
    "stdin",
    "stdout",
    "terminal-input",
    "terminal-output",
    "terminal-stderr",
    "terminal-stdin",
    "terminal-stdout",
];

/// Everything both component linkers have, package by package.
static HOST: &[Offer] = &[
    Offer {
        package: "wasi:cli",
        version: "0.2.12",
        interfaces: CLI,
        grant: None,
    },
    Offer {
        package: "wasi:clocks",
        version: "0.2.12",
        interfaces: &["monotonic-clock", "wall-clock"],
        grant: None,
    },
    Offer {
        package: "wasi:filesystem",
        version: "0.2.12",
        interfaces: &["preopens", "types"],
        grant: Some(FILES),
    },
    Offer {
        package: "wasi:io",
        version: "0.2.12",
        interfaces: &["error", "poll", "streams"],
        grant: None,
    },
    Offer {
        package: "wasi:random",
        version: "0.2.12",
        interfaces: &["insecure", "insecure-seed", "random"],
        grant: None,
    },
    Offer {
        package: "wasi:sockets",
        version: "0.2.12",
        interfaces: &["instance-network", "network"],
        grant: None,
    },
    Offer {
        package: "wasi:sockets",
        version: "0.2.12",
        interfaces: &["tcp", "tcp-create-socket"],
        grant: Some(TCP),
    },
    Offer {
        package: "wasi:sockets",
        version: "0.2.12",
        interfaces: &["udp", "udp-create-socket"],
        grant: Some(UDP),
    },
    Offer {
        package: "wasi:sockets",
        version: "0.2.12",
        interfaces: &["ip-name-lookup"],
        grant: Some(DNS),
    },
    Offer {
        package: "wasi:http",
        version: "0.2.12",
        interfaces: &["types"],
        grant: None,
    },
    Offer {
        package: "wasi:http",
        version: "0.2.12",
        interfaces: &["outgoing-handler"],
        grant: Some(HTTP),
    },
    Offer {
        package: "wasi:config",
        version: CONFIG_VERSION,
        interfaces: &["store"],
        grant: Some(SECRETS),
    },
    Offer {
        package: "wasi:keyvalue",
        version: KEYVALUE_DRAFT,
        interfaces: &["atomics", "batch", "store"],
        grant: Some(KV),
    },
    Offer {
        package: "wasi:keyvalue",
        version: KEYVALUE_DRAFT2,
        interfaces: &["atomics", "batch", "store"],
        grant: Some(KV),
    },
    Offer {
        package: "fermyon:spin",
        version: SPIN_VERSION,
        interfaces: &["key-value"],
        grant: Some(KV),
    },
    Offer {
        package: "fermyon:spin",
        version: SPIN_VERSION,
        interfaces: &["variables"],
        grant: None,
    },
    Offer {
        package: "fermyon:spin",
        version: NO_VERSION,
        interfaces: &["key-value"],
        grant: Some(KV),
    },
    Offer {
        package: "fermyon:spin",
        version: NO_VERSION,
        interfaces: &["config"],
        grant: None,
    },
    Offer {
        package: "wasi:cli",
        version: "0.3.0",
        interfaces: CLI,
        grant: None,
    },
    Offer {
        package: "wasi:cli",
        version: "0.3.0",
        interfaces: &["types"],
        grant: None,
    },
    Offer {
        package: "wasi:clocks",
        version: "0.3.0",
        interfaces: &["monotonic-clock", "system-clock", "types"],
        grant: None,
    },
    Offer {
        package: "wasi:filesystem",
        version: "0.3.0",
        interfaces: &["preopens", "types"],
        grant: Some(FILES),
    },
    Offer {
        package: "wasi:random",
        version: "0.3.0",
        interfaces: &["insecure", "insecure-seed", "random"],
        grant: None,
    },
    Offer {
        package: "wasi:sockets",
        version: "0.3.0",
        interfaces: &["types"],
        grant: Some(SOCKETS),
    },
    Offer {
        package: "wasi:sockets",
        version: "0.3.0",
        interfaces: &["ip-name-lookup"],
        grant: Some(DNS),
    },
    Offer {
        package: "wasi:http",
        version: "0.3.0",
        interfaces: &["types"],
        grant: None,
    },
    Offer {
        package: "wasi:http",
        version: "0.3.0",
        interfaces: &["client"],
        grant: Some(HTTP),
    },
];

/// Every interface the host claims, as `package/interface@version`; for the test that
/// holds the claim against the linkers.
#[cfg(test)]
pub(crate) fn claimed() -> impl Iterator<Item = String> {
    HOST.iter().flat_map(|offer| {
        offer
            .interfaces
            .iter()
            .map(move |interface| match offer.version {
                NO_VERSION => format!("{}/{interface}", offer.package),
                version => format!("{}/{interface}@{version}", offer.package),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(full_name: &str) -> String {
        let import = Import::of(full_name);
        match (import.provided, import.needs_grant) {
            (true, None) => "provided".to_owned(),
            (true, Some(grant)) => format!("provided, denied without `{grant}`"),
            (false, _) => format!("not in this version, but in {:?}", import.versions_here()),
        }
    }

    #[test]
    fn any_patch_release_of_a_known_minor_is_provided() {
        assert_eq!(check("wasi:http/types@0.2.0"), "provided");
        assert_eq!(check("wasi:http/types@0.2.99"), "provided");
        assert_eq!(check("wasi:http/types@0.3.0"), "provided");
    }

    #[test]
    fn a_power_names_its_grant() {
        assert_eq!(
            check("wasi:http/outgoing-handler@0.2.6"),
            "provided, denied without `http`"
        );
    }

    #[test]
    fn every_power_says_what_it_reaches() {
        for offer in HOST.iter().chain([&PREVIEW1]) {
            if let Some(grant) = offer.grant {
                assert_ne!(reach_of(grant), "what is granted", "{grant}");
            }
        }
    }

    #[test]
    fn a_wrong_version_is_told_the_right_ones() {
        assert_eq!(
            check("wasi:cli/stdin@0.1.0"),
            r#"not in this version, but in ["0.2.12", "0.3.0"]"#
        );
        assert_eq!(
            check("wasi:http/client@0.3.0-rc-2025-09-16"),
            r#"not in this version, but in ["0.3.0"]"#
        );
        assert_eq!(
            check("acme:widget/thing@1.0.0"),
            "not in this version, but in []"
        );
    }

    #[test]
    fn a_candidate_that_was_released_as_it_was_is_provided() {
        assert_eq!(check("wasi:http/types@0.3.0-rc-2026-03-15"), "provided");
        let import = Import::of("wasi:http/types@0.3.0-rc-2026-03-15");
        assert_eq!(import.version_here(), Some("0.3.0"));
        // Of WASI 0.3 only.
        assert_eq!(
            check("wasi:config/store@0.3.0-rc-2026-03-15"),
            r#"not in this version, but in ["0.2.0-rc.1"]"#
        );
    }

    #[test]
    fn what_is_not_released_is_provided_in_that_version_only() {
        assert_eq!(
            check("wasi:config/store@0.2.0-rc.1"),
            "provided, denied without `secrets`"
        );
        assert_eq!(
            check("wasi:config/store@0.2.0"),
            r#"not in this version, but in ["0.2.0-rc.1"]"#
        );
    }
}
