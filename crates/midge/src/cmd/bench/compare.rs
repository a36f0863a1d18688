//! Figures of now against figures that were written down.
//!
//! The two were not measured side by side, so a difference counts only where it is larger than what
//! rounds of one and the same load differ by.
//!
//! **Invariant:** no figure is called worse that the noise alone could have made so.

use serde::Serialize;

use super::report::{Report, RoundFigures, Setup};

/// One figure of a round.
type OfRound = fn(&RoundFigures) -> Option<f64>;

/// One figure of a report.
type OfReport = fn(&Report) -> Option<f64>;

/// What became of each figure.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Comparison {
    /// Figure by figure.
    pub(super) rows: Vec<Row>,
    /// What was not the same then, so that the figures may not mean the same.
    pub(super) differs: Vec<String>,
}

/// One figure, then and now.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    /// What it is, with its unit.
    pub(super) figure: &'static str,
    /// Then.
    pub(super) before: f64,
    /// Now.
    pub(super) now: f64,
    /// Now over then.
    pub(super) ratio: f64,
    /// How much of the ratio may be noise: what rounds differed by, then and now together. `None`
    /// where it was measured once.
    pub(super) noise: Option<f64>,
    /// Whether it is worse by more than was allowed, and by more than the noise.
    pub(super) worse: bool,
}

