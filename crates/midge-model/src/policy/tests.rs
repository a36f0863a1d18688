//! Policies that are read, the verdicts they give, and the addresses they keep people from.

mod address;
mod data_root;
mod hosts;
mod parse;
mod routes;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::grant::arbitrary;
use crate::{Clock, LimitsPatch, SecretExposure, SecretGrant};

/// A policy that is called by its file's name, as the command does.
fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap().named("policy.toml")
}

fn shop() -> NamespaceName {
    "shop".parse().unwrap()
}

/// The verdicts on grants; limits are those that the policy allows, and left out.
fn verdicts(policy: &Policy, grants: &Grants) -> String {
    let limits = policy.lower(&shop(), &Limits::SAFE);
    show(&policy.check(&shop(), grants, &limits), |asked| {
        !asked.starts_with("limits")
    })
}

fn show(verdicts: &[PolicyVerdict], is_shown: impl Fn(&str) -> bool) -> String {
    let mut shown = String::new();
    for verdict in verdicts.iter().filter(|verdict| is_shown(&verdict.asked)) {
        let word = if verdict.allowed {
            "allowed"
        } else {
            "REFUSED"
        };
        shown += &format!("{word} {}\n", verdict.asked);
        shown += &format!("    {}\n", verdict.rule.as_deref().unwrap_or("no rule"));
        if let Some(hint) = &verdict.hint {
            shown += &format!("    hint: {hint}\n");
        }
    }
    shown
}

fn http(grants: &[&str]) -> Grants {
    let http = grants.iter().map(|text| text.parse().unwrap()).collect();
    Grants {
        http,
        ..Grants::default()
    }
}

/// A little of everything.
fn everything() -> Grants {
    Grants {
        env: [("LOG".to_owned(), "info".to_owned())].into(),
        args: Vec::new(),
        dirs: vec!["/srv/shop:/data:rw".parse().unwrap()],
        http: vec!["GET https://api.example.com/v1".parse().unwrap()],
        tcp: vec!["db.internal:5432".parse().unwrap()],
        udp: vec!["1.1.1.1:53".parse().unwrap()],
        dns: vec!["*.example.com".parse().unwrap()],
        listen: vec!["127.0.0.1:8080".parse().unwrap()],
        secrets: vec![SecretGrant::new("STRIPE_KEY", SecretExposure::Env).unwrap()],
        kv: vec!["carts".parse().unwrap()],
        clock: Clock::Real,
        tmp_bytes: Some(64 << 20),
    }
}

