//! `midge quota show|set`: how much a namespace may hold.

use midge_model::{Quota, QuotaPatch};

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::{FormArgs, QuotaArgs, QuotaCommand, QuotaSetArgs, QuotaShowArgs};
use crate::config::Target;
use crate::say;
use crate::table::Facts;

/// Does with a quota what was typed.
pub(super) fn run(args: QuotaArgs) -> anyhow::Result<Ending> {
    match args.command {
        QuotaCommand::Show(args) => show(&args),
        QuotaCommand::Set(args) => set(&args),
    }
}

fn show(args: &QuotaShowArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let form = args.form;
    Session::open(target)?.run(async |session| {
        let quota = session.client.get_quota(session.namespace()).await;
        print(form, &quota.map_err(|error| session.fault(error))?)
    })
}

fn set(args: &QuotaSetArgs) -> anyhow::Result<Ending> {
    // What was typed last counts.
    let wishes = args.wishes.iter().copied();
    let patch = wishes.fold(QuotaPatch::default(), |before, wish| wish.or(before));
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let form = args.form;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let quota = session
            .write(async |options| client.set_quota(namespace, &patch, &options).await)
            .await?;
        say::line(&format!("set the quota of namespace {namespace}"));
        print(form, &quota)
    })
}

fn print(form: FormArgs, quota: &Quota) -> anyhow::Result<Ending> {
    if form.json {
        say::record(quota)?;
        return Ok(Ending::Done);
    }
    let mut facts = Facts::default();
    for (key, value) in quota.rows() {
        facts.row(key, &value);
    }
    say::data(&facts.to_text())?;
    Ok(Ending::Done)
}
