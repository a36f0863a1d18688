//! What a deploy is told that it changes.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::grant::arbitrary;
use crate::{
    Clock, Grants, IsolationLevel, LimitsPatch, NamespaceName, Reach, Reuse, RevisionNumber,
    SecretExposure, SecretGrant,
};

fn revision(grants: Grants) -> Revision {
    Revision {
        namespace: NamespaceName::default(),
        function: "checkout".parse().unwrap(),
        number: RevisionNumber::FIRST,
        digest: Digest::of(b"old"),
        grants,
        limits: Limits::SAFE,
        isolation: Isolation::Fresh,
        routes: vec!["/checkout/*".parse().unwrap()],
    }
}

/// One line a change.
fn show(difference: &Difference) -> String {
    let mut shown = String::new();
    if let Some(IsolationChange { from, to, widens }) = &difference.isolation {
        let widens = if *widens { "WIDENS " } else { "" };
        let from = from.as_deref().unwrap_or("nothing");
        shown += &format!("{widens}isolation {from} -> {to}\n");
    }
    if let Some(ComponentChange { from, .. }) = &difference.component {
        shown += &format!(
            "component {}\n",
            if from.is_some() { "changed" } else { "new" }
        );
    }
    for RouteChange { route, change } in &difference.routes {
        shown += &format!("{change:?} route {route}\n");
    }
    for LimitChange {
        name,
        from,
        to,
        widens,
    } in &difference.limits
    {
        let from = from.as_deref().unwrap_or("nothing");
        shown += &format!("{}limit {name} {from} -> {to}\n", mark(*widens));
    }
    for change in &difference.grants {
        let GrantChange {
            kind,
            grant,
            from,
            change,
            widens,
        } = change;
        let from = from
            .as_ref()
            .map_or(String::new(), |from| format!("{from} -> "));
        shown += &format!("{}{change:?} {kind} {from}{grant}\n", mark(*widens));
    }
    shown
}

fn mark(widens: bool) -> &'static str {
    if widens { "WIDENS " } else { "" }
}

fn grants(old: Grants, new: Grants) -> String {
    show(&Difference::between(Some(&revision(old)), &revision(new)))
}

fn http(old: &[&str], new: &[&str]) -> String {
    let of = |texts: &[&str]| Grants {
        http: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..Grants::default()
    };
    grants(of(old), of(new))
}

fn tcp(old: &[&str], new: &[&str]) -> String {
    let of = |texts: &[&str]| Grants {
        tcp: texts.iter().map(|text| text.parse().unwrap()).collect(),
        ..Grants::default()
    };
    grants(of(old), of(new))
}

fn dirs(old: &[(&str, u64)], new: &[(&str, u64)]) -> String {
    let of = |texts: &[(&str, u64)]| {
        let dir = |(text, mib): &(&str, u64)| {
            let mut dir: crate::DirGrant = text.parse().unwrap();
            dir.quota_bytes = Some(mib << 20).filter(|bytes| *bytes > 0);
            dir
        };
        Grants {
            dirs: texts.iter().map(dir).collect(),
            ..Grants::default()
        }
    };
    grants(of(old), of(new))
}

fn secret(exposure: SecretExposure) -> Grants {
    let secrets = vec![SecretGrant::new("KEY", exposure).unwrap()];
    Grants {
        secrets,
        ..Grants::default()
    }
}

fn injected(header: &str, format: &str, to: &[&str]) -> Grants {
    secret(SecretExposure::Inject {
        header: header.to_owned(),
        format: format.to_owned(),
        to: to.iter().map(|text| text.parse().unwrap()).collect(),
    })
}

