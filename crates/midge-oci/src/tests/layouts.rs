//! Folders of artifacts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

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

/// All that is below a folder, with its bytes.
fn all(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(all(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn files_of_ones_own_below_a_layout_stay() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("bundle");
    let mine = home.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    for place in ["blobs/notes.txt", "blobs/sha256/notes.txt", "blobs/md5/x"] {
        write_layout(&folder, &both()).unwrap();
        let path = folder.join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let before = all(&folder);
        let refused = write_layout(&folder, &both()[..1]).unwrap_err();
        assert!(matches!(refused, LayoutError::Occupied { .. }), "{refused}");
        assert_eq!(all(home.path()).len(), before.len() + 1, "{place}");
        assert_eq!(all(&folder), before, "{place}");
        fs::remove_dir_all(&folder).unwrap();
    }
    // Neither is what links lead to looked at as if it were in it.
    write_layout(&folder, &both()).unwrap();
    let link = folder.join("blobs/sha256").join("a".repeat(64));
    symlink(&mine, &link).unwrap();
    let refused = write_layout(&folder, &both()).unwrap_err();
    assert!(matches!(refused, LayoutError::Occupied { .. }), "{refused}");
}

#[test]
fn what_a_link_leads_to_is_replaced_and_what_cannot_be_moved_stays() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("bundle");
    write_layout(&folder, &both()).unwrap();
    let link = home.path().join("link");
    symlink(&folder, &link).unwrap();
    write_layout(&link, &both()[..1]).unwrap();
    assert!(link.is_symlink());
    assert_eq!(
        fs::read_dir(folder.join("blobs/sha256")).unwrap().count(),
        3
    );
    write_layout(&home.path().join("bundle/."), &both()).unwrap();
    assert_eq!(
        fs::read_dir(folder.join("blobs/sha256")).unwrap().count(),
        6
    );
    let before = all(&folder);
    let nowhere = home.path().join("nowhere");
    symlink(home.path().join("else"), &nowhere).unwrap();
    write_layout(&nowhere, &both()).unwrap_err();
    let refused = write_layout(Path::new("/"), &both()).unwrap_err();
    assert!(matches!(refused, LayoutError::Occupied { .. }), "{refused}");
    let refused = write_layout(&home.path().join("new/.."), &both()).unwrap_err();
    assert!(matches!(refused, LayoutError::Current { .. }), "{refused}");
    assert_eq!(all(&folder), before);
    assert!(nowhere.is_symlink());
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
