//! What an operator reads whose policy refuses something, and what `midge policy check` lists.

use std::fs;

use insta::assert_snapshot;

use crate::kit::{Site, midge_in};

/// A manifest that asks for more than the policy below allows, in four ways.
const MANIFEST: &str = r#"
[function.shop]
component = "shop.wasm"
limits = { memory = "256MiB" }

[function.shop.allow]
http = ["POST https://api.stripe.com/v1/*", "http://10.0.0.5:8080"]
secrets = ["STRIPE_KEY", "OTHER"]
tmp = "1GiB"
"#;

const POLICY: &str = r#"
[namespace."*"]
http = ["https://*"]
secrets = ["STRIPE_*"]
tmp = "64MiB"
limits = { memory = "128MiB" }
"#;

/// A run in a folder with this manifest, and this policy as `strict.toml`.
fn run(manifest: &str, policy: &str, args: &[&str]) -> String {
    let site = Site::written(manifest);
    fs::write(site.path().join("strict.toml"), policy).unwrap();
    midge_in(site.path(), args)
}

#[test]
fn everything_that_is_refused_is_told_at_once() {
    let args = ["run", "--policy", "strict.toml", "--listen", "127.0.0.1:0"];
    assert_snapshot!(run(MANIFEST, POLICY, &args), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: functions ask for more than the policy allows
        shop: http http://10.0.0.5:8080 (strict.toml line 3: http = ["https://*"])
        shop: secrets OTHER (strict.toml line 4: secrets = ["STRIPE_*"])
        shop: tmp 1GiB (strict.toml line 5: tmp = "64MiB")
        shop: limits.memory 256MiB (strict.toml line 6: limits.memory = "128MiB")

    hint: add "http://10.0.0.5:8080" to `http` in line 3 of strict.toml
        add "OTHER" to `secrets` in line 4 of strict.toml
        write `tmp = "64MiB"` in the manifest, or write `tmp = "1GiB"` in line 5 of strict.toml
        write `memory = "128MiB"` in the manifest, or write `memory = "256MiB"` in line 6 of strict.toml
    "#);
}

#[test]
fn what_was_typed_is_held_against_the_policy_too() {
    let manifest = "[function.shop]\ncomponent = \"shop.wasm\"\n";
    let args = [
        "run",
        "--policy",
        "strict.toml",
        "--allow-http",
        "http://a.example",
        "--tmp",
        "1GiB",
    ];
    assert_snapshot!(run(manifest, POLICY, &args), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: functions ask for more than the policy allows
        shop: http http://a.example (strict.toml line 3: http = ["https://*"])
        shop: tmp 1GiB (strict.toml line 5: tmp = "64MiB")

    hint: add "http://a.example" to `http` in line 3 of strict.toml
        write `tmp = "64MiB"` in the manifest, or write `tmp = "1GiB"` in line 5 of strict.toml
    "#);
}

#[test]
fn a_check_lists_every_grant_and_limit_with_its_rule() {
    let args = ["policy", "check", "--policy", "strict.toml"];
    assert_snapshot!(run(MANIFEST, POLICY, &args), @r#"
    exit: 1
    --- stdout
    shop  allowed  http POST https://api.stripe.com/v1/*  strict.toml line 3: http = ["https://*"]
    shop  refused  http http://10.0.0.5:8080              strict.toml line 3: http = ["https://*"]
    shop  allowed  secrets STRIPE_KEY                     strict.toml line 4: secrets = ["STRIPE_*"]
    shop  refused  secrets OTHER                          strict.toml line 4: secrets = ["STRIPE_*"]
    shop  refused  tmp 1GiB                               strict.toml line 5: tmp = "64MiB"
    shop  refused  limits.memory 256MiB                   strict.toml line 6: limits.memory = "128MiB"
    shop  allowed  limits.cpu 2s                          no `limits.cpu` in strict.toml: up to 1h
    shop  allowed  limits.time 10s                        no `limits.time` in strict.toml: up to 1h
    shop  allowed  limits.concurrency 200                 no `limits.concurrency` in strict.toml: up to 10000
    shop  allowed  limits.queue 1000                      no `limits.queue` in strict.toml: up to 100000
    shop  allowed  limits.queue-time 10s                  no `limits.queue-time` in strict.toml: up to 1h
    shop  allowed  limits.request-body 10MiB              no `limits.request-body` in strict.toml: up to 1TiB
    shop  allowed  limits.response-body 1GiB              no `limits.response-body` in strict.toml: up to 1TiB
    shop  allowed  limits.log 256KiB                      no `limits.log` in strict.toml: up to 64MiB
    shop  allowed  limits.log-rate 1MiB                   no `limits.log-rate` in strict.toml: up to 64MiB
    shop  allowed  limits.outbound-calls 50               no `limits.outbound-calls` in strict.toml: up to 10000
    shop  allowed  limits.outbound-bytes 100MiB           no `limits.outbound-bytes` in strict.toml: up to 1TiB
    shop  allowed  limits.sockets 16                      no `limits.sockets` in strict.toml: up to 256
    shop  allowed  limits.weight 100                      no `limits.weight` in strict.toml: up to 10000
    --- stderr
    error: the policy refuses 4 of 19 grants and limits

    hint: add "http://10.0.0.5:8080" to `http` in line 3 of strict.toml
        add "OTHER" to `secrets` in line 4 of strict.toml
        write `tmp = "64MiB"` in the manifest, or write `tmp = "1GiB"` in line 5 of strict.toml
        write `memory = "128MiB"` in the manifest, or write `memory = "256MiB"` in line 6 of strict.toml
    "#);
}

#[test]
fn a_check_as_json_is_an_object_a_line() {
    let args = ["policy", "check", "--policy", "strict.toml", "--json"];
    let text = run(MANIFEST, POLICY, &args);
    let (_, data) = text.split_once("--- stdout\n").unwrap();
    let (data, _) = data.split_once("--- stderr\n").unwrap();
    let lines: Vec<serde_json::Value> = data
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let refused = lines.iter().filter(|line| line["allowed"] == false);
    assert_eq!(refused.count(), 4, "{data}");
    assert!(
        lines.iter().all(|line| line["function"] == "shop"),
        "{data}"
    );
    assert_eq!(lines[1]["asked"], "http http://10.0.0.5:8080");
}

#[test]
fn a_check_without_a_name_takes_the_policy_beside_the_manifest() {
    let site = Site::written(
        "[function.shop]\ncomponent = \"shop.wasm\"\n\n[function.shop.allow]\ntcp = [\"db.example:5432\"]\n",
    );
    let check = || midge_in(site.path(), &["policy", "check"]);
    let first = |text: String| text.lines().take(3).collect::<Vec<_>>().join("\n");
    assert_snapshot!(first(check()), @"
    exit: 0
    --- stdout
    shop  allowed  tcp db.example:5432           no `tcp` in the policy of `midge run`: any public host
    ");
    fs::write(
        site.path().join("policy.toml"),
        "[namespace.default]\ntcp = []\n",
    )
    .unwrap();
    assert_snapshot!(first(check()), @"
    exit: 1
    --- stdout
    shop  refused  tcp db.example:5432           ./policy.toml line 2: tcp = []
    ");
}

#[test]
fn a_limit_that_nobody_asked_for_is_lowered_to_the_policy() {
    let manifest = "[function.shop]\ncomponent = \"shop.wasm\"\n";
    let policy = "[namespace.\"*\"]\nlimits = { memory = \"32MiB\", time = \"1s\" }\n";
    let text = run(
        manifest,
        policy,
        &["policy", "check", "--policy", "strict.toml"],
    );
    assert!(text.starts_with("exit: 0\n"), "{text}");
    assert!(text.contains("limits.memory 32MiB"), "{text}");
    assert!(text.contains("limits.time 1s"), "{text}");
}

#[test]
fn a_policy_that_is_none_is_refused_with_its_place() {
    let check = |policy: &str| {
        run(
            MANIFEST,
            policy,
            &["policy", "check", "--policy", "strict.toml"],
        )
    };
    assert_snapshot!(check("[namespace.\"*\"]\nhtpp = []\n"), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: strict.toml: line 2, column 1: unknown key `htpp` in [namespace."*"], did you mean `http`?
    "#);
    assert_snapshot!(check("[namespace.\"*\"]\nprivate = [\"0.0.0.0/0\"]\n"), @"
    exit: 1
    --- stdout
    --- stderr
    error: strict.toml: line 2, column 12: private host `0.0.0.0/0` is no private network, or wider than one; write for example `10.0.0.0/8`
    ");
    assert_snapshot!(check("[namespace\n"), @"
    exit: 1
    --- stdout
    --- stderr
    error: strict.toml: line 1, column 11: unclosed table, expected `]`
    ");
    assert_snapshot!(run(MANIFEST, POLICY, &["run", "--policy", "no.toml"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: read policy `no.toml`: No such file or directory (os error 2)
    ");
}
