//! What a run measured, as it is kept: every round of every figure, with machine and versions.
//!
//! A flat list of series, so that targets, table, plot and page are all made from the same data,
//! and from a stored file as well as from a run.
//!
//! **Invariant:** nothing is averaged before it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a figure says, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Processor time of the server's whole tree for each answered request, in microseconds.
    CpuMicros,
    /// Answered requests each second.
    Rate,
    /// Half of the answers came sooner, in milliseconds.
    P50Millis,
    /// 99 of 100 answers came sooner, in milliseconds.
    P99Millis,
    /// Memory of the server's tree after the load, shared pages counted once, in MiB.
    MemoryMib,
    /// Memory of each instance or function, in KiB.
    EachKib,
    /// How many.
    Count,
}

impl Measure {
    /// Behind the number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::CpuMicros => "µs",
            Self::Rate => "/s",
            Self::P50Millis | Self::P99Millis => "ms",
            Self::MemoryMib => "MiB",
            Self::EachKib => "KiB",
            Self::Count => "",
        }
    }

    /// For a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::CpuMicros => "CPU per request",
            Self::Rate => "requests per second",
            Self::P50Millis => "p50",
            Self::P99Millis => "p99",
            Self::MemoryMib => "memory",
            Self::EachKib => "memory of each",
            Self::Count => "count",
        }
    }
}

/// The subject of a gap when a scenario could not begin.
pub const EVERYBODY: &str = "everybody";

/// One figure of one subject in one scenario, round by round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The scenario, as `--only` names it.
    pub scenario: String,
    /// Who was measured: `midge`, `wasmtime serve`, ...
    pub subject: String,
    /// What.
    pub measure: Measure,
    /// The raw figures, in the order of the rounds.
    pub rounds: Vec<f64>,
}

/// Something that could not be measured, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The scenario, as `--only` names it.
    pub scenario: String,
    /// Who is missing.
    pub subject: String,
    /// Why, for a person.
    pub reason: String,
}

/// The machine that it ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name as the kernel tells it.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// One run of the harness.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began, in UTC.
    pub date: String,
    /// `quick` or `full`.
    pub extent: String,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Where.
    pub machine: Machine,
    /// What was compared, by name.
    pub versions: BTreeMap<String, String>,
    /// The scenarios that ran.
    pub scenarios: Vec<String>,
    /// What was measured.
    pub series: Vec<Series>,
    /// What was not.
    pub gaps: Vec<Gap>,
}

impl Run {
    /// The rounds of one figure.
    pub fn rounds(&self, scenario: &str, subject: &str, measure: Measure) -> Option<&[f64]> {
        let found = self.series.iter().find(|series| {
            series.scenario == scenario && series.subject == subject && series.measure == measure
        });
        found.map(|series| series.rounds.as_slice())
    }

    /// Why this subject is missing from this scenario.
    pub fn gap(&self, scenario: &str, subject: &str) -> Option<&str> {
        let about = |gap: &&Gap| gap.scenario == scenario && gap.subject == subject;
        let found = self.gaps.iter().find(about);
        found.map(|gap| gap.reason.as_str())
    }

    /// Adds one round of a figure.
    pub fn add(&mut self, scenario: &str, subject: &str, measure: Measure, value: f64) {
        let same = |series: &&mut Series| {
            series.scenario == scenario && series.subject == subject && series.measure == measure
        };
        if let Some(series) = self.series.iter_mut().find(same) {
            series.rounds.push(value);
            return;
        }
        self.series.push(Series {
            scenario: scenario.to_owned(),
            subject: subject.to_owned(),
            measure,
            rounds: vec![value],
        });
    }

    /// Notes that a subject is missing, with all that it had so far: half a series compares nothing.
    pub fn miss(&mut self, scenario: &str, subject: &str, reason: impl Into<String>) {
        self.series
            .retain(|series| series.scenario != scenario || series.subject != subject);
        if self.gap(scenario, subject).is_none() {
            self.gaps.push(Gap {
                scenario: scenario.to_owned(),
                subject: subject.to_owned(),
                reason: reason.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Measure, Run};

    #[test]
    fn rounds_gather_in_their_series() {
        let mut run = Run::default();
        run.add("hello-rust", "midge", Measure::CpuMicros, 1.0);
        run.add("hello-rust", "midge", Measure::Rate, 9.0);
        run.add("hello-rust", "midge", Measure::CpuMicros, 2.0);
        assert_eq!(
            run.rounds("hello-rust", "midge", Measure::CpuMicros),
            Some(&[1.0, 2.0][..])
        );
        assert_eq!(run.rounds("hello-rust", "spin", Measure::CpuMicros), None);
    }

    #[test]
    fn who_fails_half_way_has_no_figures() {
        let mut run = Run::default();
        run.add("hello-rust", "midge", Measure::CpuMicros, 1.0);
        run.add("hello-js", "midge", Measure::CpuMicros, 5.0);
        run.miss("hello-rust", "midge", "3 answers were not 2xx");
        run.miss("hello-rust", "midge", "has ended");
        assert_eq!(run.rounds("hello-rust", "midge", Measure::CpuMicros), None);
        assert_eq!(
            run.gap("hello-rust", "midge"),
            Some("3 answers were not 2xx")
        );
        assert_eq!(
            run.rounds("hello-js", "midge", Measure::CpuMicros),
            Some(&[5.0][..])
        );
    }

    #[test]
    fn a_run_survives_its_file() {
        let mut run = Run::default();
        run.add("hello-rust", "midge", Measure::P99Millis, 1.25);
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }
}
