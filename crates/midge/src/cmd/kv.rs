//! `midge kv get|set|list|delete`: values that functions keep, from outside.
//!
//! **Invariant:** a value is bytes: what comes in goes out unchanged.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use midge_api::{BucketInfo, PageRequest};
use midge_model::{ENTRY_BYTES_MAX, quantity::format_bytes};

use super::Ending;
use super::fault::{hinted, with_hint};
use super::session::Session;
use crate::cli::{KvArgs, KvCommand, KvDeleteArgs, KvGetArgs, KvListArgs, KvSetArgs};
use crate::config::Target;
use crate::table::Table;
use crate::{prompt, say};

/// Does with values what was typed.
pub(super) fn run(args: KvArgs) -> anyhow::Result<Ending> {
    match args.command {
        KvCommand::Get(args) => get(&args),
        KvCommand::Set(args) => set(&args),
        KvCommand::List(args) => list(&args),
        KvCommand::Delete(args) => delete(&args),
    }
}

fn get(args: &KvGetArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let value = client.get_entry(namespace, &args.bucket, &args.key).await;
        let value = value.map_err(|error| session.fault(error))?;
        if say::is_output_terminal() {
            // A value may hold what moves a terminal's cursor.
            say::data(&say::clean(&String::from_utf8_lossy(&value)))?;
        } else {
            say::bytes(&value)?;
        }
        Ok(Ending::Done)
    })
}

fn set(args: &KvSetArgs) -> anyhow::Result<Ending> {
    let value = value(&args.value)?;
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let (bucket, key) = (&args.bucket, args.key.as_str());
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let put = session.write(async |options| {
            let value = value.clone();
            client
                .put_entry(namespace, (bucket, key), value, &options)
                .await
        });
        put.await?;
        let size = format_bytes(value.len() as u64);
        say::line(&format!(
            "set {} in bucket {bucket}, {size}",
            say::clean_line(key)
        ));
        Ok(Ending::Done)
    })
}

/// The value: as typed, from a file, or from stdin. One byte more than may be is read, so that it is
/// refused and not cut.
fn value(typed: &OsStr) -> anyhow::Result<Bytes> {
    let bytes = match typed.as_bytes() {
        b"-" => whole(io::stdin().lock()).context("read the value from stdin")?,
        [b'@', file @ ..] => {
            let file = Path::new(OsStr::from_bytes(file));
            let shown = || format!("read the value from `{}`", file.display());
            whole(std::fs::File::open(file).with_context(shown)?).with_context(shown)?
        }
        typed => typed.to_vec(),
    };
    if bytes.len() > ENTRY_BYTES_MAX {
        bail!("the value has more than {ENTRY_BYTES_MAX} bytes, the longest there can be");
    }
    Ok(bytes.into())
}

fn whole(from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(ENTRY_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn list(args: &KvListArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let Some(bucket) = &args.bucket else {
            let buckets = client.all_buckets(namespace).await;
            let buckets = buckets.map_err(|error| session.fault(error))?;
            if json {
                buckets.iter().try_for_each(say::record)?;
                return Ok(Ending::Done);
            }
            let nothing = || format!("no values in namespace {namespace}");
            return super::print(&table(&buckets), nothing);
        };
        // Page by page: a bucket may have more keys than anybody wants to hold.
        let mut page = PageRequest {
            cursor: None,
            limit: Some(midge_api::LIMIT_MAX),
        };
        let mut is_empty = true;
        loop {
            let listed = client.list_entries(namespace, bucket, &page).await;
            let listed = listed.map_err(|error| session.fault(error))?;
            for entry in &listed.items {
                is_empty = false;
                match json {
                    true => say::record(entry)?,
                    false => say::data(&format!("{}\n", say::clean_line(&entry.key)))?,
                }
            }
            match listed.next {
                Some(next) if page.cursor.as_ref() != Some(&next) => page.cursor = Some(next),
                _ => break,
            }
        }
        if is_empty && !json {
            say::line(&format!(
                "no keys in bucket {bucket} of namespace {namespace}"
            ));
        }
        Ok(Ending::Done)
    })
}

fn table(buckets: &[BucketInfo]) -> Table<3> {
    let mut table = Table::new(["BUCKET", "KEYS", "SIZE"]);
    for bucket in buckets {
        table.row([
            bucket.name.to_string(),
            bucket.entries.to_string(),
            format_bytes(bucket.bytes),
        ]);
    }
    table
}

fn delete(args: &KvDeleteArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let bucket = &args.bucket;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let Some(key) = &args.key else {
            consent(args, namespace)?;
            session
                .remove(async |options| client.clear_bucket(namespace, bucket, &options).await)
                .await?;
            say::line(&format!(
                "nothing is left in bucket {bucket} of namespace {namespace}"
            ));
            return Ok(Ending::Done);
        };
        session
            .remove(async |options| client.delete_entry(namespace, bucket, key, &options).await)
            .await?;
        say::line(&format!(
            "deleted {} from bucket {bucket}",
            say::clean_line(key)
        ));
        Ok(Ending::Done)
    })
}

/// Whoever leaves the key out by mistake loses no more than a moment.
fn consent(args: &KvDeleteArgs, namespace: &midge_model::NamespaceName) -> anyhow::Result<()> {
    let bucket = &args.bucket;
    if args.yes {
        return Ok(());
    }
    let question = format!("forget everything in bucket {bucket} of namespace {namespace}?");
    if prompt::is_interactive() && prompt::is_yes(&question)? {
        return Ok(());
    }
    Err(with_hint(
        anyhow::anyhow!("everything in bucket `{bucket}` would be forgotten, and nobody said yes"),
        format!("name a key, or type: midge kv delete {bucket} --yes"),
    ))
}
