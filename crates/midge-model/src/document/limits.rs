//! The table of limits, as both documents write it.

use std::time::Duration;

use super::{Entry, Keys, Located, Problem, at, entries, unknown_was_refused};
use crate::limits::LimitError;
use crate::{Limits, LimitsPatch};

pub(super) const KEYS: Keys = Keys {
    known: &[
        "memory",
        "cpu",
        "time",
        "concurrency",
        "queue",
        "queue-time",
        "request-body",
        "response-body",
        "log",
        "log-rate",
        "outbound-calls",
        "outbound-bytes",
        "sockets",
        "weight",
    ],
    planned: &[],
};

/// Reads the table; also which keys were written, and where.
pub(crate) fn read_limits(
    entry: Entry<'_, '_>,
) -> Result<(LimitsPatch, Vec<(String, usize)>), Located> {
    let mut limits = LimitsPatch::default();
    let mut places = Vec::new();
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `{ memory = \"64MiB\" }`")?;
    for entry in entries(content, &table, &KEYS)? {
        read_limit(entry, &mut limits)?;
        places.push((entry.key.get_ref().to_string(), entry.key.span().start));
    }
    Ok((limits, places))
}

fn read_limit(entry: Entry<'_, '_>, limits: &mut LimitsPatch) -> Result<(), Located> {
    match entry.key.get_ref().as_ref() {
        "memory" => limits.memory_bytes = Some(size(entry, Limits::parse_memory)?),
        "cpu" => limits.cpu = Some(time(entry, Limits::parse_cpu)?),
        "time" => limits.time = Some(time(entry, Limits::parse_time)?),
        "concurrency" => limits.concurrency = Some(count(entry, Limits::parse_concurrency)?),
        "queue" => limits.queue = Some(count(entry, Limits::parse_queue)?),
        "queue-time" => limits.queue_time = Some(time(entry, Limits::parse_queue_time)?),
        "request-body" => {
            limits.request_body_bytes = Some(size(entry, Limits::parse_request_body)?);
        }
        "response-body" => {
            limits.response_body_bytes = Some(size(entry, Limits::parse_response_body)?);
        }
        "log" => limits.log_bytes = Some(size(entry, Limits::parse_log)?),
        "log-rate" => limits.log_rate_bytes = Some(size(entry, Limits::parse_log_rate)?),
        "outbound-calls" => {
            limits.outbound_calls = Some(count(entry, Limits::parse_outbound_calls)?);
        }
        "outbound-bytes" => {
            limits.outbound_bytes = Some(size(entry, Limits::parse_outbound_bytes)?);
        }
        "sockets" => limits.sockets = Some(count(entry, Limits::parse_sockets)?),
        "weight" => limits.weight = Some(count(entry, Limits::parse_weight)?),
        _ => unknown_was_refused(),
    }
    Ok(())
}

fn size(
    entry: Entry<'_, '_>,
    parse: impl Fn(&str) -> Result<u64, LimitError>,
) -> Result<u64, Located> {
    let text = entry.quantity("a size such as `\"64MiB\"`")?;
    parse(&text).map_err(|error| at(entry.value, Problem::Limit(error)))
}

fn time(
    entry: Entry<'_, '_>,
    parse: impl Fn(&str) -> Result<Duration, LimitError>,
) -> Result<Duration, Located> {
    let text = entry.quantity("a duration such as `\"5s\"`")?;
    parse(&text).map_err(|error| at(entry.value, Problem::Limit(error)))
}

fn count(
    entry: Entry<'_, '_>,
    parse: impl Fn(i64) -> Result<u32, LimitError>,
) -> Result<u32, Located> {
    let number = entry.number("a number such as `200`")?;
    parse(number).map_err(|error| at(entry.value, Problem::Limit(error)))
}
