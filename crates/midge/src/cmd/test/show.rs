//! What a person or a program reads of a test run.
//!
//! Cases go to stdout, one after the other; what is true of all of them goes to stderr.
//!
//! **Invariant:** what guests wrote loses its control characters before a terminal sees it.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use midge_model::{FunctionName, Use};
use serde::Serialize;

use super::Verdict;
use super::files::Planned;
use super::touched::Snapshot;
use crate::cli::TestArgs;
use crate::say;

const GOOD: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Log lines that are shown of a case that failed: the last ones, which say why.
const LOG_LINES_MAX: usize = 40;

/// A case as a record.
#[derive(Serialize)]
struct Record<'a> {
    file: String,
    line: usize,
    case: &'a str,
    function: Option<&'a FunctionName>,
    passed: bool,
    millis: u128,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    log: &'a [String],
}

/// Shows a case.
pub(super) fn case(
    planned: &Planned<'_>,
    verdict: &Verdict,
    args: &TestArgs,
) -> anyhow::Result<()> {
    let act = &verdict.act;
    let log: &[String] = match verdict.is_good() {
        true => &[],
        false => last(&act.log),
    };
    if args.json {
        say::record(&Record {
            file: planned.file.path.display().to_string(),
            line: planned.case.line,
            case: &planned.case.name,
            function: act.function.as_ref(),
            passed: verdict.is_good(),
            millis: act.took.as_millis(),
            differences: verdict.lines(),
            log,
        })?;
        return Ok(());
    }
    let (style, word) = match verdict.is_good() {
        true => (GOOD, "ok  "),
        // Whether it can be rewritten is known when all are done.
        false if args.update => (CHANGED, "diff"),
        false => (BAD, "FAIL"),
    };
    let name = planned.name();
    let name = say::clean_line(&name);
    let mut text = format!(
        "{style}{word}{style:#} {name} ({} ms)\n",
        act.took.as_millis()
    );
    let indented = verdict
        .lines()
        .into_iter()
        .chain(log.iter().map(|line| format!("| {line}")));
    for line in indented {
        for line in line.lines() {
            writeln!(text, "     {}", say::clean_line(line)).expect("a String takes all writes");
        }
    }
    say::data(&text)?;
    Ok(())
}

fn last(lines: &[String]) -> &[String] {
    &lines[lines.len().saturating_sub(LOG_LINES_MAX)..]
}

impl Verdict {
    /// What differs, each with its picture below.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.differences.iter().map(|difference| {
            let mut text = difference.what.clone();
            for line in &difference.picture {
                text.push_str("\n  ");
                text.push_str(line);
            }
            text
        });
        lines.collect()
    }
}

/// What a run came to.
pub(super) struct Totals {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) updated: usize,
    /// What functions were not known to touch.
    pub(super) new: Vec<(FunctionName, Use)>,
    pub(super) took: Duration,
}

#[derive(Serialize)]
struct TotalsRecord {
    passed: usize,
    failed: usize,
    updated: usize,
    millis: u128,
    touched: Vec<String>,
}

impl Totals {
    /// Whether everything is as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.failed == 0 && self.new.is_empty()
    }

    /// Says so.
    pub(super) fn show(&self, snapshot: &Snapshot<'_>, json: bool) -> anyhow::Result<()> {
        let Self {
            passed,
            failed,
            updated,
            new,
            took,
        } = self;
        let new: Vec<_> = new
            .iter()
            .map(|(function, what)| {
                let path = snapshot.path().display();
                format!("function {function} {what}, which {path} does not have")
            })
            .collect();
        if json {
            say::record(&TotalsRecord {
                passed: *passed,
                failed: *failed,
                updated: *updated,
                millis: took.as_millis(),
                touched: new,
            })?;
            return Ok(());
        }
        for line in &new {
            say::error(line, None);
        }
        if !new.is_empty() {
            say::text("\nhint: if it should, midge test --update writes it down\n");
        }
        let updated = match updated {
            0 => String::new(),
            updated => format!(", {updated} updated"),
        };
        let seconds = took.as_secs_f32();
        say::line(&format!(
            "{passed} passed, {failed} failed{updated} in {seconds:.1} s"
        ));
        Ok(())
    }
}
