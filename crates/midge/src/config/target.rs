//! Which node a command talks to, as whom, and about which namespace.
//!
//! Flags go over the environment, the environment over the current context, and that over what is
//! usual. The file of contexts is `contexts.rs`.
//!
//! **Invariant:** a token goes to the node that it was stored for and to no other: whoever types
//! another URL does not send the token of the current context there.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use midge_model::{NamespaceName, SecretText};

use super::variable;
use crate::cli::{NodeArgs, ScopeArgs};
use crate::cmd::fault::Hint;
use crate::contexts::{Contexts, ContextsError};
use crate::control_url::{ControlUrl, ControlUrlError};

/// Where a node that was started in this folder leaves its first token.
const ADMIN_TOKEN: &str = ".midge/admin.token";

/// The bits by which others than the owner may read or write.
const OTHERS: u32 = 0o077;

/// The longest token that is read from a file, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// The node that a command talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Where its control door is.
    pub(crate) url: ControlUrl,
    /// What it knows us by.
    pub(crate) token: Option<SecretText>,
    /// Certificates that are trusted besides this machine's.
    pub(crate) ca: Option<PathBuf>,
    /// The namespace that is meant.
    pub(crate) namespace: NamespaceName,
}

/// Why it is not clear which node is meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The variable is not a URL.
    #[error("read MIDGE_CONTROL")]
    Url(#[source] ControlUrlError),
    /// The variable is not text, or is too long to be a token. Its value is not repeated.
    #[error("MIDGE_TOKEN is not a token")]
    Token,
    /// Contexts that cannot be read.
    #[error(transparent)]
    Contexts(#[from] ContextsError),
    /// No place for the file of contexts.
    #[error("no folder for contexts: neither XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
}

impl Hint for TargetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Contexts(error) => error.hint(),
            Self::NoFolder => Some("export HOME, or use --control and MIDGE_TOKEN".to_owned()),
            Self::Url(_) | Self::Token => None,
        }
    }
}

/// What the environment says.
#[derive(Debug, Default)]
struct Environment {
    control: Option<ControlUrl>,
    token: Option<SecretText>,
}

impl Target {
    /// The node that was typed or is meant.
    ///
    /// # Errors
    ///
    /// The environment or the file of contexts is wrong.
    pub(crate) fn new(args: &NodeArgs) -> Result<Self, TargetError> {
        Ok(Self::resolve(
            (args, None),
            &Environment::read()?,
            &contexts()?,
        ))
    }

    /// The same, with the namespace that was typed or is meant.
    ///
    /// # Errors
    ///
    /// The environment or the file of contexts is wrong.
    pub(crate) fn scoped(args: &ScopeArgs) -> Result<Self, TargetError> {
        let typed = (&args.node, args.namespace.as_ref());
        Ok(Self::resolve(typed, &Environment::read()?, &contexts()?))
    }

    fn resolve(
        (typed, namespace): (&NodeArgs, Option<&NamespaceName>),
        environment: &Environment,
        contexts: &Contexts,
    ) -> Self {
        let (url, context) = match typed.control.as_ref().or(environment.control.as_ref()) {
            Some(url) => (url.clone(), contexts.for_url(url)),
            None => match contexts.current() {
                Some((_, context)) => (context.url.clone(), Some(context)),
                None => {
                    let url = ControlUrl::usual();
                    let context = contexts.for_url(&url);
                    (url, context)
                }
            },
        };
        let token = match (&environment.token, context) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(context)) => context.token.clone(),
            (None, None) if url.is_loopback() => token_in(Path::new(ADMIN_TOKEN)),
            (None, None) => None,
        };
        let usual = context.and_then(|context| context.namespace.clone());
        let known = context.and_then(|context| context.ca.clone());
        Self {
            url,
            token,
            ca: typed.ca.clone().or(known),
            namespace: namespace.cloned().or(usual).unwrap_or_default(),
        }
    }
}

impl Environment {
    fn read() -> Result<Self, TargetError> {
        let control = variable("MIDGE_CONTROL")
            .map(|text| text.to_string_lossy().into_owned())
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().map_err(TargetError::Url));
        Ok(Self {
            control: control.transpose()?,
            token: environment_token()?,
        })
    }
}

/// The token in `MIDGE_TOKEN`.
///
/// # Errors
///
/// It is none.
pub(crate) fn environment_token() -> Result<Option<SecretText>, TargetError> {
    let Some(text) = variable("MIDGE_TOKEN").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.into_string().map_err(|_| TargetError::Token)?;
    let token = SecretText::new(text.trim()).map_err(|_| TargetError::Token)?;
    Ok(Some(token))
}

