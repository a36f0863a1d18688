//! What to type in place of what other tools call it.
//!
//! **Invariant:** nothing that is not a command becomes one: what was typed is refused all the same.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Error, Parser as _};

use super::Args;

/// Words of other tools, and the commands that do the same here.
const ELSEWHERE: [(&str, &[&str]); 9] = [
    ("create", &["new"]),
    ("delete", &["remove"]),
    ("init", &["new"]),
    ("ls", &["list"]),
    ("ps", &["list"]),
    ("publish", &["push", "deploy"]),
    ("rm", &["remove"]),
    ("start", &["run", "serve"]),
    ("up", &["dev", "run", "deploy"]),
];

impl Args {
    /// What was typed.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or the help that was asked for, ready to print.
    pub(crate) fn typed(words: &[OsString]) -> Result<Self, Error> {
        let command = words.get(1).map(OsString::as_os_str);
        Self::try_parse_from(words).map_err(|error| with_tip(error, command.unwrap_or_default()))
    }
}

fn with_tip(mut error: Error, command: &OsStr) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (kind, tip) = match error.kind() {
        // That of a subcommand has another name.
        ErrorKind::InvalidSubcommand
            if text(ContextKind::InvalidSubcommand).is_some_and(|it| *it == *command) =>
        {
            let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == command) else {
                return error;
            };
            let ours = ours.iter().map(|&name| name.to_owned());
            let tip = ContextValue::Strings(ours.collect());
            (ContextKind::SuggestedSubcommand, tip)
        }
        ErrorKind::UnknownArgument if command == "invoke" => {
            let Some(path) = text(ContextKind::InvalidArg).filter(|it| it.starts_with('/')) else {
                return error;
            };
            let tip = StyledStr::from(format!("write the path as `--path {path}`"));
            (ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]))
        }
        _ => return error,
    };
    error.insert(kind, tip);
    error
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(words: &[&str]) -> String {
        let words: Vec<_> = ["midge"].iter().chain(words).map(OsString::from).collect();
        let error = Args::typed(&words).unwrap_err().to_string();
        error.lines().take(3).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn words_of_other_tools_name_ours() {
        assert_snapshot!(check(&["init"]), @"
        error: unrecognized subcommand 'init'

          tip: a similar subcommand exists: 'new'
        ");
        assert_snapshot!(check(&["up"]), @"
        error: unrecognized subcommand 'up'

          tip: some similar subcommands exist: 'dev', 'run', 'deploy'
        ");
        assert_snapshot!(check(&["kv", "rm"]), @"
        error: unrecognized subcommand 'rm'

        Usage: midge kv <COMMAND>
        ");
        assert_snapshot!(check(&["invoke", "greeter", "/hello/Ada"]), @"
        error: unexpected argument '/hello/Ada' found

          tip: write the path as `--path /hello/Ada`
        ");
    }

    #[test]
    fn every_tip_is_a_command() {
        use clap::CommandFactory as _;
        let known = Args::command();
        for (theirs, ours) in ELSEWHERE {
            assert!(known.find_subcommand(theirs).is_none(), "{theirs}");
            for name in ours {
                assert!(known.find_subcommand(name).is_some(), "{name}");
            }
        }
    }
}