impl Comparison {
    /// Of two reports; `fail_over` is how much worse a figure may be, as a fraction.
    pub(super) fn of(before: &Report, now: &Report, fail_over: Option<f64>) -> Self {
        let mut rows = Vec::new();
        let of_rounds: [(&'static str, bool, OfRound); 4] = [
            ("p50 us", true, |round| Some(round.p50_us)),
            ("p99 us", true, |round| Some(round.p99_us)),
            ("CPU us/request", true, |round| round.cpu_us_per_request),
            ("requests/s", false, |round| Some(round.per_second)),
        ];
        for (figure, decides, value) in of_rounds {
            let [before, now] = [before, now].map(|report| spread(report, value));
            if let (Some(before), Some(now)) = (before, now) {
                let bound = fail_over.filter(|_| decides);
                rows.push(Row::of(figure, before, now, bound));
            }
        }
        let once: [(&'static str, OfReport); 3] = [
            ("cold p50 us", |report| {
                Some(report.cold.as_ref()?.latency.as_ref()?.p50_us)
            }),
            ("instance MiB", |report| {
                let bytes = report.invocation.as_ref()?.memory_p50_bytes?;
                Some(super::figures::number(bytes) / f64::from(1 << 20))
            }),
            ("node MiB", |report| {
                let bytes = report.node.as_ref()?.memory_under_load_bytes;
                Some(super::figures::number(bytes) / f64::from(1 << 20))
            }),
        ];
        for (figure, value) in once {
            if let (Some(before), Some(now)) = (value(before), value(now)) {
                let alone = |median| Spread { median, half: None };
                rows.push(Row::of(figure, alone(before), alone(now), None));
            }
        }
        Self {
            rows,
            differs: differences(before, now),
        }
    }

    /// The figures that are worse.
    pub(super) fn worse(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.worse)
    }
}

impl Row {
    fn of(figure: &'static str, before: Spread, now: Spread, bound: Option<f64>) -> Self {
        let ratio = if before.median > 0.0 {
            now.median / before.median
        } else {
            1.0
        };
        let noise = now.half.zip(before.half).map(|(now, before)| now + before);
        let worse_by = ratio - 1.0;
        Self {
            figure,
            before: before.median,
            now: now.median,
            ratio,
            noise,
            worse: bound.is_some_and(|bound| worse_by > bound && worse_by > noise.unwrap_or(0.0)),
        }
    }
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    /// Half of the way from the least to the most, as a part of the median.
    half: Option<f64>,
}

fn spread(report: &Report, value: OfRound) -> Option<Spread> {
    let values = report.rounds.iter().map(value);
    let mut values: Vec<f64> = values.collect::<Option<_>>()?;
    values.sort_by(f64::total_cmp);
    let median = *values.get(values.len() / 2)?;
    let (least, most) = (values.first()?, values.last()?);
    let half = (values.len() > 1 && median > 0.0).then(|| (most - least) / 2.0 / median);
    Some(Spread { median, half })
}

/// What was not the same then, in words.
fn differences(before: &Report, now: &Report) -> Vec<String> {
    let mut differs = Vec::new();
    let mut push = |what: &str, before: String, now: String| {
        if before != now {
            differs.push(format!("{what}: {before}, now {now}"));
        }
    };
    let [was, is] = [before, now].map(|report| {
        let Setup {
            target,
            component,
            flags,
            request,
            body_bytes,
            connections,
            rate,
            round_ms,
            rounds,
        } = &report.setup;
        let shown_flags = match flags.is_empty() {
            true => "none".to_owned(),
            false => flags.join(" "),
        };
        let component = component
            .as_ref()
            .map_or("none".to_owned(), ToString::to_string);
        let rate = rate.map_or("as answered".to_owned(), |rate| rate.to_string());
        [
            ("target", target.clone()),
            ("component", component),
            ("flags", shown_flags),
            ("request", request.clone()),
            ("body bytes", body_bytes.to_string()),
            ("connections", connections.to_string()),
            ("requests a second", rate),
            ("rounds", format!("{rounds} of {round_ms} ms")),
            ("midge", report.midge.clone()),
            ("cores", report.machine.cores.to_string()),
            ("processor", report.machine.processor.clone()),
            ("kernel", report.machine.kernel.clone()),
        ]
    });
    for ((what, was), (_, is)) in was.into_iter().zip(is) {
        push(what, was, is);
    }
    if before.interrupted {
        differs.push("the baseline was stopped before its time".to_owned());
    }
    differs
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::cmd::bench::report::tests::sample;

    fn check(before: &[[f64; 3]], now: &[[f64; 3]], fail_over: Option<f64>) -> String {
        let comparison = Comparison::of(&sample(before), &sample(now), fail_over);
        let worse: Vec<_> = comparison.worse().map(|row| row.figure).collect();
        worse.join(", ")
    }

    /// Rounds that differ by nothing.
    const EVEN: [[f64; 3]; 3] = [[100.0, 900.0, 50.0]; 3];

    #[test]
    fn the_same_is_never_worse() {
        assert_snapshot!(check(&EVEN, &EVEN, Some(0.0)), @"");
    }

    #[test]
    fn more_than_was_allowed_is_worse_and_less_is_not() {
        let now = [[109.0, 1_000.0, 54.0]; 3];
        assert_snapshot!(check(&EVEN, &now, Some(0.1)), @"p99 us");
        assert_snapshot!(check(&EVEN, &now, Some(0.05)), @"p50 us, p99 us, CPU us/request");
        assert_snapshot!(check(&EVEN, &now, None), @"");
        assert_snapshot!(check(&now, &EVEN, Some(0.0)), @"");
    }

    #[test]
    fn what_the_noise_could_have_done_is_not_worse() {
        // By 20 %, with rounds that differ by as much in both directions.
        let before = [
            [90.0, 900.0, 50.0],
            [100.0, 900.0, 50.0],
            [110.0, 900.0, 50.0],
        ];
        let now = [
            [105.0, 900.0, 60.0],
            [120.0, 900.0, 60.0],
            [135.0, 900.0, 60.0],
        ];
        assert_snapshot!(check(&before, &now, Some(0.1)), @"CPU us/request");
    }

    #[test]
    fn what_was_different_is_said() {
        let (before, mut now) = (sample(&EVEN), sample(&EVEN));
        now.setup.connections = 64;
        now.setup.rate = Some(100);
        now.machine.cores = 4;
        let comparison = Comparison::of(&before, &now, None);
        assert_snapshot!(comparison.differs.join("\n"), @r"
        connections: 32, now 64
        requests a second: as answered, now 100
        cores: 2, now 4
        ");
    }

    #[test]
    fn a_figure_that_only_one_has_is_left_out() {
        let (before, mut now) = (sample(&EVEN), sample(&EVEN));
        now.cold = None;
        now.rounds[0].cpu_us_per_request = None;
        let comparison = Comparison::of(&before, &now, Some(0.1));
        let figures: Vec<_> = comparison.rows.iter().map(|row| row.figure).collect();
        assert_snapshot!(figures.join(", "), @"p50 us, p99 us, requests/s, instance MiB, node MiB");
    }
}
