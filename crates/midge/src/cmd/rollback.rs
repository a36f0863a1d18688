//! `midge rollback NAME [--to rN]`: who answered before answers again.

use midge_api::RollbackRequest;

use super::Ending;
use super::fault::hinted;
use super::list::who_answers;
use super::session::Session;
use crate::cli::RollbackArgs;
use crate::config::Target;
use crate::say;

/// Rolls back, and says from which revision to which.
pub(super) fn run(args: &RollbackArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let before = client.get_function(namespace, name).await;
        let before = before.map_err(|error| session.fault(error))?;
        let request = RollbackRequest { to: args.to };
        let rolled_back = session.write(async |mut options| {
            // What we say it was is what it is rolled back from, or it is not rolled back.
            options.if_match = Some(before.version);
            client.rollback(namespace, name, &request, &options).await
        });
        let after = rolled_back.await?;
        let (from, to) = (who_answers(&before.traffic), who_answers(&after.traffic));
        say::line(&format!("{name}: from {from} to {to}"));
        if args.form.json {
            say::record(&after)?;
        }
        Ok(Ending::Done)
    })
}
