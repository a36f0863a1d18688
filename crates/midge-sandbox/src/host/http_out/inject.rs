//! Secrets that the host puts into requests, so that the guest never holds them.
//!
//! Decides which request gets which secret, in which field. Whether the request may be
//! sent at all was decided before; where values come from is the binary's.
//!
//! **Invariant:** a secret is put only into requests that its own grant's `to` matches,
//! and its value is in no message: what it was put into is marked as sensitive.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use midge_model::{HttpGrant, SecretExposure, SecretGrant, SecretText, Use, placeholder};

use super::asked::Asked;
use crate::powers::{Deployment, Powers};

/// The secrets of one function that are injected.
pub(crate) struct Injections(Vec<Injection>);

struct Injection {
    name: String,
    field: HeaderName,
    /// The whole value, where the guest leaves the field to us.
    value: HeaderValue,
    secret: SecretText,
    /// What stands for the secret where the guest writes the field itself.
    placeholder: String,
    to: Vec<HttpGrant>,
}

/// Why a secret cannot be injected. Never says what it is.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// Nobody gave it a value.
    #[error("secret `{name}` is to be injected and has no value")]
    Missing {
        /// The secret.
        name: String,
    },
    /// It cannot stand in a field.
    #[error(
        "secret `{name}` cannot be injected: it has a line end or another control character, which no header can hold"
    )]
    Unfit {
        /// The secret.
        name: String,
    },
    /// The grant names a field that is none.
    #[error("secret `{name}` cannot be injected into `{header}`, which is no header")]
    NoField {
        /// The secret.
        name: String,
        /// What the grant names.
        header: String,
    },
}

impl Injections {
    /// Those of a function.
    ///
    /// # Errors
    ///
    /// A secret that no request could carry; the operator gives it another value.
    pub(crate) fn of(deployment: &Deployment) -> Result<Self, InjectError> {
        let grants = &deployment.revision.grants.secrets;
        let made = grants.iter().filter_map(|grant| {
            let SecretExposure::Inject { header, format, to } = &grant.exposure else {
                return None;
            };
            Some(Injection::new(grant, deployment, (header, format), to))
        });
        made.collect::<Result<_, _>>().map(Self)
    }

    /// Puts into `headers` what `asked` is to have.
    pub(super) fn put(&self, asked: &Asked, headers: &mut HeaderMap, powers: &Powers) {
        // A server answers these with the request it got, fields and all; some in any case of letters.
        let echoes = ["TRACE", "TRACK"];
        let method = asked.method.as_str();
        if echoes.iter().any(|echo| method.eq_ignore_ascii_case(echo)) {
            return;
        }
        let outbound = asked.outbound();
        for injection in &self.0 {
            if injection.to.iter().any(|to| to.matches(&outbound)) && injection.put(headers) {
                powers.saw(|| Use::Secret(injection.name.clone()));
            }
        }
    }
}

impl Injection {
    fn new(
        grant: &SecretGrant,
        deployment: &Deployment,
        (header, format): (&str, &str),
        to: &[HttpGrant],
    ) -> Result<Self, InjectError> {
        let name = || grant.name.clone();
        let secret = deployment
            .secrets
            .get(&grant.name)
            .ok_or_else(|| InjectError::Missing { name: name() })?;
        let field = HeaderName::try_from(header).map_err(|_| InjectError::NoField {
            name: name(),
            header: header.to_owned(),
        })?;
        let value = sensitive(format.replace("{}", secret.expose()).as_bytes())
            .ok_or_else(|| InjectError::Unfit { name: name() })?;
        Ok(Self {
            name: name(),
            field,
            value,
            secret: secret.clone(),
            placeholder: placeholder(&grant.name),
            to: to.to_vec(),
        })
    }

    /// Whether the secret is in `headers` now.
    fn put(&self, headers: &mut HeaderMap) -> bool {
        let mut present = match headers.entry(&self.field) {
            Entry::Vacant(absent) => {
                absent.insert(self.value.clone());
                return true;
            }
            Entry::Occupied(present) => present,
        };
        // Once: a guest could write thousands of placeholders, and each would be as long as a secret.
        for value in present.iter_mut() {
            if let Some(filled) = self.filled(value) {
                *value = filled;
                return true;
            }
        }
        false
    }

    /// The value with the secret in the place of its first placeholder, if that is in it.
    fn filled(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let (at, _) = text.match_indices(&self.placeholder).find(|(at, found)| {
            // `midge-secret:KEY_2` begins like `midge-secret:KEY`.
            !text[at + found.len()..].starts_with(is_of_name)
        })?;
        let (before, behind) = text.split_at(at);
        let behind = &behind[self.placeholder.len()..];
        sensitive(format!("{before}{}{behind}", self.secret.expose()).as_bytes())
    }
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn sensitive(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret";

    fn injection(format: &str) -> Injection {
        let to = vec!["https://api.test/*".parse().unwrap()];
        Injection {
            name: "KEY".to_owned(),
            field: HeaderName::from_static("authorization"),
            value: sensitive(format.replace("{}", SECRET).as_bytes()).unwrap(),
            secret: SecretText::new(SECRET).unwrap(),
            placeholder: placeholder("KEY"),
            to,
        }
    }

    /// What becomes of the values of the field.
    fn check(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", value.parse().unwrap());
        }
        injection("Bearer {}").put(&mut headers);
        let values = headers.get_all("authorization").iter();
        values
            .map(|value| {
                format!(
                    "{}{}",
                    value.to_str().unwrap(),
                    if value.is_sensitive() { " *" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn an_absent_field_is_written_by_the_host() {
        assert_eq!(check(&[]), ["Bearer s3cret *"]);
    }

    #[test]
    fn the_first_placeholder_is_filled_wherever_it_stands() {
        assert_eq!(check(&["Basic midge-secret:KEY"]), ["Basic s3cret *"]);
        assert_eq!(
            check(&[
                "other",
                "a:midge-secret:KEY:midge-secret:KEY",
                "midge-secret:KEY"
            ]),
            ["other", "a:s3cret:midge-secret:KEY *", "midge-secret:KEY"]
        );
    }

    #[test]
    fn a_field_of_the_guests_own_stays_its_own() {
        assert_eq!(check(&["Basic eA=="]), ["Basic eA=="]);
        assert_eq!(check(&["midge-secret:KEY_2"]), ["midge-secret:KEY_2"]);
        assert_eq!(
            check(&["midge-secret:KEY_2 midge-secret:KEY"]),
            ["midge-secret:KEY_2 s3cret *"]
        );
    }

    #[test]
    fn no_line_end_gets_into_a_field() {
        assert!(sensitive(b"a\r\nx-injected: 1").is_none());
        assert!(sensitive(b"a\n").is_none());
    }
}
