//! `midge policy check [PATH]`: what a policy makes of what functions ask for.
//!
//! A line for every grant and every limit, and by which rule it is allowed or refused. Deciding
//! that is midge-model; this only lays it out.

use midge_model::{FunctionName, PolicyVerdict};
use serde::Serialize;

use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::{PolicyArgs, PolicyCheckArgs, PolicyCommand};
use crate::config::{self, Overrides, PolicyChoice};
use crate::{functions, log, policy, say};

/// Does with a policy what was typed.
pub(super) fn run(args: PolicyArgs) -> anyhow::Result<Ending> {
    match args.command {
        PolicyCommand::Check(args) => check(args),
    }
}

fn check(args: PolicyCheckArgs) -> anyhow::Result<Ending> {
    let _log = log::start(&config::default_log().map_err(hinted)?, None);
    let beside = functions::manifest_at(&args.path).map_err(hinted)?;
    let beside = beside.and_then(|manifest| policy::beside(&manifest));
    let choice = PolicyChoice {
        file: args.policy.or(beside),
        private: Vec::new(),
    };
    let policy = policy::load(&choice).map_err(hinted)?;
    let functions = functions::read(&args.path, &Overrides::default(), &policy).map_err(hinted)?;
    let verdicts = policy::verdicts(&policy, &functions);
    let lines = if args.json {
        let lines = verdicts.iter().map(|verdict| Line::of(verdict).to_json());
        lines.collect::<Result<String, _>>()?
    } else {
        table(&verdicts)
    };
    say::data(&lines)?;
    conclude(&verdicts)
}

fn conclude(verdicts: &[(FunctionName, PolicyVerdict)]) -> anyhow::Result<Ending> {
    let refused: Vec<_> = verdicts
        .iter()
        .map(|(_, verdict)| verdict)
        .filter(|verdict| !verdict.allowed)
        .collect();
    if refused.is_empty() {
        return Ok(Ending::Done);
    }
    let error = anyhow::anyhow!(
        "the policy refuses {} of {} grants and limits",
        refused.len(),
        verdicts.len()
    );
    match policy::hints(refused) {
        Some(hint) => Err(with_hint(error, hint)),
        None => Err(error),
    }
}

/// One verdict, and the shape of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    function: &'a FunctionName,
    allowed: bool,
    asked: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of((function, verdict): &'a (FunctionName, PolicyVerdict)) -> Self {
        Self {
            function,
            allowed: verdict.allowed,
            asked: &verdict.asked,
            rule: verdict.rule.as_deref(),
            hint: verdict.hint.as_deref(),
        }
    }

    fn to_json(&self) -> serde_json::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }
}

fn table(verdicts: &[(FunctionName, PolicyVerdict)]) -> String {
    let lines: Vec<_> = verdicts.iter().map(Line::of).collect();
    let width = |text: fn(&Line<'_>) -> usize| lines.iter().map(text).max().unwrap_or(0);
    let function_width = width(|line| line.function.as_str().len());
    let asked_width = width(|line| line.asked.chars().count());
    let row = |line: &Line<'_>| {
        let verdict = if line.allowed { "allowed" } else { "refused" };
        let row = format!(
            "{:function_width$}  {verdict}  {:asked_width$}  {}",
            line.function.as_str(),
            line.asked,
            line.rule.unwrap_or_default()
        );
        format!("{}\n", say::clean_line(row.trim_end()))
    };
    lines.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn verdict(asked: &str, rule: Option<&str>, allowed: bool) -> (FunctionName, PolicyVerdict) {
        let verdict = PolicyVerdict {
            asked: asked.to_owned(),
            rule: rule.map(str::to_owned),
            allowed,
            hint: None,
        };
        ("shop".parse().unwrap(), verdict)
    }

    #[test]
    fn every_verdict_is_a_line_in_columns() {
        let verdicts = [
            verdict("http https://api.example.com", Some("line 4"), true),
            verdict("time 30s", None, false),
        ];
        assert_snapshot!(table(&verdicts), @r"
        shop  allowed  http https://api.example.com  line 4
        shop  refused  time 30s
        ");
    }
}
