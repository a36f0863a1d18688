//! `midge show NAME[@rN]`: everything about a function, or about one of its revisions.

use midge_api::{FunctionInfo, InvocationSummary, RevisionInfo};
use midge_model::quantity::format_bytes;
use midge_model::{Difference, Revision, RevisionNumber};
use serde::Serialize;

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::ShowArgs;
use crate::config::Target;
use crate::say;
use crate::table::Facts;

/// Prints it to stdout.
pub(super) fn run(args: &ShowArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        match args.name.revision {
            Some(number) => revision(session, args, number).await?,
            None => function(session, args).await?,
        }
        Ok(Ending::Done)
    })
}

/// A function and how it did, and the shape of `--json`.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    function: FunctionInfo,
    invocations: InvocationSummary,
}

async fn function(session: &Session, args: &ShowArgs) -> anyhow::Result<()> {
    let (client, namespace) = (&session.client, session.namespace());
    let name = &args.name.function;
    let function = client.get_function(namespace, name).await;
    let function = function.map_err(|error| session.fault(error))?;
    let invocations = client.invocations(namespace, name).await;
    let shown = Shown {
        function,
        invocations: invocations.map_err(|error| session.fault(error))?,
    };
    if args.form.json {
        say::record(&shown)?;
    } else {
        say::data(&function_facts(&shown).to_text())?;
    }
    Ok(())
}

async fn revision(
    session: &Session,
    args: &ShowArgs,
    number: RevisionNumber,
) -> anyhow::Result<()> {
    let (client, namespace) = (&session.client, session.namespace());
    let revision = client
        .get_revision(namespace, &args.name.function, number)
        .await;
    let revision = revision.map_err(|error| session.fault(error))?;
    if args.form.json {
        say::record(&revision)?;
    } else {
        say::data(&revision_facts(&revision).to_text())?;
    }
    Ok(())
}

fn function_facts(shown: &Shown) -> Facts {
    let Shown {
        function,
        invocations,
    } = shown;
    let mut facts = Facts::default();
    facts.row("function", &function.function);
    facts.row("namespace", &function.namespace);
    facts.row("url", &function.url);
    facts.row("traffic", &function.traffic);
    facts.row("isolation", &function.isolation);
    if let Some(sticky) = function.traffic.sticky() {
        facts.row("sticky", sticky);
    }
    facts.rows("routes", function.routes.iter().map(ToString::to_string));
    let revisions = function.revisions.iter().map(ToString::to_string);
    let revisions: Vec<_> = revisions.collect();
    facts.row(
        "revisions",
        &format!("{} (at most {})", revisions.join(" "), function.keep),
    );
    facts.row("created", &super::moment(function.created_at));
    facts.row("updated", &super::moment(function.updated_at));
    facts.rows("invocations", invocation_lines(invocations));
    facts
}

fn invocation_lines(invocations: &InvocationSummary) -> Vec<String> {
    let InvocationSummary {
        since,
        count,
        by_outcome,
        p50_ms,
        p90_ms,
        p99_ms,
        cpu_ms,
    } = invocations;
    let mut lines = vec![format!("{count} since {}", super::moment(*since))];
    lines.extend(
        by_outcome
            .iter()
            .map(|(outcome, count)| format!("{outcome} {count}")),
    );
    let times = [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms)];
    let times = times
        .iter()
        .filter_map(|(name, ms)| Some(format!("{name} {:.1} ms", (**ms)?)));
    let times: Vec<_> = times.collect();
    if !times.is_empty() {
        lines.push(format!("{}, cpu {cpu_ms} ms in all", times.join(", ")));
    }
    lines
}

fn revision_facts(revision: &RevisionInfo) -> Facts {
    let mut facts = Facts::default();
    facts.row("function", &revision.function);
    facts.row("namespace", &revision.namespace);
    facts.row("revision", &revision.number);
    facts.row("url", &revision.url);
    facts.row("weight", &revision.weight);
    facts.row("deployed", &super::moment(revision.created_at));
    facts.row("by", &revision.created_by);
    facts.row("message", &revision.message.as_deref().unwrap_or_default());
    facts.row("component", &revision.digest);
    facts.row("size", &format_bytes(revision.component_bytes));
    facts.rows("routes", revision.routes.iter().map(ToString::to_string));
    facts.row("isolation", &revision.isolation);
    facts.rows("grants", grants(revision));
    let limits = revision.limits.rows().into_iter();
    facts.rows(
        "limits",
        limits.map(|(key, value)| format!("{key} {value}")),
    );
    facts
}

