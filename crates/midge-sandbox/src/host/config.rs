//! Secrets as a guest reads them: in its environment, and through `wasi:config`.
//!
//! Decides which of the two a secret is in, or neither: one that is injected into
//! requests is shown as a placeholder, and `http_out/inject.rs` puts it in its place.
//! Where values come from is the binary's.
//!
//! **Invariant:** a guest reads the secrets that its function was granted, each in the
//! one way that was granted.

use midge_model::{SecretExposure, Use, placeholder};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};
use wasmtime_wasi::WasiCtxBuilder;

use crate::guest::Guest;
use crate::imports::CONFIG_VERSION;
use crate::powers::Powers;

/// Puts secrets into a guest's environment.
pub(crate) fn into_env(powers: &Powers, wasi: &mut WasiCtxBuilder) {
    for secret in &powers.grants.secrets {
        match &secret.exposure {
            SecretExposure::Env => {
                if let Some(value) = powers.secrets.get(&secret.name) {
                    // Nobody can tell which variables a guest looks at.
                    powers.saw(|| Use::Secret(secret.name.clone()));
                    wasi.env(&secret.name, value.expose());
                }
            }
            SecretExposure::Inject { .. } => {
                wasi.env(&secret.name, placeholder(&secret.name));
            }
            SecretExposure::Config => {}
        }
    }
}

/// `wasi:config/store.error`; this host has everything at hand and no reason for one.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type One = Result<Option<String>, StoreError>;
type All = Result<Vec<(String, String)>, StoreError>;

/// Links `wasi:config/store`. Two functions are not worth the engine's crate for it, which would
/// copy every value for every invocation.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut store = linker.instance(&format!("wasi:config/store@{CONFIG_VERSION}"))?;
    store.func_wrap(
        "get",
        |store: StoreContextMut<'_, Guest>, (key,): (String,)| -> wasmtime::Result<(One,)> {
            Ok((Ok(value(&store.data().lent.powers, &key)),))
        },
    )?;
    store.func_wrap(
        "get-all",
        |store: StoreContextMut<'_, Guest>, (): ()| -> wasmtime::Result<(All,)> {
            let powers = &store.data().lent.powers;
            let named = |name: &String| Some((name.clone(), value(powers, name)?));
            let secrets = powers.grants.secrets.iter();
            Ok((Ok(secrets
                .filter_map(|secret| named(&secret.name))
                .collect()),))
        },
    )
}

/// The value of a secret that is granted in this way.
fn value(powers: &Powers, key: &str) -> Option<String> {
    value_if(powers, key, |exposure| *exposure == SecretExposure::Config)
}

/// The value of a secret that the guest may read, in whichever way.
pub(crate) fn readable(powers: &Powers, key: &str) -> Option<String> {
    value_if(powers, key, |exposure| {
        matches!(exposure, SecretExposure::Config | SecretExposure::Env)
    })
}

fn value_if(
    powers: &Powers,
    key: &str,
    is_meant: impl Fn(&SecretExposure) -> bool,
) -> Option<String> {
    let mut secrets = powers.grants.secrets.iter();
    let granted = secrets.any(|secret| secret.name == key && is_meant(&secret.exposure));
    if !granted {
        return None;
    }
    powers.saw(|| Use::Secret(key.to_owned()));
    let value = powers.secrets.get(key)?;
    Some(value.expose().to_owned())
}
