//! What a registry wants to see before it answers.
//!
//! A registry that wants to know who asks answers 401 and says how: `Basic`, or `Bearer` with the
//! address of a server that gives tokens. Either is done once for a request; a registry that wants
//! it again does not like what it got.
//!
//! **Invariant:** credentials go to the registry and to the server that it names for tokens, by
//! TLS or to this machine, and stand in no message.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Request, StatusCode, Url};
use serde::Deserialize;

use crate::artifact::{DOCUMENT_BYTES_MAX, shown};
use crate::server::{Server, ServerError};

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name of a user.
    pub user: String,
    /// Its password, or a token in place of one.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .field("password", &"***")
            .finish()
    }
}

/// How a registry wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// What an answer asks for; the first that is known.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .find_map(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest;
        while let Some((key, value, behind)) = parameter(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
            rest = behind;
        }
        let realm = realm?;
        Some(Self::Bearer { realm, service })
    }
}

/// The next `key=value` or `key="value"`, and what is behind it.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let text = text.trim_start_matches([' ', ',']);
    let (key, value) = text.split_once('=')?;
    let Some(quoted) = value.strip_prefix('"') else {
        let end = value.find(',').unwrap_or(value.len());
        return Some((key.trim(), value[..end].trim().to_owned(), &value[end..]));
    };
    let mut read = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((key.trim(), read, &quoted[at + 1..])),
            '\\' => read.push(characters.next()?.1),
            other => read.push(other),
        }
    }
    None
}

/// What goes into the header `authorization` after a challenge.
///
/// # Errors
///
/// There are no credentials where there is no other way, or the server for tokens gives none.
pub(crate) async fn answer(
    server: &Server,
    challenge: Challenge,
    credentials: Option<&Credentials>,
    scope: &str,
) -> Result<HeaderValue, ServerError> {
    const WHAT: &str = "a token";
    let (realm, service) = match challenge {
        Challenge::Basic => {
            let unauthorized = || ServerError::Unauthorized {
                server: server.name.clone(),
                what: "any request".to_owned(),
                with_credentials: false,
            };
            let credentials = credentials.ok_or_else(unauthorized)?;
            return Ok(basic(credentials));
        }
        Challenge::Bearer { realm, service } => (realm, service),
    };
    let foreign = || server.protocol("a request", format!("its realm is `{}`", shown(&realm)));
    let mut url = Url::parse(&realm).map_err(|_| foreign())?;
    if !server.may_ask(&url) {
        return Err(foreign());
    }
    if let Some(service) = &service {
        url.query_pairs_mut().append_pair("service", service);
    }
    url.query_pairs_mut().append_pair("scope", scope);
    let mut request = Request::new(Method::GET, url);
    if let Some(credentials) = credentials {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, basic(credentials));
    }
    let response = server.send(request, WHAT).await?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(ServerError::Unauthorized {
                server: server.name.clone(),
                what: WHAT.to_owned(),
                with_credentials: credentials.is_some(),
            });
        }
        _ => return Err(server.refusal(response, WHAT).await),
    }
    let body = server.body(response, WHAT, DOCUMENT_BYTES_MAX).await?;
    token(&body).ok_or_else(|| server.protocol(WHAT, "there is no token in it"))
}

/// The token of an answer, under either of its names.
fn token(body: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = answer.token.or(answer.access_token)?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let Credentials { user, password } = credentials;
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let value = HeaderValue::try_from(format!("Basic {encoded}"));
    let mut value = value.expect("base64 is letters, digits, `+`, `/` and `=`");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        match Challenge::parse(text) {
            Some(Challenge::Basic) => "basic".to_owned(),
            Some(Challenge::Bearer { realm, service }) => format!("bearer {realm} {service:?}"),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn challenges_are_read() {
        assert_snapshot!(check("Basic realm=\"x\""), @"basic");
        assert_snapshot!(check("bearer realm=\"https://a/t\",service=\"s, \\\"q\\\"\",scope=\"x:y\""), @r#"bearer https://a/t Some("s, \"q\"")"#);
        assert_snapshot!(check("Bearer service=s, realm=https://a/t"), @r#"bearer https://a/t Some("s")"#);
        assert_snapshot!(check("Bearer realm=\"never ends"), @"none");
        assert_snapshot!(check("Negotiate"), @"none");
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials {
            user: "me".to_owned(),
            password: "hunter2".to_owned(),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn a_token_that_is_no_header_is_none() {
        assert!(token(br#"{"token": "a\nb"}"#).is_none());
        assert!(token(b"<html>").is_none());
        assert_eq!(token(br#"{"access_token": "a"}"#).unwrap(), "Bearer a");
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), tail in "[ =,\"\\\\a-c]{0,30}") {
            let _parsed = Challenge::parse(&text);
            let _parsed = Challenge::parse(&format!("Bearer {tail}"));
        }
    }
}
