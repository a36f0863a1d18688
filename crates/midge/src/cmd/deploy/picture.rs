//! What a deploy would change, as people read it.
//!
//! Decides the words and their order. What counts as a change, and what widens, is midge-model;
//! what is refused is the node's to say.
//!
//! **Invariant:** everything that widens says so at the end of its line.

use std::fmt::Write as _;

use midge_api::{DeployChange, DeployPlan};
use midge_model::{Change, ComponentChange, Difference, Digest, Limits};

use crate::say;

/// How many hexadecimal digits of a digest tell two components apart.
const DIGEST_SHOWN: usize = 12;

/// The plan of one function: a line with what becomes of it, and a line for each difference.
pub(crate) fn plan(plan: &DeployPlan) -> String {
    let function = &plan.function;
    let mut text = match (plan.change, plan.live) {
        (DeployChange::New, _) => format!("new        {function}  {}\n", plan.url),
        (DeployChange::Changed, Some(live)) => format!("changed    {function}  after {live}\n"),
        (DeployChange::Changed, None) => format!("changed    {function}\n"),
        (DeployChange::Unchanged, Some(live)) => format!("unchanged  {function}  {live}\n"),
        (DeployChange::Unchanged, None) => format!("unchanged  {function}\n"),
    };
    for line in lines(plan) {
        writeln!(text, "  {}", say::clean_line(&line)).expect("a String takes all writes");
    }
    text
}

/// What a function would get more of, for a question or a refusal; nothing if nothing widens.
pub(crate) fn widening(plan: &DeployPlan) -> Vec<String> {
    let Difference {
        limits,
        grants,
        isolation,
        ..
    } = &plan.difference;
    let limits = limits.iter().filter(|limit| limit.widens).map(|limit| {
        let from = limit.from.as_deref().unwrap_or("nothing");
        format!("{}: {} {from} -> {}", plan.function, limit.name, limit.to)
    });
    let grants = grants.iter().filter(|grant| grant.widens);
    let grants = grants.map(|grant| format!("{}: {} {}", plan.function, grant.kind, grant.grant));
    let isolation = isolation.iter().filter(|isolation| isolation.widens);
    let isolation = isolation.map(|isolation| {
        let from = isolation.from.as_deref().unwrap_or("fresh");
        format!("{}: isolation {from} -> {}", plan.function, isolation.to)
    });
    limits.chain(isolation).chain(grants).collect()
}

/// The first digits of a digest.
pub(crate) fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    let hex = text.strip_prefix("sha256:").unwrap_or(&text);
    hex.chars().take(DIGEST_SHOWN).collect()
}

fn lines(plan: &DeployPlan) -> Vec<String> {
    let Difference {
        component,
        routes,
        limits,
        grants,
        isolation,
    } = &plan.difference;
    let mut lines = Vec::new();
    if let Some(ComponentChange {
        from: Some(from),
        to,
    }) = component
    {
        lines.push(format!("~ component  {} -> {}", short(from), short(to)));
    }
    for change in routes {
        lines.push(format!("{} route  {}", sign(change.change), change.route));
    }
    for limit in limits {
        match &limit.from {
            Some(from) => lines.push(format!(
                "~ limit  {} {from} -> {}{}",
                limit.name,
                limit.to,
                widens(limit.widens)
            )),
            None if is_usual(&limit.name, &limit.to) => {}
            None => lines.push(format!("+ limit  {} {}", limit.name, limit.to)),
        }
    }
    if let Some(isolation) = isolation {
        lines.push(match &isolation.from {
            Some(from) => format!(
                "~ isolation  {from} -> {}{}",
                isolation.to,
                widens(isolation.widens)
            ),
            None => format!("+ isolation  {}", isolation.to),
        });
    }
    for grant in grants {
        let from = grant.from.as_deref();
        let from = from.map_or(String::new(), |from| format!("  (was {from})"));
        lines.push(format!(
            "{} {}  {}{from}{}",
            sign(grant.change),
            grant.kind,
            grant.grant,
            widens(grant.widens)
        ));
    }
    for verdict in plan.refused.iter().filter(|verdict| !verdict.allowed) {
        let rule = verdict.rule.as_deref();
        let rule = rule.map_or(String::new(), |rule| format!("  ({rule})"));
        lines.push(format!("! refused by the policy: {}{rule}", verdict.asked));
    }
    for warning in &plan.warnings {
        lines.push(format!("! {warning}"));
    }
    lines
}

fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

fn widens(widens: bool) -> &'static str {
    if widens { "  (widens)" } else { "" }
}

/// A new function is told with what its author asked for, not with all that there is.
fn is_usual(name: &str, value: &str) -> bool {
    let usual = Limits::SAFE.rows();
    let mut usual = usual.iter();
    usual.any(|(key, usual)| *key == name && *usual == value)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_api::Verdict;
    use midge_model::{Grants, NamespaceName, Revision, RevisionNumber};

    use super::*;

    fn revision(memory_bytes: u64, grants: Grants, routes: &[&str]) -> Revision {
        Revision {
            namespace: NamespaceName::default(),
            function: "checkout".parse().unwrap(),
            number: RevisionNumber::FIRST,
            digest: Digest::of(&memory_bytes.to_le_bytes()),
            grants,
            limits: Limits {
                memory_bytes,
                ..Limits::SAFE
            },
            isolation: midge_model::Isolation::Fresh,
            routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        }
    }

    fn planned(old: Option<&Revision>, new: &Revision) -> DeployPlan {
        let difference = Difference::between(old, new);
        DeployPlan {
            namespace: new.namespace.clone(),
            function: new.function.clone(),
            change: match old {
                None => DeployChange::New,
                Some(_) if difference.is_empty() => DeployChange::Unchanged,
                Some(_) => DeployChange::Changed,
            },
            live: old.map(|old| old.number),
            widens: difference.widens(),
            difference,
            refused: Vec::new(),
            warnings: Vec::new(),
            component_known: false,
            url: "http://checkout.default.localhost:8080/".to_owned(),
        }
    }

    fn http(grant: &str) -> Grants {
        Grants {
            http: vec![grant.parse().unwrap()],
            env: [("LOG".to_owned(), "debug".to_owned())].into(),
            ..Grants::default()
        }
    }

    #[test]
    fn a_new_function_is_told_with_what_it_asks_for() {
        let new = revision(
            64 << 20,
            http("https://api.example.com"),
            &["POST /checkout"],
        );
        assert_snapshot!(plan(&planned(None, &new)), @r"
        new        checkout  http://checkout.default.localhost:8080/
          + route  POST /checkout
          + limit  memory 64MiB
          + http  https://api.example.com
          + env  LOG
        ");
    }

    #[test]
    fn what_widens_is_said_at_the_end_of_its_line() {
        let old = revision(64 << 20, Grants::default(), &["POST /checkout"]);
        let new = revision(128 << 20, http("https://api.example.com"), &["/checkout/*"]);
        let planned = planned(Some(&old), &new);
        assert_snapshot!(plan(&planned), @r"
        changed    checkout  after r1
          ~ component  525c3368aba8 -> 0473a26b7f29
          - route  POST /checkout
          + route  /checkout/*
          ~ limit  memory 64MiB -> 128MiB  (widens)
          + http  https://api.example.com  (widens)
          + env  LOG
        ");
        assert_snapshot!(widening(&planned).join("\n"), @r"
        checkout: memory 64MiB -> 128MiB
        checkout: http https://api.example.com
        ");
    }

    #[test]
    fn what_is_the_same_is_one_line() {
        let old = revision(64 << 20, Grants::default(), &["/a"]);
        assert_snapshot!(plan(&planned(Some(&old), &old)), @"unchanged  checkout  r1");
    }

    #[test]
    fn refusals_and_warnings_stand_last_and_move_no_cursor() {
        let new = revision(64 << 20, Grants::default(), &["/a"]);
        let mut planned = planned(None, &new);
        planned.refused.push(Verdict {
            asked: "tcp db.internal:5432".to_owned(),
            rule: Some("policy.toml line 3".to_owned()),
            allowed: false,
            hint: None,
        });
        planned.warnings.push("imports \x1b[2J".to_owned());
        assert_snapshot!(plan(&planned), @r"
        new        checkout  http://checkout.default.localhost:8080/
          + route  /a
          + limit  memory 64MiB
          ! refused by the policy: tcp db.internal:5432  (policy.toml line 3)
          ! imports �[2J
        ");
    }
}
