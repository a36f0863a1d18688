//! `midge audit`: who changed what, from where, and how that ended; newest first.

use midge_api::{AuditEntry, AuditOutcome, AuditQuery, LIMIT_MAX, PageRequest};

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::AuditArgs;
use crate::config::Target;
use crate::say;
use crate::table::Table;

/// Prints entries to stdout.
pub(super) fn run(args: &AuditArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let entries = newest(session, args).await?;
        if args.form.json {
            entries.iter().try_for_each(say::record)?;
            return Ok(Ending::Done);
        }
        super::print(&table(&entries), || "nothing was changed yet".to_owned())
    })
}

/// As many of the newest entries as were asked for.
async fn newest(session: &Session, args: &AuditArgs) -> anyhow::Result<Vec<AuditEntry>> {
    let wanted = usize::try_from(args.last).unwrap_or(usize::MAX);
    let mut entries: Vec<AuditEntry> = Vec::new();
    let mut cursor = None;
    loop {
        let missing = u32::try_from(wanted - entries.len()).unwrap_or(LIMIT_MAX);
        let query = AuditQuery {
            namespace: args.namespace.clone(),
            page: PageRequest {
                cursor,
                limit: Some(missing.min(LIMIT_MAX)),
            },
        };
        let page = session.client.list_audit(&query).await;
        let page = page.map_err(|error| session.fault(error))?;
        let is_empty = page.items.is_empty();
        entries.extend(page.items);
        entries.truncate(wanted);
        cursor = page.next;
        if cursor.is_none() || is_empty || entries.len() == wanted {
            return Ok(entries);
        }
    }
}

fn table(entries: &[AuditEntry]) -> Table<7> {
    let mut table = Table::new([
        "AT",
        "WHO",
        "FROM",
        "ACTION",
        "NAMESPACE",
        "SUBJECT",
        "OUTCOME",
    ]);
    for entry in entries {
        table.row([
            super::moment(entry.at),
            entry.actor.name.clone(),
            entry.from.clone(),
            entry.action.clone(),
            entry
                .namespace
                .as_ref()
                .map_or(String::new(), ToString::to_string),
            entry.subject.clone(),
            outcome(entry),
        ]);
    }
    table
}

fn outcome(entry: &AuditEntry) -> String {
    let word = match entry.outcome {
        AuditOutcome::Begun => "begun",
        AuditOutcome::Done => "done",
        AuditOutcome::Refused => "refused",
        AuditOutcome::Failed => "failed",
    };
    match &entry.code {
        Some(code) => format!("{word}:{code}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_api::AuditActor;
    use midge_model::{NamespaceName, Timestamp};

    use super::*;

    #[test]
    fn a_change_is_a_line_with_its_outcome() {
        let entry = AuditEntry {
            id: "0192".to_owned(),
            at: Timestamp::from_ms(1_795_356_000_123),
            actor: AuditActor {
                token: None,
                name: "ci".to_owned(),
            },
            from: "127.0.0.1".to_owned(),
            request_id: "0192".to_owned(),
            action: "deploy".to_owned(),
            namespace: Some(NamespaceName::default()),
            subject: "checkout".to_owned(),
            outcome: AuditOutcome::Refused,
            code: Some("widens".to_owned()),
            detail: serde_json::Value::Null,
        };
        assert_snapshot!(table(&[entry]).to_text(true), @r"
        AT                    WHO  FROM       ACTION  NAMESPACE  SUBJECT   OUTCOME
        2026-11-22T14:00:00Z  ci   127.0.0.1  deploy  default    checkout  refused:widens
        ");
    }
}
