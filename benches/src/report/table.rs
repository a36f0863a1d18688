//! The tables: targets with their verdicts, and every figure by scenario. Markdown, so that a page
//! can hold what a terminal shows.

use std::fmt::Write as _;

use crate::record::{Measure, Run};
use crate::stats::Spread;
use crate::targets::{Bound, Target, Verdict};

/// The table of targets.
pub fn targets(judged: &[(&Target, Verdict)]) -> String {
    let mut rows = vec![["what", "figure", "spread", "target", ""].map(str::to_owned)];
    for (target, verdict) in judged {
        let unit = target.unit();
        let (figure, spread, word) = match verdict {
            Verdict::Met(spread) => (number(spread.median), range(spread), "met".to_owned()),
            Verdict::Missed(spread) => (
                number(spread.median),
                range(spread),
                "**missed**".to_owned(),
            ),
            Verdict::NotMeasured(why) => (
                String::new(),
                String::new(),
                format!("not measured: {}", cell(why)),
            ),
            Verdict::NotAsked => (String::new(), String::new(), "left out".to_owned()),
        };
        let figure = if figure.is_empty() {
            figure
        } else {
            with_unit(&figure, unit)
        };
        rows.push([
            target.what.to_owned(),
            figure,
            spread,
            bound(target.bound, unit),
            word,
        ]);
    }
    markdown(&rows)
}

/// Every figure of the run, a table for each scenario.
pub fn figures(run: &Run) -> String {
    let mut text = String::new();
    for scenario in &run.scenarios {
        let mut rows = vec![
            [
                "who",
                "CPU per request",
                "requests per second",
                "p50",
                "p99",
                "memory",
                "other",
            ]
            .map(str::to_owned),
        ];
        for subject in subjects(run, scenario) {
            let shown = |measure| shown(run, scenario, subject, measure);
            let each = [shown(Measure::EachKib), shown(Measure::Count)];
            rows.push([
                subject.to_owned(),
                shown(Measure::CpuMicros),
                shown(Measure::Rate),
                shown(Measure::P50Millis),
                shown(Measure::P99Millis),
                shown(Measure::MemoryMib),
                each.join(" ").trim().to_owned(),
            ]);
        }
        writeln!(text, "### {scenario}\n").expect("writing to a String cannot fail");
        if rows.len() > 1 {
            text += &markdown(&rows);
        }
        for gap in run.gaps.iter().filter(|gap| &gap.scenario == scenario) {
            writeln!(
                text,
                "\nNot measured: {}: {}",
                gap.subject,
                cell(&gap.reason)
            )
            .expect("writing to a String cannot fail");
        }
        text.push('\n');
    }
    text
}

fn subjects<'a>(run: &'a Run, scenario: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for series in run
        .series
        .iter()
        .filter(|series| series.scenario == scenario)
    {
        if !found.contains(&series.subject.as_str()) {
            found.push(&series.subject);
        }
    }
    found
}

/// A figure with its spread; nothing where there is none.
fn shown(run: &Run, scenario: &str, subject: &str, measure: Measure) -> String {
    let rounds = run.rounds(scenario, subject, measure);
    let Some(spread) = rounds.and_then(Spread::of) else {
        return String::new();
    };
    let figure = with_unit(&number(spread.median), measure.unit());
    if spread.low == spread.high {
        return figure;
    }
    format!("{figure} ({})", range(&spread))
}

fn bound(bound: Bound, unit: &str) -> String {
    let (sign, value) = match bound {
        Bound::AtMost(value) => ("≤", value),
        Bound::Below(value) => ("<", value),
        Bound::AtLeast(value) => ("≥", value),
    };
    with_unit(&format!("{sign} {}", plain(value)), unit)
}

fn with_unit(number: &str, unit: &str) -> String {
    match unit {
        "" => number.to_owned(),
        "/s" => format!("{number}/s"),
        unit => format!("{number} {unit}"),
    }
}

fn range(spread: &Spread) -> String {
    if spread.low == spread.high {
        return String::new();
    }
    format!("{} - {}", number(spread.low), number(spread.high))
}

/// Three digits, as many as a noisy machine can tell.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 { grouped(&text) } else { text }
}

