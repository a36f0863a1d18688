//! Whose credentials a registry is shown.
//!
//! `MIDGE_REGISTRY_USER` and `MIDGE_REGISTRY_PASSWORD`, else what `docker login` wrote.
//!
//! **Invariant:** what is in the environment goes to the registry that `MIDGE_REGISTRY` names, or,
//! without that, to one that a person typed: a manifest of somebody else's does not get it.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use midge_oci::Credentials;

use super::variable;
use crate::say;

/// More than anybody has logins.
const DOCKER_CONFIG_BYTES_MAX: u64 = 1 << 20;

/// By what `docker login` calls its own registry.
const DOCKER_HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// Who named a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryAsked {
    /// Who typed the command.
    ByPerson,
    /// Who wrote the manifest.
    ByManifest,
}

/// What is in the environment.
#[derive(Debug, Default)]
struct Environment {
    registry: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

/// The credentials for a registry, if there are some.
pub(crate) fn registry_credentials(registry: &str, asked: RegistryAsked) -> Option<Credentials> {
    let text = |name: &str| variable(name)?.into_string().ok();
    let environment = Environment {
        registry: text("MIDGE_REGISTRY"),
        user: text("MIDGE_REGISTRY_USER"),
        password: text("MIDGE_REGISTRY_PASSWORD"),
    };
    of_environment(environment, registry, asked).or_else(|| of_docker(registry))
}

fn of_environment(
    environment: Environment,
    registry: &str,
    asked: RegistryAsked,
) -> Option<Credentials> {
    let is_for_it = match &environment.registry {
        Some(named) => named == registry,
        None => asked == RegistryAsked::ByPerson,
    };
    let user = environment.user.filter(|_| is_for_it)?;
    let password = environment.password?;
    Some(Credentials { user, password })
}

/// What `docker login` wrote for this registry. What cannot be read is told, and the registry is
/// asked without it: most of what is there is for everybody.
fn of_docker(registry: &str) -> Option<Credentials> {
    let folder = match variable("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(variable("HOME")?).join(".docker"),
    };
    let file = File::open(folder.join("config.json")).ok()?;
    let file = file.take(DOCKER_CONFIG_BYTES_MAX);
    let name = match registry == DOCKER_HUB.0 {
        true => DOCKER_HUB.1,
        false => registry,
    };
    match docker_credential::get_credential_from_reader(file, name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Some(Credentials { user, password })
        }
        Ok(DockerCredential::IdentityToken(_)) => {
            say::warning(&format!(
                "docker's login for {registry} is an identity token, which midge does not use: set \
                 MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD"
            ));
            None
        }
        // A helper that has nothing says so in this way; what it says may be a secret.
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::HelperFailure { .. },
        ) => None,
        Err(_) => {
            say::warning(&format!(
                "docker's login for {registry} in {} does not read",
                folder.join("config.json").display()
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(named: Option<&str>, asked: RegistryAsked) -> bool {
        let environment = Environment {
            registry: named.map(str::to_owned),
            user: Some("me".to_owned()),
            password: Some("word".to_owned()),
        };
        of_environment(environment, "ghcr.io", asked).is_some()
    }

    #[test]
    fn a_manifest_does_not_get_what_was_not_meant_for_its_registry() {
        assert!(given(None, RegistryAsked::ByPerson));
        assert!(!given(None, RegistryAsked::ByManifest));
        assert!(given(Some("ghcr.io"), RegistryAsked::ByManifest));
        assert!(!given(Some("ghcr.io:443"), RegistryAsked::ByPerson));
    }
}
