//! A file on a web server.

use std::fmt;

use super::{Authority, Problem};

/// The address of a file: `https://example.com/hello.wasm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebPlace {
    is_tls: bool,
    server: Authority,
    /// Path and query; begins with `/`.
    path: String,
}

impl WebPlace {
    /// Where the server is.
    pub fn server(&self) -> &Authority {
        &self.server
    }

    /// What stands behind `://`, without the fragment.
    pub(super) fn parse(is_tls: bool, text: &str) -> Result<Self, Problem> {
        let end = text.find(['/', '?']).unwrap_or(text.len());
        let (authority, path) = text.split_at(end);
        let server = Authority::parse(authority)?;
        if !is_tls && !server.is_loopback() {
            return Err(Problem::Plain);
        }
        // What others would read in another way, or encode first, is another address to them.
        let is_plain = |found: char| found.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(found);
        if let Some((position, found)) = path.chars().enumerate().find(|(_, c)| !is_plain(*c)) {
            return Err(Problem::Character(found, position));
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            is_tls,
            server,
            path,
        })
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for WebPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.server, self.path)
    }
}
