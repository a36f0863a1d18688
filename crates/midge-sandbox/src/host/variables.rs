//! `fermyon:spin/variables`, and `fermyon:spin/config` as it was called first.
//!
//! Decides which variable a name means: what the function has in its environment, or a secret that
//! it was granted as configuration. It is another way to what the guest may read anyway.
//!
//! **Invariant:** a secret that is injected has no value here either.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::config;
use crate::guest::Guest;
use crate::imports::SPIN_VERSION;

/// The longest name that is looked for; errors repeat it.
const NAME_BYTES_MAX: usize = 256;

/// `variables.error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

/// `config.error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum ConfigError {
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "invalid-key")]
    InvalidKey(String),
    #[component(name = "invalid-schema")]
    InvalidSchema(String),
    #[component(name = "other")]
    Other(String),
}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidName(words) | Error::Undefined(words) => Self::InvalidKey(words),
            Error::Provider(words) => Self::Provider(words),
            Error::Other(words) => Self::Other(words),
        }
    }
}

/// Links both.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let name = format!("fermyon:spin/variables@{SPIN_VERSION}");
    linker.instance(&name)?.func_wrap(
        "get",
        |store: StoreContextMut<'_, Guest>, (name,): (String,)| Ok((value(&store, &name),)),
    )?;
    linker.instance("fermyon:spin/config")?.func_wrap(
        "get-config",
        |store: StoreContextMut<'_, Guest>, (name,): (String,)| {
            Ok((value(&store, &name).map_err(ConfigError::from),))
        },
    )
}

/// The value of a variable. Names are in lower case there; in an environment they are in capitals
/// as a rule, so `api_key` is `API_KEY` where nothing else has that name.
fn value(store: &StoreContextMut<'_, Guest>, name: &str) -> Result<String, Error> {
    let is_name = |found: u8| found.is_ascii_alphanumeric() || found == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) {
        let words = "a name has letters, digits and `_` only".to_owned();
        return Err(Error::InvalidName(words));
    }
    let powers = &store.data().lent.powers;
    let capitals = name.to_ascii_uppercase();
    let found = [name, &capitals].into_iter().find_map(|name| {
        let variable = powers.grants.env.get(name).cloned();
        variable.or_else(|| config::readable(powers, name))
    });
    found.ok_or_else(|| {
        Error::Undefined(format!(
            "no variable `{name}`: write `{capitals}` into [function.NAME.env], or grant a secret of \
             that name"
        ))
    })
}