#[test]
fn without_a_policy_a_node_allows_what_is_public_and_its_own() {
    assert_snapshot!(verdicts(&Policy::serve_default(), &everything()), @r#"
    allowed http GET https://api.example.com/v1
        no `http` in the default policy: any public host
    allowed tcp db.internal:5432
        no `tcp` in the default policy: any public host
    allowed udp 1.1.1.1:53
        no `udp` in the default policy: any public host
    allowed dns *.example.com
        no `dns` in the default policy: any name
    REFUSED listen 127.0.0.1:8080
        no `listen` in the default policy: no listening
        hint: write `listen = ["127.0.0.1:8080"]` below [namespace.shop] in a file for `--policy`
    REFUSED dirs /srv/shop:/data:rw
        no `dirs` in the default policy: no host folder
        hint: write `dirs = [{ host = "/srv/shop", mode = "rw" }]` below [namespace.shop] in a file for `--policy`
    allowed secrets STRIPE_KEY
        no `secrets` in the default policy: any secret
    allowed kv carts
        no `kv` in the default policy: any bucket
    allowed clock real
        no `clock` in the default policy: any clock
    allowed tmp 64MiB
        no `tmp` in the default policy: up to 4GiB
    allowed env LOG
        no `env` in the default policy: any variable
    "#);
}

#[test]
fn who_types_is_allowed_everything() {
    assert_snapshot!(verdicts(&Policy::operator(), &everything()), @r"
    allowed http GET https://api.example.com/v1
        no `http` in the policy of `midge run`: any public host
    allowed tcp db.internal:5432
        no `tcp` in the policy of `midge run`: any public host
    allowed udp 1.1.1.1:53
        no `udp` in the policy of `midge run`: any public host
    allowed dns *.example.com
        no `dns` in the policy of `midge run`: any name
    allowed listen 127.0.0.1:8080
        no `listen` in the policy of `midge run`: any address
    allowed dirs /srv/shop:/data:rw
        no `dirs` in the policy of `midge run`: any host folder
    allowed secrets STRIPE_KEY
        no `secrets` in the policy of `midge run`: any secret
    allowed kv carts
        no `kv` in the policy of `midge run`: any bucket
    allowed clock real
        no `clock` in the policy of `midge run`: any clock
    allowed tmp 64MiB
        no `tmp` in the policy of `midge run`: up to 4GiB
    allowed env LOG
        no `env` in the policy of `midge run`: any variable
    ");
}

#[test]
fn a_verdict_names_the_line_that_decided() {
    let policy = policy(
        r#"
        [namespace."*"]
        http    = ["GET https://*.example.com", "https://api.stripe.com"]
        tcp     = ["db.internal:*"]
        udp     = []
        dns     = ["example.com"]
        listen  = ["127.0.0.1:1024-65535"]
        dirs    = [{ host = "/srv", mode = "rw" }]
        secrets = ["STRIPE_*"]
        kv = ["shop-*"]
        clock   = "coarse"
        tmp     = "32MiB"
        env     = false
        "#,
    );
    assert_snapshot!(verdicts(&policy, &everything()), @r#"
    allowed http GET https://api.example.com/v1
        policy.toml line 3: http = ["GET https://*.example.com"]
    allowed tcp db.internal:5432
        policy.toml line 4: tcp = ["db.internal:*"]
    REFUSED udp 1.1.1.1:53
        policy.toml line 5: udp = []
        hint: add "1.1.1.1:53" to `udp` in line 5 of policy.toml
    REFUSED dns *.example.com
        policy.toml line 6: dns = ["example.com"]
        hint: add "*.example.com" to `dns` in line 6 of policy.toml
    allowed listen 127.0.0.1:8080
        policy.toml line 7: listen = ["127.0.0.1:1024-65535"]
    allowed dirs /srv/shop:/data:rw
        policy.toml line 8: dirs = [{ host = "/srv", mode = "rw" }]
    allowed secrets STRIPE_KEY
        policy.toml line 9: secrets = ["STRIPE_*"]
    REFUSED kv carts
        policy.toml line 10: kv = ["shop-*"]
        hint: add "carts" to `kv` in line 10 of policy.toml
    REFUSED clock real
        policy.toml line 11: clock = "coarse"
        hint: leave `clock` out of the manifest, or write `clock = "real"` in line 11 of policy.toml
    REFUSED tmp 64MiB
        policy.toml line 12: tmp = "32MiB"
        hint: write `tmp = "32MiB"` in the manifest, or write `tmp = "64MiB"` in line 12 of policy.toml
    REFUSED env LOG
        policy.toml line 13: env = false
        hint: leave `LOG` out of the manifest, or write `env = true` in line 13 of policy.toml
    "#);
}

#[test]
fn a_refusal_says_what_to_write_where() {
    let policy = policy(
        "[namespace.shop]\nhttp = [\"https://a.test\", \"https://b.test\", \"https://c.test\", \"https://d.test\"]",
    );
    assert_snapshot!(verdicts(&policy, &http(&["https://d.test/x", "http://d.test"])), @r#"
    allowed http https://d.test/x
        policy.toml line 2: http = ["https://d.test"]
    REFUSED http http://d.test
        policy.toml line 2: http = ["https://a.test", "https://b.test", "https://c.test", …]
        hint: add "http://d.test" to `http` in line 2 of policy.toml
    "#);
}

#[test]
fn a_namespaces_own_keys_go_over_those_for_all() {
    let policy = policy(
        r#"
        [namespace.shop]
        http = ["https://shop.test"]

        [namespace."*"]
        http = ["https://all.test"]
        dns  = ["all.test"]
        limits = { memory = "64MiB", weight = 10 }

        [namespace.shop.limits]
        memory = "1GiB"
        "#,
    );
    let grants = Grants {
        dns: vec!["all.test".parse().unwrap()],
        ..http(&["https://shop.test", "https://all.test"])
    };
    assert_snapshot!(verdicts(&policy, &grants), @r#"
    allowed http https://shop.test
        policy.toml line 3: http = ["https://shop.test"]
    REFUSED http https://all.test
        policy.toml line 3: http = ["https://shop.test"]
        hint: add "https://all.test" to `http` in line 3 of policy.toml
    allowed dns all.test
        policy.toml line 7: dns = ["all.test"]
    "#);
    let other = "other".parse().unwrap();
    assert_snapshot!(show(&policy.check(&other, &grants, &Limits::SAFE), |asked| asked.contains("all.test") || asked.contains("memory")), @r#"
    allowed http https://all.test
        policy.toml line 6: http = ["https://all.test"]
    allowed dns all.test
        policy.toml line 7: dns = ["all.test"]
    REFUSED limits.memory 128MiB
        policy.toml line 8: limits.memory = "64MiB"
        hint: write `memory = "64MiB"` in the manifest, or write `memory = "128MiB"` in line 8 of policy.toml
    "#);
    let limits = policy.check(&shop(), &grants, &Limits::SAFE);
    assert_snapshot!(show(&limits, |asked| asked.contains("memory") || asked.contains("weight")), @r#"
    allowed limits.memory 128MiB
        policy.toml line 11: limits.memory = "1GiB"
    REFUSED limits.weight 100
        policy.toml line 8: limits.weight = 10
        hint: write `weight = 10` in the manifest, or write `weight = 100` in line 8 of policy.toml
    "#);
}

#[test]
fn every_limit_gets_a_verdict() {
    let policy = policy("[namespace.\"*\".limits]\nmemory = \"64MiB\"\ncpu = \"1s\"\nweight = 100");
    let verdicts = policy.check(&shop(), &Grants::default(), &Limits::SAFE);
    assert_snapshot!(show(&verdicts, |_| true), @r#"
    REFUSED limits.memory 128MiB
        policy.toml line 2: limits.memory = "64MiB"
        hint: write `memory = "64MiB"` in the manifest, or write `memory = "128MiB"` in line 2 of policy.toml
    REFUSED limits.cpu 2s
        policy.toml line 3: limits.cpu = "1s"
        hint: write `cpu = "1s"` in the manifest, or write `cpu = "2s"` in line 3 of policy.toml
    allowed limits.time 10s
        no `limits.time` in policy.toml: up to 1h
    allowed limits.concurrency 200
        no `limits.concurrency` in policy.toml: up to 10000
    allowed limits.queue 1000
        no `limits.queue` in policy.toml: up to 100000
    allowed limits.queue-time 10s
        no `limits.queue-time` in policy.toml: up to 1h
    allowed limits.request-body 10MiB
        no `limits.request-body` in policy.toml: up to 1TiB
    allowed limits.response-body 1GiB
        no `limits.response-body` in policy.toml: up to 1TiB
    allowed limits.log 256KiB
        no `limits.log` in policy.toml: up to 64MiB
    allowed limits.log-rate 1MiB
        no `limits.log-rate` in policy.toml: up to 64MiB
    allowed limits.outbound-calls 50
        no `limits.outbound-calls` in policy.toml: up to 10000
    allowed limits.outbound-bytes 100MiB
        no `limits.outbound-bytes` in policy.toml: up to 1TiB
    allowed limits.sockets 16
        no `limits.sockets` in policy.toml: up to 256
    allowed limits.weight 100
        policy.toml line 4: limits.weight = 100
    "#);
}

#[test]
fn who_asks_for_nothing_is_not_refused() {
    let policy = policy("[namespace.\"*\".limits]\nmemory = \"64MiB\"\ncpu = \"1s\"");
    let base = policy.lower(&shop(), &Limits::SAFE);
    let limits = LimitsPatch::default().apply(&base).unwrap();
    assert_eq!(
        (limits.memory_bytes, limits.time),
        (64 << 20, Limits::SAFE.time)
    );
    let verdicts = policy.check(&shop(), &Grants::default(), &limits);
    assert!(verdicts.iter().all(|verdict| verdict.allowed));
}

#[test]
fn a_watched_function_gets_what_the_policy_allows() {
    let widest = Policy::serve_default().widest(&shop());
    assert_eq!(widest.http, [crate::HttpGrant::ANY]);
    assert!(widest.listen.is_empty() && widest.dirs.is_empty());
    let policy = policy("[namespace.shop]\nhttp = [\"https://a.test\"]\ntmp = \"0B\"");
    let widest = policy.widest(&shop());
    assert_eq!(widest.http, ["https://a.test".parse().unwrap()]);
    assert_eq!(widest.tmp_bytes, None);
}

proptest! {
    /// Who types is never told that a grant is refused, unless nobody may go there.
    #[test]
    fn every_grant_gets_one_verdict(grants in arbitrary::grants()) {
        for policy in [Policy::serve_default(), Policy::operator()] {
            let verdicts = policy.check(&shop(), &grants, &Limits::SAFE);
            let asked = grants.http.len() + grants.tcp.len() + grants.udp.len() + grants.dns.len()
                + grants.listen.len() + grants.dirs.len() + grants.secrets.len() + grants.kv.len()
                + usize::from(grants.clock == Clock::Real)
                + usize::from(grants.tmp_bytes.is_some());
            prop_assert_eq!(verdicts.len(), asked + Limits::SAFE.rows().len());
            for verdict in verdicts {
                prop_assert!(verdict.allowed == verdict.hint.is_none() || verdict.rule.is_some_and(|rule| rule.contains("not an address")));
            }
        }
    }

    /// What a policy lets a function have it lets it have as widely.
    #[test]
    fn what_is_allowed_is_covered_by_the_widest(grants in arbitrary::grants()) {
        let policy = policy("[namespace.shop]\nhttp = [\"GET https://*.a.test/v1/*\", \"http://localhost\"]\nprivate = [\"localhost\"]");
        let widest = policy.widest(&shop());
        for (grant, verdict) in grants.http.iter().zip(policy.check(&shop(), &grants, &Limits::SAFE)) {
            prop_assert_eq!(verdict.allowed, widest.http.iter().any(|wide| wide.covers(grant)));
        }
    }

    #[test]
    fn a_policy_survives_the_way_to_a_worker(lines in prop::collection::vec(parse::line(), 0..6)) {
        if let Ok(policy) = Policy::parse(&format!("[namespace.shop]\n{}", lines.join("\n"))) {
            let json = serde_json::to_string(&policy).unwrap();
            prop_assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        }
    }
}