/// A bound as the issue writes it.
fn plain(value: f64) -> String {
    format!("{value}")
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

/// Foreign text in one cell: one line, without what would end the cell, and not endless.
fn cell(text: &str) -> String {
    const CHARS_MAX: usize = 160;
    let clean = text.chars().map(|c| match c {
        '|' => '/',
        c if c.is_control() => ' ',
        c => c,
    });
    clean.take(CHARS_MAX).collect()
}

fn markdown<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N)
        .map(|column| width(column).unwrap_or(0).max(3))
        .collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "| {cell:<width$} ").expect("writing to a String cannot fail");
        }
        text.push_str("|\n");
        if at == 0 {
            for width in &widths {
                write!(text, "| {} ", "-".repeat(*width)).expect("writing to a String cannot fail");
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{cell, figures, number, targets};
    use crate::record::{Measure, Run};
    use crate::targets::judge;

    fn run() -> Run {
        let mut run = Run {
            scenarios: vec!["hello-rust".to_owned(), "waiting".to_owned()],
            ..Run::default()
        };
        for (subject, rounds) in [("hyper", [8.0, 8.5]), ("midge", [20.0, 21.0])] {
            for round in rounds {
                run.add("hello-rust", subject, Measure::CpuMicros, round);
                run.add("hello-rust", subject, Measure::Rate, 1e6 / round);
            }
        }
        run.miss("hello-rust", "spin", "spin is not on PATH");
        run.add("waiting", "midge", Measure::EachKib, 120.0);
        run
    }

    /// A line without what only makes columns.
    fn narrow(line: &str) -> String {
        let words = line.split_whitespace().map(|word| {
            let dashes = word.len() > 1 && word.chars().all(|c| c == '-');
            if dashes { "--" } else { word }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn targets_stand_with_figure_spread_bound_and_verdict() {
        let run = run();
        let judged = judge(&run);
        let table = targets(&judged);
        let asked = table.lines().filter(|line| !line.contains("left out"));
        let asked: Vec<String> = asked.map(narrow).collect();
        insta::assert_snapshot!(asked.join("\n"), @r"
        | what | figure | spread | target | |
        | -- | -- | -- | -- | -- |
        | CPU, Rust hello: midge / bare hyper | 2.49 | 2.47 - 2.50 | ≤ 3.5 | met |
        | CPU, Rust hello: wasmtime serve / midge | | | ≥ 6 | not measured: wasmtime serve: no figure |
        | CPU, Rust hello: Spin / midge | | | ≥ 6 | not measured: spin: spin is not on PATH |
        | requests per second, Rust hello: midge / wasmtime serve | | | ≥ 5 | not measured: wasmtime serve: no figure |
        | 1,000 instances waiting on outbound, each | 120 KiB | | < 100 KiB | **missed** |
        ");
    }

    #[test]
    fn every_figure_stands_in_its_scenario() {
        let shown: Vec<String> = figures(&run()).lines().map(narrow).collect();
        insta::assert_snapshot!(shown.join("\n").trim_end(), @r"
        ### hello-rust

        | who | CPU per request | requests per second | p50 | p99 | memory | other |
        | -- | -- | -- | -- | -- | -- | -- |
        | hyper | 8.25 µs (8.00 - 8.50) | 121,324/s (117,647 - 125,000) | | | | |
        | midge | 20.5 µs (20.0 - 21.0) | 48,810/s (47,619 - 50,000) | | | | |

        Not measured: spin: spin is not on PATH

        ### waiting

        | who | CPU per request | requests per second | p50 | p99 | memory | other |
        | -- | -- | -- | -- | -- | -- | -- |
        | midge | | | | | | 120 KiB |
        ");
    }

    #[test]
    fn numbers_have_three_digits_or_all_that_stand_before_the_point() {
        let shown = [0.0, 0.125, 9.996, 31.26, 480.4, 1234567.0, -1000.0].map(number);
        assert_eq!(
            shown,
            [
                "0.00",
                "0.12",
                "10.00",
                "31.3",
                "480",
                "1,234,567",
                "-1,000"
            ]
        );
    }

    #[test]
    fn foreign_text_stays_in_its_cell() {
        assert_eq!(cell("a|b\nc\u{1b}[31m"), "a/b c [31m");
        assert_eq!(cell(&"x".repeat(1000)).len(), 160);
    }
}
