//! What wrong grants of a manifest are told, and where.

use insta::assert_snapshot;

use super::function;

#[test]
fn a_grant_says_its_line_and_what_would_be_right() {
    assert_snapshot!(function("allow.http = [\n  \"https://a.test\",\n  \"a.test\",\n]"), @"line 5, column 3: http grant `a.test` has no scheme, write for example `https://a.test`");
    assert_snapshot!(function("allow.http = \"https://a.test\""), @r#"line 3, column 14: `http` in [function.x.allow] is text, write a list such as `["GET https://api.example.com/v1/*"]`"#);
    assert_snapshot!(function("allow.http = [1]"), @r#"line 3, column 15: `http` in [function.x.allow] is a number, write a list such as `["GET https://api.example.com/v1/*"]`"#);
    assert_snapshot!(function("allow.tcp = [\"db.internal\"]"), @"line 3, column 14: grant `db.internal` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port");
    assert_snapshot!(function("allow.udp = [\"[::1:53\"]"), @"line 3, column 14: grant `[::1:53` has an IPv6 address without brackets, write for example `[fd00::1]:5432`");
    assert_snapshot!(function("allow.dns = [\"10.0.0.1\"]"), @"line 3, column 14: dns grant `10.0.0.1` is an address, which needs no looking up; write it into `tcp` or `udp` with its port");
    assert_snapshot!(function("allow.listen = [\"8080\"]"), @"line 3, column 17: grant `8080` has no host, write for example `127.0.0.1:8080`, or `*:8080` for every host");
    assert_snapshot!(function("allow.clock = \"exact\""), @"line 3, column 15: clock `exact` is unknown, write `coarse` or `real`");
    assert_snapshot!(function("allow.clock = true"), @"line 3, column 15: `clock` in [function.x.allow] is true or false, write text in quotes");
    assert_snapshot!(function("allow.tmp = 64"), @r#"
    line 3, column 13: size `64` has no unit, write for example `64MiB`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(function("allow.tmp = \"8GiB\""), @"line 3, column 13: tmp of `8GiB` is out of range, write `1B` to `4GiB`");
    assert_snapshot!(function("allow.htpp = []"), @"line 3, column 7: unknown key `htpp` in [function.x.allow], did you mean `http`?");
    assert_snapshot!(function("allow = [\"https://a.test\"]"), @"line 3, column 9: `allow` in [function.x] is a list, write a table such as `[function.hello.allow]`");
    let many = vec!["\"https://a.test\""; 257].join(",");
    assert_snapshot!(function(&format!("allow.http = [{many}]")), @r"
    line 3, column 14: `http` in [function.x.allow] has 257 entries, the most are 256
    hint: write fewer and wider ones: `*.example.com` for hosts, `/v1/*` for paths
    ");
}

#[test]
fn a_folder_with_a_quota_can_be_written() {
    let dir = |quota: &str| {
        function(&format!(
            "allow.dirs = [{{ host = \"a\", guest = \"/a\", quota = {quota} }}]"
        ))
    };
    assert_snapshot!(dir("\"1GiB\""), @r#"line 3, column 51: directory `/a` has a quota and cannot be written, write `mode = "rw"` or leave the quota out"#);
    assert_snapshot!(dir("1"), @r#"
    line 3, column 51: size `1` has no unit, write for example `1MiB`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(dir("true"), @r#"line 3, column 51: `quota` in [function.x.allow.dirs] is true or false, write a size such as `"1GiB"`"#);
}

#[test]
fn a_bucket_is_named() {
    let kv = |list: &str| function(&format!("allow.kv = {list}"));
    assert_snapshot!(kv("[\"carts\", \"Carts\"]"), @"line 3, column 22: bucket `Carts` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
    assert_snapshot!(kv("[\"carts-*\"]"), @"line 3, column 13: bucket `carts-*` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
    assert_snapshot!(kv("\"carts\""), @r#"line 3, column 12: `kv` in [function.x.allow] is text, write a list such as `["carts"]`"#);
    let many: Vec<_> = (0..257).map(|number| format!("\"b{number}\"")).collect();
    assert_snapshot!(kv(&format!("[{}]", many.join(","))), @r"
    line 3, column 12: `kv` in [function.x.allow] has 257 entries, the most are 256
    hint: write fewer and wider ones: `*.example.com` for hosts, `/v1/*` for paths
    ");
}

#[test]
fn a_secret_says_how_it_is_exposed() {
    let secrets = |entry: &str| function(&format!("allow.secrets = [{entry}]"));
    assert_snapshot!(secrets("\"stripe-key\""), @"line 3, column 18: secret name `stripe-key` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(secrets("1"), @r#"line 3, column 18: `secrets` in [function.x.allow] is a number, write a name, or a table such as `{ name = "STRIPE_KEY", as = "config" }`"#);
    assert_snapshot!(secrets("{ as = \"config\" }"), @"line 3, column 18: [function.x.allow.secrets] has no `name`");
    assert_snapshot!(secrets("{ name = \"K\", as = \"file\" }"), @"line 3, column 37: secret is exposed as `file`, write `env`, `config` or `inject`");
    assert_snapshot!(secrets("{ name = \"K\", header = \"x-key\" }"), @r#"
    line 3, column 32: `header` in [function.x.allow.secrets] is for a secret that is injected
    hint: add `as = "inject"`, or leave the header to the function
    "#);
    assert_snapshot!(secrets("{ name = \"K\", as = \"inject\", to = [\"https://a.test\"] }"), @r#"
    line 3, column 18: [function.x.allow.secrets] has no `header`
    hint: say which one, for example `header = "authorization"`
    "#);
    assert_snapshot!(secrets("{ name = \"K\", as = \"inject\", header = \"x-key\" }"), @r#"
    line 3, column 18: [function.x.allow.secrets] has no `to`
    hint: say in which requests, for example `to = ["https://api.example.com/*"]`
    "#);
    assert_snapshot!(secrets("{ name = \"K\", as = \"inject\", header = \"host\", to = [\"https://a.test\"] }"), @"line 3, column 18: header `host` frames or routes the request and cannot carry a secret, write for example `authorization`");
    assert_snapshot!(secrets("{ name = \"K\", as = \"inject\", header = \"x-key\", to = [] }"), @r#"line 3, column 18: secret `K` goes into 0 kinds of requests, write 1 to 64, for example `to = ["https://api.example.com/*"]`"#);
    assert_snapshot!(secrets("{ name = \"K\", as = \"inject\", header = \"x-key\", to = [\"a.test\"] }"), @"line 3, column 71: http grant `a.test` has no scheme, write for example `https://a.test`");
    assert_snapshot!(secrets("{ name = \"K\", into = \"x-key\" }"), @"line 3, column 32: unknown key `into` in [function.x.allow.secrets]");
    assert_snapshot!(secrets("\"K\", { name = \"K\", as = \"config\" }"), @"line 3, column 23: secret `K` is granted twice, keep one of them");
}

#[test]
fn grants_that_undo_each_other_are_told_at_the_later_one() {
    assert_snapshot!(function("env.K = \"v\"\nallow.secrets = [\"K\"]"), @"line 4, column 18: secret `K` has the name of an environment variable, give one another name");
    assert_snapshot!(function("allow.secrets = [\"K\"]\n[function.x.env]\nK = \"v\""), @"line 5, column 1: secret `K` has the name of an environment variable, give one another name");
    assert_snapshot!(function("allow.tmp = \"1MiB\"\nallow.dirs = [{ host = \"a\", guest = \"/tmp\" }]"), @"line 4, column 15: directory `a:/tmp:ro` is where the private one of `tmp` is, give it another guest path or leave `tmp` out");
    assert_snapshot!(function("allow.dirs = [{ host = \"a\", guest = \"/tmp\" }]\nallow.tmp = \"1MiB\""), @"line 4, column 13: directory `a:/tmp:ro` is where the private one of `tmp` is, give it another guest path or leave `tmp` out");
}
