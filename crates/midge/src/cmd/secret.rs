//! `midge secret set|list|remove|rotate-key`: what functions may know and nobody else.
//!
//! **Invariant:** a value comes from a person's fingers, a file or a pipe, and is printed nowhere.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use midge_api::{SecretInfo, SecretValue};
use midge_model::{SECRET_BYTES_MAX, SecretText};

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::{
    RotateKeyArgs, SecretArgs, SecretCommand, SecretListArgs, SecretRemoveArgs, SecretSetArgs,
};
use crate::config::Target;
use crate::table::Table;
use crate::{prompt, say, secrets};

/// Does with secrets what was typed.
pub(super) fn run(args: SecretArgs) -> anyhow::Result<Ending> {
    match args.command {
        SecretCommand::Set(args) => set(&args),
        SecretCommand::List(args) => list(&args),
        SecretCommand::Remove(args) => remove(&args),
        SecretCommand::RotateKey(args) => rotate_key(&args),
    }
}

fn set(args: &SecretSetArgs) -> anyhow::Result<Ending> {
    let value = SecretValue {
        value: value(&args.name, args.from.as_deref())?,
    };
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        let set = session
            .write(async |options| client.put_secret(namespace, name, &value, &options).await);
        say::line(&format!("{}", Sentence(&set.await?)));
        Ok(Ending::Done)
    })
}

/// The value: from a file, from who types, or from a pipe.
fn value(name: &str, file: Option<&Path>) -> anyhow::Result<SecretText> {
    let text = match file {
        Some(file) => return secrets::in_file(name, file).map_err(hinted),
        None if prompt::is_interactive() => prompt::hidden(&format!("value of {name}: "))?,
        None => piped(name)?,
    };
    SecretText::new(text).with_context(|| format!("value of secret `{name}`"))
}

/// What stdin holds, without the newline at its end.
fn piped(name: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(SECRET_BYTES_MAX as u64 + 2)
        .read_to_string(&mut text)
        .context("read the value from stdin")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    anyhow::ensure!(!line.is_empty(), "stdin has no value for secret `{name}`");
    Ok(line.to_owned())
}

/// What is now true of a secret.
struct Sentence<'a>(&'a SecretInfo);

impl std::fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SecretInfo {
            namespace,
            name,
            generation,
            used_by,
            ..
        } = self.0;
        write!(f, "set {name} in namespace {namespace}")?;
        if *generation > 1 {
            write!(f, " again (value {generation})")?;
        }
        if !used_by.is_empty() {
            let names: Vec<_> = used_by.iter().map(ToString::to_string).collect();
            write!(f, ", {} get it from now on", names.join(", "))?;
        }
        Ok(())
    }
}

fn list(args: &SecretListArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let secrets = session.client.all_secrets(session.namespace()).await;
        let secrets = secrets.map_err(|error| session.fault(error))?;
        if json {
            secrets.iter().try_for_each(say::record)?;
            return Ok(Ending::Done);
        }
        let nothing = || format!("no secrets in namespace {}", session.namespace());
        super::print(&table(&secrets), nothing)
    })
}

fn table(secrets: &[SecretInfo]) -> Table<5> {
    let mut table = Table::new(["NAME", "SET", "UPDATED", "BY", "USED BY"]);
    for secret in secrets {
        let used_by: Vec<_> = secret.used_by.iter().map(ToString::to_string).collect();
        table.row([
            secret.name.clone(),
            secret.generation.to_string(),
            super::moment(secret.updated_at),
            secret.updated_by.clone(),
            used_by.join(","),
        ]);
    }
    table
}

fn remove(args: &SecretRemoveArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let name = &args.name;
    Session::open(target)?.run(async |session| {
        let (client, namespace) = (&session.client, session.namespace());
        session
            .remove(async |options| client.delete_secret(namespace, name, &options).await)
            .await?;
        say::line(&format!("removed {name} from namespace {namespace}"));
        Ok(Ending::Done)
    })
}

fn rotate_key(args: &RotateKeyArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        let rotated = session
            .write(async |options| client.rotate_key(&options).await)
            .await?;
        let secrets = match rotated.secrets {
            1 => "1 secret".to_owned(),
            count => format!("{count} secrets"),
        };
        say::line(&format!("key {} seals {secrets} now", rotated.key_id));
        Ok(Ending::Done)
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::{NamespaceName, Timestamp};

    use super::*;

    #[test]
    fn who_gets_a_new_value_is_told() {
        let mut secret = SecretInfo {
            namespace: NamespaceName::default(),
            name: "API_KEY".to_owned(),
            generation: 1,
            updated_at: Timestamp::from_ms(0),
            updated_by: "admin".to_owned(),
            used_by: Vec::new(),
        };
        assert_snapshot!(Sentence(&secret), @"set API_KEY in namespace default");
        secret.generation = 2;
        secret.used_by = vec!["a".parse().unwrap(), "b".parse().unwrap()];
        assert_snapshot!(Sentence(&secret), @"set API_KEY in namespace default again (value 2), a, b get it from now on");
        assert_snapshot!(table(&[secret]).to_text(true), @r"
        NAME     SET  UPDATED               BY     USED BY
        API_KEY  2    1970-01-01T00:00:00Z  admin  a,b
        ");
    }
}
