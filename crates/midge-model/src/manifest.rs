//! The manifest, `midge.toml`: one file, one table per function.
//!
//! Decides what a manifest says and what is wrong with one, down to line and column.
//! Reading the file, finding the components and asking the node's policy is left to
//! the commands. Keys that are planned but do nothing yet are refused: a limit that is
//! written down and not kept is worse than none.
//!
//! **Invariant:** every function of a [`Manifest`] has a component and a route, and no
//! two of its routes match the same requests.

pub(crate) mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::document::{self, Kind, Placed};
use crate::{ComponentSource, FunctionName, Grants, Isolation, LimitsPatch, Route};

/// The longest manifest in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// How the top of the file is called in messages.
pub(crate) const TOP: &str = "the manifest";

/// What a `midge.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The functions by name; at least one.
    pub functions: BTreeMap<FunctionName, FunctionSpec>,
}

/// What a manifest says about one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Where its component is.
    pub component: ComponentSource,
    /// The command that builds it, as written.
    pub build: Option<String>,
    /// Which requests it answers; `/<name>/*` where the manifest does not say.
    pub routes: Vec<Route>,
    /// The limits it wants different.
    pub limits: LimitsPatch,
    /// What its invocations share; `None` where the manifest does not say.
    pub isolation: Option<Isolation>,
    /// How many of its revisions stay; `None` leaves it to the node.
    pub keep: Option<u32>,
    /// What it asks to touch.
    grants: Grants,
}

/// What is wrong with a manifest, and where. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(Placed);

impl Manifest {
    /// The JSON Schema (2020-12) of a manifest, for editors. It knows the same keys, and lets pass
    /// values that a parser here refuses.
    pub const SCHEMA: &str = include_str!("manifest/schema.json");

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; show [`ManifestError::hint`] below the message.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        const MANIFEST: Kind = Kind {
            name: "manifest",
            bytes_max: MANIFEST_BYTES_MAX,
        };
        document::read(text, &MANIFEST, read::manifest).map_err(ManifestError)
    }
}

impl FunctionSpec {
    /// What the function asks to touch; relative host paths are relative to the manifest.
    pub fn grants(&self) -> Grants {
        self.grants.clone()
    }
}

impl ManifestError {
    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

#[cfg(test)]
mod schema_tests {
    use serde_json::Value;

    use super::*;

    /// The keys of a table of the schema.
    fn keys(table: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> = table["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        keys
    }

    fn sorted(known: &[&'static str]) -> Vec<&'static str> {
        let mut known = known.to_vec();
        known.sort_unstable();
        known
    }

    /// An editor that offers a key which is refused, or none where there is one, is worse than none.
    #[test]
    fn the_schema_has_the_keys_that_are_read() {
        let schema: Value = serde_json::from_str(Manifest::SCHEMA).unwrap();
        let function = &schema["$defs"]["function"];
        let allow = &function["properties"]["allow"];
        assert_eq!(keys(function), sorted(read::FUNCTION_KEYS.known));
        assert_eq!(keys(allow), sorted(read::ALLOW_KEYS.known));
        let of_several = |name: &str| match name {
            "limits" => &function["properties"]["limits"],
            "isolation" => &function["properties"]["isolation"]["oneOf"][1],
            "secret" => &allow["properties"]["secrets"]["items"]["oneOf"][1],
            _ => &allow["properties"]["dirs"]["items"],
        };
        for (name, known) in document::KNOWN {
            assert_eq!(keys(of_several(name)), sorted(known), "{name}");
        }
    }

    #[test]
    fn every_key_of_the_schema_is_described() {
        fn look(value: &Value, place: &str) {
            if let Some(properties) = value["properties"].as_object() {
                for (key, inner) in properties {
                    let place = format!("{place}.{key}");
                    let is_said = inner["description"].is_string() || inner["enum"].is_array();
                    assert!(is_said, "{place}");
                    look(inner, &place);
                }
            }
            for inner in value["oneOf"].as_array().into_iter().flatten() {
                look(inner, place);
            }
            if value["items"].is_object() {
                look(&value["items"], place);
            }
        }
        let schema: Value = serde_json::from_str(Manifest::SCHEMA).unwrap();
        look(&schema, "");
        look(&schema["$defs"]["function"], "function");
    }
}
