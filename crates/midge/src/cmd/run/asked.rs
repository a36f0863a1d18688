//! What functions ask for, held against what the operator allows.
//!
//! Walks through everything that is written somewhere: manifest, policy, secrets. What each says
//! is read elsewhere; here is the order, and what learning changes about it.
//!
//! **Invariant:** no function comes out that asks for more than the policy allows, or that was
//! granted a secret without a value.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_model::Policy;

use crate::cmd::fault::hinted;
use crate::config::{LearnTo, RunConfig};
use crate::functions::{self, Function};
use crate::learn::{self, Learned};
use crate::secrets::Secrets;
use crate::{policy, say};

/// What functions ask for, and what they are allowed.
pub(in crate::cmd) struct Asked {
    /// The functions, with all they were granted.
    pub(in crate::cmd) functions: Vec<Function>,
    /// The most that they may be granted.
    pub(in crate::cmd) policy: Policy,
    /// Where the manifest lies; `None` for a single component.
    folder: Option<PathBuf>,
}

impl Asked {
    /// Reads everything that is written somewhere, and refuses what the policy does not allow.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; nothing was started.
    pub(in crate::cmd) fn read(config: &mut RunConfig) -> anyhow::Result<Self> {
        let manifest = functions::manifest_at(&config.path).map_err(hinted)?;
        let learning = config.powers.learn.is_some();
        if let (true, None, Some(manifest)) = (learning, &config.powers.policy.file, &manifest) {
            config.powers.policy.file = policy::beside(manifest);
        }
        let policy = policy::load(&config.powers.policy).map_err(hinted)?;
        let secrets = Secrets::gather(&config.powers.secrets).map_err(hinted)?;
        config.overrides.secrets = secrets.as_variables();
        let mut functions =
            functions::read(&config.path, &config.overrides, &policy).map_err(hinted)?;
        if learning {
            learn::narrow(&mut functions);
        }
        policy::check(&policy, &functions).map_err(hinted)?;
        if learning {
            learn::widen(&mut functions, &policy);
        }
        for function in &mut functions {
            let values = secrets.of(&function.name, &function.grants);
            function.secrets = values.map_err(hinted)?;
        }
        for name in secrets.unused(functions.iter().map(|function| &function.grants)) {
            tracing::warn!(name, "no function is granted this secret");
        }
        let folder = manifest.as_deref().map(|path| {
            let folder = path.parent().unwrap_or(Path::new(""));
            Path::new(".").join(folder).canonicalize()
        });
        Ok(Self {
            functions,
            policy,
            folder: folder.transpose().context("find the manifest's folder")?,
        })
    }

    /// Writes down what functions turned out to need.
    ///
    /// # Errors
    ///
    /// It could not be written; then it stands on stdout.
    pub(in crate::cmd) fn write_learned(
        &self,
        learned: &Learned,
        to: &LearnTo,
    ) -> anyhow::Result<()> {
        let tables = learned.to_toml(&self.functions, self.folder.as_deref());
        match to {
            LearnTo::Stdout => say::data(&tables)?,
            LearnTo::File(path) => {
                let shown = path.display();
                if let Err(error) = std::fs::write(path, &tables) {
                    // What was learnt is not to be lost for a misspelt path.
                    say::data(&tables)?;
                    return Err(error).with_context(|| format!("write `{shown}`"));
                }
                say::line(&format!("what functions used is in {shown}"));
            }
        }
        Ok(())
    }
}
