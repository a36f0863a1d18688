//! The JSON of [`midge_model::Limits`], [`midge_model::LimitsPatch`], [`midge_model::Quota`] and
//! [`midge_model::QuotaPatch`].

#![expect(dead_code, reason = "stand-ins are described, never made")]

use serde::Deserialize;
use utoipa::ToSchema;

use super::{DurationText, SizeText};

/// What one function may take.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Limits {
    /// Memory of one instance.
    memory_bytes: SizeText,
    /// Time on a CPU of one invocation.
    cpu: DurationText,
    /// Wall time of one invocation.
    time: DurationText,
    /// Invocations at a time.
    concurrency: u32,
    /// Requests that may wait for a free slot.
    queue: u32,
    /// How long each of them may wait.
    queue_time: DurationText,
    /// Size of one request's body.
    request_body_bytes: SizeText,
    /// Size of one response's body.
    response_body_bytes: SizeText,
    /// What one invocation may log, for each of its streams.
    log_bytes: SizeText,
    /// What the function may log in a second.
    log_rate_bytes: SizeText,
    /// Outbound requests and connections of one invocation.
    outbound_calls: u32,
    /// Bytes of one invocation to and from elsewhere.
    outbound_bytes: SizeText,
    /// Sockets of one invocation open at a time.
    sockets: u32,
    /// Share of the CPU against other functions.
    weight: u32,
}

/// The limits that are not the default, by the keys of a manifest.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsPatch {
    /// Memory of one instance: 64KiB to 4GiB.
    #[schema(example = "64MiB", pattern = "^([1-9][0-9]{0,2}MiB|[1-4]GiB)$")]
    memory: Option<String>,
    /// Time on a CPU of one invocation: 10ms to 1h.
    #[schema(example = "50ms", pattern = "^([1-9][0-9]{1,2}ms|[1-9][0-9]{0,2}s)$")]
    cpu: Option<String>,
    /// Wall time of one invocation: 1ms to 1h.
    #[schema(example = "5s", pattern = "^[1-9][0-9]{0,2}(ms|s)$")]
    time: Option<String>,
    /// Invocations at a time.
    #[schema(minimum = 1, maximum = 10_000)]
    concurrency: Option<u32>,
    /// Requests that may wait for a free slot.
    #[schema(minimum = 0, maximum = 100_000)]
    queue: Option<u32>,
    /// How long each of them may wait: 1ms to 1h.
    #[schema(example = "5s", pattern = "^[1-9][0-9]{0,2}(ms|s)$")]
    queue_time: Option<String>,
    /// Size of one request's body: up to 1TiB.
    #[schema(example = "10MiB", pattern = "^[0-9]{1,3}(B|KiB|MiB|GiB)$")]
    request_body: Option<String>,
    /// Size of one response's body: up to 1TiB.
    #[schema(example = "10MiB", pattern = "^[0-9]{1,3}(B|KiB|MiB|GiB)$")]
    response_body: Option<String>,
    /// What one invocation may log, for each of its streams: up to 64MiB.
    #[schema(example = "64KiB", pattern = "^[0-9]{1,3}(B|KiB)$")]
    log: Option<String>,
    /// What the function may log in a second: 4KiB to 64MiB.
    #[schema(example = "64KiB", pattern = "^[1-9][0-9]{1,2}KiB$")]
    log_rate: Option<String>,
    /// Outbound requests and connections of one invocation.
    #[schema(minimum = 0, maximum = 10_000)]
    outbound_calls: Option<u32>,
    /// Bytes of one invocation to and from elsewhere: up to 1TiB.
    #[schema(example = "10MiB", pattern = "^[0-9]{1,3}(B|KiB|MiB|GiB)$")]
    outbound_bytes: Option<String>,
    /// Sockets of one invocation open at a time.
    #[schema(minimum = 0, maximum = 256)]
    sockets: Option<u32>,
    /// Share of the CPU against other functions.
    #[schema(minimum = 1, maximum = 10_000)]
    weight: Option<u32>,
}

/// The most that a namespace may have.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Quota {
    /// Functions.
    functions: u32,
    /// Components, each counted once.
    component_bytes: SizeText,
    /// Secrets.
    secrets: u32,
    /// Tokens that are limited to it.
    tokens: u32,
}

/// The quotas that shall be different.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaPatch {
    /// Functions.
    #[schema(minimum = 0, maximum = 65_536, example = 100)]
    functions: Option<u32>,
    /// Components, each counted once: up to 1PiB.
    #[schema(example = "10GiB", pattern = "^[0-9]{1,3}(B|KiB|MiB|GiB|TiB)$")]
    component_bytes: Option<String>,
    /// Secrets.
    #[schema(minimum = 0, maximum = 100_000)]
    secrets: Option<u32>,
    /// Tokens that are limited to it.
    #[schema(minimum = 0, maximum = 100_000)]
    tokens: Option<u32>,
}
