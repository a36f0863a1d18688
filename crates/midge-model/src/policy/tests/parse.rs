//! Policies that are right, and what the wrong ones are told.

use insta::assert_snapshot;
use proptest::prelude::*;

use crate::policy::{POLICY_BYTES_MAX, Policy};

fn check(text: &str) -> String {
    match Policy::parse(text) {
        Ok(_) => "ok".to_owned(),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

/// A policy with these lines for every namespace.
fn rules(lines: &str) -> String {
    check(&format!("[namespace.\"*\"]\n{lines}"))
}

/// Lines that are often rules.
pub(super) fn line() -> impl Strategy<Value = String> {
    let list = "(http|tcp|udp|dns|listen|secrets|kv|private|hosts|dirs) = \\[(\"(https://)?[a-z*.]{1,6}(:[0-9]{1,3})?\"|\"10.0.0.0/8\"|\\{ host = \"/[a-z]{0,2}\" \\})?\\]";
    let other = "(clock = \"(real|coarse)\"|tmp = \"[0-9]MiB\"|env = (true|false)|limits.(memory = \"[0-9]{2}MiB\"|weight = [0-9]))";
    prop_oneof![list, other]
}

#[test]
fn nothing_written_is_the_default() {
    let written = Policy::parse("").unwrap();
    assert_eq!(written, Policy::serve_default().named("the policy"));
    assert_snapshot!(check("[namespace.shop]"), @"ok");
    assert_snapshot!(check("[namespace]"), @"ok");
}

#[test]
fn an_unknown_key_is_told_the_nearest_known_one() {
    assert_snapshot!(rules("htpp = []"), @r#"line 2, column 1: unknown key `htpp` in [namespace."*"], did you mean `http`?"#);
    assert_snapshot!(rules("secret = []"), @r#"line 2, column 1: unknown key `secret` in [namespace."*"], did you mean `secrets`?"#);
    assert_snapshot!(rules("banana = 1"), @r#"line 2, column 1: unknown key `banana` in [namespace."*"]"#);
    assert_snapshot!(rules("limits = { cpus = 1 }"), @r#"line 2, column 12: unknown key `cpus` in [namespace."*".limits], did you mean `cpu`?"#);
    assert_snapshot!(rules("dirs = [{ path = \"/srv\" }]"), @r#"line 2, column 11: unknown key `path` in [namespace."*".dirs]"#);
    assert_snapshot!(check("[namespaces.shop]"), @"line 1, column 2: unknown key `namespaces` in the policy, did you mean `namespace`?");
    assert_snapshot!(check("http = []"), @r#"
    line 1, column 1: unknown key `http` in the policy
    hint: if `http` is for every namespace, write it below `[namespace."*"]`
    "#);
}

#[test]
fn a_namespace_is_a_name_or_all() {
    assert_snapshot!(check("[namespace.Shop]"), @"line 1, column 12: read namespace: name `Shop` has 'S' at position 0, write lower-case letters, digits and `-` only");
    assert_snapshot!(check("[namespace.\"shop-*\"]"), @"line 1, column 12: read namespace: name `shop-*` has '*' at position 5, write lower-case letters, digits and `-` only");
    assert_snapshot!(check("namespace.shop = 1"), @r#"line 1, column 18: `shop` in the policy is a number, write a table such as `[namespace."*"]`"#);
    assert_snapshot!(check("namespace = \"shop\""), @r#"line 1, column 13: `namespace` in the policy is text, write a table such as `[namespace."*"]`"#);
}

#[test]
fn a_rule_says_its_line_and_what_would_be_right() {
    assert_snapshot!(rules("http = [\n  \"https://*\",\n  \"api.example.com\",\n]"), @"line 4, column 3: http grant `api.example.com` has no scheme, write for example `https://api.example.com`");
    assert_snapshot!(rules("tcp = [\"db.internal\"]"), @"line 2, column 8: grant `db.internal` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port");
    assert_snapshot!(rules("listen = true"), @r#"line 2, column 10: `listen` in [namespace."*"] is true or false, write a list such as `["db.internal:5432"]`"#);
    assert_snapshot!(rules("dns = [\"10.0.0.1\"]"), @"line 2, column 8: dns grant `10.0.0.1` is an address, which needs no looking up; write it into `tcp` or `udp` with its port");
    assert_snapshot!(rules("secrets = [\"stripe-*\"]"), @"line 2, column 12: secret `stripe-*` is not a name such as `STRIPE_KEY`, or how names begin, such as `STRIPE_*`");
    assert_snapshot!(rules("secrets = [\"*_KEY\"]"), @"line 2, column 12: secret `*_KEY` is not a name such as `STRIPE_KEY`, or how names begin, such as `STRIPE_*`");
    assert_snapshot!(rules("kv = [\"carts\", \"shop-*\", \"*\", \"Shop-*\"]"), @"line 2, column 31: bucket `Shop-*` is not a name such as `carts`, or how names begin, such as `carts-*`");
    assert_snapshot!(rules("kv = [\"\"]"), @"line 2, column 7: bucket `` is not a name such as `carts`, or how names begin, such as `carts-*`");
    assert_snapshot!(rules("clock = \"fine\""), @"line 2, column 9: clock `fine` is unknown, write `coarse` or `real`");
    assert_snapshot!(rules("tmp = \"8GiB\""), @"line 2, column 7: tmp of `8GiB` is out of range, write `0B` to `4GiB`");
    assert_snapshot!(rules("env = \"no\""), @r#"line 2, column 7: `env` in [namespace."*"] is text, write `true` or `false`"#);
    assert_snapshot!(rules("limits.memory = \"8GiB\""), @"line 2, column 17: memory of `8GiB` is out of range, write `64KiB` to `4GiB`");
}

#[test]
fn a_folder_is_absolute() {
    assert_snapshot!(rules("dirs = [{ host = \"srv\" }]"), @"line 2, column 18: host folder `srv` is relative, write where it is from `/` on");
    assert_snapshot!(rules("dirs = [{ mode = \"ro\" }]"), @r#"line 2, column 9: [namespace."*".dirs] has no `host`"#);
    assert_snapshot!(rules("dirs = [{ host = \"/srv\", mode = \"rx\" }]"), @"line 2, column 33: mode `rx` is unknown, write `ro` (read only) or `rw` (read and write)");
    assert_snapshot!(rules("dirs = [{ host = \"/srv\", guest = \"data\" }]"), @"line 2, column 9: guest path `data` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(rules("dirs = [\"/srv\"]"), @r#"line 2, column 9: `dirs` in [namespace."*"] is text, write a table such as `{ host = "/srv", mode = "ro" }`"#);
    assert_snapshot!(rules("dirs = [{ host = \"/srv\", mode = \"rw\", guest = \"/data/\" }]"), @"ok");
}

#[test]
fn a_private_host_is_one_that_a_rule_can_open() {
    assert_snapshot!(rules("private = [\"10.0.0.0/8\", \"192.168.1.1\", \"[fd00::/8]\", \"db.internal\", \"*.svc.cluster.local\", \"localhost\", \"169.254.169.254\"]"), @"ok");
    assert_snapshot!(rules("private = [\"*\"]"), @"line 2, column 12: private host `*` says nothing about which one, write addresses, blocks or names such as `10.0.0.0/8`");
    assert_snapshot!(rules("private = [\"0.0.0.0/0\"]"), @"line 2, column 12: private host `0.0.0.0/0` is no private network, or wider than one; write for example `10.0.0.0/8`");
    assert_snapshot!(rules("private = [\"10.0.0.0/7\"]"), @"line 2, column 12: private host `10.0.0.0/7` is no private network, or wider than one; write for example `10.0.0.0/8`");
    assert_snapshot!(rules("private = [\"8.8.8.8\"]"), @"line 2, column 12: private host `8.8.8.8` is public and needs no rule");
    assert_snapshot!(rules("private = [\"224.0.0.0/4\"]"), @"line 2, column 12: private host `224.0.0.0/4` is not an address to connect to, and no rule changes that");
    assert_snapshot!(rules("private = [\"10.0.0.1/8\"]"), @"line 2, column 12: private host `10.0.0.1/8` is a bad block: block `10.0.0.1/8` does not start at that address, write `10.0.0.0/8`");
    assert_snapshot!(rules("private = [\"db.internal:5432\"]"), @"line 2, column 12: private host `db.internal:5432` has a host that has the port `:5432`, leave it out");
    assert_snapshot!(rules("private = [\"0x7f000001\"]"), @"line 2, column 12: private host `0x7f000001` has a host that ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(rules("private = [1]"), @r#"line 2, column 12: `private` in [namespace."*"] is a number, write a list such as `["10.0.0.0/8", "db.internal"]`"#);
}

#[test]
fn what_is_not_toml_is_shown_its_place() {
    assert_snapshot!(check("[namespace.shop"), @"line 1, column 16: unclosed table, expected `]`");
    assert_snapshot!(check(&" ".repeat(POLICY_BYTES_MAX + 1)), @"line 1, column 1: policy is longer than 1048576 bytes");
}

#[test]
fn the_first_error_of_the_file_is_told() {
    assert_snapshot!(check("[namespace.shop]\nclock = 1\n[namespace.\"*\"]\nclock = 2"), @"line 2, column 9: `clock` in [namespace.shop] is a number, write text in quotes");
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _policy = Policy::parse(&text);
    }

    #[test]
    fn never_panics_on_what_is_nearly_a_policy(lines in prop::collection::vec(line(), 0..6)) {
        let text = format!("[namespace.\"*\"]\n{}\n", lines.join("\n"));
        if let Err(error) = Policy::parse(&text) {
            prop_assert!((1..=lines.len() + 1).contains(&error.line()), "{}", error);
        }
    }
}
