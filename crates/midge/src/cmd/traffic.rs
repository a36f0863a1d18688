//! `midge traffic NAME [rN=WEIGHT …]`: which revisions answer, and how often each.

use midge_api::FunctionInfo;
use midge_model::{Share, Traffic};

use super::Ending;
use super::fault::hinted;
use super::list::who_answers;
use super::session::Session;
use crate::cli::TrafficArgs;
use crate::config::Target;
use crate::say;
use crate::table::Table;

/// Shows the split, or makes another.
pub(super) fn run(args: &TrafficArgs) -> anyhow::Result<Ending> {
    let wanted = if args.shares.is_empty() {
        None
    } else {
        Some(Traffic::new(args.shares.clone(), args.sticky.clone())?)
    };
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let function = match &wanted {
            Some(traffic) => {
                let set = session.write(async |options| {
                    client.set_traffic(namespace, name, traffic, &options).await
                });
                let function = set.await?;
                say::line(&format!("{name}: {}", sentence(&function.traffic)));
                function
            }
            None => {
                let function = client.get_function(namespace, name).await;
                function.map_err(|error| session.fault(error))?
            }
        };
        if args.form.json {
            say::record(&function)?;
            return Ok(Ending::Done);
        }
        if wanted.is_some() {
            return Ok(Ending::Done);
        }
        if let Some(sticky) = function.traffic.sticky() {
            say::line(&format!("sticks to {sticky}"));
        }
        super::print(&table(&function), String::new)
    })
}

fn sentence(traffic: &Traffic) -> String {
    let who = who_answers(traffic);
    match traffic.sticky() {
        Some(sticky) => format!("{who}, by {sticky}"),
        None => who,
    }
}

fn table(function: &FunctionInfo) -> Table<3> {
    let mut table = Table::new(["REVISION", "WEIGHT", "SHARE"]);
    let shares = function.traffic.shares();
    let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
    for Share { revision, weight } in shares {
        table.row([
            revision.to_string(),
            weight.to_string(),
            share_of(*weight, total),
        ]);
    }
    table
}

/// A hundredth of a percent is as fine as weights are.
fn share_of(weight: u32, total: u64) -> String {
    let hundredths = u64::from(weight) * 10_000 / total;
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    if rest == 0 {
        format!("{whole}%")
    } else {
        format!("{whole}.{rest:02}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_in_percent() {
        assert_eq!(share_of(90, 100), "90%");
        assert_eq!(share_of(1, 3), "33.33%");
        assert_eq!(share_of(1, 10_001), "0%");
        assert_eq!(share_of(1, 1_000), "0.10%");
    }
}
