//! Whose a route is, and whose it becomes.

use insta::assert_snapshot;
use midge_api::{Role, RollbackRequest};
use midge_model::{FunctionName, NamespaceName, Policy};
use midge_store::records::{self, ClaimRecord, claim_key};
use midge_store::{Expect, Store};

use crate::flaky::Failure;
use crate::kit::{Kit, admin, at, ns, r, refusal, token_request, with_routes};

#[tokio::test]
async fn a_route_is_of_the_function_that_had_it_first() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let elsewhere = kit.upload(admin(), "default", "one").await;
    kit.deploy("shop/one", with_routes(digest, &["/x/{id}"]))
        .await;
    let taken = kit
        .try_deploy(
            admin(),
            "shop/two",
            with_routes(digest, &["/y", "/x/{name}"]),
        )
        .await;
    assert_snapshot!(refusal(taken), @"route-taken: route `/x/{name}` matches the same requests as `/x/{id}` of function `shop/one` (change it, or remove it from `shop/one`)");
    // A deploy that is refused claims nothing.
    kit.deploy("shop/three", with_routes(digest, &["/y"])).await;
    // Another method, and another namespace, are other requests.
    kit.deploy("shop/four", with_routes(digest, &["GET /x/{id}"]))
        .await;
    kit.deploy("default/two", with_routes(elsewhere, &["/x/{id}"]))
        .await;
    kit.check_tidy().await;
}

#[tokio::test]
async fn a_host_is_of_the_namespace_that_had_it_first() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let elsewhere = kit.upload(admin(), "default", "one").await;
    kit.deploy("shop/one", with_routes(digest, &["shop.example.net/*"]))
        .await;
    // Below another tenant's wildcard one could answer its log-in page.
    let login = with_routes(elsewhere, &["shop.example.net/login"]);
    let taken = kit.try_deploy(admin(), "default/evil", login.clone()).await;
    assert_snapshot!(refusal(taken), @"route-taken: host `shop.example.net` belongs to namespace `shop`, which routes it (give the route another host)");
    let stranger = kit.caller(Role::Deployer, Some("default")).await;
    let taken = kit
        .try_deploy(&stranger, "default/evil", login.clone())
        .await;
    assert_snapshot!(refusal(taken), @"route-taken: host `shop.example.net` belongs to another namespace (give the route another host)");
    kit.deploy(
        "shop/login",
        with_routes(digest, &["shop.example.net/login"]),
    )
    .await;
    // It stays the namespace's while any of its functions routes it.
    remove(&kit, "shop/one").await;
    let taken = kit
        .try_deploy(&stranger, "default/evil", login.clone())
        .await;
    assert!(refusal(taken).starts_with("route-taken"));
    remove(&kit, "shop/login").await;
    kit.deploy("default/good", login).await;
    kit.check_tidy().await;
}

#[tokio::test]
async fn a_route_without_traffic_is_anybodys() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/one", with_routes(digest, &["/a"])).await;
    kit.deploy("shop/one", with_routes(digest, &["/b"])).await;
    kit.deploy("shop/two", with_routes(digest, &["/a"])).await;
    // The way back to `/a` is closed, for as long as the other has it.
    let (namespace, function) = at("shop/one");
    let back = async || {
        let to = RollbackRequest { to: Some(r(1)) };
        let target = (&namespace, &function);
        refusal(kit.control.rollback(admin(), target, to, None).await)
    };
    assert_snapshot!(back().await, @"route-taken: route `/a` matches the same requests as `/a` of function `shop/two` (change it, or remove it from `shop/two`)");
    remove(&kit, "shop/two").await;
    assert_eq!(back().await, "done");
    kit.check_tidy().await;
}

#[tokio::test]
async fn a_claim_that_a_killed_deploy_left_is_taken_over() {
    for host in ["", "shop.example.net"] {
        let kit = Kit::with_hosts().await;
        let one = kit.upload(admin(), "shop", "one").await;
        let route = format!("{host}/x");
        // Audit entry, then claims, and no more.
        let writes = if host.is_empty() { 2 } else { 3 };
        kit.fuse.arm(writes, Failure::Killed);
        let killed = kit
            .try_deploy(admin(), "shop/one", with_routes(one, &[&route]))
            .await;
        assert!(killed.is_err() && kit.fuse.disarm());
        let left = owner(&kit.store, &route).await;
        assert_eq!(left, Some(at("shop/one")));
        kit.deploy("shop/two", with_routes(one, &[&route])).await;
        assert_eq!(owner(&kit.store, &route).await, Some(at("shop/two")));
        // Across namespaces too, where the host decides.
        remove(&kit, "shop/two").await;
        let two = kit.upload(admin(), "default", "one").await;
        kit.deploy("default/three", with_routes(two, &[&route]))
            .await;
        kit.check_tidy().await;
    }
}

