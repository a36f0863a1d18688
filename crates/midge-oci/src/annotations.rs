//! What a component says of itself, in the words of OCI.
//!
//! **Invariant:** what the component does not say is not made up.

use std::collections::BTreeMap;

use wasm_metadata::Payload;

/// The longest value that is passed on: more is no title and no address.
const VALUE_BYTES_MAX: usize = 4096;

/// The annotations of a component, by their keys.
pub(crate) fn of(component: &[u8]) -> BTreeMap<&'static str, String> {
    // A section that does not read says nothing; whether the file is sound is not asked here.
    let Ok(payload) = Payload::from_binary(component) else {
        return BTreeMap::new();
    };
    let said = payload.metadata();
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string);
    let found = [
        ("org.opencontainers.image.title", said.name.clone()),
        (
            "org.opencontainers.image.version",
            text(said.version.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.source",
            text(said.source.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.url",
            text(said.homepage.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.revision",
            text(said.revision.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.licenses",
            text(said.licenses.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.authors",
            text(said.authors.as_ref().map(|it| it as _)),
        ),
        (
            "org.opencontainers.image.description",
            text(said.description.as_ref().map(|it| it as _)),
        ),
    ];
    let is_fit = |value: &String| !value.is_empty() && value.len() <= VALUE_BYTES_MAX;
    let kept = found
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.filter(is_fit)?)));
    kept.collect()
}
