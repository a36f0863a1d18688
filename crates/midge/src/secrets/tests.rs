//! Which value a secret has, and what is said when it has none.

use std::fs;

use insta::assert_snapshot;

use super::*;

/// What comes of these flags, in a folder with a file `several` of these lines and a file `one`.
fn check(several: &str, flags: &[&str], granted: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("several"), several).unwrap();
    fs::write(folder.path().join("one"), "from one\n").unwrap();
    let in_folder = |source: SecretSource| SecretSource {
        file: source.file.map(|file| folder.path().join(file)),
        ..source
    };
    let choice = SecretChoice {
        single: flags
            .iter()
            .map(|flag| in_folder(flag.parse().unwrap()))
            .collect(),
        file: (!several.is_empty()).then(|| folder.path().join("several")),
    };
    let grant = |name: &&str| SecretGrant::new(name, SecretExposure::Env).unwrap();
    let grants = Grants {
        secrets: granted.iter().map(grant).collect(),
        ..Grants::default()
    };
    let found =
        Secrets::gather(&choice).and_then(|secrets| secrets.of(&"shop".parse().unwrap(), &grants));
    let text = match found {
        Ok(values) => {
            let shown = values
                .iter()
                .map(|(name, value)| format!("{name}={} {value:?}\n", value.expose()));
            shown.collect()
        }
        Err(error) => format!("error: {:#}", crate::cmd::fault::hinted(error)),
    };
    text.replace(&*folder.path().to_string_lossy(), "FOLDER")
}

#[test]
fn a_place_of_its_own_goes_over_a_line_in_the_file() {
    let several = "# for people\n\nA = not trimmed \nB=with=equals\n";
    assert_snapshot!(check(several, &["A=@one"], &["A", "B"]), @r"
    A=from one ***
    B=with=equals ***
    ");
    assert_eq!(check(several, &["A"], &["A"]), "A= not trimmed  ***\n");
}

#[test]
fn a_function_gets_what_it_was_granted_and_nothing_else() {
    assert_eq!(check("A=1\nB=2\n", &[], &["B"]), "B=2 ***\n");
    assert_eq!(check("A=1\n", &[], &[]), "");
}

#[test]
fn a_secret_without_a_value_is_an_error() {
    assert_snapshot!(check("A=1\n", &[], &["B"]), @"error: function shop: secret `B` is granted and has no value");
    assert_snapshot!(check("", &["NOBODY_SETS_THIS"], &[]), @"error: secret `NOBODY_SETS_THIS`: there is no environment variable of this name");
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_its_text() {
    assert_snapshot!(check("A=1\nhunter2\n", &[], &[]), @"error: `FOLDER/several`, line 2: not a secret, write `NAME=VALUE`");
    assert_snapshot!(check("A B=hunter2\n", &[], &[]), @"error: `FOLDER/several`, line 1: secret name `A B` is not a letter or `_` followed by letters, digits and `_`");
    let long = format!("A={}\n", "x".repeat(SECRET_BYTES_MAX + 1));
    assert_snapshot!(check(&long, &[], &[]), @"error: value of secret `A`: secret has 65537 bytes, the longest has 65536");
    assert_snapshot!(check("", &["A=@missing"], &[]), @"error: read secrets from `FOLDER/missing`: No such file or directory (os error 2)");
}

#[test]
fn a_secret_for_nobody_is_noticed() {
    let secrets = Secrets(BTreeMap::from([(
        "A".to_owned(),
        SecretText::new("1").unwrap(),
    )]));
    assert_eq!(secrets.unused([&Grants::default()]), ["A"]);
    let grants = Grants {
        secrets: secrets.as_variables(),
        ..Grants::default()
    };
    assert!(secrets.unused([&grants]).is_empty());
    assert_eq!(format!("{secrets:?}"), r#"Secrets({"A": ***})"#);
}
