//! What grants read and refuse.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn dir(text: &str) -> String {
    match text.parse::<DirGrant>() {
        Ok(grant) => format!("ok: {grant}"),
        Err(error) => format!("error: {error}"),
    }
}

fn env(text: &str) -> String {
    match text.parse::<EnvVar>() {
        Ok(EnvVar { name, value }) => format!("ok: {name} is {value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn together(dirs: &[&str]) -> String {
    let dirs = dirs.iter().filter_map(|text| text.parse().ok()).collect();
    checked(&Grants {
        dirs,
        ..Grants::default()
    })
}

fn checked(grants: &Grants) -> String {
    match grants.check() {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn quota(dir: &str, text: &str) -> String {
    match dir.parse::<DirGrant>().unwrap().with_quota(text) {
        Ok(grant) => format!("ok: {:?}", grant.quota_bytes),
        Err(error) => format!("error: {error}"),
    }
}

fn secret(name: &str, exposure: SecretExposure) -> SecretGrant {
    SecretGrant::new(name, exposure).unwrap()
}

#[test]
fn a_directory_is_read_only_unless_it_says_otherwise() {
    assert_snapshot!(dir("./data:/data"), @"ok: ./data:/data:ro");
    assert_snapshot!(dir("./data:/data:rw"), @"ok: ./data:/data:rw");
    assert_snapshot!(dir("/srv/a:b:/data/:ro"), @"ok: /srv/a:b:/data:ro");
    assert_snapshot!(dir(".:/"), @"ok: .:/:ro");
}

#[test]
fn a_directory_grant_says_what_is_missing() {
    assert_snapshot!(dir("./data"), @"error: directory `./data` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir("./data:ro"), @"error: directory `./data:ro` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir(":/data"), @"error: directory `:/data` does not say which host directory, write for example `./data:/data`");
    assert_snapshot!(dir(""), @"error: directory `` does not say where the guest sees it, write for example `./data:/data`");
    assert_snapshot!(dir("./data:/data:rx"), @"error: mode `rx` is unknown, write `ro` (read only) or `rw` (read and write)");
}

#[test]
fn a_guest_path_cannot_climb() {
    assert_snapshot!(dir("./data:data"), @"error: guest path `data` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data:/data/../etc"), @"error: guest path `/data/../etc` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data:/./x:rw"), @"error: guest path `/./x` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./data://x"), @"error: guest path `//x` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(dir("./da\0ta:/x"), @r"error: path `./da\0ta` contains a zero byte");
}

#[test]
fn a_variable_has_a_name_and_a_value() {
    assert_snapshot!(env("LOG=info"), @r#"ok: LOG is "info""#);
    assert_snapshot!(env("_A1=b=c"), @r#"ok: _A1 is "b=c""#);
    assert_snapshot!(env("EMPTY="), @r#"ok: EMPTY is """#);
    assert_snapshot!(env("LOG"), @"error: environment variable `LOG` has no `=`, write for example `LOG=value`");
    assert_snapshot!(env("=x"), @"error: environment variable name `` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(env("A-B=x"), @"error: environment variable name `A-B` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(env("A=\0"), @"error: value of environment variable `A` contains a zero byte");
    assert_snapshot!(env(&format!("A={}", "x".repeat(40_000))), @"error: value of environment variable `A` has 40000 bytes, the longest has 32768");
}

#[test]
fn directories_apart_stand_together() {
    assert_snapshot!(together(&["./a:/a:ro", "./b:/b:rw"]), @"ok");
    assert_snapshot!(together(&["./a:/a:ro", "./a/b:/b:ro"]), @"ok");
    assert_snapshot!(together(&["./ab:/a:ro", "./a:/b:rw"]), @"ok");
}

#[test]
fn one_guest_path_shows_one_directory() {
    assert_snapshot!(together(&["./a:/x", "./b:/x/"]), @"error: directories `./a:/x:ro` and `./b:/x:ro` have the same guest path, give one another path");
}

#[test]
fn one_tree_has_one_mode() {
    assert_snapshot!(together(&["/srv/data:/a:ro", "/srv/data/in:/b:rw"]), @"error: directories `/srv/data:/a:ro` and `/srv/data/in:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&["./data/in/..:/a:ro", "data:/b:rw"]), @"error: directories `./data/in/..:/a:ro` and `data:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&["/:/a:ro", "/../srv:/b:rw"]), @"error: directories `/:/a:ro` and `/../srv:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
    assert_snapshot!(together(&[".:/a:ro", "./x:/b:rw"]), @"error: directories `.:/a:ro` and `./x:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
}

#[test]
fn a_quota_is_for_what_can_be_written() {
    assert_snapshot!(quota("./a:/a:rw", "1GiB"), @"ok: Some(1073741824)");
    assert_snapshot!(quota("./a:/a:ro", "1GiB"), @r#"error: directory `/a` has a quota and cannot be written, write `mode = "rw"` or leave the quota out"#);
    assert_snapshot!(quota("./a:/a:rw", "0B"), @r#"error: directory `/a` has a quota of nothing, write `mode = "ro"` or a size such as `1GiB`"#);
    assert_snapshot!(quota("./a:/a:rw", "1"), @"error: size `1` has no unit, write for example `1MiB`");
    let grant = "./a:/a:rw"
        .parse::<DirGrant>()
        .unwrap()
        .with_quota("1GiB")
        .unwrap();
    let json = serde_json::to_string(&grant).unwrap();
    assert_snapshot!(json, @r#"{"host":"./a","guest":"/a","mode":"rw","quota_bytes":"1GiB"}"#);
    assert_eq!(serde_json::from_str::<DirGrant>(&json).unwrap(), grant);
}

#[test]
fn the_private_directory_has_its_path_for_itself() {
    let with_tmp = |dir: &str| {
        checked(&Grants {
            dirs: vec![dir.parse().unwrap()],
            tmp_bytes: Some(64 << 20),
            ..Grants::default()
        })
    };
    assert_snapshot!(with_tmp("./a:/tmp"), @"error: directory `./a:/tmp:ro` is where the private one of `tmp` is, give it another guest path or leave `tmp` out");
    assert_snapshot!(with_tmp("./a:/tmp/"), @"error: directory `./a:/tmp:ro` is where the private one of `tmp` is, give it another guest path or leave `tmp` out");
    assert_snapshot!(with_tmp("./a:/tmp/in"), @"ok");
    assert_snapshot!(together(&["./a:/tmp"]), @"ok");
    assert_eq!(Grants::parse_tmp("64MiB"), Ok(64 << 20));
    assert_snapshot!(Grants::parse_tmp("5GiB").unwrap_err(), @"tmp of `5GiB` is out of range, write `1B` to `4GiB`");
    assert_snapshot!(Grants::parse_tmp("0B").unwrap_err(), @"tmp of `0B` is out of range, write `1B` to `4GiB`");
}

#[test]
fn a_secret_is_granted_once_and_under_a_name_of_its_own() {
    let with = |secrets: &[SecretGrant]| {
        checked(&Grants {
            secrets: secrets.to_vec(),
            env: [("LOG".to_owned(), "info".to_owned())].into(),
            ..Grants::default()
        })
    };
    let (env, config) = (SecretExposure::Env, SecretExposure::Config);
    assert_snapshot!(with(&[secret("A", env.clone()), secret("B", config.clone())]), @"ok");
    assert_snapshot!(with(&[secret("A", env.clone()), secret("A", config.clone())]), @"error: secret `A` is granted twice, keep one of them");
    assert_snapshot!(with(&[secret("LOG", env)]), @"error: secret `LOG` has the name of an environment variable, give one another name");
    assert_snapshot!(with(&[secret("LOG", config)]), @"ok");
}

#[test]
fn there_are_only_so_many_grants_of_a_kind() {
    let grants = Grants {
        dns: vec![NameGrant::ANY; GRANTS_MAX + 1],
        ..Grants::default()
    };
    assert_snapshot!(checked(&grants), @"error: 257 grants of kind `dns` are more than 256, write fewer and wider ones");
}

#[test]
fn a_name_may_be_looked_up_where_a_grant_says_it() {
    let grants = Grants {
        http: vec!["GET https://*.example.com/v1/*".parse().unwrap()],
        tcp: vec![
            "db.internal:5432".parse().unwrap(),
            "10.0.0.0/8:*".parse().unwrap(),
        ],
        udp: vec!["[::1]:53".parse().unwrap()],
        dns: vec!["dns.test".parse().unwrap()],
        ..Grants::default()
    };
    let may = |host: &str| grants.may_resolve(&host.parse().unwrap());
    assert!(may("api.example.com") && may("db.internal") && may("dns.test"));
    assert!(!may("example.com") && !may("x.db.internal") && !may("localhost"));
    assert!(may("192.0.2.1"), "an address is asked of nobody");
    assert!(!Grants::default().may_resolve(&"example.com".parse().unwrap()));
}

#[test]
fn a_clock_is_coarse_unless_it_says_otherwise() {
    assert_eq!(Grants::default().clock, Clock::Coarse);
    assert_eq!("real".parse(), Ok(Clock::Real));
    assert_snapshot!("fine".parse::<Clock>().unwrap_err(), @"clock `fine` is unknown, write `coarse` or `real`");
    assert_snapshot!(serde_json::to_string(&Clock::Real).unwrap(), @r#""real""#);
}

#[test]
fn grants_that_are_not_said_are_none() {
    assert_eq!(
        serde_json::from_str::<Grants>("{}").unwrap(),
        Grants::default()
    );
    assert!(serde_json::from_str::<Grants>("{\"htpp\":[]}").is_err());
}

proptest! {
    #[test]
    fn grants_survive_the_way_to_a_worker(grants in arbitrary::grants()) {
        let json = serde_json::to_string(&grants).unwrap();
        prop_assert_eq!(serde_json::from_str::<Grants>(&json).unwrap(), grants);
    }

    #[test]
    fn a_directory_grant_survives_its_own_text(
        host in "[a-z./:]{1,12}",
        guest in "(/[a-z.]{1,4}){1,3}",
        writable in any::<bool>(),
    ) {
        let mode = if writable { DirMode::ReadWrite } else { DirMode::ReadOnly };
        if let Ok(grant) = DirGrant::new(&host, &guest, mode) {
            prop_assert_eq!(grant.to_string().parse(), Ok(grant.clone()));
            let json = serde_json::to_string(&grant).unwrap();
            prop_assert_eq!(serde_json::from_str::<DirGrant>(&json).unwrap(), grant);
        }
    }

    #[test]
    fn no_text_makes_a_guest_path_that_climbs(text in "[a-z./:\0]{0,30}(:ro|:rw)?") {
        if let Ok(grant) = text.parse::<DirGrant>() {
            prop_assert!(grant.guest.starts_with('/'), "{}", grant);
            prop_assert!(grant.guest.split('/').all(|part| part != ".." && part != "."), "{}", grant);
            prop_assert!(text.ends_with(":rw") == (grant.mode == DirMode::ReadWrite));
        }
    }

    #[test]
    fn never_panics(text in any::<String>()) {
        let _dir = text.parse::<DirGrant>();
        let _env = text.parse::<EnvVar>();
    }
}
