//! `midge list`: the functions of a namespace, one a line.

use midge_api::FunctionInfo;
use midge_model::Traffic;

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::ListArgs;
use crate::config::Target;
use crate::say;
use crate::table::Table;

/// Prints them to stdout.
pub(super) fn run(args: &ListArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        let functions = client.all_functions(session.namespace()).await;
        let functions = functions.map_err(|error| session.fault(error))?;
        if json {
            for function in &functions {
                say::record(function)?;
            }
            return Ok(Ending::Done);
        }
        let nothing = || format!("no functions in namespace {}", session.namespace());
        super::print(&table(&functions), nothing)
    })
}

fn table(functions: &[FunctionInfo]) -> Table<6> {
    let mut table = Table::new([
        "NAME",
        "TRAFFIC",
        "REVISIONS",
        "ISOLATION",
        "UPDATED",
        "URL",
    ]);
    for function in functions {
        table.row([
            function.function.to_string(),
            who_answers(&function.traffic),
            function.revisions.len().to_string(),
            function.isolation.to_string(),
            super::moment(function.updated_at),
            function.url.clone(),
        ]);
    }
    table
}

/// A split in one word, or the only revision that answers.
pub(super) fn who_answers(traffic: &Traffic) -> String {
    match traffic.shares() {
        [only] => only.revision.to_string(),
        _ => traffic.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::{NamespaceName, RevisionNumber, Timestamp};

    use super::*;

    fn function(name: &str, shares: &[&str]) -> FunctionInfo {
        let shares: Vec<midge_model::Share> =
            shares.iter().map(|share| share.parse().unwrap()).collect();
        FunctionInfo {
            namespace: NamespaceName::default(),
            function: name.parse().unwrap(),
            url: format!("http://{name}.default.localhost:8080/"),
            traffic: Traffic::new(shares, None).unwrap(),
            revisions: vec![RevisionNumber::FIRST],
            keep: 10,
            routes: Vec::new(),
            isolation: midge_model::IsolationLevel::Fresh,
            created_at: Timestamp::from_ms(0),
            updated_at: Timestamp::from_ms(1_795_356_000_123),
            version: 7,
        }
    }

    #[test]
    fn a_function_is_a_line() {
        let functions = [
            function("a", &["r8=100"]),
            function("checkout", &["r7=90", "r8=10"]),
        ];
        assert_snapshot!(table(&functions).to_text(true), @r"
        NAME      TRAFFIC      REVISIONS  ISOLATION  UPDATED               URL
        a         r8           1          fresh      2026-11-22T14:00:00Z  http://a.default.localhost:8080/
        checkout  r7=90 r8=10  1          fresh      2026-11-22T14:00:00Z  http://checkout.default.localhost:8080/
        ");
    }
}
