//! `midge namespace create|list|remove`: rooms that know nothing of each other.

use midge_api::{NamespaceInfo, NamespaceRequest};
use midge_model::QuotaPatch;

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::{
    NamespaceArgs, NamespaceCommand, NamespaceCreateArgs, NamespaceListArgs, NamespaceRemoveArgs,
};
use crate::config::Target;
use crate::say;
use crate::table::Table;

/// Does with namespaces what was typed.
pub(super) fn run(args: NamespaceArgs) -> anyhow::Result<Ending> {
    match args.command {
        NamespaceCommand::Create(args) => create(args),
        NamespaceCommand::List(args) => list(&args),
        NamespaceCommand::Remove(args) => remove(&args),
    }
}

fn create(args: NamespaceCreateArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    let request = NamespaceRequest {
        name: args.name,
        quota: QuotaPatch::default(),
    };
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        let created = session
            .write(async |options| client.create_namespace(&request, &options).await)
            .await?;
        if args.form.json {
            say::record(&created)?;
        }
        say::line(&format!("made namespace {}", created.name));
        Ok(Ending::Done)
    })
}

fn list(args: &NamespaceListArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let namespaces = session.client.all_namespaces().await;
        let namespaces = namespaces.map_err(|error| session.fault(error))?;
        if json {
            namespaces.iter().try_for_each(say::record)?;
            return Ok(Ending::Done);
        }
        super::print(&table(&namespaces), || "no namespaces".to_owned())
    })
}

fn table(namespaces: &[NamespaceInfo]) -> Table<3> {
    let mut table = Table::new(["NAME", "CREATED", "QUOTA"]);
    for namespace in namespaces {
        let quota = namespace.quota.rows().into_iter();
        let quota: Vec<_> = quota.map(|(key, value)| format!("{key}={value}")).collect();
        table.row([
            namespace.name.to_string(),
            super::moment(namespace.created_at),
            quota.join(" "),
        ]);
    }
    table
}

/// The node refuses one that is not empty, so nobody has to be asked.
fn remove(args: &NamespaceRemoveArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        session
            .remove(async |options| client.delete_namespace(name, &options).await)
            .await?;
        say::line(&format!("removed namespace {name}"));
        Ok(Ending::Done)
    })
}
