//! The cache of native code: nothing is compiled twice, nothing damaged is loaded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use midge_model::Digest;
use midge_sandbox::{ArtifactCache, CacheError, Engine, Lookup, compile};

use crate::kit::CONFIG;

const SOURCE: &[u8] = br#"(module (func (export "_start")))"#;

fn compiled(dir: &Path) -> (ArtifactCache, PathBuf) {
    let engine = Engine::new(&CONFIG).unwrap();
    let cache = ArtifactCache::open(dir, &engine).unwrap();
    assert!(matches!(
        cache.find(&Digest::of(SOURCE)).unwrap(),
        Lookup::Miss
    ));
    let artifact = compile(&engine, &cache, SOURCE).unwrap();
    (cache, artifact)
}

#[test]
fn what_was_compiled_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cache");
    let (cache, artifact) = compiled(&dir);
    let found = cache.find(&Digest::of(SOURCE)).unwrap();
    assert!(matches!(found, Lookup::Hit(path) if path == artifact));
    assert_eq!(
        fs::metadata(&artifact).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_flipped_bit_anywhere_drops_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, artifact) = compiled(dir.path());
    let whole = fs::read(&artifact).unwrap();
    // Every 997th byte: a prime, so that no field of the format is always skipped.
    for position in (0..whole.len()).step_by(997) {
        let mut damaged = whole.clone();
        damaged[position] ^= 1;
        fs::write(&artifact, &damaged).unwrap();
        let found = cache.find(&Digest::of(SOURCE)).unwrap();
        assert!(matches!(found, Lookup::Dropped { .. }), "byte {position}");
        assert!(!artifact.exists());
    }
}

#[test]
fn a_file_cut_short_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, artifact) = compiled(dir.path());
    let whole = fs::read(&artifact).unwrap();
    fs::write(&artifact, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(
        cache.find(&Digest::of(SOURCE)).unwrap(),
        Lookup::Dropped { .. }
    ));
}

#[test]
fn a_link_to_elsewhere_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let (cache, artifact) = compiled(dir.path());
    fs::copy(&artifact, elsewhere.path()).unwrap();
    fs::remove_file(&artifact).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &artifact).unwrap();
    assert!(matches!(
        cache.find(&Digest::of(SOURCE)).unwrap(),
        Lookup::Dropped { .. }
    ));
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let engine = Engine::new(&CONFIG).unwrap();
    let refused = ArtifactCache::open(dir.path(), &engine).unwrap_err();
    assert!(matches!(refused, CacheError::NotPrivate { .. }));
    assert!(refused.hint().unwrap().starts_with("chmod"));
}

#[test]
fn a_folder_below_one_that_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let engine = Engine::new(&CONFIG).unwrap();
    let below = dir.path().join("cache");
    let refused = ArtifactCache::open(&below, &engine).unwrap_err();
    assert!(matches!(refused, CacheError::NotPrivate { .. }));
    // With the sticky bit only owners can rename what is in it.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(ArtifactCache::open(&below, &engine).is_ok());
}