/// Its grants for people: what would be new if there had been no revision before it.
fn grants(revision: &RevisionInfo) -> Vec<String> {
    let RevisionInfo {
        namespace,
        function,
        number,
        digest,
        grants,
        limits,
        isolation,
        routes,
        ..
    } = revision.clone();
    let new = Revision {
        namespace,
        function,
        number,
        digest,
        grants,
        limits,
        isolation,
        routes,
    };
    let granted = Difference::between(None, &new).grants.into_iter();
    granted
        .map(|grant| format!("{} {}", grant.kind, grant.grant))
        .collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::{Digest, Grants, Limits, NamespaceName, Timestamp, Traffic};

    use super::*;

    #[test]
    fn a_function_is_told_with_how_it_did() {
        let share = |text: &str| text.parse().unwrap();
        let sticky = Some("cookie:session".parse().unwrap());
        let shown = Shown {
            function: FunctionInfo {
                namespace: NamespaceName::default(),
                function: "checkout".parse().unwrap(),
                url: "http://checkout.default.localhost:8080/".to_owned(),
                traffic: Traffic::new(vec![share("r7=90"), share("r8=10")], sticky).unwrap(),
                revisions: vec!["r7".parse().unwrap(), "r8".parse().unwrap()],
                keep: 10,
                routes: vec!["POST /checkout".parse().unwrap()],
                isolation: midge_model::IsolationLevel::Serial,
                created_at: Timestamp::from_ms(0),
                updated_at: Timestamp::from_ms(1_795_356_000_123),
                version: 7,
            },
            invocations: InvocationSummary {
                since: Timestamp::from_ms(0),
                count: 3,
                by_outcome: [("answered".to_owned(), 2), ("trapped".to_owned(), 1)].into(),
                p50_ms: Some(1.5),
                p90_ms: Some(2.0),
                p99_ms: None,
                cpu_ms: 4,
            },
        };
        assert_snapshot!(function_facts(&shown).to_text(), @r"
        function     checkout
        namespace    default
        url          http://checkout.default.localhost:8080/
        traffic      r7=90 r8=10
        isolation    serial
        sticky       cookie:session
        routes       POST /checkout
        revisions    r7 r8 (at most 10)
        created      1970-01-01T00:00:00Z
        updated      2026-11-22T14:00:00Z
        invocations  3 since 1970-01-01T00:00:00Z
                     answered 2
                     trapped 1
                     p50 1.5 ms, p90 2.0 ms, cpu 4 ms in all
        ");
    }

    #[test]
    fn a_revision_is_told_with_its_grants() {
        let revision = RevisionInfo {
            namespace: NamespaceName::default(),
            function: "checkout".parse().unwrap(),
            number: RevisionNumber::FIRST,
            digest: Digest::of(b""),
            component_bytes: 1536,
            routes: Vec::new(),
            grants: Grants {
                http: vec!["https://api.example.com".parse().unwrap()],
                dirs: vec!["data:/data:rw".parse().unwrap()],
                ..Grants::default()
            },
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            created_at: Timestamp::from_ms(0),
            created_by: "admin".to_owned(),
            message: Some("fix\nrounding".to_owned()),
            weight: 100,
            url: "http://r1.checkout.default.localhost:8080/".to_owned(),
        };
        assert_snapshot!(revision_facts(&revision).to_text(), @r"
        function   checkout
        namespace  default
        revision   r1
        url        http://r1.checkout.default.localhost:8080/
        weight     100
        deployed   1970-01-01T00:00:00Z
        by         admin
        message    fix�rounding
        component  sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        size       1.5KiB
        routes     none
        isolation  fresh
        grants     http https://api.example.com
                   dirs data:/data:rw
        limits     memory 128MiB
                   cpu 2s
                   time 10s
                   concurrency 200
                   queue 1000
                   queue-time 10s
                   request-body 10MiB
                   response-body 1GiB
                   log 256KiB
                   log-rate 1MiB
                   outbound-calls 50
                   outbound-bytes 100MiB
                   sockets 16
                   weight 100
        ");
    }
}
