//! A vault over a real key file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn secret(text: &str) -> SecretText {
    SecretText::new(text).expect("it is a secret")
}

#[test]
fn a_value_opens_under_its_own_name_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    let vault = Vault::open(&path, None).unwrap();
    let sealed = vault.seal("shop/KEY", &secret("hunter2")).unwrap();
    let again = Vault::open(&path, None).unwrap();
    let opened = again.open_sealed("shop/KEY", &sealed).unwrap();
    assert_eq!(opened.expose(), "hunter2");
    let error = again.open_sealed("other/KEY", &sealed).unwrap_err();
    assert_snapshot!(error, @"the sealed secret is damaged, set it again");
}

#[test]
fn nothing_prints_a_key_or_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let digits = "ab".repeat(32);
    let vault = Vault::open(&dir.path().join("secret.key"), Some(&digits)).unwrap();
    let sealed = vault.seal("name", &secret("hunter2")).unwrap();
    let printed = format!("{vault:?} {sealed:?}");
    assert!(!printed.contains("abab") && !printed.contains("hunter2"));
    let error = Vault::open(&dir.path().join("secret.key"), Some("abab")).unwrap_err();
    assert_snapshot!(error, @"the key from the environment is not 64 hexadecimal digits");
}

#[test]
fn the_key_file_is_its_owners_and_no_one_elses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    Vault::open(&path, None).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Vault::open(&path, None).unwrap_err().to_string();
    let error = error.replace(dir.path().to_str().unwrap(), "DIR");
    assert_snapshot!(error, @"key file `DIR/secret.key` may be read by others than its owner, run `chmod 600 DIR/secret.key`");
}

#[test]
fn a_rotated_key_still_opens_until_it_is_retired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    let mut vault = Vault::open(&path, None).unwrap();
    let old = vault.seal("name", &secret("hunter2")).unwrap();
    vault.rotate().unwrap();
    assert!(!vault.is_newest(&old));
    let mut vault = Vault::open(&path, None).unwrap();
    let opened = vault.open_sealed("name", &old).unwrap();
    let new = vault.seal("name", &opened).unwrap();
    assert!(vault.is_newest(&new));
    assert_eq!(vault.retire_old().unwrap(), 1);
    let vault = Vault::open(&path, None).unwrap();
    assert_eq!(vault.open_sealed("name", &new).unwrap(), secret("hunter2"));
    let error = vault.open_sealed("name", &old).unwrap_err();
    assert!(matches!(error, VaultError::NoKey { .. }));
}

#[test]
fn a_key_from_the_environment_seals_and_the_file_still_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    let old = Vault::open(&path, None)
        .unwrap()
        .seal("name", &secret("one"))
        .unwrap();
    let kept = fs::read(&path).unwrap();
    let (first, second) = ("ab".repeat(32), "cd".repeat(32));
    let mut vault = Vault::open(&path, Some(&first)).unwrap();
    assert_eq!(vault.open_sealed("name", &old).unwrap(), secret("one"));
    let new = vault.seal("name", &secret("two")).unwrap();
    assert!(matches!(vault.rotate(), Err(VaultError::FromEnvironment)));
    assert!(matches!(
        vault.retire_old(),
        Err(VaultError::FromEnvironment)
    ));
    assert_eq!(fs::read(&path).unwrap(), kept, "the file is left alone");
    let vault = Vault::open(&path, Some(&format!("{second},{first}"))).unwrap();
    assert_eq!(vault.open_sealed("name", &new).unwrap(), secret("two"));
    assert!(!vault.is_newest(&new));
}

#[test]
fn keys_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::open(&dir.path().join("secret.key"), None).unwrap();
    for _ in 1..VAULT_KEYS_MAX {
        vault.rotate().unwrap();
    }
    assert!(matches!(vault.rotate(), Err(VaultError::TooManyKeys)));
}

#[test]
fn a_file_that_holds_no_keys_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.key");
    for text in ["", "# heading\n", "not a key\n", "abab\n"] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let opened = Vault::open(&path, None);
        assert!(
            matches!(opened, Err(VaultError::BadFile { .. })),
            "{text:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_value_comes_back_and_no_changed_one(text in "[^\0]{0,200}", at in any::<usize>()) {
        let key = VaultKey::new([7; KEY_BYTES]);
        let vault = Vault { keys: vec![key], file: None };
        let mut sealed = vault.seal("name", &secret(&text)).unwrap();
        prop_assert_eq!(vault.open_sealed("name", &sealed).unwrap(), secret(&text));
        let mut bytes = hex::decode(&sealed.ciphertext).unwrap();
        let place = at % bytes.len();
        bytes[place] ^= 1;
        sealed.ciphertext = hex::encode(&bytes);
        prop_assert!(matches!(vault.open_sealed("name", &sealed), Err(VaultError::Damaged)));
    }
}
