//! Components of a release candidate that was released as it was: they are given the release's names.
//!
//! Decides nothing: which candidate that is stands in `imports.rs`, and why names are changed and not
//! linked twice in `docs/decisions/0038-a-candidate-that-was-released-as-it-was.md`.
//!
//! **Invariant:** only names in the outermost imports and exports change, and all other bytes stay;
//! depends on nothing of the engine, so that it can be fuzzed without one.

use std::borrow::Cow;

use wasmparser::{
    BinaryReader, ComponentExportSectionReader, ComponentImportSectionReader, Result,
};

use crate::imports::{CANDIDATE_RELEASED_AS_IT_WAS, RELEASE_OF_CANDIDATE};

/// Magic number, version and layer.
const PREAMBLE_BYTES: usize = 8;

/// The numbers of the sections whose names change.
const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;

/// Whose candidate it is.
const PACKAGES: &str = "wasi:";

/// The component with the release's names in the place of the candidate's.
pub(crate) fn as_released(component: &[u8]) -> Result<Cow<'_, [u8]>> {
    let mut renamed = Vec::new();
    // Of what was there, so much is in `renamed`.
    let mut copied = 0;
    let mut reader = BinaryReader::new(component, 0);
    reader.read_bytes(PREAMBLE_BYTES.min(component.len()))?;
    while !reader.eof() {
        let number = reader.read_u8()?;
        let size_at = reader.original_position();
        let size_bytes = reader.read_var_u32()? as usize;
        let section = reader.original_position();
        reader.read_bytes(size_bytes)?;
        let contents = &component[section..section + size_bytes];
        if let Some(contents) = renamed_items(contents, &items(number, contents)?) {
            renamed.extend_from_slice(&component[copied..size_at]);
            push_leb(&mut renamed, contents.len());
            renamed.extend_from_slice(&contents);
            copied = section + size_bytes;
        }
    }
    if copied == 0 {
        return Ok(component.into());
    }
    renamed.extend_from_slice(&component[copied..]);
    Ok(renamed.into())
}

/// Where in a section the items with names begin.
fn items(number: u8, contents: &[u8]) -> Result<Vec<usize>> {
    let reader = BinaryReader::new(contents, 0);
    match number {
        IMPORTS => {
            let items = ComponentImportSectionReader::new(reader)?.into_iter_with_offsets();
            items.map(|item| item.map(|(offset, _)| offset)).collect()
        }
        EXPORTS => {
            let items = ComponentExportSectionReader::new(reader)?.into_iter_with_offsets();
            items.map(|item| item.map(|(offset, _)| offset)).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// A section's contents with other names, if any of them changes.
fn renamed_items(contents: &[u8], items: &[usize]) -> Option<Vec<u8>> {
    let mut renamed = Vec::new();
    let mut copied = 0;
    for item in items {
        // An item begins with a byte for the kind of its name, then the name.
        let Some((name, after)) = name_at(contents, item + 1) else {
            continue;
        };
        let Some(stem) = name.strip_suffix(CANDIDATE_RELEASED_AS_IT_WAS) else {
            continue;
        };
        if !stem.starts_with(PACKAGES) || !stem.ends_with('@') {
            continue;
        }
        renamed.extend_from_slice(&contents[copied..=*item]);
        push_leb(&mut renamed, stem.len() + RELEASE_OF_CANDIDATE.len());
        renamed.extend_from_slice(stem.as_bytes());
        renamed.extend_from_slice(RELEASE_OF_CANDIDATE.as_bytes());
        copied = after;
    }
    if copied == 0 {
        return None;
    }
    renamed.extend_from_slice(&contents[copied..]);
    Some(renamed)
}

/// The name whose length is written at `at`, and where it ends.
fn name_at(bytes: &[u8], at: usize) -> Option<(&str, usize)> {
    let mut reader = BinaryReader::new(bytes.get(at..)?, at);
    let name = reader.read_string().ok()?;
    Some((name, reader.original_position()))
}

/// Writes a number as WebAssembly does (unsigned LEB128).
fn push_leb(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits fit");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::Outline;

    /// The outermost names before and after, and whether it is still a component.
    fn check(text: &str) -> Vec<String> {
        let before = wat::parse_str(text).unwrap();
        let after = as_released(&before).unwrap();
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(&after)
            .unwrap();
        let outline = Outline::read(&after).unwrap();
        let imports = outline.imports.into_keys();
        imports.chain(outline.exports).collect()
    }

    #[test]
    fn names_of_the_candidate_become_the_releases() {
        let text = r#"(component
            (import "wasi:http/types@0.3.0-rc-2026-03-15" (instance $types
                (export "fields" (type (sub resource)))))
            (import "wasi:cli/stdin@0.3.0-rc-2026-01-06" (instance))
            (import "acme:http/types@0.3.0-rc-2026-03-15" (instance))
            (component
                (import "wasi:http/types@0.3.0-rc-2026-03-15" (instance
                    (export "fields" (type (sub resource))))))
            (instance $handler)
            (export "wasi:http/handler@0.3.0-rc-2026-03-15" (instance $handler)))"#;
        let names = [
            "acme:http/types@0.3.0-rc-2026-03-15",
            "wasi:cli/stdin@0.3.0-rc-2026-01-06",
            "wasi:http/types@0.3.0",
            "wasi:http/handler@0.3.0",
        ];
        assert_eq!(check(text), names);
    }

    #[test]
    fn what_has_no_such_name_stays_as_it_is() {
        let component = wat::parse_str(r#"(component (import "a:b/c@0.3.0" (instance)))"#).unwrap();
        assert!(matches!(as_released(&component).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_component_is_refused_or_left() {
        let text = r#"(component (import "wasi:cli/run@0.3.0-rc-2026-03-15" (instance)))"#;
        let component = wat::parse_str(text).unwrap();
        for cut in 0..component.len() {
            drop(as_released(&component[..cut]));
        }
    }
}
