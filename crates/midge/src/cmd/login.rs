//! `midge login URL`: a node and the token for it, remembered for the commands after it.
//!
//! **Invariant:** nothing is remembered that the node did not accept, and a token is read from the
//! environment, a pipe or a person's fingers, never from the command line.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_api::{ClientError, ErrorCode, WhoAmI};
use midge_model::SecretText;

use super::Ending;
use super::fault::{hinted, with_hint};
use super::session::Session;
use crate::cli::LoginArgs;
use crate::config::{Target, contexts_file, environment_token};
use crate::contexts::{Context, Contexts};
use crate::{prompt, say};

/// The longest line that is read as a token, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Logs in.
pub(super) fn run(args: LoginArgs) -> anyhow::Result<Ending> {
    let path = contexts_file().map_err(hinted)?;
    let mut contexts = Contexts::load(&path).map_err(hinted)?;
    let LoginArgs {
        url,
        ca,
        name,
        namespace,
    } = args;
    let token = token()?;
    let ca = ca.as_deref().map(absolute).transpose()?;
    let target = Target {
        url: url.clone(),
        token: token.clone(),
        ca: ca.clone(),
        namespace: namespace.clone().unwrap_or_default(),
    };
    let who = Session::open(target)?.run(async |session| {
        let who = session.client.whoami().await;
        who.map_err(|error| refused(session, error))
    })?;
    let name = name.unwrap_or_else(|| url.authority().to_owned());
    let known = format!("logged in to {url} as {}; context {name}", sentence(&who));
    let context = Context {
        url,
        token,
        ca,
        // A token of one namespace is about that one.
        namespace: namespace.or(who.namespace),
    };
    contexts.put(&name, context);
    contexts.save(&path).map_err(hinted)?;
    say::line(&known);
    Ok(Ending::Done)
}

/// Who has no token cannot be told to log in: that is what was typed.
fn refused(session: &Session, error: ClientError) -> anyhow::Error {
    let is_unknown = error
        .problem()
        .is_some_and(|problem| problem.is(ErrorCode::Unauthenticated));
    let error = session.fault(error);
    if !is_unknown {
        return error;
    }
    with_hint(
        error,
        "who has one already makes another with `midge token create NAME --role deployer`;\n    \
         the first stands in `admin.token`, in the folder of the node's store",
    )
}

/// The token; none where nothing was given, for a node that asks for none.
fn token() -> anyhow::Result<Option<SecretText>> {
    if let Some(token) = environment_token().map_err(hinted)? {
        return Ok(Some(token));
    }
    let text = if prompt::is_interactive() {
        prompt::hidden("token: ")?
    } else {
        let mut line = String::new();
        let mut stdin = std::io::stdin().lock().take(TOKEN_BYTES_MAX);
        let read = stdin.read_line(&mut line);
        read.context("read the token from stdin")?;
        line
    };
    match text.trim() {
        "" => Ok(None),
        text => Ok(Some(SecretText::new(text)?)),
    }
}

/// Commands are typed in other folders, too.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    path.canonicalize()
        .with_context(|| format!("read certificates from `{shown}`"))
}

fn sentence(who: &WhoAmI) -> String {
    let WhoAmI { name, role, .. } = who;
    match &who.namespace {
        Some(namespace) => format!("{name} ({role} in namespace {namespace})"),
        None => format!("{name} ({role})"),
    }
}
