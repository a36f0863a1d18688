//! The nodes that somebody works with, by name: URL, token, usual namespace.
//!
//! Decides how they are kept: one file that only its owner can read, replaced as a whole. Which of
//! them a command uses is `config/target.rs`.
//!
//! **Invariant:** a token is shown by nothing here, errors about the file included.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use midge_model::{NamespaceName, SecretText, suggest};
use serde::{Deserialize, Serialize};

use crate::cmd::fault::Hint;
use crate::control_url::ControlUrl;
use crate::say;

/// The bits of a file's mode that let others than its owner at it.
const OTHERS: u32 = 0o077;

/// The file's first line.
const HEAD: &str =
    "# Written by `midge login` and `midge context`. Holds tokens: for your eyes only.\n";

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that commands use.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// All of them.
    #[serde(default, rename = "context")]
    contexts: BTreeMap<String, Context>,
}

/// One node, as somebody works with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where its control door is.
    pub(crate) url: ControlUrl,
    /// What it knows us by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<SecretText>,
    /// Certificates that are trusted besides this machine's, as an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// The namespace that is meant where none is typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<NamespaceName>,
}

/// Why there are no contexts, or none of that name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextsError {
    /// The file is there and cannot be read.
    #[error("read contexts from `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file is not what we write. Without its text, which holds tokens.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Parse {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    /// The file cannot be replaced.
    #[error("write contexts to `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Nobody is called so.
    #[error("there is no context `{name}`")]
    Unknown {
        name: String,
        nearest: Option<String>,
    },
}

impl Hint for ContextsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean `{nearest}`?")),
            Self::Unknown { .. } => Some("midge context list".to_owned()),
            Self::Parse { path, .. } => Some(format!(
                "correct it, or remove {} and log in again",
                path.display()
            )),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

impl Contexts {
    /// Those in the file; none where there is no file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or was written by somebody else.
    pub(crate) fn load(path: &Path) -> Result<Self, ContextsError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(ContextsError::Read { path, source });
            }
        };
        let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & OTHERS != 0) {
            say::warning(&format!(
                "other users may read your tokens in {0}, `chmod 600 {0}`",
                path.display()
            ));
        }
        toml::from_str(&text).map_err(|error| ContextsError::Parse {
            path: path.to_owned(),
            line: line_of(&text, &error),
            reason: error.message().to_owned(),
        })
    }

    /// Replaces the file.
    ///
    /// # Errors
    ///
    /// It cannot be written; the old one is still there.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ContextsError> {
        self.replace(path).map_err(|source| ContextsError::Write {
            path: path.to_owned(),
            source,
        })
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let text = toml::to_string(self).map_err(io::Error::other)?;
        // Made with mode 0600, and visible under its name only once it is whole.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(HEAD.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// The one that commands use, with its name.
    pub(crate) fn current(&self) -> Option<(&str, &Context)> {
        let name = self.current.as_deref()?;
        Some((name, self.contexts.get(name)?))
    }

    /// The one for this URL: the current one if it is, else the first.
    pub(crate) fn for_url(&self, url: &ControlUrl) -> Option<&Context> {
        let current = self.current().map(|(_, context)| context);
        current
            .into_iter()
            .chain(self.contexts.values())
            .find(|context| context.url == *url)
    }

    /// All of them in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Context)> {
        self.contexts
            .iter()
            .map(|(name, context)| (name.as_str(), context))
    }

    /// The one of this name.
    ///
    /// # Errors
    ///
    /// There is none; the error knows the nearest.
    pub(crate) fn get(&self, name: &str) -> Result<&Context, ContextsError> {
        self.contexts.get(name).ok_or_else(|| self.unknown(name))
    }

    /// Adds one or puts it in place of the one that has its name, and makes it the current one.
    pub(crate) fn put(&mut self, name: &str, context: Context) {
        self.contexts.insert(name.to_owned(), context);
        self.current = Some(name.to_owned());
    }

    /// Forgets the one of this name. Without a current one, commands go to the usual address.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), ContextsError> {
        if self.contexts.remove(name).is_none() {
            return Err(self.unknown(name));
        }
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> ContextsError {
        let known = self.contexts.keys().map(String::as_str);
        ContextsError::Unknown {
            name: name.to_owned(),
            nearest: suggest::nearest(name, known).map(str::to_owned),
        }
    }
}

/// The line that an error is about, counted from 1.
fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or(1, |before| before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn context(url: &str, token: Option<&str>, namespace: Option<&str>) -> Context {
        Context {
            url: url.parse().unwrap(),
            token: token.map(|token| SecretText::new(token).unwrap()),
            ca: None,
            namespace: namespace.map(|name| name.parse().unwrap()),
        }
    }

    fn two() -> Contexts {
        let mut contexts = Contexts::default();
        contexts.put("prod", context("https://a.example.net", Some("t1"), None));
        contexts.put(
            "127.0.0.1:8081",
            context("http://127.0.0.1:8081", None, Some("shop")),
        );
        contexts
    }

    #[test]
    fn what_was_saved_is_loaded_and_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/midge/contexts.toml");
        let contexts = two();
        contexts.save(&path).unwrap();
        contexts.save(&path).unwrap();
        assert_eq!(Contexts::load(&path).unwrap(), contexts);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_snapshot!(fs::read_to_string(&path).unwrap(), @r#"
        # Written by `midge login` and `midge context`. Holds tokens: for your eyes only.
        current = "127.0.0.1:8081"

        [context."127.0.0.1:8081"]
        url = "http://127.0.0.1:8081"
        namespace = "shop"

        [context.prod]
        url = "https://a.example.net"
        token = "t1"
        "#);
    }

    #[test]
    fn no_file_means_no_contexts() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts::load(&folder.path().join("none.toml")).unwrap();
        assert_eq!(contexts, Contexts::default());
    }

    #[test]
    fn an_error_in_the_file_shows_its_line_and_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.toml");
        for broken in [
            "[context.a]\ntoken = \"hunter2",
            "[context.a]\ntoken = { hunter2 = \"hunter2\" }\n",
        ] {
            fs::write(&path, broken).unwrap();
            let error = Contexts::load(&path).unwrap_err();
            let text = format!("{:#}", crate::cmd::fault::hinted(error));
            assert!(text.contains("line 2"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_current_one_can_be_changed_and_removed() {
        let mut contexts = two();
        assert_eq!(contexts.current().unwrap().0, "127.0.0.1:8081");
        let prod = contexts.get("prod").unwrap().clone();
        contexts.put("prod", prod);
        assert_eq!(contexts.current().unwrap().0, "prod");
        contexts.remove("prod").unwrap();
        assert_eq!(contexts.current(), None);
        assert!(contexts.remove("prod").is_err());
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest() {
        let error = two().get("prd").unwrap_err();
        assert_eq!(error.to_string(), "there is no context `prd`");
        assert_eq!(error.hint().unwrap(), "did you mean `prod`?");
    }
}
