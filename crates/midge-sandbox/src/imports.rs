//! What the host has to offer, by interface and version.
//!
//! Decides whether an import can be satisfied and, if not, what to say about it.
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
    /// Whether this host has it.
    pub provided: bool,
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
        let offered = match version {
            Some(version) => HOST.iter().find(|offer| offer.satisfies(name, version)),
            None if is_preview1(name) => Some(&PREVIEW1),
            None => None,
        };
        Self {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            provided: offered.is_some(),
            needs_grant: offered.and_then(|offer| offer.grant),
            reaches: offered.and_then(|offer| offer.grant).map(reach_of),
        }
    }

    /// The name as it stands in the file.
    pub fn full_name(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Whether `module` is the core-module interface of WASI preview 1.
pub(crate) fn is_preview1(module: &str) -> bool {
    module == PREVIEW1.package
}

/// What to tell the author of a file whose `import` this host does not have.
pub(crate) fn advice(import: &Import) -> String {
    let same_interface: Vec<_> = HOST
        .iter()
        .filter(|offer| offer.names(&import.name))
        .collect();
    if !same_interface.is_empty() {
        let versions: Vec<_> = same_interface.iter().map(|offer| offer.version).collect();
        let has = versions.join(" and ");
        return format!(
            "this host has `{}` in version {has}: build with matching tools",
            import.name
        );
    }
    match import.name.as_str() {
        "wasi_unstable" => "this is WASI preview 0: build for wasm32-wasip1 or later".to_owned(),
        name if name.contains("wbindgen") => {
            "this was built for the browser by wasm-bindgen: build for wasm32-wasip2".to_owned()
        }
        "gojs" | "go" => "this was built with GOOS=js: build with GOOS=wasip1".to_owned(),
        "env" => "imports from `env` come from Emscripten or a missing C library function: \
                  build with a WASI toolchain such as wasi-sdk"
            .to_owned(),
        name if name.starts_with("wasi:") => {
            format!(
                "this host has no `{name}`; it has {}",
                offered_packages("wasi:")
            )
        }
        _ => "compose the component with one that exports this interface, or build it for a \
              `wasi:http` or `wasi:cli` world"
            .to_owned(),
    }
}

fn offered_packages(prefix: &str) -> String {
    let mut packages: Vec<_> = HOST
        .iter()
        .map(|offer| offer.package)
        .filter(|package| package.starts_with(prefix))
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
        // A test asks for a word for every grant above.
        _ => "what is granted",
    }
}

/// The one version of `wasi:config` there is; a release will be another interface.
pub(crate) const CONFIG_VERSION: &str = "0.2.0-rc.1";

/// The grants that interfaces need, as the manifest writes them.
const FILES: &str = "dirs or tmp";
const HTTP: &str = "http";
const TCP: &str = "tcp or listen";
const UDP: &str = "udp";
/// Both of them are one interface in 0.3.
const SOCKETS: &str = "tcp, udp or listen";
const DNS: &str = "dns";
const SECRETS: &str = "secrets";

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

const PREVIEW1: Offer = Offer {
    package: "wasi_snapshot_preview1",
    version: "",
    interfaces: &[],
    // Of all that it has, files alone are a power.
    grant: Some(FILES),
};

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
const HOST: &[Offer] = &[
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
            .map(move |interface| format!("{}/{interface}@{}", offer.package, offer.version))
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
            (false, _) => advice(&import),
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
            "this host has `wasi:cli/stdin` in version 0.2.12 and 0.3.0: build with matching tools"
        );
        assert_eq!(
            check("wasi:http/client@0.3.0-rc-2026-03-15"),
            "this host has `wasi:http/client` in version 0.3.0: build with matching tools"
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
            "this host has `wasi:config/store` in version 0.2.0-rc.1: build with matching tools"
        );
    }

    #[test]
    fn a_browser_module_is_recognised() {
        assert_eq!(
            check("__wbindgen_placeholder__"),
            "this was built for the browser by wasm-bindgen: build for wasm32-wasip2"
        );
    }
}
