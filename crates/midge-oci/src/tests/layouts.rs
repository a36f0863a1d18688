//! Folders of artifacts.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use super::*;

fn both() -> Vec<(String, Artifact)> {
    let named = |name: &str, component| (name.to_owned(), artifact(component));
    vec![named("one", COMPONENT), named("two", MODULE)]
}

fn read(folder: &Path, name: Option<&str>) -> String {
    match read_layout(folder, name, 100) {
        Ok((name, artifact)) => format!("{name} {}", artifact.digest()),
        Err(error) => error.to_string(),
    }
    .replace(&*folder.to_string_lossy(), "FOLDER")
}

#[test]
fn what_was_written_is_read() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("deep/bundle");
    write_layout(&folder, &both()).unwrap();
    assert!(is_layout(&folder));
    for (name, artifact) in both() {
        let read = read_layout(&folder, Some(&name), 100).unwrap();
        assert_eq!(read, (name, artifact));
    }
    assert_snapshot!(fs::read_to_string(folder.join("index.json")).unwrap(), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:fa43fd360bb44a6d2c0d7b354f3f486980225edaf7f8953c908f601058ff0950","size":420,"artifactType":"application/vnd.wasm.config.v0+json","annotations":{"org.opencontainers.image.ref.name":"one"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:6fce7542c2e8cb5b1a27a6e2a53e402322e58373b7a3a5de548c8083133e676c","size":420,"artifactType":"application/vnd.wasm.config.v0+json","annotations":{"org.opencontainers.image.ref.name":"two"}}]}"#);
    assert_snapshot!(read(&folder, None), @"`FOLDER` has the components one, two");
    assert_snapshot!(read(&folder, Some("three")), @"`FOLDER` has the components one, two");
    let entries = fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(entries, 1, "what it was made in is gone");
}

#[test]
fn components_are_replaced_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("bundle");
    write_layout(&folder, &both()).unwrap();
    write_layout(&folder, &both()[..1]).unwrap();
    assert_eq!(
        fs::read_dir(folder.join("blobs/sha256")).unwrap().count(),
        3
    );
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let refused = write_layout(&folder, &both()).unwrap_err();
    assert!(matches!(refused, LayoutError::Occupied { .. }), "{refused}");
    fs::remove_file(folder.join("notes.txt")).unwrap();
    let index = r#"{"schemaVersion": 2, "manifests": [{"digest": "DIGEST"}]}"#;
    let index = index.replace("DIGEST", &Digest::of(b"an image").to_string());
    fs::write(folder.join("index.json"), index).unwrap();
    let refused = write_layout(&folder, &both()).unwrap_err();
    assert!(matches!(refused, LayoutError::Occupied { .. }), "{refused}");
}

#[test]
fn a_damaged_layout_is_told_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("bundle");
    write_layout(&folder, &both()).unwrap();
    let component = Blobs::at(&folder.join("blobs")).path(&Digest::of(COMPONENT));
    fs::write(&component, b"else").unwrap();
    assert_snapshot!(read(&folder, Some("one")), @"`FOLDER` has no blob sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29, or a damaged one");
    assert!(component.exists());
    fs::write(folder.join("index.json"), "{}").unwrap();
    assert_snapshot!(read(&folder, Some("one")), @"`FOLDER/index.json` is no index of components: missing field `manifests` at line 1 column 2");
    assert_snapshot!(read(home.path(), None), @"read `FOLDER/index.json`");
}