/// Where contexts are kept.
///
/// # Errors
///
/// The user has no home.
pub(crate) fn contexts_file() -> Result<PathBuf, TargetError> {
    config_folder().ok_or(TargetError::NoFolder)
}

/// The contexts of this user; none where there is no place for them.
fn contexts() -> Result<Contexts, TargetError> {
    match config_folder() {
        Some(path) => Ok(Contexts::load(&path)?),
        None => Ok(Contexts::default()),
    }
}

fn config_folder() -> Option<PathBuf> {
    let xdg = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = variable("HOME")
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join(".config"));
    Some(xdg.or(home)?.join("midge/contexts.toml"))
}

/// The token in this file, if it is there and one of ours: what cannot be read is not our node's, nor
/// what is a link, another's, or readable by others, as what somebody else left in this folder is.
fn token_in(path: &Path) -> Option<SecretText> {
    let mut options = OpenOptions::new();
    let no_link = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let no_link = i32::try_from(no_link.bits()).ok()?;
    let file = options.read(true).custom_flags(no_link).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.uid() != own || metadata.mode() & OTHERS != 0 {
        return None;
    }
    let mut text = String::new();
    let mut file = file.take(TOKEN_BYTES_MAX as u64 + 1);
    file.read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty() && text.len() <= TOKEN_BYTES_MAX)
        .then(|| SecretText::new(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use insta::assert_snapshot;

    use super::*;
    use crate::contexts::Context;

    fn secret(text: &str) -> SecretText {
        SecretText::new(text).unwrap()
    }

    fn contexts() -> Contexts {
        let mut contexts = Contexts::default();
        let context = |url: &str, token: Option<&str>, namespace: Option<&str>| Context {
            url: url.parse().unwrap(),
            token: token.map(secret),
            ca: None,
            namespace: namespace.map(|name| name.parse().unwrap()),
        };
        contexts.put("bare", context("http://127.0.0.1:9999", None, None));
        contexts.put(
            "prod",
            context("https://prod.example.net", Some("prod-token"), Some("shop")),
        );
        contexts
    }

    fn check(
        typed: Option<&str>,
        variables: (Option<&str>, Option<&str>),
        contexts: &Contexts,
    ) -> String {
        let environment = Environment {
            control: variables.0.map(|url| url.parse().unwrap()),
            token: variables.1.map(secret),
        };
        let typed = NodeArgs {
            control: typed.map(|url| url.parse().unwrap()),
            ca: None,
        };
        let target = Target::resolve((&typed, None), &environment, contexts);
        let token = target.token.as_ref().map_or("none", SecretText::expose);
        format!("{} as {token} in {}", target.url, target.namespace)
    }

    #[test]
    fn without_a_word_it_is_the_node_on_this_machine() {
        assert_snapshot!(check(None, (None, None), &Contexts::default()), @"http://127.0.0.1:8081 as none in default");
    }

    #[test]
    fn the_current_context_says_where_as_whom_and_about_what() {
        assert_snapshot!(check(None, (None, None), &contexts()), @"https://prod.example.net as prod-token in shop");
    }

    #[test]
    fn another_url_does_not_get_the_current_contexts_token() {
        let contexts = contexts();
        assert_snapshot!(check(Some("https://evil.example.net"), (None, None), &contexts), @"https://evil.example.net as none in default");
        assert_snapshot!(check(None, (Some("https://evil.example.net"), None), &contexts), @"https://evil.example.net as none in default");
        assert_snapshot!(check(Some("http://prod.example.net"), (None, None), &contexts), @"http://prod.example.net as none in default");
    }

    #[test]
    fn a_url_that_a_context_has_gets_that_contexts_token() {
        let mut contexts = contexts();
        let bare = contexts.get("bare").unwrap().clone();
        contexts.put("bare", bare);
        assert_snapshot!(check(Some("https://prod.example.net"), (None, None), &contexts), @"https://prod.example.net as prod-token in shop");
    }

    #[test]
    fn flags_go_over_the_environment_and_that_over_contexts() {
        let contexts = contexts();
        assert_snapshot!(check(Some("http://a"), (Some("http://b"), Some("t")), &contexts), @"http://a as t in default");
        assert_snapshot!(check(None, (None, Some("t")), &contexts), @"https://prod.example.net as t in shop");
    }

    #[test]
    fn the_file_of_a_node_started_here_is_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        assert_eq!(token_in(&path), None);
        std::fs::write(&path, "midge_abc\n").unwrap();
        let set_mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode));
        set_mode(0o600).unwrap();
        assert_eq!(token_in(&path), Some(secret("midge_abc")));
        // Who finds a link, or a file of others, in a folder was led there.
        let link = folder.path().join("link.token");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(token_in(&link), None);
        set_mode(0o644).unwrap();
        assert_eq!(token_in(&path), None);
    }
}
