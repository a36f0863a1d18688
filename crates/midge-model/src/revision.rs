//! The immutable thing that a deploy makes.
//!
//! A component's digest together with everything decided about how it runs. Which
//! revision a route points to is decided elsewhere and may change; this never does.

use serde::{Deserialize, Serialize};

use crate::limits::{CountRange, LimitError};
use crate::{
    Digest, FunctionName, Grants, Isolation, Limits, NamespaceName, RevisionNumber, Route,
};

/// The revisions of a function that stay where nobody says how many: enough to roll back a week
/// of daily deploys.
pub const KEEP_DEFAULT: u32 = 10;
/// The most revisions of a function that stay. Each has an address and a component in the store.
pub const KEEP_MAX: u32 = 100;

/// One component with its configuration, grants and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// Whose it is.
    pub namespace: NamespaceName,
    /// Which function it is a revision of.
    pub function: FunctionName,
    /// Which of its revisions.
    pub number: RevisionNumber,
    /// The component as the developer built it.
    pub digest: Digest,
    /// What it may touch.
    pub grants: Grants,
    /// What it may take.
    pub limits: Limits,
    /// What its invocations share.
    #[serde(default, skip_serializing_if = "Isolation::is_fresh")]
    pub isolation: Isolation,
    /// Which requests it answers.
    pub routes: Vec<Route>,
}

/// Takes a whole number as how many revisions of a function stay.
///
/// # Errors
///
/// Outside 1 to [`KEEP_MAX`].
pub fn parse_keep(number: i64) -> Result<u32, LimitError> {
    const KEEP: CountRange = CountRange {
        name: "keep",
        min: 1,
        max: KEEP_MAX,
    };
    KEEP.parse(number)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_function_keeps_at_least_the_revision_that_answers() {
        assert_eq!(parse_keep(KEEP_DEFAULT.into()), Ok(KEEP_DEFAULT));
        assert_eq!(parse_keep(KEEP_MAX.into()), Ok(KEEP_MAX));
        assert_snapshot!(parse_keep(0).unwrap_err(), @"keep of `0` is out of range, write `1` to `100`");
        assert_snapshot!(parse_keep(i64::MAX).unwrap_err(), @"keep of `9223372036854775807` is out of range, write `1` to `100`");
    }

    #[test]
    fn a_revision_survives_the_way_to_a_worker() {
        let revision = Revision {
            namespace: NamespaceName::default(),
            function: "checkout".parse().unwrap(),
            number: RevisionNumber::FIRST,
            digest: Digest::of(b"component"),
            grants: Grants {
                env: [("LOG".to_owned(), "info".to_owned())].into(),
                dirs: vec!["./data:/data:rw".parse().unwrap()],
                ..Grants::default()
            },
            limits: Limits::SAFE,
            isolation: Isolation::Fresh,
            routes: vec!["POST /checkout".parse().unwrap()],
        };
        let json = serde_json::to_string_pretty(&revision).unwrap();
        assert_eq!(serde_json::from_str::<Revision>(&json).unwrap(), revision);
        assert_snapshot!(json, @r#"
        {
          "namespace": "default",
          "function": "checkout",
          "number": "r1",
          "digest": "sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa",
          "grants": {
            "env": {
              "LOG": "info"
            },
            "args": [],
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
            "kv": [],
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
