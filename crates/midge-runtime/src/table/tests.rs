//! Who answers at which address, and that publishing in any order comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use insta::assert_snapshot;
use midge_model::{Digest, Grants, Limits, Revision, Sticky};
use midge_sandbox::Deployment;
use proptest::prelude::*;

use super::*;
use crate::function::Published;

const DOMAIN: &str = "midge.test";

/// `published("shop", "cart", "r1=90 r2=10", &[("r1", "/a GET /b"), ("r2", "/a")])`
fn published(namespace: &str, function: &str, traffic: &str, kept: &[(&str, &str)]) -> Published {
    let shares = traffic.split(' ').map(|share| share.parse().unwrap());
    let deployment = |(number, routes): &(&str, &str)| {
        let routes = routes.split(',').filter(|route| !route.is_empty());
        Arc::new(Deployment {
            revision: Revision {
                namespace: namespace.parse().unwrap(),
                function: function.parse().unwrap(),
                number: number.parse().unwrap(),
                digest: Digest::of(b""),
                grants: Grants::default(),
                limits: Limits::SAFE,
                isolation: midge_model::Isolation::Fresh,
                routes: routes.map(|route| route.parse().unwrap()).collect(),
            },
            secrets: BTreeMap::new(),
            usage: None,
        })
    };
    Published {
        namespace: namespace.parse().unwrap(),
        function: function.parse().unwrap(),
        column: 0,
        traffic: Traffic::new(shares.collect(), None).unwrap(),
        revisions: kept.iter().map(deployment).collect(),
    }
}

fn put(table: &mut Table, published: Published) -> Result<(), RouteConflict> {
    let old = table.function(&published.namespace, &published.function);
    let old = old.map(Rc::clone);
    let next = Function::after(old.as_deref(), published.into(), |_, _| {
        unreachable!("nothing is loaded")
    });
    table.put(next)
}

fn table(functions: impl IntoIterator<Item = Published>) -> Table {
    let mut table = Table::new(DOMAIN.to_owned());
    for published in functions {
        put(&mut table, published).unwrap();
    }
    table
}

