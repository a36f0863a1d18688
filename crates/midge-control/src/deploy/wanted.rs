//! What a deploy asks for, checked as far as the request alone allows.
//!
//! A body is JSON of anybody, so what has rules beyond its JSON is put together anew here, by the
//! same constructors that read a manifest. Whether a policy allows it is `cap.rs`.
//!
//! **Invariant:** what is [`Wanted`] would also have been read from a manifest.

use std::collections::BTreeMap;

use midge_api::{DeployRequest, ErrorCode, MESSAGE_BYTES_MAX};
use midge_model::quantity::format_bytes;
use midge_model::{
    DirGrant, DirMode, EnvVar, FunctionName, Grants, HostName, KEEP_MAX, Limits, NamespaceName,
    Revision, RevisionNumber, Route, SecretGrant, TMP_BYTES_MAX, data_path,
};

use crate::config::ControlConfig;
use crate::error::ControlError;

/// The most routes of one function; each is a claim of its own.
const ROUTES_MAX: usize = 100;
/// The most variables of one function: each instance gets a copy of all.
const ENV_MAX: usize = 256;

/// The most secrets of one function, and of the revisions that share its traffic together: with the
/// largest value each, workers can still be told all of them at once.
pub(crate) const SECRETS_MAX: usize = 64;
/// The largest revision as it is kept and told to workers. A variable is read whole by each instance,
/// so what is larger belongs into a file.
const REVISION_BYTES_MAX: usize = 256 << 10;

/// A revision that somebody wants, before it has a number.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// With the number of the first revision, which is not its own.
    pub(crate) revision: Revision,
    pub(crate) keep: Option<u32>,
    pub(crate) message: Option<String>,
    pub(crate) widen: bool,
}

/// What a request is read with.
pub(crate) struct Reading<'a> {
    pub(crate) namespace: &'a NamespaceName,
    pub(crate) function: &'a FunctionName,
    /// The limits of who asks for none.
    pub(crate) base: Limits,
    /// The node's own hosts, and where relative host folders lie.
    pub(crate) config: &'a ControlConfig,
}

