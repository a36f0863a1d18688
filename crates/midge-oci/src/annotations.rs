//! What a component says of itself, in the words of OCI.
//!
//! **Invariant:** what the component does not say is not made up.

use std::collections::BTreeMap;

use wasm_metadata::Payload;

/// What the keys of an image begin with; an artifact has the same.
const PREFIX: &str = "org.opencontainers.image.";

/// The longest value that is passed on: more is no title and no address.
const VALUE_BYTES_MAX: usize = 4096;

/// The key of what is called so.
pub(crate) fn key_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The annotations of a component, by their keys.
pub(crate) fn of(component: &[u8]) -> BTreeMap<String, String> {
    // A section that does not read says nothing; whether the file is sound is not asked here.
    let Ok(payload) = Payload::from_binary(component) else {
        return BTreeMap::new();
    };
    let said = payload.metadata();
    let found = [
        ("title", said.name.clone()),
        ("version", said.version.as_ref().map(ToString::to_string)),
        ("source", said.source.as_ref().map(ToString::to_string)),
        ("url", said.homepage.as_ref().map(ToString::to_string)),
        ("revision", said.revision.as_ref().map(ToString::to_string)),
        ("licenses", said.licenses.as_ref().map(ToString::to_string)),
        ("authors", said.authors.as_ref().map(ToString::to_string)),
        (
            "description",
            said.description.as_ref().map(ToString::to_string),
        ),
    ];
    let is_fit = |value: &String| !value.is_empty() && value.len() <= VALUE_BYTES_MAX;
    let kept = found
        .into_iter()
        .filter_map(|(name, value)| Some((key_of(name), value.filter(is_fit)?)));
    kept.collect()
}
