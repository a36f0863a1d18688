//! The words of the commands about functions on a node: deploy, look, split, remove, call.
//!
//! **Invariant:** nothing is read from disk while parsing.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue, Method};
use midge_api::MESSAGE_BYTES_MAX;
use midge_model::{FunctionName, RevisionNumber, Share, Sticky};

use super::CacheArgs;
use super::node::{FormArgs, FunctionAt, ScopeArgs};

/// The most lines of a log that are asked for.
const LINES_MAX: i64 = 10_000;

const DEPLOY_EXAMPLES: &str = "\
Examples:
  midge deploy
      Deploy every function in ./midge.toml, after showing what would change.
  midge deploy shop/ -n shop --function checkout --message 'fix rounding'
      Deploy one of them into a namespace, with a note for those who look later.
  midge deploy hello.wasm
      Deploy one file. It answers at /hello/ and at http://hello.default.localhost:8080/.
  midge deploy --dry-run
      Only show what would change.

What a function may touch is compared with what is live. If it would get more, say so with --grant,
or say yes when asked.";

const TRAFFIC_EXAMPLES: &str = "\
Examples:
  midge traffic checkout
      Show who answers now.
  midge traffic checkout r7=90 r8=10
      Send one request of ten to r8.
  midge traffic checkout r7=1 r8=1 --sticky cookie:session
      Half and half; who has the cookie stays with one of them.";

const INVOKE_EXAMPLES: &str = "\
Examples:
  midge invoke hello
      GET / of the function; its answer goes to stdout, status and timing to stderr.
  midge invoke checkout --path /orders -H 'content-type: application/json' --data @order.json
      POST a file.
  midge invoke checkout --revision r7
      Ask one revision, whoever has the traffic.

The exit code is 1 if the status is 400 or above.";

/// `midge deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = DEPLOY_EXAMPLES)]
pub(crate) struct DeployArgs {
    /// A `midge.toml`, a folder with one, a `.wasm` or `.wat` file, or `oci://…@sha256:…`.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Only this function of the manifest; can be repeated.
    #[arg(long = "function", value_name = "NAME")]
    pub(crate) functions: Vec<FunctionName>,

    /// Give functions more than they have now, where the manifest says so.
    #[arg(long, visible_alias = "yes")]
    pub(crate) grant: bool,

    /// Show what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// A note that is kept with each new revision.
    #[arg(long, short, value_name = "TEXT", value_parser = message)]
    pub(crate) message: Option<String>,

    /// Where fetched components are kept.
    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge revisions`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevisionsArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Which function, or which revision of it.
    #[arg(value_name = "NAME[@rN]")]
    pub(crate) name: FunctionAt,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge remove`.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// To which revision [default: who answered before the last change].
    #[arg(long, value_name = "rN")]
    pub(crate) to: Option<RevisionNumber>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge traffic`.
#[derive(Debug, clap::Args)]
#[command(after_help = TRAFFIC_EXAMPLES)]
pub(crate) struct TrafficArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// Revisions and the weight of each; without any, who answers now is shown.
    #[arg(value_name = "rN=WEIGHT")]
    pub(crate) shares: Vec<Share>,

    /// Keep a caller at one revision, by a cookie or a header.
    #[arg(long, value_name = "cookie:NAME|header:NAME", requires = "shares")]
    pub(crate) sticky: Option<Sticky>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// Go on printing lines as they are written.
    #[arg(long, short)]
    pub(crate) follow: bool,

    /// How many of the last lines, of those that the node still has [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=LINES_MAX))]
    pub(crate) last: Option<u32>,

    /// In which form.
    #[command(flatten)]
    pub(crate) form: FormArgs,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// `midge invoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = INVOKE_EXAMPLES)]
pub(crate) struct InvokeArgs {
    /// Which function.
    pub(crate) name: FunctionName,

    /// Path and query of the request.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    pub(crate) path: String,

    /// Method of the request [default: POST with --data, else GET].
    #[arg(long, short = 'X', value_name = "METHOD")]
    pub(crate) method: Option<Method>,

    /// Body of the request: the text itself, `@FILE`, or `@-` for stdin.
    #[arg(long, short, value_name = "TEXT|@FILE|@-")]
    pub(crate) data: Option<String>,

    /// Field of the request's head; can be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// One revision, whoever has the traffic.
    #[arg(long, value_name = "rN")]
    pub(crate) revision: Option<RevisionNumber>,

    /// Print the head of the answer before its body, on stderr.
    #[arg(long, short)]
    pub(crate) include: bool,

    /// Where.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

fn message(text: &str) -> Result<String, String> {
    if text.len() > MESSAGE_BYTES_MAX {
        let length = text.len();
        return Err(format!(
            "message has {length} bytes, the longest has {MESSAGE_BYTES_MAX}"
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("path does not start with `/`, write `/{text}`"));
    }
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(_) if !text.contains('#') => Ok(text.to_owned()),
        _ => Err("not a path as requests have it, write for example `/orders?page=2`".to_owned()),
    }
}

pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("not a name and a value, write for example `content-type: application/json`")?;
    let parsed = name.trim().parse::<HeaderName>();
    let name = parsed.map_err(|_| format!("`{name}` is not the name of a field"))?;
    let value = HeaderValue::from_str(value.trim());
    let value = value.map_err(|_| format!("the value of `{name}` has a control character"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use insta::assert_snapshot;

    use crate::cli::{Args, Command};

    fn refusal(typed: &[&str]) -> String {
        let error = Args::try_parse_from(["midge"].iter().chain(typed)).unwrap_err();
        error.to_string().lines().next().unwrap_or("").to_owned()
    }

    #[test]
    fn shares_are_read_one_by_one() {
        let typed = [
            "midge",
            "traffic",
            "checkout",
            "r7=90",
            "r8=10",
            "--sticky",
            "cookie:session",
        ];
        let Command::Traffic(args) = Args::try_parse_from(typed).unwrap().command else {
            panic!("`traffic` was typed")
        };
        assert_eq!(args.shares.len(), 2);
        assert_eq!(args.sticky.unwrap().to_string(), "cookie:session");
        assert_snapshot!(refusal(&["traffic", "checkout", "r7"]), @"error: invalid value 'r7' for '[rN=WEIGHT]...': share `r7` is not a revision and a weight, write for example `r7=90`");
        assert_snapshot!(refusal(&["traffic", "checkout", "--sticky", "cookie:a"]), @"error: the following required arguments were not provided:");
    }

    #[test]
    fn a_request_is_read_from_flags() {
        let typed = [
            "midge", "invoke", "a", "-H", "X-A:  b ", "-d", "@-", "--path", "/x?y=%20",
        ];
        let Command::Invoke(args) = Args::try_parse_from(typed).unwrap().command else {
            panic!("`invoke` was typed")
        };
        assert_eq!(args.headers[0].0, "x-a");
        assert_eq!(args.headers[0].1, "b");
        assert_snapshot!(refusal(&["invoke", "a", "-H", "nothing"]), @"error: invalid value 'nothing' for '--header <NAME: VALUE>': not a name and a value, write for example `content-type: application/json`");
        assert_snapshot!(refusal(&["invoke", "a", "--path", "x"]), @"error: invalid value 'x' for '--path <PATH>': path does not start with `/`, write `/x`");
    }
}