fn request(host: &str, asked: &str, fields: &[(&str, &str)]) -> Request<()> {
    let (method, path) = asked.split_once(' ').unwrap_or(("GET", asked));
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in [("host", host)].iter().chain(fields) {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Who answers, by which split, under which mount.
fn check(table: &Table, host: &str, asked: &str) -> String {
    check_with(table, &request(host, asked, &[]))
}

fn check_with(table: &Table, request: &Request<()>) -> String {
    let target = match table.resolve(request) {
        Ok(target) => target,
        Err(refusal) => return refusal.code().to_owned(),
    };
    let function = &target.function;
    let split = match (&target.split, target.revision(request.headers())) {
        (_, Err(refusal)) => refusal.code().to_owned(),
        (Split::Traffic(traffic), Ok(_)) if !request.headers().contains_key(REVISION) => {
            traffic.to_string()
        }
        (_, Ok(kept)) => kept.number().to_string(),
    };
    let (namespace, name, mount) = (&function.namespace, &function.name, target.mount());
    format!("{namespace}/{name} {split} {mount}")
        .trim_end()
        .to_owned()
}

fn shop() -> Table {
    table([
        published("default", "hello", "r1=100", &[("r1", "/hello/*,GET /x")]),
        published(
            "default",
            "cart",
            "r7=90 r8=10",
            &[
                ("r6", "/old"),
                ("r7", "/cart/*"),
                ("r8", "/cart/{*rest},/new"),
            ],
        ),
        published(
            "shop",
            "hello",
            "r3=1",
            &[("r3", "/hello/*,/x,shop.example.net/*")],
        ),
        published("shop", "bare", "r1=1", &[("r1", "")]),
    ])
}

#[test]
fn every_function_and_every_kept_revision_has_an_address() {
    let check = |host: &str, asked: &str| check(&shop(), host, asked);
    assert_snapshot!(check("hello.default.midge.test", "/any/path"), @"default/hello r1=100");
    assert_snapshot!(check("HELLO.Shop.Midge.Test.:8080", "POST /"), @"shop/hello r3=1");
    assert_snapshot!(check("r6.cart.default.midge.test", "/"), @"default/cart r6");
    assert_snapshot!(check("bare.shop.midge.test", "/"), @"shop/bare r1=1");
    assert_snapshot!(check("r9.cart.default.midge.test", "/"), @"default/cart no-revision");
    assert_snapshot!(check("none.default.midge.test", "/hello"), @"no-route");
    assert_snapshot!(check("hello.nobody.midge.test", "/hello"), @"no-route");
    assert_snapshot!(check("r1.none.default.midge.test", "/hello"), @"no-route");
}

#[test]
fn a_namespaces_routes_answer_at_its_own_host() {
    let check = |host: &str, asked: &str| check(&shop(), host, asked);
    assert_snapshot!(check("shop.midge.test", "/hello/a"), @"shop/hello r3=1 /hello");
    assert_snapshot!(check("shop.midge.test", "POST /x"), @"shop/hello r3=1 /x");
    assert_snapshot!(check("shop.midge.test", "/cart"), @"no-route");
    assert_snapshot!(check("default.midge.test", "/cart"), @"default/cart r7=90 r8=10 /cart");
    // Whoever is no namespace is any host.
    assert_snapshot!(check("nobody.midge.test", "/hello"), @"default/hello r1=100 /hello");
    assert_snapshot!(check("127.0.0.1:8080", "/hello"), @"default/hello r1=100 /hello");
    assert_snapshot!(check("127.0.0.1:8080", "POST /x"), @"method-not-allowed");
    assert_snapshot!(check("a.b.c.d.midge.test", "/hello"), @"default/hello r1=100 /hello");
}

#[test]
fn a_host_of_its_own_comes_first() {
    let mut table = shop();
    assert_snapshot!(check(&table, "shop.example.net", "/hello"), @"shop/hello r3=1");
    let routes = &[("r1", "GET hello.shop.midge.test/taken")];
    put(&mut table, published("other", "f", "r1=1", routes)).unwrap();
    assert_snapshot!(check(&table, "hello.shop.midge.test", "/taken"), @"other/f r1=1 /taken");
    assert_snapshot!(check(&table, "hello.shop.midge.test", "POST /taken"), @"method-not-allowed");
    assert_snapshot!(check(&table, "hello.shop.midge.test", "/else"), @"shop/hello r3=1");
}

#[test]
fn a_route_goes_to_the_revisions_that_have_it() {
    let check = |asked: &str| check(&shop(), "a", asked);
    assert_snapshot!(check("/cart/1"), @"default/cart r7=90 r8=10 /cart");
    assert_snapshot!(check("/new"), @"default/cart r8=10 /new");
    assert_snapshot!(check("/old"), @"no-route");
}

#[test]
fn a_field_asks_for_a_revision() {
    let check = |host: &str, path: &str, asked: &str| {
        check_with(
            &shop(),
            &request(host, path, &[("x-midge-revision", asked)]),
        )
    };
    assert_snapshot!(check("a", "/cart", "r8"), @"default/cart r8 /cart");
    assert_snapshot!(check("a", "/cart", "r6"), @"default/cart r6 /cart");
    assert_snapshot!(check("a", "/cart", "r9"), @"default/cart no-revision /cart");
    assert_snapshot!(check("a", "/cart", "8"), @"default/cart no-revision /cart");
    assert_snapshot!(check("cart.default.midge.test", "/", "r6"), @"default/cart r6");
    assert_snapshot!(check("r7.cart.default.midge.test", "/", "r8"), @"default/cart r7");
}

#[test]
fn without_a_domain_no_host_is_an_address() {
    let mut table = Table::new(String::new());
    put(
        &mut table,
        published("default", "hello", "r1=1", &[("r1", "/*")]),
    )
    .unwrap();
    assert_snapshot!(check(&table, "nobody.default", "/"), @"default/hello r1=1");
    assert_snapshot!(check(&table, "nobody.default.", "/"), @"default/hello r1=1");
}

#[test]
fn who_would_take_anothers_route_changes_nothing() {
    let mut table = shop();
    let rival = published("default", "rival", "r1=1", &[("r1", "/mine,/cart/{*all}")]);
    let error = put(&mut table, rival).unwrap_err();
    assert_snapshot!(error, @"routes `/cart/*` and `/cart/{*all}` match the same requests, change or remove one of them");
    assert_snapshot!(check(&table, "a", "/mine"), @"no-route");
    assert_snapshot!(check(&table, "rival.default.midge.test", "/"), @"no-route");
    let rival = published("shop", "rival", "r1=1", &[("r1", "/cart/*")]);
    put(&mut table, rival).expect("another namespace is another table");
    let rival = published(
        "elsewhere",
        "rival",
        "r1=1",
        &[("r1", "shop.example.net/{*all}")],
    );
    put(&mut table, rival).unwrap_err();
}

#[test]
fn traffic_to_revisions_that_are_gone_goes_to_the_others() {
    let gone = published("default", "f", "r1=50 r2=50", &[("r2", "/f")]);
    assert_snapshot!(check(&table([gone]), "a", "/f"), @"default/f r2=50 /f");
    let all_gone = published("default", "f", "r1=1", &[("r2", "/f")]);
    let table = table([all_gone]);
    assert_snapshot!(check(&table, "a", "/f"), @"no-route");
    assert_snapshot!(check(&table, "f.default.midge.test", "/"), @"no-revision");
    assert_snapshot!(check(&table, "r2.f.default.midge.test", "/"), @"default/f r2");
}

#[test]
fn the_sequence_goes_on_when_a_function_is_published_again() {
    let mut table = table([]);
    let split = |weights: &str| published("default", "f", weights, &[("r1", "/f"), ("r2", "/f")]);
    let mut of_r2 = 0;
    for round in 0..2_000 {
        // Each time another split, so that each is a state of its own.
        let weights = format!("r1={} r2={}", 90 * (1 + round % 9), 10 * (1 + round % 9));
        put(&mut table, split(&weights)).unwrap();
        for _ in 0..10 {
            let request = request("a", "/f", &[]);
            let target = table.resolve(&request).unwrap();
            let kept = target.revision(request.headers()).unwrap();
            of_r2 += u32::from(kept.number().get() == 2);
        }
    }
    assert!((1_980..=2_020).contains(&of_r2), "{of_r2} of 20,000");
}

#[test]
fn what_traffic_sticks_to_is_kept_on_every_route() {
    let mut published = published(
        "default",
        "f",
        "r1=50 r2=50",
        &[("r1", "/f"), ("r2", "/f,/g")],
    );
    let sticky: Sticky = "header:x-user".parse().unwrap();
    let shares = published.traffic.shares().to_vec();
    published.traffic = Traffic::new(shares, Some(sticky)).unwrap();
    let table = table([published]);
    for user in ["ann", "bob", "cleo", "dora"] {
        let picks = |asked: &str, host: &str| {
            let request = request(host, asked, &[("x-user", user)]);
            let target = table.resolve(&request).unwrap();
            target.revision(request.headers()).unwrap().number()
        };
        assert_eq!(picks("/f", "a"), picks("/f", "a"));
        assert_eq!(picks("/f", "a"), picks("/", "f.default.midge.test"));
        assert_eq!(picks("/g", "a").get(), 2);
    }
}

/// One thing that happens to a table.
#[derive(Debug, Clone)]
enum Step {
    Put(String, String, Vec<u8>, u8),
    Remove(String, String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let namespace = || prop::sample::select(vec!["default", "one", "two"]).prop_map(str::to_owned);
    let function = || prop::sample::select(vec!["f", "g", "h"]).prop_map(str::to_owned);
    let routes = prop::collection::vec(0..8_u8, 0..4);
    let step = prop_oneof![
        3 => (namespace(), function(), routes, 1..4_u8)
            .prop_map(|(namespace, function, routes, shares)| Step::Put(namespace, function, routes, shares)),
        1 => (namespace(), function()).prop_map(|(namespace, function)| Step::Remove(namespace, function)),
    ];
    prop::collection::vec(step, 0..30)
}

const ROUTES: [&str; 8] = [
    "/a",
    "GET /a",
    "/a/{id}",
    "/a/{other}",
    "/*",
    "x.example.net/a",
    "GET x.example.net/*",
    "f.one.midge.test/a",
];

/// The first revision has every other route, the last all of them.
fn of_step(namespace: &str, function: &str, routes: &[u8], shares: u8) -> Published {
    let written = |step: usize| {
        let routes = routes
            .iter()
            .step_by(step)
            .map(|at| ROUTES[usize::from(*at)]);
        routes.collect::<Vec<_>>().join(",")
    };
    let (some, all) = (written(2), written(1));
    let traffic = match shares {
        1 => "r1=1",
        2 => "r2=1",
        _ => "r1=3 r2=1",
    };
    published(namespace, function, traffic, &[("r1", &some), ("r2", &all)])
}

fn answers(table: &Table) -> Vec<String> {
    let namespaces = ["default", "one", "two"];
    let below = namespaces.iter().flat_map(|namespace| {
        let functions = ["f", "g", "h"].iter();
        let functions = functions.flat_map(move |function| {
            let host = format!("{function}.{namespace}.{DOMAIN}");
            [format!("r1.{host}"), host]
        });
        functions.chain([format!("{namespace}.{DOMAIN}")])
    });
    let hosts = below.chain(["x.example.net".to_owned(), "any".to_owned()]);
    let asked = ["/a", "POST /a", "/a/1", "/b", "/"];
    hosts
        .flat_map(|host| {
            asked.map(|asked| format!("{host} {asked}: {}", check(table, &host, asked)))
        })
        .collect()
}

proptest! {
    /// Whatever came and went, who answers is decided by what is published now.
    #[test]
    fn a_table_that_was_changed_resolves_like_a_fresh_one(steps in steps()) {
        let mut changed = table([]);
        let mut published = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(namespace, function, routes, shares) => {
                    let next = of_step(&namespace, &function, &routes, shares);
                    if put(&mut changed, next.clone()).is_ok() {
                        published.insert((namespace, function), next);
                    }
                }
                Step::Remove(namespace, function) => {
                    changed.remove(&namespace.parse().unwrap(), &function.parse().unwrap());
                    published.remove(&(namespace, function));
                }
            }
        }
        let functions = published.len();
        prop_assert_eq!(changed.functions().count(), functions);
        let fresh = table(published.into_values());
        prop_assert_eq!(answers(&changed), answers(&fresh));
        prop_assert_eq!(changed.others.len(), fresh.others.len());
    }
}

#[test]
fn the_head_of_a_request_over_http2_names_the_host() {
    let request = Request::builder()
        .method(Method::GET)
        .uri("https://hello.shop.midge.test/any")
        .body(())
        .unwrap();
    assert_snapshot!(check_with(&shop(), &request), @"shop/hello r3=1");
}
