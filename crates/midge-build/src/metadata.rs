//! What a component says about itself: its name, version and where its source is.
//!
//! Written by `wasm-metadata` into the sections that the tools of the component model read, which
//! are those that OCI's annotations are named after.
//!
//! **Invariant:** nothing of the machine goes in: no path, no user, no time.

use std::fs;

use serde_json::Value;
use wasm_metadata::{AddMetadata, AddMetadataField, Description, Payload, Version};

use crate::project::Project;

/// What is known about a function's source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What the function is called.
    pub name: String,
    /// The version of its source, as its package says.
    pub version: Option<String>,
    /// Where its source is kept, as its package says.
    pub source: Option<String>,
    /// One sentence about it, as its package says.
    pub description: Option<String>,
}

impl Metadata {
    /// What the language's own manifest says about a project.
    pub fn of(project: &Project) -> Self {
        let folder = project.folder();
        let name = project.name().to_string();
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
        let found = read("Cargo.toml")
            .and_then(|text| of_toml(&text, "package", "repository"))
            .or_else(|| read("pyproject.toml").and_then(|text| of_toml(&text, "project", "source")))
            .or_else(|| read("package.json").and_then(|text| of_json(&text)))
            .unwrap_or_default();
        Self { name, ..found }
    }

    /// The file with this in it; as it was, if it takes none or if an entry is not well-formed.
    pub(crate) fn put_into(&self, bytes: Vec<u8>) -> Vec<u8> {
        let there = Payload::from_binary(&bytes).ok();
        let there = there.as_ref().map(Payload::metadata);
        // What is set once more would be there twice.
        let is_new = |value: &str, found: Option<String>| found.as_deref() != Some(value);
        let mut add = AddMetadata::default();
        add.name = AddMetadataField::Set(self.name.clone());
        add.processed_by = vec![("midge".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        if let Some(version) = &self.version
            && is_new(
                version,
                there.and_then(|it| Some(it.version.as_ref()?.to_string())),
            )
        {
            add.version = AddMetadataField::Set(Version::new(version.clone()));
        }
        if let Some(text) = &self.description
            && is_new(
                text,
                there.and_then(|it| Some(it.description.as_ref()?.to_string())),
            )
        {
            add.description = AddMetadataField::Set(Description::new(text.clone()));
        }
        if let Some(text) = &self.source
            && is_new(
                text,
                there.and_then(|it| Some(it.source.as_ref()?.to_string())),
            )
            && let Ok(source) = text.parse()
        {
            add.source = AddMetadataField::Set(source);
        }
        add.to_wasm(&bytes).unwrap_or(bytes)
    }
}

fn of_toml(text: &str, table: &str, source: &str) -> Option<Metadata> {
    let document: toml::Table = text.parse().ok()?;
    let package = document.get(table)?;
    let entry = |key: &str| package.get(key)?.as_str().map(str::to_owned);
    Some(Metadata {
        name: String::new(),
        version: entry("version"),
        source: entry(source),
        description: entry("description"),
    })
}

fn of_json(text: &str) -> Option<Metadata> {
    let package: Value = serde_json::from_str(text).ok()?;
    let entry = |value: &Value| value.as_str().map(str::to_owned);
    Some(Metadata {
        name: String::new(),
        version: entry(&package["version"]),
        source: entry(&package["repository"]).or_else(|| entry(&package["repository"]["url"])),
        description: entry(&package["description"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_say_version_and_source() {
        let cargo =
            "[package]\nname = \"a\"\nversion = \"1.2.3\"\nrepository = \"https://example.com/a\"";
        let found = of_toml(cargo, "package", "repository").unwrap();
        assert_eq!(found.version.as_deref(), Some("1.2.3"));
        assert_eq!(found.source.as_deref(), Some("https://example.com/a"));
        let npm = r#"{"version": "2.0.0", "repository": {"url": "https://example.com/b"}}"#;
        let found = of_json(npm).unwrap();
        assert_eq!(found.version.as_deref(), Some("2.0.0"));
        assert_eq!(found.source.as_deref(), Some("https://example.com/b"));
    }

    #[test]
    fn a_component_tells_what_was_put_into_it() {
        let metadata = Metadata {
            name: "shop".to_owned(),
            version: Some("1.2.3".to_owned()),
            source: Some("https://example.com/shop".to_owned()),
            description: None,
        };
        let bytes = b"\0asm\x0d\0\x01\0".to_vec();
        let once = metadata.put_into(bytes);
        let twice = metadata.put_into(once.clone());
        assert_eq!(once, twice, "another build changes nothing");
        let told = Payload::from_binary(&once).unwrap();
        let told = told.metadata();
        assert_eq!(told.name.as_deref(), Some("shop"));
        assert_eq!(told.version.as_ref().unwrap().to_string(), "1.2.3");
        let source = told.source.as_ref().unwrap().to_string();
        assert_eq!(source, "https://example.com/shop");
    }
}
