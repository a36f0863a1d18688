//! A file from a web server.

use midge_model::{Digest, WebPlace};
use reqwest::{Method, Request, StatusCode, Url};

use crate::server::{Bounds, Server, ServerError};

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The server, or the way to it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// An address that midge-model let pass and the client does not take.
    #[error("`{text}` is no address")]
    Address {
        /// The address.
        text: String,
    },
    /// Other bytes than those that were asked for.
    #[error("the file has the digest {found}, and {wanted} was asked for")]
    Digest {
        /// What came.
        found: Digest,
        /// What was meant.
        wanted: Digest,
    },
}

impl WebError {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Server(ServerError::NotFound { .. } | ServerError::Unauthorized { .. })
            | Self::Address { .. } => Some("look whether the address is right".to_owned()),
            Self::Server(error) => error.hint(),
            Self::Digest { .. } => {
                Some("the file was changed: look at it before you write its new digest".to_owned())
            }
        }
    }
}

/// The file at this address; where a digest is wanted, none but that.
///
/// # Errors
///
/// It is not there, is too large, or has another digest.
pub async fn download(
    place: &WebPlace,
    wanted: Option<Digest>,
    bounds: Bounds,
) -> Result<Vec<u8>, WebError> {
    let text = place.to_string();
    let Ok(url) = Url::parse(&text) else {
        return Err(WebError::Address { text });
    };
    let name = place.server().to_string();
    let is_loopback = place.server().is_loopback();
    let is_plain = url.scheme() == "http";
    let server = Server::new(name, (is_plain, is_loopback), bounds)?;
    let what = format!("`{}`", url.path());
    let response = server.read(Request::new(Method::GET, url), &what).await?;
    if response.status() != StatusCode::OK {
        return Err(server.refusal(response, &what).await.into());
    }
    let bytes_max = bounds.component_bytes_max;
    let bytes = server.body(response, &what, bytes_max).await?;
    match (Digest::of(&bytes), wanted) {
        (found, Some(wanted)) if found != wanted => Err(WebError::Digest { found, wanted }),
        _ => Ok(bytes),
    }
}
