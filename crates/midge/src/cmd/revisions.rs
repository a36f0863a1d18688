//! `midge revisions NAME`: what was deployed of a function and is still kept, newest first.

use midge_api::RevisionInfo;
use midge_model::quantity::format_bytes;

use super::Ending;
use super::deploy::picture;
use super::fault::hinted;
use super::session::Session;
use crate::cli::RevisionsArgs;
use crate::config::Target;
use crate::say;
use crate::table::Table;

/// Prints them to stdout.
pub(super) fn run(args: &RevisionsArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        let revisions = client.all_revisions(session.namespace(), &args.name).await;
        let mut revisions = revisions.map_err(|error| session.fault(error))?;
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
        if json {
            for revision in &revisions {
                say::record(revision)?;
            }
            return Ok(Ending::Done);
        }
        let nothing = || format!("no revisions of {}", args.name);
        super::print(&table(&revisions), nothing)
    })
}

fn table(revisions: &[RevisionInfo]) -> Table<7> {
    let mut table = Table::new([
        "REVISION",
        "WEIGHT",
        "DEPLOYED",
        "BY",
        "COMPONENT",
        "SIZE",
        "MESSAGE",
    ]);
    for revision in revisions {
        table.row([
            revision.number.to_string(),
            match revision.weight {
                0 => String::new(),
                weight => weight.to_string(),
            },
            super::moment(revision.created_at),
            revision.created_by.clone(),
            picture::short(&revision.digest),
            format_bytes(revision.component_bytes),
            revision.message.clone().unwrap_or_default(),
        ]);
    }
    table
}
