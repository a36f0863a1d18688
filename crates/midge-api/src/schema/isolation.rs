//! The JSON of [`midge_model::Isolation`].

#![expect(dead_code, reason = "stand-ins are described, never made")]

use serde::Deserialize;
use utoipa::ToSchema;

/// What invocations of a revision share.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// Whether instances are used again.
    level: IsolationLevel,
    /// How many invocations one instance answers; not for `fresh`.
    #[schema(minimum = 1, maximum = 1_000_000)]
    requests: Option<u32>,
    /// How long an instance waits for the next one: 1ms to 1h; not for `fresh`.
    #[schema(example = "30s", pattern = "^[1-9][0-9]{0,2}(ms|s)$")]
    idle: Option<String>,
    /// With more memory than this it is not used again: 64KiB to 4GiB; not for `fresh`.
    #[schema(example = "48MiB", pattern = "^([1-9][0-9]{0,2}MiB|[1-4]GiB)$")]
    memory: Option<String>,
    /// How many invocations one instance runs at a time; only for `shared`.
    #[schema(minimum = 1, maximum = 256)]
    concurrency: Option<u32>,
}

/// Whether instances are used again.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// Every invocation has an instance of its own.
    Fresh,
    /// One after the other may have the same instance.
    Serial,
    /// Several at a time may have the same instance.
    Shared,
}
