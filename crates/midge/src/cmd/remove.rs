//! `midge remove NAME`: a function and all its revisions, gone.

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::RemoveArgs;
use crate::config::Target;
use crate::{prompt, say};

/// Removes it. A person is asked first; a script said what it wants.
pub(super) fn run(args: &RemoveArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let function = client.get_function(namespace, name).await;
        let function = function.map_err(|error| session.fault(error))?;
        let full_name = name.in_namespace(namespace);
        let count = match function.revisions.len() {
            1 => "its only revision".to_owned(),
            count => format!("its {count} revisions"),
        };
        if !args.yes
            && prompt::is_interactive()
            && !prompt::is_yes(&format!("remove {full_name} and {count}?"))?
        {
            anyhow::bail!("not removed");
        }
        session
            .remove(async |options| client.remove_function(namespace, name, &options).await)
            .await?;
        say::line(&format!("removed {full_name} and {count}"));
        Ok(Ending::Done)
    })
}
