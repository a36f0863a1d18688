//! What a deploy asks for, checked as far as the request alone allows.
//!
//! A body is JSON of anybody, so what has rules beyond its JSON is put together anew here, by the
//! same constructors that read a manifest. Whether a policy allows it is `cap.rs`.
//!
//! **Invariant:** what is [`Wanted`] would also have been read from a manifest.

use std::collections::BTreeMap;
use std::path::Path;

use midge_api::{DeployRequest, ErrorCode, MESSAGE_BYTES_MAX};
use midge_model::{
    DirGrant, DirMode, EnvVar, FunctionName, Grants, KEEP_MAX, Limits, NamespaceName, Revision,
    RevisionNumber, Route, SecretGrant, TMP_BYTES_MAX, data_path,
};

use crate::error::ControlError;

/// The most routes of one function; each is a claim of its own.
const ROUTES_MAX: usize = 100;
/// The most variables of one function: each instance gets a copy of all.
const ENV_MAX: usize = 256;

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
    /// The node's domain.
    pub(crate) domain: &'a str,
    /// Where relative host folders lie.
    pub(crate) data_root: &'a Path,
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
            routes: self.routes(routes)?,
        };
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

    /// Hosts below the node's domain say which function they mean: a route there would answer in
    /// another's name.
    fn check_host(&self, host: &str) -> Result<(), ControlError> {
        let below = host.strip_suffix(self.domain);
        if below.is_none_or(|below| !below.is_empty() && !below.ends_with('.')) {
            return Ok(());
        }
        let message = format!(
            "host `{host}` is below `{}`, whose hosts are functions' own addresses",
            self.domain
        );
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
        let host = data_path(self.data_root, self.namespace, &checked.host)
            .map_err(|error| invalid(&error))?;
        Ok(DirGrant {
            host,
            quota_bytes: dir.quota_bytes,
            ..checked
        })
    }
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
