//! The targets of issue 5, one row each, and whether a run meets them.
//!
//! A target compares two figures of one run, or holds one against a bound. Absolute bounds stand
//! only where the target itself is absolute (a first request within 1 ms).
//!
//! **Invariant:** a row is met only if its figure was measured.

use crate::record::{EVERYBODY, Measure, Run};
use crate::stats::{Spread, ratios};

/// One figure of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The scenario, as `--only` names it.
    pub scenario: &'static str,
    /// Who.
    pub subject: &'static str,
    /// What.
    pub measure: Measure,
}

/// What is held against the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The first over the second, round by round.
    Ratio(Figure, Figure),
    /// The figure itself.
    Value(Figure),
}

/// The bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Met if it is not more.
    AtMost(f64),
    /// Met if it is less.
    Below(f64),
    /// Met if it is not less.
    AtLeast(f64),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What is compared, for a person.
    pub what: &'static str,
    /// What is held against the bound.
    pub held: Held,
    /// The bound.
    pub bound: Bound,
    /// Not on every machine: missing, it is no fault of the run.
    pub optional: bool,
}

/// How a target ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Within the bound.
    Met(Spread),
    /// Out of the bound.
    Missed(Spread),
    /// There is no figure, and why.
    NotMeasured(String),
    /// Its scenario was left out.
    NotAsked,
}

impl Bound {
    /// Whether this value is within it.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl Target {
    /// Holds the run against this target.
    pub fn judge(&self, run: &Run) -> Verdict {
        let figures = match &self.held {
            Held::Ratio(of, over) => vec![of, over],
            Held::Value(of) => vec![of],
        };
        let asked = |figure: &&&Figure| run.scenarios.iter().any(|name| name == figure.scenario);
        if figures.iter().filter(asked).count() < figures.len() {
            return Verdict::NotAsked;
        }
        let mut rounds = Vec::new();
        for figure in figures {
            match run.rounds(figure.scenario, figure.subject, figure.measure) {
                Some(found) => rounds.push(found),
                None => return Verdict::NotMeasured(missing(run, figure)),
            }
        }
        let values = match rounds.as_slice() {
            [of, over] => ratios(of, over),
            [of] => of.to_vec(),
            _ => Vec::new(),
        };
        match Spread::of(&values) {
            None => Verdict::NotMeasured("the rounds have no median".to_owned()),
            Some(spread) if self.bound.holds(spread.median) => Verdict::Met(spread),
            Some(spread) => Verdict::Missed(spread),
        }
    }

    /// Behind the figure and the bound.
    pub fn unit(&self) -> &'static str {
        match self.held {
            Held::Ratio(..) => "",
            Held::Value(figure) => figure.measure.unit(),
        }
    }
}

fn missing(run: &Run, figure: &Figure) -> String {
    let why = run.gap(figure.scenario, figure.subject);
    let why = why.or_else(|| run.gap(figure.scenario, EVERYBODY));
    format!("{}: {}", figure.subject, why.unwrap_or("no figure"))
}

/// Exit code of a run: 0 all met, 1 one missed, 2 one not measured.
pub fn exit_code(judged: &[(&Target, Verdict)]) -> u8 {
    let missed = |(_, verdict): &(&Target, Verdict)| matches!(verdict, Verdict::Missed(_));
    let lacking = |(target, verdict): &(&Target, Verdict)| {
        !target.optional && matches!(verdict, Verdict::NotMeasured(_))
    };
    if judged.iter().any(missed) {
        1
    } else if judged.iter().any(lacking) {
        2
    } else {
        0
    }
}

/// Holds a run against all targets, in the order of the table.
pub fn judge(run: &Run) -> Vec<(&'static Target, Verdict)> {
    let targets = TARGETS.iter();
    targets.map(|target| (target, target.judge(run))).collect()
}

const fn figure(scenario: &'static str, subject: &'static str, measure: Measure) -> Figure {
    Figure {
        scenario,
        subject,
        measure,
    }
}