#[test]
fn a_new_function_is_all_new_and_widens_nothing() {
    let new = revision(Grants {
        env: [("LOG".to_owned(), "info".to_owned())].into(),
        http: vec!["https://api.example.com".parse().unwrap()],
        dirs: vec!["./data:/data:rw".parse().unwrap()],
        clock: Clock::Real,
        tmp_bytes: Some(1 << 20),
        ..secret(SecretExposure::Env)
    });
    let difference = Difference::between(None, &new);
    assert_snapshot!(show(&difference), @r"
    component new
    Added route /checkout/*
    limit memory nothing -> 128MiB
    limit cpu nothing -> 2s
    limit time nothing -> 10s
    limit concurrency nothing -> 200
    limit queue nothing -> 1000
    limit queue-time nothing -> 10s
    limit request-body nothing -> 10MiB
    limit response-body nothing -> 1GiB
    limit log nothing -> 256KiB
    limit log-rate nothing -> 1MiB
    limit outbound-calls nothing -> 50
    limit outbound-bytes nothing -> 100MiB
    limit sockets nothing -> 16
    limit weight nothing -> 100
    Added http https://api.example.com
    Added dirs ./data:/data:rw
    Added secrets KEY
    Added clock real
    Added tmp 1MiB
    Added env LOG
    ");
    assert!(!difference.widens() && !difference.is_empty());
}

#[test]
fn the_same_under_another_number_is_no_difference() {
    let old = revision(Grants::default());
    let mut new = old.clone();
    new.number = RevisionNumber::new(8).unwrap();
    let difference = Difference::between(Some(&old), &new);
    assert!(difference.is_empty() && !difference.widens());
    assert_snapshot!(serde_json::to_string(&difference).unwrap(), @r#"{"routes":[],"limits":[],"grants":[]}"#);
}

#[test]
fn components_routes_and_limits_are_compared() {
    let old = revision(Grants::default());
    let patch = LimitsPatch {
        memory_bytes: Some(256 << 20),
        time: Some(std::time::Duration::from_secs(5)),
        weight: Some(101),
        ..LimitsPatch::default()
    };
    let new = Revision {
        digest: Digest::of(b"new"),
        limits: patch.apply(&Limits::SAFE).unwrap(),
        routes: vec!["GET /orders/{id}".parse().unwrap()],
        ..old.clone()
    };
    let difference = Difference::between(Some(&old), &new);
    assert_snapshot!(show(&difference), @r"
    component changed
    Removed route /checkout/*
    Added route GET /orders/{id}
    WIDENS limit memory 128MiB -> 256MiB
    limit time 10s -> 5s
    WIDENS limit weight 100 -> 101
    ");
    assert!(difference.widens());
    assert!(!Difference::between(Some(&new), &new).widens());
    assert_snapshot!(serde_json::to_string_pretty(&difference).unwrap(), @r#"
    {
      "component": {
        "from": "sha256:cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4",
        "to": "sha256:11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
      },
      "routes": [
        {
          "route": "/checkout/*",
          "change": "removed"
        },
        {
          "route": "GET /orders/{id}",
          "change": "added"
        }
      ],
      "limits": [
        {
          "name": "memory",
          "from": "128MiB",
          "to": "256MiB",
          "widens": true
        },
        {
          "name": "time",
          "from": "10s",
          "to": "5s",
          "widens": false
        },
        {
          "name": "weight",
          "from": "100",
          "to": "101",
          "widens": true
        }
      ],
      "grants": []
    }
    "#);
}

#[test]
fn a_request_that_was_allowed_before_widens_nothing() {
    assert_snapshot!(http(&["https://a.test/*"], &["GET https://a.test/v1"]), @r"
    Removed http https://a.test/*
    Added http GET https://a.test/v1
    ");
    assert_snapshot!(http(&["https://a.test/v1"], &["https://a.test/v1", "https://a.test/v2"]), @"WIDENS Added http https://a.test/v2");
    assert_snapshot!(http(&["https://*.test"], &["https://*.a.test"]), @r"
    Removed http https://*.test
    Added http https://*.a.test
    ");
    assert_snapshot!(http(&["https://*.a.test"], &["https://*.test"]), @r"
    Removed http https://*.a.test
    WIDENS Added http https://*.test
    ");
    assert_snapshot!(http(&["https://b.test", "https://a.test"], &["https://a.test", "https://b.test"]), @"");
}

#[test]
fn who_names_a_host_may_reach_more_than_a_wildcard() {
    assert_snapshot!(http(&["http://*.internal"], &["http://db.internal"]), @r"
    Removed http http://*.internal
    WIDENS Added http http://db.internal
    ");
    assert_snapshot!(http(&["*://*:*"], &["http://10.0.0.5", "http://1.1.1.1", "http://localhost"]), @r"
    Removed http *://*:*
    WIDENS Added http http://10.0.0.5
    Added http http://1.1.1.1
    WIDENS Added http http://localhost
    ");
    assert_snapshot!(tcp(&["0.0.0.0/0:*"], &["10.0.0.0/8:5432", "10.0.0.5:5432", "1.1.1.0/24:53", "8.0.0.0/5:1"]), @r"
    Removed tcp 0.0.0.0/0:*
    WIDENS Added tcp 10.0.0.0/8:5432
    WIDENS Added tcp 10.0.0.5:5432
    Added tcp 1.1.1.0/24:53
    Added tcp 8.0.0.0/5:1
    ");
    assert_snapshot!(tcp(&["10.0.0.0/8:*"], &["10.1.0.0/16:5432", "10.0.0.5:5432", "10.0.0.5:*"]), @r"
    Removed tcp 10.0.0.0/8:*
    Added tcp 10.1.0.0/16:5432
    Added tcp 10.0.0.5:5432
    Added tcp 10.0.0.5:*
    ");
}

#[test]
fn a_look_up_that_was_implied_widens_nothing() {
    let old = Grants {
        tcp: vec!["db.internal:5432".parse().unwrap()],
        ..Grants::default()
    };
    let new = Grants {
        dns: ["db.internal", "other.internal"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        ..old.clone()
    };
    assert_snapshot!(grants(old, new), @r"
    Added dns db.internal
    WIDENS Added dns other.internal
    ");
}

#[test]
fn a_folder_is_known_by_its_guest_path() {
    assert_snapshot!(dirs(&[("./a:/a:ro", 0)], &[("./a:/a:rw", 0)]), @"WIDENS Changed dirs ./a:/a:ro -> ./a:/a:rw");
    assert_snapshot!(dirs(&[("./a:/a:rw", 0)], &[("./a:/a:ro", 0)]), @"Changed dirs ./a:/a:rw -> ./a:/a:ro");
    assert_snapshot!(dirs(&[("./a:/a:rw", 0)], &[("./a/b:/a:rw", 5)]), @"Changed dirs ./a:/a:rw -> ./a/b:/a:rw up to 5MiB");
    assert_snapshot!(dirs(&[("./a:/a:rw", 5)], &[("./a:/a:rw", 6)]), @"WIDENS Changed dirs ./a:/a:rw up to 5MiB -> ./a:/a:rw up to 6MiB");
    assert_snapshot!(dirs(&[("./a:/a:rw", 5)], &[("./a:/a:rw", 0)]), @"WIDENS Changed dirs ./a:/a:rw up to 5MiB -> ./a:/a:rw");
    assert_snapshot!(dirs(&[("./a:/a:ro", 0)], &[("./b:/a:ro", 0)]), @"WIDENS Changed dirs ./a:/a:ro -> ./b:/a:ro");
    assert_snapshot!(dirs(&[("./a:/a:ro", 0)], &[("./a/x:/x:ro", 0), ("./a/../b:/y:ro", 0)]), @r"
    Removed dirs ./a:/a:ro
    Added dirs ./a/x:/x:ro
    WIDENS Added dirs ./a/../b:/y:ro
    ");
}

#[test]
fn a_secret_that_was_only_injected_may_come_into_sight() {
    let inject = || injected("authorization", "Bearer {}", &["https://a.test/*"]);
    assert_snapshot!(grants(Grants::default(), secret(SecretExposure::Env)), @"WIDENS Added secrets KEY");
    assert_snapshot!(grants(inject(), secret(SecretExposure::Config)), @"WIDENS Changed secrets KEY as `authorization: Bearer {}` to https://a.test/* -> KEY as config");
    assert_snapshot!(grants(secret(SecretExposure::Env), inject()), @"Changed secrets KEY -> KEY as `authorization: Bearer {}` to https://a.test/*");
    assert_snapshot!(grants(secret(SecretExposure::Env), secret(SecretExposure::Config)), @"Changed secrets KEY -> KEY as config");
    assert_snapshot!(grants(inject(), injected("authorization", "Bearer {}", &["https://a.test/v1"])), @"Changed secrets KEY as `authorization: Bearer {}` to https://a.test/* -> KEY as `authorization: Bearer {}` to https://a.test/v1");
    assert_snapshot!(grants(inject(), injected("authorization", "Bearer {}", &["https://b.test/v1"])), @"WIDENS Changed secrets KEY as `authorization: Bearer {}` to https://a.test/* -> KEY as `authorization: Bearer {}` to https://b.test/v1");
    assert_snapshot!(grants(inject(), injected("x-echo", "Bearer {}", &["https://a.test/*"])), @"WIDENS Changed secrets KEY as `authorization: Bearer {}` to https://a.test/* -> KEY as `x-echo: Bearer {}` to https://a.test/*");
    assert_snapshot!(grants(inject(), Grants::default()), @"Removed secrets KEY as `authorization: Bearer {}` to https://a.test/*");
}

#[test]
fn of_a_variable_only_the_name_is_told() {
    let env = |pairs: &[(&str, &str)]| Grants {
        env: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        ..Grants::default()
    };
    assert_snapshot!(grants(env(&[("A", "hidden"), ("B", "hidden"), ("C", "same")]), env(&[("B", "new"), ("C", "same"), ("D", "hidden")])), @r"
    Removed env A
    Changed env B
    Added env D
    ");
}

#[test]
fn arguments_are_told_and_give_nothing() {
    let args = |words: &[&str]| Grants {
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Grants::default()
    };
    assert_snapshot!(grants(args(&[]), args(&["-c", "a b"])), @r#"Added args ["-c", "a b"]"#);
    assert_snapshot!(grants(args(&["-c"]), args(&["-v"])), @r#"Changed args ["-c"] -> ["-v"]"#);
    assert_snapshot!(grants(args(&["-c"]), args(&[])), @r#"Removed args ["-c"]"#);
    assert_snapshot!(grants(args(&["-c"]), args(&["-c"])), @"");
}

#[test]
fn a_finer_clock_and_a_larger_private_folder_widen() {
    let of = |clock, tmp_bytes| Grants {
        clock,
        tmp_bytes,
        ..Grants::default()
    };
    let (fine, plain) = (of(Clock::Real, Some(64 << 20)), of(Clock::Coarse, None));
    assert_snapshot!(grants(plain.clone(), fine.clone()), @r"
    WIDENS Changed clock coarse -> real
    WIDENS Added tmp 64MiB
    ");
    assert_snapshot!(grants(fine.clone(), plain), @r"
    Changed clock real -> coarse
    Removed tmp 64MiB
    ");
    assert_snapshot!(grants(fine.clone(), of(Clock::Real, Some(32 << 20))), @"Changed tmp 64MiB -> 32MiB");
    assert_snapshot!(grants(of(Clock::Real, Some(32 << 20)), fine), @"WIDENS Changed tmp 32MiB -> 64MiB");
}

proptest! {
    /// To take grants away, or to leave them, asks nobody.
    #[test]
    fn fewer_grants_never_widen(grants in arbitrary::grants(), keep in any::<[bool; 7]>()) {
        let mut fewer = grants.clone();
        let [http, tcp, udp, dns, dirs, secrets, rest] = keep;
        fewer.http.retain(|_| http);
        fewer.tcp.retain(|_| tcp);
        fewer.udp.retain(|_| udp);
        fewer.dns.retain(|_| dns);
        fewer.dirs.retain(|_| dirs);
        fewer.secrets.retain(|_| secrets);
        if !rest {
            fewer.listen.clear();
            fewer.kv.clear();
            fewer.clock = Clock::Coarse;
            fewer.tmp_bytes = None;
        }
        let (old, new) = (revision(grants), revision(fewer));
        let difference = Difference::between(Some(&old), &new);
        prop_assert!(!difference.widens(), "{}", show(&difference));
        prop_assert_eq!(difference.is_empty(), old == new);
    }

    /// A connection that was not allowed before, or only by a wildcard, is one that widens.
    #[test]
    fn a_connection_that_does_not_widen_was_allowed_in_as_many_words(
        old in prop::collection::vec(arbitrary::net_grant(), 1..4),
        new in arbitrary::net_grant(),
        host in arbitrary::host(),
        port in arbitrary::port(),
    ) {
        let of = |tcp| revision(Grants { tcp, ..Grants::default() });
        let difference = Difference::between(Some(&of(old.clone())), &of(vec![new.clone()]));
        let is_private = host.ip().is_none_or(|ip| Reach::of(ip) != Reach::Public);
        if !difference.widens() && new.matches_name(&host, port) {
            let was_allowed = old.iter().any(|old| {
                let is_named = old.names_literally(&host) || !new.names_literally(&host);
                old.matches_name(&host, port) && (is_named || !is_private)
            });
            prop_assert!(was_allowed);
        }
    }

    /// A revision that may reach what the old one may not is one that widens.
    #[test]
    fn what_does_not_widen_allows_nothing_new(
        old in arbitrary::grants(),
        new in arbitrary::grants(),
        host in arbitrary::host(),
        port in arbitrary::port(),
    ) {
        let difference = Difference::between(Some(&revision(old.clone())), &revision(new.clone()));
        if difference.widens() {
            return Ok(());
        }
        let connects = |grants: &[crate::NetGrant]| grants.iter().any(|grant| grant.matches_name(&host, port));
        prop_assert!(!connects(&new.tcp) || connects(&old.tcp));
        prop_assert!(!connects(&new.udp) || connects(&old.udp));
        prop_assert!(!connects(&new.listen) || connects(&old.listen));
        prop_assert!(!new.may_resolve(&host) || old.may_resolve(&host));
        prop_assert!(new.clock <= old.clock && new.tmp_bytes <= old.tmp_bytes);
        for secret in &new.secrets {
            prop_assert!(old.secrets.iter().any(|old| old.name == secret.name));
        }
        for name in &new.kv {
            prop_assert!(old.kv.contains(name));
        }
    }

    #[test]
    fn a_difference_survives_json(old in arbitrary::grants(), new in arbitrary::grants(), is_new in any::<bool>()) {
        let (old, new) = (revision(old), revision(new));
        let difference = Difference::between(Some(&old).filter(|_| !is_new), &new);
        let json = serde_json::to_string(&difference).unwrap();
        prop_assert_eq!(serde_json::from_str::<Difference>(&json).unwrap(), difference);
    }
}

#[test]
fn sharing_more_widens_and_sharing_less_does_not() {
    let fresh = revision(Grants::default());
    let isolated = |isolation| Revision {
        isolation,
        ..fresh.clone()
    };
    let serial = isolated(Isolation::of_level(IsolationLevel::Serial));
    let longer = isolated(Isolation::Serial(Reuse {
        requests_max: 2_000,
        ..Reuse::DEFAULT
    }));
    let between = |old: &Revision, new: &Revision| show(&Difference::between(Some(old), new));
    assert_snapshot!(between(&fresh, &serial), @"WIDENS isolation fresh -> serial (requests 1000, idle 30s)");
    assert_snapshot!(between(&serial, &longer), @"WIDENS isolation serial (requests 1000, idle 30s) -> serial (requests 2000, idle 30s)");
    assert_snapshot!(between(&longer, &fresh), @"isolation serial (requests 2000, idle 30s) -> fresh");
    assert_snapshot!(between(&serial, &serial), @"");
    assert!(Difference::between(Some(&fresh), &serial).widens());
    assert!(!Difference::between(Some(&serial), &fresh).widens());
    assert_eq!(Difference::between(None, &fresh).isolation, None);
    let new = Difference::between(None, &serial);
    assert!(new.isolation.is_some() && !new.widens());
}
