//! `midge store check|backup|restore`: a store on this machine, without a node.
//!
//! What is sound, and what a backup holds, is midge-store.

use midge_model::quantity::format_bytes;
use midge_store::{BackupError, BackupSummary, OpenError, Report, RestoreError};

use super::Ending;
use super::fault::with_hint;
use crate::cli::{StoreArgs, StoreBackupArgs, StoreCheckArgs, StoreCommand, StoreRestoreArgs};
use crate::say;

/// Does with a store what was typed.
pub(super) fn run(args: &StoreArgs) -> anyhow::Result<Ending> {
    match &args.command {
        StoreCommand::Check(args) => check(args),
        StoreCommand::Backup(args) => backup(args),
        StoreCommand::Restore(args) => restore(args),
    }
}

fn check(args: &StoreCheckArgs) -> anyhow::Result<Ending> {
    let report = midge_store::check(&args.store.folder).map_err(not_opened)?;
    if args.form.json {
        say::record(&report)?;
    } else {
        let lines = lines(&report);
        say::data(&say::clean(&lines))?;
    }
    if report.is_sound() {
        say::line("the store is sound");
        Ok(Ending::Done)
    } else {
        let count = report.problems.len();
        anyhow::bail!("the store is not sound, {count} problems")
    }
}

fn lines(report: &Report) -> String {
    let Report {
        problems,
        unused,
        records,
        artifacts,
        artifact_bytes,
    } = report;
    let mut text = format!(
        "read     {records} records, {artifacts} artifacts ({})\n",
        format_bytes(*artifact_bytes)
    );
    let unused = unused.iter().map(|line| format!("unused   {line}\n"));
    let problems = problems.iter().map(|line| format!("problem  {line}\n"));
    text.extend(unused.chain(problems));
    text
}

fn backup(args: &StoreBackupArgs) -> anyhow::Result<Ending> {
    let summary = midge_store::backup(&args.store.folder, &args.file);
    let summary = summary.map_err(|error| match error {
        BackupError::Open(error) => not_opened(error),
        other => other.into(),
    })?;
    say::line(&format!(
        "{} holds {}; the key of its secrets is not in it",
        args.file.display(),
        sentence(summary)
    ));
    Ok(Ending::Done)
}

fn restore(args: &StoreRestoreArgs) -> anyhow::Result<Ending> {
    let summary = midge_store::restore(&args.file, &args.store.folder);
    let summary = summary.map_err(|error| match error {
        RestoreError::Open(error) => not_opened(error),
        other => other.into(),
    })?;
    say::line(&format!(
        "{} holds {}; put the key of its secrets there before a node starts",
        args.store.folder.display(),
        sentence(summary)
    ));
    Ok(Ending::Done)
}

fn sentence(summary: BackupSummary) -> String {
    let BackupSummary {
        records,
        artifacts,
        file_bytes,
    } = summary;
    let size = format_bytes(file_bytes);
    format!("{records} records and {artifacts} artifacts ({size})")
}

fn not_opened(error: OpenError) -> anyhow::Error {
    let is_missing = matches!(error, OpenError::Missing { .. });
    let error = anyhow::Error::new(error);
    if is_missing {
        with_hint(error, "--store FOLDER, as given to `midge serve`")
    } else {
        error
    }
}
