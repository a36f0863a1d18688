//! `midge token create|list|revoke`: who may talk to the node, and what about.
//!
//! **Invariant:** a token's text goes to stdout, once, and nowhere else.

use std::path::Path;

use anyhow::Context as _;
use midge_api::{TokenInfo, TokenRequest};
use midge_model::{Policy, PolicyError};

use super::Ending;
use super::fault::{Hint, hinted, with_hint};
use super::session::Session;
use crate::cli::{TokenArgs, TokenCommand, TokenCreateArgs, TokenListArgs, TokenRevokeArgs};
use crate::config::Target;
use crate::say;
use crate::table::Table;

impl Hint for PolicyError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// Does with tokens what was typed.
pub(super) fn run(args: TokenArgs) -> anyhow::Result<Ending> {
    match args.command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::List(args) => list(&args),
        TokenCommand::Revoke(args) => revoke(&args),
    }
}

fn create(args: TokenCreateArgs) -> anyhow::Result<Ending> {
    let request = TokenRequest {
        name: args.name,
        role: args.role,
        namespace: args.namespace,
        expires_in_s: args.expires_in.map(|life| life.as_secs()),
        policy: args.policy.as_deref().map(policy).transpose()?,
    };
    let target = Target::new(&args.node).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let client = &session.client;
        let created = session
            .write(async |options| client.create_token(&request, &options).await)
            .await?;
        if args.form.json {
            say::record(&created)?;
        } else {
            say::data(&format!("{}\n", say::clean_line(&created.token)))?;
        }
        say::line(&format!(
            "made {}; it is not shown again",
            sentence(&created.info)
        ));
        Ok(Ending::Done)
    })
}

/// The policy's text, read here once so that an error in it is told with line and column.
fn policy(path: &Path) -> anyhow::Result<String> {
    let in_file = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("read `{}`", in_file()))?;
    Policy::parse(&text).map_err(hinted).with_context(in_file)?;
    Ok(text)
}

fn list(args: &TokenListArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    let json = args.form.json;
    Session::open(target)?.run(async |session| {
        let tokens = session.client.all_tokens().await;
        let mut tokens = tokens.map_err(|error| session.fault(error))?;
        // Ids are random; people look for what they made last.
        tokens.sort_by_key(|token| token.created_at);
        if json {
            tokens.iter().try_for_each(say::record)?;
            return Ok(Ending::Done);
        }
        super::print(&table(&tokens), || "no tokens".to_owned())
    })
}

fn revoke(args: &TokenRevokeArgs) -> anyhow::Result<Ending> {
    let target = Target::new(&args.node).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let tokens = session.client.all_tokens().await;
        let tokens = tokens.map_err(|error| session.fault(error))?;
        let token = named(&tokens, &args.token)?;
        let client = &session.client;
        session
            .remove(async |options| client.revoke_token(&token.id, &options).await)
            .await?;
        say::line(&format!("revoked {}", sentence(token)));
        Ok(Ending::Done)
    })
}

/// The token of this id, else the only one of this name.
fn named<'a>(tokens: &'a [TokenInfo], text: &str) -> anyhow::Result<&'a TokenInfo> {
    if let Some(token) = tokens.iter().find(|token| token.id == text) {
        return Ok(token);
    }
    let mut of_name = tokens
        .iter()
        .filter(|token| token.name == text && token.revoked_at.is_none());
    match (of_name.next(), of_name.next()) {
        (Some(token), None) => Ok(token),
        (Some(_), Some(_)) => Err(with_hint(
            anyhow::anyhow!("several tokens are called `{text}`"),
            "name the id that `midge token list` shows",
        )),
        (None, _) => Err(with_hint(
            anyhow::anyhow!("there is no token `{text}`"),
            "midge token list",
        )),
    }
}

fn sentence(token: &TokenInfo) -> String {
    let scope = match &token.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "on the whole node".to_owned(),
    };
    let TokenInfo { id, name, role, .. } = token;
    format!("token {id} ({name}), {role} {scope}")
}

fn table(tokens: &[TokenInfo]) -> Table<8> {
    let mut table = Table::new([
        "ID",
        "NAME",
        "ROLE",
        "NAMESPACE",
        "CAPPED",
        "CREATED",
        "EXPIRES",
        "LAST USED",
    ]);
    for token in tokens {
        let expires = match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(at)) => super::moment(at),
            (None, None) => String::new(),
        };
        table.row([
            token.id.clone(),
            token.name.clone(),
            token.role.to_string(),
            token
                .namespace
                .as_ref()
                .map_or("*".to_owned(), ToString::to_string),
            if token.policy.is_some() { "yes" } else { "no" }.to_owned(),
            super::moment(token.created_at),
            expires,
            token.last_used_at.map_or(String::new(), super::moment),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_api::Role;
    use midge_model::Timestamp;

    use super::*;

    fn token(id: &str, name: &str, namespace: Option<&str>) -> TokenInfo {
        TokenInfo {
            id: id.to_owned(),
            name: name.to_owned(),
            role: Role::Deployer,
            namespace: namespace.map(|name| name.parse().unwrap()),
            policy: None,
            created_at: Timestamp::from_ms(0),
            expires_at: None,
            revoked_at: None,
            last_used_at: namespace.map(|_| Timestamp::from_ms(1_795_356_000_123)),
        }
    }

    #[test]
    fn a_token_is_a_line_without_its_text() {
        let tokens = [token("t1", "ci", Some("shop")), token("t2", "a b", None)];
        assert_snapshot!(table(&tokens).to_text(true), @r"
        ID  NAME  ROLE      NAMESPACE  CAPPED  CREATED               EXPIRES  LAST USED
        t1  ci    deployer  shop       no      1970-01-01T00:00:00Z  -        2026-11-22T14:00:00Z
        t2  a b   deployer  *          no      1970-01-01T00:00:00Z  -        -
        ");
    }

    #[test]
    fn a_token_is_named_by_id_or_by_a_name_that_is_its_own() {
        let tokens = [
            token("t1", "ci", None),
            token("t2", "twice", None),
            token("t3", "twice", None),
        ];
        assert_eq!(named(&tokens, "ci").unwrap().id, "t1");
        assert_eq!(named(&tokens, "t3").unwrap().id, "t3");
        assert_snapshot!(named(&tokens, "twice").unwrap_err(), @"several tokens are called `twice`");
        assert_snapshot!(named(&tokens, "t4").unwrap_err(), @"there is no token `t4`");
    }
}
