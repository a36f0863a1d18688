//! From what was seen to figures.
//!
//! Histograms become quantiles and bars, times become microseconds. What a figure is called is
//! `report.rs`.
//!
//! **Invariant:** what was not seen has no figure: it is `None` and never 0.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::cold::Cold;
use super::histogram::Histogram;
use super::load::{Loaded, Receipts, Round, Tally};
use super::report::{
    Bar, ColdFigures, InvocationFigures, LoadFigures, Machine, Part, Report, RoundFigures, Setup,
    Spectrum, VERSION,
};
use crate::machine;

impl Report {
    /// What a load came to.
    pub(super) fn new(setup: Setup, loaded: &Loaded, interrupted: bool) -> Self {
        let mut tally = Tally::default();
        for round in &loaded.rounds {
            tally.merge(&round.tally);
        }
        let took: Duration = loaded.rounds.iter().map(|round| round.took).sum();
        Self {
            version: VERSION,
            midge: env!("CARGO_PKG_VERSION").to_owned(),
            at: midge_store::now(),
            interrupted,
            machine: Machine::this(),
            setup,
            load: LoadFigures {
                answers: tally.answers(),
                per_second: per_second(tally.answers(), took),
                latency: Spectrum::of(&tally.latency),
                broken: named(&tally),
                body_bytes: tally.body_bytes,
                unsent: loaded.unsent,
                cut: loaded.cut,
                generator_cores: loaded.own_cores,
                statuses: tally.statuses,
            },
            invocation: InvocationFigures::of(&tally.receipts),
            node: None,
            cold: None,
            rounds: Vec::new(),
        }
    }
}

impl Machine {
    pub(super) fn this() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("model name"));
        let name = line.and_then(|line| line.split_once(": "));
        let kernel = rustix::system::uname();
        Self {
            cores: machine::cores().get(),
            processor: name.map_or("unknown", |(_, name)| name).to_owned(),
            memory_bytes: machine::memory_bytes(),
            kernel: kernel.release().to_string_lossy().into_owned(),
        }
    }
}

impl Spectrum {
    /// How nanoseconds are spread; `None` if there are none.
    pub(super) fn of(nanos: &Histogram) -> Option<Self> {
        (nanos.count() > 0).then(|| Self {
            count: nanos.count(),
            p50_us: micros(nanos.quantile(500)),
            p90_us: micros(nanos.quantile(900)),
            p99_us: micros(nanos.quantile(990)),
            p999_us: micros(nanos.quantile(999)),
            max_us: micros(nanos.max()),
            bars: bars(nanos),
        })
    }
}

impl InvocationFigures {
    pub(super) fn of(receipts: &Receipts) -> Option<Self> {
        let memory = &receipts.memory;
        let has_memory = memory.count() > 0;
        let figures = Self {
            queue: Part::of(&receipts.queue),
            instantiate: Part::of(&receipts.instantiate),
            run: Part::of(&receipts.run),
            cpu: Part::of(&receipts.cpu),
            memory_p50_bytes: has_memory.then(|| memory.quantile(500)),
            memory_max_bytes: has_memory.then(|| memory.max()),
        };
        figures.run.is_some().then_some(figures)
    }
}

impl Part {
    pub(super) fn of(nanos: &Histogram) -> Option<Self> {
        (nanos.count() > 0).then(|| Self {
            p50_us: micros(nanos.quantile(500)),
            p99_us: micros(nanos.quantile(990)),
            max_us: micros(nanos.max()),
        })
    }
}

impl ColdFigures {
    /// What cold starts came to.
    pub(super) fn of(cold: &Cold) -> Self {
        Self {
            ready_ms: millis(cold.ready_after),
            statuses: cold.tally.statuses.clone(),
            broken: named(&cold.tally),
            latency: Spectrum::of(&cold.tally.latency),
            parts: InvocationFigures::of(&cold.tally.receipts),
        }
    }
}

impl RoundFigures {
    /// What a round came to; time of a node that is not ours is not known.
    pub(super) fn of(round: &Round, is_ours: bool) -> Self {
        let answers = round.tally.answers();
        Self {
            per_second: per_second(answers, round.took),
            p50_us: micros(round.tally.latency.quantile(500)),
            p99_us: micros(round.tally.latency.quantile(990)),
            cpu_us_per_request: is_ours.then(|| cpu_us(round.usage.cpu, answers)),
        }
    }
}

/// Bars between 1, 2, 5, 10, 20, 50 … microseconds, from the first that is not empty to the last.
fn bars(nanos: &Histogram) -> Vec<Bar> {
    let bounds: Vec<u64> = bounds().collect();
    let mut counts = BTreeMap::<usize, u64>::new();
    for (lowest, count) in nanos.seen() {
        let bar = bounds.partition_point(|bound| *bound <= lowest);
        *counts.entry(bar).or_default() += count;
    }
    let (first, last) = (counts.keys().next(), counts.keys().next_back());
    let (Some(&first), Some(&last)) = (first, last) else {
        return Vec::new();
    };
    let bar = |index: usize| Bar {
        below_us: micros(bounds.get(index).copied().unwrap_or(u64::MAX)),
        count: counts.get(&index).copied().unwrap_or(0),
    };
    (first..=last).map(bar).collect()
}

/// 1, 2, 5, 10 … microseconds in nanoseconds.
fn bounds() -> impl Iterator<Item = u64> {
    let decades = (0..16_u32).map(|power| 1_000_u64.saturating_mul(10_u64.saturating_pow(power)));
    decades.flat_map(|decade| [1, 2, 5].map(|step| decade.saturating_mul(step)))
}

fn named(tally: &Tally) -> BTreeMap<String, u64> {
    let broken = tally.broken.iter();
    let named = broken.map(|(broken, count)| (broken.name().to_owned(), *count));
    named.collect()
}

/// A count as a number that can be divided.
#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for people: 53 bits are enough"
)]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

fn micros(nanos: u64) -> f64 {
    number(nanos) / 1e3
}

/// Milliseconds of a duration.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Time for each of so many requests, in microseconds.
pub(super) fn cpu_us(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / number(requests.max(1))
}

fn per_second(count: u64, took: Duration) -> f64 {
    number(count) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn shown(nanos: &[u64]) -> String {
        let mut histogram = Histogram::default();
        for nanos in nanos {
            histogram.add(*nanos);
        }
        let bars = bars(&histogram).into_iter();
        let bars = bars.map(|bar| format!("<{}:{}", bar.below_us, bar.count));
        bars.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn bars_go_from_the_first_value_to_the_last_without_a_gap() {
        assert_eq!(shown(&[]), "");
        assert_snapshot!(shown(&[0]), @"<1:1");
        assert_snapshot!(shown(&[1_000]), @"<2:1");
        assert_snapshot!(shown(&[400_000, 600_000, 30_000_000]), @"<500:1 <1000:1 <2000:0 <5000:0 <10000:0 <20000:0 <50000:1");
        assert!(shown(&[u64::MAX]).ends_with(":1"));
    }
}
