//! The immutable thing that a deploy makes.
//!
//! A component's digest together with everything decided about how it runs. Which
//! revision a route points to is decided elsewhere and may change; this never does.

use serde::{Deserialize, Serialize};

use crate::{Digest, FunctionName, Grants, Limits, NamespaceName, Route};

/// One component with its configuration, grants and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Whose it is.
    pub namespace: NamespaceName,
    /// Which function it is a revision of.
    pub function: FunctionName,
    /// The component as the developer built it.
    pub digest: Digest,
    /// What it may touch.
    pub grants: Grants,
    /// What it may take.
    pub limits: Limits,
    /// Which requests it answers.
    pub routes: Vec<Route>,
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_revision_survives_the_way_to_a_worker() {
        let revision = Revision {
            namespace: NamespaceName::default(),
            function: "checkout".parse().unwrap(),
            digest: Digest::of(b"component"),
            grants: Grants {
                env: [("LOG".to_owned(), "info".to_owned())].into(),
                dirs: vec!["./data:/data:rw".parse().unwrap()],
                ..Grants::default()
            },
            limits: Limits::SAFE,
            routes: vec!["POST /checkout".parse().unwrap()],
        };
        let json = serde_json::to_string_pretty(&revision).unwrap();
        assert_eq!(serde_json::from_str::<Revision>(&json).unwrap(), revision);
        assert_snapshot!(json, @r#"
        {
          "namespace": "default",
          "function": "checkout",
          "digest": "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa",
          "grants": {
            "env": {
              "LOG": "info"
            },
            "dirs": [
              {
                "host": "./data",
                "guest": "/data",
                "mode": "rw"
              }
            ],
            "http": [],
            "tcp": [],
            "udp": [],
            "dns": [],
            "listen": [],
            "secrets": [],
            "clock": "coarse",
            "tmp_bytes": null
          },
          "limits": {
            "memory_bytes": "128MiB",
            "cpu": "2s",
            "time": "10s",
            "concurrency": 200,
            "queue": 1000,
            "queue_time": "10s",
            "request_body_bytes": "10MiB",
            "response_body_bytes": "1GiB",
            "log_bytes": "256KiB",
            "log_rate_bytes": "1MiB",
            "outbound_calls": 50,
            "outbound_bytes": "100MiB",
            "sockets": 16,
            "weight": 100
          },
          "routes": [
            "POST /checkout"
          ]
        }
        "#);
    }
}