impl Reading<'_> {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// The first thing that no manifest could say either.
    pub(crate) fn read(&self, request: DeployRequest) -> Result<Wanted, ControlError> {
        let DeployRequest {
            digest,
            routes,
            limits,
            isolation,
            grants,
            keep,
            message,
            widen,
        } = request;
        if let Some(keep) = keep.filter(|keep| !(1..=KEEP_MAX).contains(keep)) {
            let message = format!("keep is {keep}, write 1 to {KEEP_MAX}");
            return Err(ControlError::invalid(message));
        }
        check_message(message.as_deref())?;
        let limits = limits.apply(&self.base);
        let limits = limits.map_err(|error| ControlError::invalid(error.to_string()))?;
        let revision = Revision {
            namespace: self.namespace.clone(),
            function: self.function.clone(),
            number: RevisionNumber::FIRST,
            digest,
            grants: self.grants(grants)?,
            limits,
            isolation,
            routes: self.routes(routes)?,
        };
        check_size(&revision)?;
        Ok(Wanted {
            revision,
            keep,
            message,
            widen,
        })
    }

    fn routes(&self, routes: Vec<Route>) -> Result<Vec<Route>, ControlError> {
        if routes.is_empty() {
            return Ok(vec![Route::default_of(self.function)]);
        }
        if routes.len() > ROUTES_MAX {
            let message = format!("{} routes are more than {ROUTES_MAX}", routes.len());
            return Err(ControlError::invalid(message));
        }
        let mut shapes = BTreeMap::new();
        for route in &routes {
            if let Some(host) = route.host() {
                self.check_host(host)?;
            }
            if let Some(other) = shapes.insert(route.shape(), route) {
                let message = format!("routes `{other}` and `{route}` match the same requests");
                return Err(ControlError::invalid(message).with_hint("leave one of them out"));
            }
        }
        Ok(routes)
    }

    /// Refuses hosts by which the node itself is reached, and those below its domain, which say
    /// which function they mean: a route there would answer in others' names. Whether the
    /// namespace may have another host is the policy's.
    fn check_host(&self, host: &str) -> Result<(), ControlError> {
        let domain = self.config.domain.as_str();
        let message = if is_at_or_below(host, domain) {
            format!("host `{host}` is below `{domain}`, whose hosts are functions' own addresses")
        } else if is_at_or_below(host, "localhost") || !is_name(host) {
            format!("host `{host}` is this machine or an address, which is no function's own")
        } else if self.config.public_host().as_deref() == Some(host) {
            format!("host `{host}` is the node's own, where namespace `default` answers")
        } else {
            return Ok(());
        };
        Err(ControlError::invalid(message)
            .with_hint("leave the host out of the route, or name one of your own"))
    }

    fn grants(&self, grants: Grants) -> Result<Grants, ControlError> {
        let invalid = |error: &dyn std::error::Error| ControlError::invalid(error.to_string());
        if grants.env.len() > ENV_MAX {
            let message = format!("{} variables are more than {ENV_MAX}", grants.env.len());
            return Err(ControlError::invalid(message));
        }
        for (name, value) in &grants.env {
            EnvVar::new(name, value).map_err(|error| invalid(&error))?;
        }
        if let Some(bytes) = grants
            .tmp_bytes
            .filter(|bytes| !(1..=TMP_BYTES_MAX).contains(bytes))
        {
            let message = format!("tmp is {bytes} bytes, write 1 to {TMP_BYTES_MAX}");
            return Err(ControlError::invalid(message));
        }
        if grants.secrets.len() > SECRETS_MAX {
            let message = format!(
                "{} secrets are more than {SECRETS_MAX}",
                grants.secrets.len()
            );
            return Err(ControlError::invalid(message));
        }
        let dirs = grants.dirs.iter().map(|dir| self.dir(dir));
        let dirs = dirs.collect::<Result<_, _>>()?;
        let secrets = grants.secrets.into_iter();
        let secrets = secrets.map(|secret| SecretGrant::new(&secret.name, secret.exposure));
        let secrets = secrets
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(&error))?;
        let grants = Grants {
            dirs,
            secrets,
            ..grants
        };
        grants.check().map_err(|error| invalid(&error))?;
        Ok(grants)
    }

    fn dir(&self, dir: &DirGrant) -> Result<DirGrant, ControlError> {
        let invalid = |error: &dyn std::error::Error| ControlError::invalid(error.to_string());
        let host = dir.host.to_str().ok_or_else(|| {
            ControlError::invalid(format!("path `{}` is not UTF-8", dir.host.display()))
        })?;
        let checked = DirGrant::new(host, &dir.guest, dir.mode).map_err(|error| invalid(&error))?;
        if dir.quota_bytes == Some(0)
            || (dir.quota_bytes.is_some() && dir.mode == DirMode::ReadOnly)
        {
            let message = format!(
                "folder `{}` has a quota, which is for folders that can be written and more than nothing",
                dir.guest
            );
            return Err(ControlError::invalid(message));
        }
        let host = data_path(&self.config.data_root, self.namespace, &checked.host)
            .map_err(|error| invalid(&error))?;
        Ok(DirGrant {
            host,
            quota_bytes: dir.quota_bytes,
            ..checked
        })
    }
}

/// Workers are told every kept revision, and again whenever one of the function's secrets changes.
fn check_size(revision: &Revision) -> Result<(), ControlError> {
    let written = serde_json::to_vec(revision).map_err(ControlError::internal)?;
    if written.len() <= REVISION_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the grants, limits and routes take {} as JSON, the most is {}",
        format_bytes(written.len() as u64),
        format_bytes(REVISION_BYTES_MAX as u64)
    );
    Err(ControlError::new(ErrorCode::TooLarge, message)
        .with_hint("put what is large into a file of a folder (`dirs`), not into variables"))
}

fn check_message(message: Option<&str>) -> Result<(), ControlError> {
    match message.map(str::len) {
        Some(length @ MESSAGE_BYTES_MAX..) if length > MESSAGE_BYTES_MAX => Err(ControlError::new(
            ErrorCode::Invalid,
            format!("the message has {length} bytes, the longest has {MESSAGE_BYTES_MAX}"),
        )),
        _ => Ok(()),
    }
}

fn is_at_or_below(host: &str, domain: &str) -> bool {
    let below = host.strip_suffix(domain);
    below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Whether nobody reads it as an address.
fn is_name(host: &str) -> bool {
    matches!(host.parse(), Ok(HostName::Name(_)))
}
