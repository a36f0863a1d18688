//! The limits that somebody wants different.
//!
//! Decides how wishes go over each other and over what was. Nothing here knows who
//! wishes: flags go over the manifest because somebody says `flags.or(manifest)`.
//!
//! **Invariant:** what [`LimitsPatch::apply`] returns is within the bounds, whatever the
//! wishes and the base are.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    CONCURRENCY, CPU, LOG, LOG_RATE, LimitError, Limits, MEMORY, OUTBOUND_BYTES, OUTBOUND_CALLS,
    QUEUE, QUEUE_TIME, REQUEST_BODY, RESPONSE_BODY, SOCKETS, TIME, WEIGHT,
};
use crate::quantity::{bytes_text_option, duration_text_option};

/// The limits that somebody wants different; `None` keeps what was.
///
/// JSON has it as a manifest does: `{"memory":"64MiB","request-body":"10MiB","concurrency":200}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct LimitsPatch {
    /// See [`Limits::memory_bytes`].
    #[serde(rename = "memory")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// See [`Limits::cpu`].
    #[serde(with = "duration_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Duration>,
    /// See [`Limits::time`].
    #[serde(with = "duration_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Duration>,
    /// See [`Limits::concurrency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// See [`Limits::queue`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// See [`Limits::queue_time`].
    #[serde(rename = "queue-time")]
    #[serde(with = "duration_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_time: Option<Duration>,
    /// See [`Limits::request_body_bytes`].
    #[serde(rename = "request-body")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body_bytes: Option<u64>,
    /// See [`Limits::response_body_bytes`].
    #[serde(rename = "response-body")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body_bytes: Option<u64>,
    /// See [`Limits::log_bytes`].
    #[serde(rename = "log")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// See [`Limits::log_rate_bytes`].
    #[serde(rename = "log-rate")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_rate_bytes: Option<u64>,
    /// See [`Limits::outbound_calls`].
    #[serde(rename = "outbound-calls")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_calls: Option<u32>,
    /// See [`Limits::outbound_bytes`].
    #[serde(rename = "outbound-bytes")]
    #[serde(with = "bytes_text_option")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_bytes: Option<u64>,
    /// See [`Limits::sockets`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sockets: Option<u32>,
    /// See [`Limits::weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl LimitsPatch {
    /// These wishes over the given limits.
    ///
    /// # Errors
    ///
    /// The first limit that is out of range; the message names the bound.
    pub fn apply(&self, base: &Limits) -> Result<Limits, LimitError> {
        Ok(Limits {
            memory_bytes: MEMORY.check(self.memory_bytes.unwrap_or(base.memory_bytes))?,
            cpu: CPU.check(self.cpu.unwrap_or(base.cpu))?,
            time: TIME.check(self.time.unwrap_or(base.time))?,
            concurrency: CONCURRENCY.check(self.concurrency.unwrap_or(base.concurrency))?,
            queue: QUEUE.check(self.queue.unwrap_or(base.queue))?,
            queue_time: QUEUE_TIME.check(self.queue_time.unwrap_or(base.queue_time))?,
            request_body_bytes: REQUEST_BODY
                .check(self.request_body_bytes.unwrap_or(base.request_body_bytes))?,
            response_body_bytes: RESPONSE_BODY
                .check(self.response_body_bytes.unwrap_or(base.response_body_bytes))?,
            log_bytes: LOG.check(self.log_bytes.unwrap_or(base.log_bytes))?,
            log_rate_bytes: LOG_RATE.check(self.log_rate_bytes.unwrap_or(base.log_rate_bytes))?,
            outbound_calls: OUTBOUND_CALLS
                .check(self.outbound_calls.unwrap_or(base.outbound_calls))?,
            outbound_bytes: OUTBOUND_BYTES
                .check(self.outbound_bytes.unwrap_or(base.outbound_bytes))?,
            sockets: SOCKETS.check(self.sockets.unwrap_or(base.sockets))?,
            weight: WEIGHT.check(self.weight.unwrap_or(base.weight))?,
        })
    }

    /// These wishes where there are any, else the other's: flags over manifest.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            cpu: self.cpu.or(other.cpu),
            time: self.time.or(other.time),
            concurrency: self.concurrency.or(other.concurrency),
            queue: self.queue.or(other.queue),
            queue_time: self.queue_time.or(other.queue_time),
            request_body_bytes: self.request_body_bytes.or(other.request_body_bytes),
            response_body_bytes: self.response_body_bytes.or(other.response_body_bytes),
            log_bytes: self.log_bytes.or(other.log_bytes),
            log_rate_bytes: self.log_rate_bytes.or(other.log_rate_bytes),
            outbound_calls: self.outbound_calls.or(other.outbound_calls),
            outbound_bytes: self.outbound_bytes.or(other.outbound_bytes),
            sockets: self.sockets.or(other.sockets),
            weight: self.weight.or(other.weight),
        }
    }
}

impl Serialize for LimitsPatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The one that is derived; `remote` keeps it from being the trait's.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for LimitsPatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let patch = Self::deserialize(deserializer)?;
        // Within the bounds themselves, the safe limits show what is wrong with the wishes.
        patch.apply(&Limits::SAFE).map_err(de::Error::custom)?;
        Ok(patch)
    }
}