/// One measure of two subjects of one scenario.
const fn ratio(
    scenario: &'static str,
    of: &'static str,
    over: &'static str,
    measure: Measure,
) -> Held {
    Held::Ratio(
        figure(scenario, of, measure),
        figure(scenario, over, measure),
    )
}

const fn row(what: &'static str, held: Held, bound: Bound) -> Target {
    Target {
        what,
        held,
        bound,
        optional: false,
    }
}

use Bound::{AtLeast, AtMost, Below};
use Measure::{CpuMicros, EachKib, P50Millis, P99Millis, Rate};

/// The rows, in the order of the issue.
pub const TARGETS: &[Target] = &[
    row(
        "CPU, Rust hello: midge / bare hyper",
        ratio("hello-rust", "midge", "hyper", CpuMicros),
        AtMost(3.5),
    ),
    row(
        "CPU, Rust hello: wasmtime serve / midge",
        ratio("hello-rust", "wasmtime serve", "midge", CpuMicros),
        AtLeast(6.0),
    ),
    Target {
        optional: true,
        ..row(
            "CPU, Rust hello: Spin / midge",
            ratio("hello-rust", "spin", "midge", CpuMicros),
            AtLeast(6.0),
        )
    },
    row(
        "requests per second, Rust hello: midge / wasmtime serve",
        ratio("hello-rust", "midge", "wasmtime serve", Rate),
        AtLeast(5.0),
    ),
    row(
        "CPU, JS hello fresh: wasmtime serve / midge",
        ratio("hello-js", "wasmtime serve", "midge", CpuMicros),
        AtLeast(8.0),
    ),
    row(
        "CPU, Go hello fresh: wasmtime serve / midge",
        ratio("hello-go", "wasmtime serve", "midge", CpuMicros),
        AtLeast(6.0),
    ),
    row(
        "compute, SHA-256: midge / same engine, CPU of a run",
        ratio("compute", "midge sha256", "plain sha256", CpuMicros),
        AtMost(1.05),
    ),
    row(
        "compute, matrix product: midge / same engine, CPU of a run",
        ratio("compute", "midge matmul", "plain matmul", CpuMicros),
        AtMost(1.05),
    ),
    row(
        "compute, sorting: midge / same engine, CPU of a run",
        ratio("compute", "midge sort", "plain sort", CpuMicros),
        AtMost(1.05),
    ),
    row(
        "CPU, JS hello serial: workerd / midge",
        ratio("serial-js", "workerd", "midge serial", CpuMicros),
        AtLeast(1.0),
    ),
    row(
        "CPU, Python hello fresh: midge / plain embedding",
        ratio("hello-py", "midge", "plain", CpuMicros),
        AtMost(0.333),
    ),
    row(
        "first request of one of 10,000 (--quick: 1,000), Rust, p50",
        Held::Value(figure("density", "midge", P50Millis)),
        Below(1.0),
    ),
    row(
        "first request of one of 10,000 (--quick: 1,000), Rust, p99",
        Held::Value(figure("density", "midge", P99Millis)),
        Below(2.0),
    ),
    row(
        "first request, 13 MB JS, p50",
        Held::Value(figure("cold-js", "midge", P50Millis)),
        Below(3.0),
    ),
    row(
        "first request, 18 MB Python, p50",
        Held::Value(figure("cold-py", "midge", P50Millis)),
        Below(8.0),
    ),
    row(
        "RSS per deployed idle function",
        Held::Value(figure("density", "midge", EachKib)),
        Below(8.0),
    ),
    row(
        "1,000 instances waiting on outbound, each",
        Held::Value(figure("waiting", "midge", EachKib)),
        Below(100.0),
    ),
    row(
        "hello p99 beside a hog / (3 × p99 alone + 5 ms)",
        ratio("hog", "beside", "allowed", P99Millis),
        Below(1.0),
    ),
    row(
        "requests per second: 10,000 routes / 1 route",
        ratio("routes", "10,000 routes", "1 route", Rate),
        AtLeast(0.97),
    ),
    row(
        "CPU: two pinned workers / one",
        ratio("pinned", "two workers", "one worker", CpuMicros),
        AtMost(1.05),
    ),
];

