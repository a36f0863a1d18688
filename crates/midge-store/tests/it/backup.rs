//! Backups, and what comes out of them.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use midge_model::Digest;
use midge_store::records::{SecretRecord, read, secret_key};
use midge_store::{
    BackupError, Embedded, Expect, Message, OpenError, Prefix, RestoreError, Store, Vault, backup,
    check, restore,
};

use crate::contract::key;
use crate::kit::{COMPONENT, administer, deploy, namespace, upload};

async fn sample(dir: &Path) -> (Store, Vault) {
    let store = Embedded::open(dir).unwrap();
    let vault = Vault::open(&dir.join("secret.key"), None).unwrap();
    deploy(&store, "checkout").await;
    administer(&store, &vault).await;
    let message = Message::new("one", 3);
    store.queue.push(&key("orders"), message).await.unwrap();
    (store, vault)
}

fn names(file: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

fn without(text: &impl ToString, dir: &Path) -> String {
    text.to_string().replace(dir.to_str().unwrap(), "DIR")
}

#[tokio::test]
async fn a_backup_restores_to_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let file = dir.path().join("backup.tar");
    let (store, vault) = sample(&from).await;
    upload(&store, b"\0asm nobody names this").await;
    let made = backup(&from, &file).unwrap();
    assert_eq!((made.records, made.artifacts), (9, 1));
    assert_eq!(made.file_bytes, fs::metadata(&file).unwrap().len());
    let restored = restore(&file, &to).unwrap();
    let database = fs::metadata(to.join("store.sqlite3")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
    assert_eq!(restored, made);
    assert!(check(&to).unwrap().is_sound());
    let again = Embedded::open(&to).unwrap();
    let all = async |store: &Store| store.registry.list(&Prefix::ALL, None, 100).await.unwrap();
    assert_eq!(all(&again).await, all(&store).await);
    let version = again.registry.version().await.unwrap();
    assert_eq!(version, store.registry.version().await.unwrap());
    let artifact = again.artifacts.get(&Digest::of(COMPONENT)).await.unwrap();
    assert_eq!(artifact.as_deref(), Some(COMPONENT));
    assert_eq!(again.queue.depth(&key("orders")).await.unwrap().ready, 1);
    let name = secret_key(&namespace(), "STRIPE_Key").unwrap();
    let secret = read::<SecretRecord>(&*again.registry, &name)
        .await
        .unwrap()
        .unwrap();
    let opened = vault
        .open_sealed("shop/STRIPE_Key", &secret.value.sealed)
        .unwrap();
    assert_eq!(opened.expose(), "hunter2");
}

#[tokio::test]
async fn a_backup_holds_no_key_and_no_secret_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.tar");
    let (_store, _vault) = sample(&dir.path().join("from")).await;
    backup(&dir.path().join("from"), &file).unwrap();
    let artifact = format!("artifacts/{}", Digest::of(COMPONENT).hex());
    assert_eq!(
        names(&file),
        ["midge-backup.json", "store.sqlite3", &artifact]
    );
    let bytes = fs::read(&file).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"STRIPE_Key"), "the record is there");
    assert!(!holds(b"hunter2"));
    let keys = fs::read_to_string(dir.path().join("from/secret.key")).unwrap();
    let key = keys.lines().last().unwrap();
    assert!(key.len() == 64 && !holds(key.as_bytes()));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_backup_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.tar");
    let (_store, _vault) = sample(&dir.path().join("from")).await;
    fs::write(&file, "mine").unwrap();
    let error = backup(&dir.path().join("from"), &file).unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }));
    assert_snapshot!(without(&error, dir.path()), @"`DIR/backup.tar` is there already, give another name");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn a_store_that_is_not_sound_has_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.tar");
    let (_store, _vault) = sample(&dir.path().join("from")).await;
    let artifact = dir
        .path()
        .join("from/artifacts")
        .join(Digest::of(COMPONENT).hex());
    fs::write(&artifact, "sabotaged").unwrap();
    let error = backup(&dir.path().join("from"), &file).unwrap_err();
    assert_snapshot!(error, @"the store is not sound, run `midge store check`: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is damaged: its file holds sha256:83be617ab3326239b563451869db5261950b0fc84e290519c84b99c62d9708c4");
    fs::remove_file(&artifact).unwrap();
    let error = backup(&dir.path().join("from"), &file).unwrap_err();
    assert_snapshot!(error, @"the store is not sound, run `midge store check`: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is missing");
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the store");
    let tmp = fs::read_dir(dir.path().join("from/tmp")).unwrap();
    assert_eq!(tmp.count(), 0, "no parts are left");
}

