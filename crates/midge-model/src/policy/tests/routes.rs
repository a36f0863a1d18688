//! Verdicts on the hosts of routes, and on names that a token's `private` does not open.

use insta::assert_snapshot;

use super::{policy, shop, show};
use crate::policy::Policy;
use crate::{Grants, NamespaceName, Route};

fn hosts(policy: &Policy, namespace: &NamespaceName) -> String {
    let routes = [
        "/x",
        "shop.example.net/*",
        "a.shop.example.net/x",
        "shop.example.net/y",
        "evil.example.net/*",
    ];
    let routes: Vec<Route> = routes.iter().map(|text| text.parse().unwrap()).collect();
    show(&policy.check_hosts(namespace, &routes), |_| true)
}

#[test]
fn a_namespace_has_the_hosts_that_the_policy_gives_it() {
    let listed = policy(
        "[namespace.shop]\nhosts = [\"shop.example.net\", \"*.shop.example.net\"]\n[namespace.b]\nhosts = []",
    );
    assert_snapshot!(hosts(&listed, &shop()), @r#"
    allowed hosts shop.example.net
        policy.toml line 2: hosts = ["shop.example.net"]
    allowed hosts a.shop.example.net
        policy.toml line 2: hosts = ["*.shop.example.net"]
    REFUSED hosts evil.example.net
        policy.toml line 2: hosts = ["shop.example.net", "*.shop.example.net"]
        hint: add "evil.example.net" to `hosts` in line 2 of policy.toml
    "#);
    assert_snapshot!(hosts(&listed, &"b".parse().unwrap()), @r#"
    REFUSED hosts shop.example.net
        policy.toml line 4: hosts = []
        hint: add "shop.example.net" to `hosts` in line 4 of policy.toml
    REFUSED hosts a.shop.example.net
        policy.toml line 4: hosts = []
        hint: add "a.shop.example.net" to `hosts` in line 4 of policy.toml
    REFUSED hosts evil.example.net
        policy.toml line 4: hosts = []
        hint: add "evil.example.net" to `hosts` in line 4 of policy.toml
    "#);
    let any = policy("[namespace.\"*\"]\nhosts = [\"*\"]");
    assert_snapshot!(hosts(&any, &shop()), @r#"
    allowed hosts shop.example.net
        policy.toml line 2: hosts = ["*"]
    allowed hosts a.shop.example.net
        policy.toml line 2: hosts = ["*"]
    allowed hosts evil.example.net
        policy.toml line 2: hosts = ["*"]
    "#);
}

#[test]
fn without_the_key_only_default_has_hosts() {
    let serve = Policy::serve_default();
    assert_snapshot!(hosts(&serve, &NamespaceName::default()), @r"
    allowed hosts shop.example.net
        no `hosts` in the default policy: any host
    allowed hosts a.shop.example.net
        no `hosts` in the default policy: any host
    allowed hosts evil.example.net
        no `hosts` in the default policy: any host
    ");
    assert_snapshot!(hosts(&serve, &shop()), @r#"
    REFUSED hosts shop.example.net
        no `hosts` in the default policy: no host but the namespace's own addresses
        hint: write `hosts = ["shop.example.net"]` below [namespace.shop] in a file for `--policy`
    REFUSED hosts a.shop.example.net
        no `hosts` in the default policy: no host but the namespace's own addresses
        hint: write `hosts = ["a.shop.example.net"]` below [namespace.shop] in a file for `--policy`
    REFUSED hosts evil.example.net
        no `hosts` in the default policy: no host but the namespace's own addresses
        hint: write `hosts = ["evil.example.net"]` below [namespace.shop] in a file for `--policy`
    "#);
    let run = Policy::operator();
    let routes = ["x.example.net/".parse().unwrap()];
    let verdicts = run.check_hosts(&shop(), &routes);
    assert!(verdicts.iter().all(|verdict| verdict.allowed));
}

#[test]
fn an_entry_of_hosts_is_a_name() {
    let check = |entry: &str| {
        let text = format!("[namespace.shop]\nhosts = [\"{entry}\"]");
        Policy::parse(&text).unwrap_err().to_string()
    };
    assert_snapshot!(check("10.0.0.1"), @"line 2, column 10: host `10.0.0.1` is an address or this machine, and no route names one");
    assert_snapshot!(check("localhost"), @"line 2, column 10: host `localhost` is an address or this machine, and no route names one");
    assert_snapshot!(check("a*.net"), @"line 2, column 10: host `a*.net` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("a.net:80"), @"line 2, column 10: host `a.net:80` has a host that has the port `:80`, leave it out");
}

#[test]
fn a_token_without_private_names_nothing_that_the_node_opens() {
    let node = policy(
        "[namespace.\"*\"]\nprivate = [\"db.internal\", \"*.svc\", \"10.0.0.5\", \"169.254.0.0/16\"]",
    );
    let grants = Grants {
        http: vec![
            "http://db.internal/*".parse().unwrap(),
            "https://*".parse().unwrap(),
        ],
        tcp: vec!["*.svc:1".parse().unwrap(), "a.svc:1".parse().unwrap()],
        udp: vec!["10.0.0.5:1".parse().unwrap()],
        ..Grants::default()
    };
    let check = |cap: &str| {
        let cap = Policy::parse(cap).unwrap().named("the cap");
        show(&cap.check_names_below(&node, &shop(), &grants), |_| true)
    };
    assert_snapshot!(check(""), @r#"
    REFUSED http http://db.internal/*
        no `private` in the cap: what is not public stays out of reach
        hint: write `private = ["db.internal"]` below [namespace.shop] of the cap
    REFUSED tcp a.svc:1
        no `private` in the cap: what is not public stays out of reach
        hint: write `private = ["*.svc"]` below [namespace.shop] of the cap
    "#);
    // A name may lead to every address that the node opens.
    assert_snapshot!(check("[namespace.shop]\nprivate = [\"db.internal\", \"a.svc\"]"), @r#"
    REFUSED http http://db.internal/*
        the cap line 2: private = ["db.internal", "a.svc"]
        hint: add "169.254.0.0/16" to `private` in line 2 of the cap
    REFUSED tcp a.svc:1
        the cap line 2: private = ["db.internal", "a.svc"]
        hint: add "169.254.0.0/16" to `private` in line 2 of the cap
    "#);
    assert_snapshot!(check("[namespace.shop]\nprivate = [\"db.internal\", \"*.svc\", \"169.254.0.0/16\"]"), @"");
    // A block opens no name: the name leads to other blocks too.
    assert_snapshot!(check("[namespace.shop]\nprivate = [\"10.0.0.0/8\", \"169.254.0.0/16\"]"), @r#"
    REFUSED http http://db.internal/*
        the cap line 2: private = ["10.0.0.0/8", "169.254.0.0/16"]
        hint: add "db.internal" to `private` in line 2 of the cap
    REFUSED tcp a.svc:1
        the cap line 2: private = ["10.0.0.0/8", "169.254.0.0/16"]
        hint: add "*.svc" to `private` in line 2 of the cap
    "#);
    let closed = Policy::serve_default();
    let verdicts = closed.check_names_below(&closed, &shop(), &grants);
    assert!(verdicts.is_empty());
}