#[cfg(test)]
mod tests {
    use super::{Bound, Held, TARGETS, Target, Verdict, exit_code, figure, ratio, row};
    use crate::record::{Measure, Run};
    use crate::scenario::SCENARIOS;

    const TWICE: Target = row(
        "midge / hyper",
        ratio("hello-rust", "midge", "hyper", Measure::CpuMicros),
        Bound::AtMost(2.0),
    );

    fn run(midge: &[f64], hyper: &[f64]) -> Run {
        let mut run = Run {
            scenarios: vec!["hello-rust".to_owned()],
            ..Run::default()
        };
        for (subject, rounds) in [("midge", midge), ("hyper", hyper)] {
            for round in rounds {
                run.add("hello-rust", subject, Measure::CpuMicros, *round);
            }
        }
        run
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Met(_) => "met",
            Verdict::Missed(_) => "missed",
            Verdict::NotMeasured(_) => "not measured",
            Verdict::NotAsked => "not asked",
        }
    }

    #[test]
    fn the_median_of_the_ratios_is_held_against_the_bound() {
        // In the second round everything was slow, and midge more so than ever else.
        let verdict = TWICE.judge(&run(&[19.0, 90.0, 20.0], &[10.0, 30.0, 10.0]));
        let Verdict::Met(spread) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!((spread.low, spread.median, spread.high), (1.9, 2.0, 3.0));
        let verdict = TWICE.judge(&run(&[21.0, 19.0, 21.0], &[10.0, 10.0, 10.0]));
        assert_eq!(word(&verdict), "missed");
    }

    #[test]
    fn bounds_are_met_at_their_edge_or_not() {
        assert!(Bound::AtMost(2.0).holds(2.0));
        assert!(Bound::AtLeast(2.0).holds(2.0));
        assert!(!Bound::Below(2.0).holds(2.0));
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let mut half = run(&[1.0], &[]);
        half.miss("hello-rust", "hyper", "midge-bench-floor is not built");
        let verdict = TWICE.judge(&half);
        assert_eq!(
            verdict,
            Verdict::NotMeasured("hyper: midge-bench-floor is not built".to_owned())
        );
    }

    #[test]
    fn the_exit_code_tells_missed_from_missing() {
        let code = |targets: &[&'static Target], run: &Run| {
            let judged: Vec<_> = targets.iter().map(|t| (*t, t.judge(run))).collect();
            exit_code(&judged)
        };
        let good = run(&[10.0], &[10.0]);
        let bad = run(&[30.0], &[10.0]);
        let lacking = run(&[10.0], &[]);
        const LACKS: Target = row(
            "spin / midge",
            ratio("hello-rust", "spin", "midge", Measure::CpuMicros),
            Bound::AtLeast(1.0),
        );
        const MAY_LACK: Target = Target {
            optional: true,
            ..LACKS
        };
        const ELSEWHERE: Target = row(
            "waiting",
            Held::Value(figure("waiting", "midge", Measure::EachKib)),
            Bound::Below(100.0),
        );
        assert_eq!(code(&[&TWICE], &good), 0);
        assert_eq!(code(&[&TWICE], &bad), 1);
        assert_eq!(code(&[&TWICE], &lacking), 2);
        assert_eq!(code(&[&TWICE, &LACKS], &good), 2);
        assert_eq!(code(&[&TWICE, &LACKS], &bad), 1);
        assert_eq!(code(&[&TWICE, &MAY_LACK, &ELSEWHERE], &good), 0);
    }

    #[test]
    fn every_row_names_a_scenario_that_exists() {
        for target in TARGETS {
            let figures = match &target.held {
                Held::Ratio(of, over) => vec![of, over],
                Held::Value(of) => vec![of],
            };
            for figure in figures {
                let known = SCENARIOS
                    .iter()
                    .any(|scenario| scenario.name == figure.scenario);
                assert!(known, "{}: {}", target.what, figure.scenario);
            }
        }
    }
}