#[tokio::test]
async fn a_backup_goes_nowhere_but_where_there_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    let file = dir.path().join("backup.tar");
    let (store, _vault) = sample(&from).await;
    backup(&from, &file).unwrap();
    let error = restore(&file, &from).unwrap_err();
    assert!(matches!(error, RestoreError::Exists { .. }));
    assert_snapshot!(without(&error, dir.path()), @"there is a store in `DIR/from` already, move it away or give another folder");
    drop(store);
    let to = dir.path().join("to");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("store.sqlite3-wal"), "of a lost database").unwrap();
    let error = restore(&file, &to).unwrap_err();
    assert!(matches!(error, RestoreError::Exists { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_is_cut_short_or_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let file = dir.path().join("backup.tar");
    let (_store, _vault) = sample(&from).await;
    backup(&from, &file).unwrap();
    let whole = fs::read(&file).unwrap();
    let mut said = Vec::new();
    for length in [0, 100, 600, 5_000, whole.len() - 2_048] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = restore(&file, &to).unwrap_err();
        assert!(matches!(error, RestoreError::BadFile { .. }), "{error}");
        said.push(without(&error, dir.path()));
    }
    let mut changed = whole.clone();
    let place = whole
        .windows(4)
        .rposition(|window| window == b"\0asm")
        .unwrap();
    changed[place + 6] ^= 1;
    fs::write(&file, changed).unwrap();
    said.push(without(&restore(&file, &to).unwrap_err(), dir.path()));
    assert_snapshot!(said.join("\n"), @r"
    `DIR/backup.tar` is not a whole backup: it ends too early
    `DIR/backup.tar` is not a whole backup: failed to read entire block
    `DIR/backup.tar` is not a whole backup: EOF while parsing a value at line 5 column 14
    `DIR/backup.tar` is not a whole backup: unexpected EOF during skip
    `DIR/backup.tar` is not a whole backup: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is missing, `revision.shop.checkout.0000000001` names it
    `DIR/backup.tar` is not a whole backup: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is damaged: its file holds sha256:b1d4300ad25db02ed7003b2faeac0c7264f2e16fb42573e918618c89d53fcdda
    ");
    assert!(matches!(check(&to), Err(OpenError::Missing { .. })));
    fs::write(&file, whole).unwrap();
    restore(&file, &to).unwrap();
}

#[test]
fn an_archive_writes_only_what_a_backup_has() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.tar");
    let about = br#"{"format":1,"made_at":"2026-11-22T14:00:00Z","records":0,"artifacts":0}"#;
    let evil = [
        "../evil",
        "artifacts/../../evil",
        "/evil",
        "secret.key",
        "artifacts/evil",
        "lock",
    ];
    for name in evil {
        let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
        append(&mut archive, "midge-backup.json", about);
        append(&mut archive, name, b"evil");
        archive.into_inner().unwrap();
        let error = restore(&file, &dir.path().join("to")).unwrap_err();
        assert!(
            error.to_string().contains("which no backup does"),
            "{error}"
        );
    }
    assert!(!dir.path().join("evil").exists() && !dir.path().join("to/evil").exists());
}

/// `tar::Builder` itself refuses such names, so they are written into the header by hand.
fn append(archive: &mut tar::Builder<fs::File>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_old();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(u64::try_from(bytes.len()).unwrap());
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_beside_deploys_and_sweeps_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    let (store, _vault) = sample(&from).await;
    let stop = Arc::new(AtomicBool::new(false));
    let churn = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut nth = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                nth += 1;
                deploy_and_sweep(&store, nth).await;
            }
            nth
        }
    });
    for nth in 0..8 {
        let (from, file) = (from.clone(), dir.path().join(format!("{nth}.tar")));
        let to = dir.path().join(format!("to-{nth}"));
        let made = tokio::task::spawn_blocking(move || {
            let made = backup(&from, &file).unwrap();
            restore(&file, &to).unwrap();
            let beside = check(&from).unwrap();
            (made, check(&to).unwrap(), beside)
        });
        let (made, restored, beside) = made.await.unwrap();
        assert!(restored.is_sound(), "{restored:?}");
        assert!(beside.is_sound(), "{beside:?}");
        assert_eq!(made.artifacts, restored.artifacts);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(churn.await.unwrap() > 0);
}

/// What a deploy of a new component and the sweep of the one before it do to a store.
async fn deploy_and_sweep(store: &Store, nth: u32) {
    use midge_store::records::{ComponentRecord, component_key};

    let bytes = |nth: u32| format!("\0asm {nth}").into_bytes();
    let digest = upload(store, &bytes(nth)).await;
    let record = ComponentRecord {
        namespace: namespace(),
        digest,
        size_bytes: u64::try_from(bytes(nth).len()).unwrap(),
        uploaded_at: crate::kit::at(),
        uploaded_by: "ci".to_owned(),
    };
    crate::kit::keep(store, &component_key(&namespace(), &digest), &record).await;
    let old = Digest::of(&bytes(nth - 1));
    let old_key = component_key(&namespace(), &old);
    store.registry.delete(&old_key, Expect::Any).await.unwrap();
    store.artifacts.delete(&old).await.unwrap();
}

#[tokio::test]
async fn people_can_open_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.tar");
    let (_store, _vault) = sample(&dir.path().join("from")).await;
    backup(&dir.path().join("from"), &file).unwrap();
    let mut archive = tar::Archive::new(fs::File::open(&file).unwrap());
    let mut about = String::new();
    let mut first = archive.entries().unwrap().next().unwrap().unwrap();
    first.read_to_string(&mut about).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["format"], &about["records"]),
        (&1.into(), &9.into())
    );
}
