//! Where a node's control door is: a URL of a scheme, a host and perhaps a port.
//!
//! Decides which URLs are taken and which of them stay on this machine. Which one a command talks
//! to is `config/target.rs`.
//!
//! **Invariant:** no path, no query and no password: what is printed, compared or kept in a file is
//! the whole of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use serde::{Deserialize, Serialize};

/// The URL of a control door, such as `http://127.0.0.1:8081`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ControlUrl {
    scheme: Scheme,
    /// Lower case, with the port if one was written.
    authority: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why a text is not where a control door is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ControlUrlError {
    /// Not a URL with a host.
    #[error("control address `{text}` is not a URL, write for example `http://127.0.0.1:8081`")]
    NotUrl { text: String },
    /// No scheme, or one that we do not speak.
    #[error(
        "control address `{text}` does not say http or https, write for example `http://{rest}`"
    )]
    Scheme { text: String, rest: String },
    /// More than where the door is.
    #[error(
        "control address `{text}` has more than a host and a port, write for example `{short}`"
    )]
    More { text: String, short: String },
    /// A password would stand in the list of processes. The text is not repeated.
    #[error("the control address contains a user or password, use `midge login` for the token")]
    Password,
}

impl ControlUrl {
    /// The door of a node on this machine that was started without a word about it.
    pub(crate) fn usual() -> Self {
        Self {
            scheme: Scheme::Http,
            authority: "127.0.0.1:8081".to_owned(),
        }
    }

    /// Whether what is sent there stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        match address.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost",
        }
    }

    /// Whether others on the way can read what is sent there.
    pub(crate) fn is_readable_on_the_way(&self) -> bool {
        self.scheme == Scheme::Http && !self.is_loopback()
    }

    /// Host and port as written, for a name that people recognise.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            // The colons of an IPv6 address are inside brackets.
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.authority,
        }
    }
}

impl FromStr for ControlUrl {
    type Err = ControlUrlError;

    fn from_str(text: &str) -> Result<Self, ControlUrlError> {
        let shown = || text.chars().take(100).collect::<String>();
        if text.contains('@') {
            return Err(ControlUrlError::Password);
        }
        let scheme = match text.split_once("://") {
            Some(("http", _)) => Scheme::Http,
            Some(("https", _)) => Scheme::Https,
            Some((_, rest)) => {
                let (text, rest) = (shown(), rest.chars().take(100).collect());
                return Err(ControlUrlError::Scheme { text, rest });
            }
            None => {
                let (text, rest) = (shown(), shown());
                return Err(ControlUrlError::Scheme { text, rest });
            }
        };
        let uri: Uri = text
            .parse()
            .map_err(|_| ControlUrlError::NotUrl { text: shown() })?;
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
            .ok_or_else(|| ControlUrlError::NotUrl { text: shown() })?;
        let url = Self {
            scheme,
            authority: authority.as_str().to_lowercase(),
        };
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            let (text, short) = (shown(), url.to_string());
            return Err(ControlUrlError::More { text, short });
        }
        Ok(url)
    }
}

impl fmt::Display for ControlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl TryFrom<String> for ControlUrl {
    type Error = ControlUrlError;

    fn try_from(text: String) -> Result<Self, ControlUrlError> {
        text.parse()
    }
}

impl From<ControlUrl> for String {
    fn from(url: ControlUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(text: &str) -> String {
        match text.parse::<ControlUrl>() {
            Ok(url) => {
                let local = if url.is_loopback() { "here" } else { "away" };
                format!("{url} ({local})")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn has_one_spelling_and_knows_whether_it_stays_here() {
        assert_snapshot!(check("http://127.0.0.1:8081/"), @"http://127.0.0.1:8081 (here)");
        assert_snapshot!(check("https://Node.example.net"), @"https://node.example.net (away)");
        assert_snapshot!(check("http://[::1]:8081"), @"http://[::1]:8081 (here)");
        assert_snapshot!(check("http://[::1]"), @"http://[::1] (here)");
        assert_snapshot!(check("http://localhost"), @"http://localhost (here)");
        assert_snapshot!(check("http://127.0.0.1.example.net"), @"http://127.0.0.1.example.net (away)");
        assert_snapshot!(check("http://localhost.example.net:1"), @"http://localhost.example.net:1 (away)");
    }

    #[test]
    fn refuses_with_what_would_be_right() {
        assert_snapshot!(check("127.0.0.1:8081"), @"error: control address `127.0.0.1:8081` does not say http or https, write for example `http://127.0.0.1:8081`");
        assert_snapshot!(check("ftp://a"), @"error: control address `ftp://a` does not say http or https, write for example `http://a`");
        assert_snapshot!(check("http://a/v1"), @"error: control address `http://a/v1` has more than a host and a port, write for example `http://a`");
        assert_snapshot!(check("http://a?b"), @"error: control address `http://a?b` has more than a host and a port, write for example `http://a`");
        assert_snapshot!(check("http://"), @"error: control address `http://` is not a URL, write for example `http://127.0.0.1:8081`");
        assert_snapshot!(check("https://me:hunter2@a"), @"error: the control address contains a user or password, use `midge login` for the token");
    }

    #[test]
    fn only_plain_http_to_elsewhere_can_be_read_on_the_way() {
        let is_readable = |text: &str| text.parse::<ControlUrl>().unwrap().is_readable_on_the_way();
        assert!(is_readable("http://node.example.net"));
        assert!(!is_readable("https://node.example.net"));
        assert!(!is_readable("http://127.0.0.1:8081"));
    }
}