#[tokio::test]
async fn a_claim_of_nobody_is_swept_away_and_one_in_use_is_not() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy(
        "shop/one",
        with_routes(digest, &["shop.example.net/x", "/x"]),
    )
    .await;
    for (scope, route) in [(None, "gone.example.net/x"), (Some(ns("shop")), "/gone")] {
        let record = ClaimRecord {
            namespace: ns("shop"),
            function: at("shop/one").1,
            route: route.parse().unwrap(),
        };
        let key = claim_key(scope.as_ref(), &record.route.shape());
        records::write(&*kit.store.registry, &key, &record, Expect::Absent)
            .await
            .unwrap();
    }
    let swept = kit.control.sweep().await.unwrap();
    assert_eq!(swept.claims, 2);
    kit.check_tidy().await;
}

#[tokio::test]
async fn a_namespace_routes_no_host_that_the_policy_does_not_give_it() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let deployer = kit.caller(Role::Deployer, Some("shop")).await;
    let foreign = with_routes(digest, &["www.example.net/*"]);
    let refused = kit.try_deploy(&deployer, "shop/one", foreign.clone()).await;
    assert_snapshot!(refusal(refused), @r#"refused-policy: refused: `hosts www.example.net`, by the policy line 2: hosts = ["shop.example.net", "other.example.net"] (add "www.example.net" to `hosts` in line 2 of the policy)"#);
    let plan = kit
        .control
        .plan(&deployer, &ns("shop"), &at("shop/one").1, foreign)
        .await
        .unwrap();
    assert_eq!(plan.refused.len(), 1);
    // Nothing was claimed: who may have the host gets it.
    let theirs = kit.upload(admin(), "default", "one").await;
    kit.deploy("default/www", with_routes(theirs, &["www.example.net/*"]))
        .await;
    // What is live stays when the policy becomes stricter, and does not come back.
    kit.deploy("shop/one", with_routes(digest, &["shop.example.net/*"]))
        .await;
    kit.deploy("shop/one", with_routes(digest, &["/one"])).await;
    let strict = kit.again();
    let (namespace, function) = at("shop/one");
    let to = RollbackRequest { to: Some(r(1)) };
    let back = strict.rollback(admin(), (&namespace, &function), to, None);
    assert_snapshot!(refusal(back.await), @r#"refused-policy: revision r1 is refused: `hosts shop.example.net`, by no `hosts` in the default policy: no host but the namespace's own addresses (write `hosts = ["shop.example.net"]` below [namespace.shop] in a file for `--policy`)"#);
    // A token's policy gives hosts too, or does not.
    let capped = kit
        .caller_of(
            admin(),
            midge_api::TokenRequest {
                policy: Some("[namespace.shop]\nhosts = [\"other.example.net\"]\n".to_owned()),
                ..token_request(Role::Deployer, Some("shop"))
            },
        )
        .await;
    let beyond = with_routes(digest, &["shop.example.net/*"]);
    let refused = kit.try_deploy(&capped, "shop/two", beyond).await;
    assert_snapshot!(refusal(refused), @r#"refused-policy: refused: `hosts shop.example.net`, by the token's policy line 2: hosts = ["other.example.net"] (add "shop.example.net" to `hosts` in line 2 of the token's policy)"#);
    let within = with_routes(digest, &["other.example.net/*"]);
    kit.try_deploy(&capped, "shop/two", within).await.unwrap();
}

#[tokio::test]
async fn the_nodes_own_hosts_are_nobodys() {
    let policy = Policy::parse("[namespace.\"*\"]\nhosts = [\"*\"]\n").unwrap();
    let kit = Kit::with_policy(policy).await;
    let digest = kit.upload(admin(), "default", "one").await;
    let try_host = async |host: &str| {
        let wanted = with_routes(digest, &[&format!("{host}/*")]);
        refusal(kit.try_deploy(admin(), "default/one", wanted).await)
    };
    for host in [
        "127.0.0.1",
        "127.1",
        "localhost",
        "a.localhost",
        "0x7f.0.0.0x1",
        "Node.Example.NET",
    ] {
        let refused = try_host(host).await;
        assert!(refused.starts_with("invalid"), "{host}: {refused}");
    }
    assert_snapshot!(try_host("203.0.113.7").await, @"invalid: host `203.0.113.7` is this machine or an address, which is no function's own (leave the host out of the route, or name one of your own)");
    assert_snapshot!(try_host("node.example.net").await, @"invalid: host `node.example.net` is the node's own, where namespace `default` answers (leave the host out of the route, or name one of your own)");
    assert_eq!(try_host("www.example.net").await, "done");
}

async fn remove(kit: &Kit, target: &str) {
    let (namespace, function) = at(target);
    let removed = kit
        .control
        .remove_function(admin(), &namespace, &function, None);
    removed.await.unwrap();
}

async fn owner(store: &Store, route: &str) -> Option<(NamespaceName, FunctionName)> {
    let route: midge_model::Route = route.parse().unwrap();
    let shop = ns("shop");
    let scope = route.host().is_none().then_some(&shop);
    let key = claim_key(scope, &route.shape());
    let found = records::read::<ClaimRecord>(&*store.registry, &key).await;
    let found = found.unwrap()?.value;
    Some((found.namespace, found.function))
}
