//! Deploys, splits and the way back, when nothing fails.

use bytes::Bytes;
use insta::assert_snapshot;
use midge_api::{DeployChange, DeployRequest, ErrorCode, RollbackRequest, SecretValue};
use midge_control::CompileBlame;
use midge_model::{
    Digest, DirGrant, DirMode, Grants, Isolation, IsolationLevel, LimitsPatch, QuotaPatch,
    SecretExposure, SecretGrant, SecretText, Traffic,
};
use midge_store::Version;
use midge_store::records::{self, RevisionRecord};

use crate::kit::{Kit, admin, at, component, in_ns, r, refusal, request, with_http, with_routes};

async fn function(kit: &Kit) -> midge_api::FunctionInfo {
    let (namespace, function) = at("shop/checkout");
    let found = kit.control.get_function(admin(), &namespace, &function);
    found.await.unwrap()
}

#[tokio::test]
async fn a_deploy_answers_where_it_is_and_when_it_is_served() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let deployed = kit.deploy("shop/checkout", request(digest)).await;
    assert_eq!(deployed.change, DeployChange::New);
    assert_eq!(deployed.revision.number, r(1));
    assert_eq!(deployed.revision.weight, 100);
    assert_eq!(deployed.compile_ms, 7);
    assert_snapshot!(deployed.urls.join(" "), @"http://shop.localhost:8080/checkout http://checkout.shop.localhost:8080/");
    assert_snapshot!(deployed.revision.url, @"http://r1.checkout.shop.localhost:8080/");
    let version = function(&kit).await.version;
    let asked = kit.node.asked.lock().unwrap().join(", ");
    assert_eq!(
        asked,
        format!("compile checkout, serve shop/checkout {version}")
    );
}

#[tokio::test]
async fn what_is_live_exactly_so_is_left_as_it_is() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let wanted = with_routes(digest, &["/a", "/b"]);
    kit.deploy("shop/checkout", wanted.clone()).await;
    let before = function(&kit).await;
    let again = kit
        .deploy("shop/checkout", with_routes(digest, &["/b", "/a"]))
        .await;
    assert_eq!(again.change, DeployChange::Unchanged);
    assert_eq!(function(&kit).await, before);
    // Another number of revisions to keep is another function.
    let keep = DeployRequest {
        keep: Some(3),
        ..wanted.clone()
    };
    let deployed = kit.deploy("shop/checkout", keep).await;
    assert_eq!(deployed.change, DeployChange::Changed);
    // So is one that has only part of the traffic.
    let (namespace, name) = at("shop/checkout");
    let shares = ["r1=1", "r2=99"].map(|share| share.parse().unwrap());
    let split = Traffic::new(shares.to_vec(), None).unwrap();
    kit.control
        .set_traffic(admin(), (&namespace, &name), split, None)
        .await
        .unwrap();
    let deployed = kit.deploy("shop/checkout", wanted).await;
    assert_eq!(deployed.change, DeployChange::Changed);
    assert_eq!(deployed.revision.number, r(3));
}

#[tokio::test]
async fn more_than_what_is_live_needs_a_yes() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    let wider = DeployRequest {
        widen: false,
        limits: LimitsPatch {
            memory_bytes: Some(1 << 30),
            ..LimitsPatch::default()
        },
        ..with_http(digest, "https://api.example.com/*")
    };
    let refused = kit
        .try_deploy(admin(), "shop/checkout", wider.clone())
        .await;
    assert_snapshot!(refusal(refused), @"widens: function `checkout` would get more than it has: `http https://api.example.com/*`, `memory = 1GiB` (if that is meant, deploy with `--grant`)");
    let plan = kit
        .control
        .plan(
            admin(),
            in_ns("shop"),
            &at("shop/checkout").1,
            wider.clone(),
        )
        .await
        .unwrap();
    assert!(plan.widens);
    assert_eq!(plan.live, Some(r(1)));
    let wider = DeployRequest {
        widen: true,
        ..wider
    };
    kit.deploy("shop/checkout", wider).await;
    // And back without one.
    kit.deploy("shop/checkout", request(digest)).await;
}

#[tokio::test]
async fn the_oldest_revisions_are_pruned_and_none_with_traffic() {
    let kit = Kit::new().await;
    let mut digests = Vec::new();
    for seed in ["one", "two", "three", "four"] {
        digests.push(kit.upload(admin(), "shop", seed).await);
    }
    let keep = |digest: Digest| DeployRequest {
        keep: Some(2),
        ..request(digest)
    };
    for digest in &digests {
        kit.deploy("shop/checkout", keep(*digest)).await;
    }
    assert_eq!(function(&kit).await.revisions, [r(3), r(4)]);
    let (namespace, name) = at("shop/checkout");
    let gone = kit
        .control
        .get_revision(admin(), &namespace, &name, r(1))
        .await;
    assert_snapshot!(refusal(gone), @"not-found: function `checkout` has no revision r1, or not any more (it keeps r3, r4)");
    let target = (&namespace, &name);
    let back = RollbackRequest { to: Some(r(1)) };
    let back = kit.control.rollback(admin(), target, back, None).await;
    assert_eq!(back.unwrap_err().code, ErrorCode::Invalid);
    let revisions = kit
        .control
        .list_revisions(admin(), &namespace, &name)
        .await
        .unwrap();
    let shown: Vec<_> = revisions
        .items
        .iter()
        .map(|found| (found.number, found.weight))
        .collect();
    assert_eq!(shown, [(r(4), 100), (r(3), 0)]);
    kit.check_tidy().await;
}

#[tokio::test]
async fn the_way_back_is_to_the_traffic_before() {
    let kit = Kit::new().await;
    let (namespace, name) = at("shop/checkout");
    let target = (&namespace, &name);
    for seed in ["one", "two"] {
        let digest = kit.upload(admin(), "shop", seed).await;
        if seed == "one" {
            kit.deploy("shop/checkout", request(digest)).await;
            let back = kit
                .control
                .rollback(admin(), target, RollbackRequest::default(), None)
                .await;
            assert_snapshot!(refusal(back), @"conflict: function `checkout` has no traffic to go back to: it is as it was first deployed (see `midge revisions checkout`, and name one: `midge rollback checkout --to r1`)");
        } else {
            kit.deploy("shop/checkout", request(digest)).await;
        }
    }
    let back = async || {
        let back = kit
            .control
            .rollback(admin(), target, RollbackRequest::default(), None);
        back.await.unwrap().traffic.to_string()
    };
    assert_eq!(back().await, "r1=100");
    assert_eq!(back().await, "r2=100");
    let shares = ["r1=90", "r2=10"].map(|share| share.parse().unwrap());
    let split = Traffic::new(shares.to_vec(), Some("cookie:session".parse().unwrap())).unwrap();
    for _ in 0..2 {
        // Asked for twice it is one change.
        let set = kit
            .control
            .set_traffic(admin(), target, split.clone(), None);
        assert_eq!(set.await.unwrap().traffic, split);
    }
    assert_eq!(back().await, "r2=100");
    assert_eq!(back().await, "r1=90 r2=10");
    kit.check_sound().await;
}

#[tokio::test]
async fn a_write_of_another_version_is_refused() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    let (namespace, name) = at("shop/checkout");
    let target = (&namespace, &name);
    let seen = Version::new(function(&kit).await.version);
    let other = Some(Version::new(1));
    let control = &kit.control;
    let set = control.set_traffic(admin(), target, Traffic::all_to(r(1)), other);
    assert!(refusal(set.await).starts_with("version-mismatch"));
    let deploy = control.deploy(admin(), target, request(digest), other);
    assert!(refusal(deploy.await).starts_with("version-mismatch"));
    let back = RollbackRequest { to: Some(r(1)) };
    let back = control.rollback(admin(), target, back, other);
    assert!(refusal(back.await).starts_with("version-mismatch"));
    let removed = control.remove_function(admin(), &namespace, &name, other);
    assert!(refusal(removed.await).starts_with("version-mismatch"));
    control
        .remove_function(admin(), &namespace, &name, Some(seen))
        .await
        .unwrap();
    let deploy = control.deploy(admin(), target, request(digest), Some(seen));
    assert!(refusal(deploy.await).starts_with("version-mismatch"));
}

#[tokio::test]
async fn two_deploys_of_one_function_at_once_are_both_made() {
    let kit = Kit::new().await;
    let one = kit.upload(admin(), "shop", "one").await;
    let two = kit.upload(admin(), "shop", "two").await;
    let mut seen = 0;
    for _ in 0..10 {
        // Through two cores, as if they were two processes: nothing but the store is shared.
        let (namespace, name) = at("shop/checkout");
        let target = (&namespace, &name);
        let (here, there) = (kit.control.clone(), kit.again());
        let who = admin();
        let (first, second) = futures::join!(
            here.deploy(who, target, request(one), None),
            there.deploy(who, target, request(two), None)
        );
        for done in [first, second] {
            match done {
                Ok(done) => seen += u32::from(done.change != DeployChange::Unchanged),
                Err(error) => assert_eq!(error.code, ErrorCode::Conflict),
            }
        }
        kit.check_sound().await;
    }
    assert!(seen >= 10, "{seen} of 20 deploys changed anything");
    kit.check_tidy().await;
}

#[tokio::test]
async fn many_deploys_at_once_end_sound() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let names: Vec<_> = (0..20).map(|nth| format!("shop/f{}", nth % 7)).collect();
    let deploys = names.iter().enumerate().map(|(nth, name)| {
        let route = format!("/r{}", nth % 5);
        let wanted = with_routes(digest, &[&route]);
        let kit = &kit;
        async move { kit.try_deploy(admin(), name, wanted).await }
    });
    for done in futures::future::join_all(deploys).await {
        match done {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code, ErrorCode::RouteTaken, "{error}"),
        }
    }
    kit.check_tidy().await;
}

#[tokio::test]
async fn what_no_manifest_could_say_is_refused() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let check = async |change: fn(&mut DeployRequest)| {
        let mut wanted = request(digest);
        change(&mut wanted);
        refusal(kit.try_deploy(admin(), "shop/checkout", wanted).await)
    };
    let dir = |host: &str, guest: &str| DirGrant {
        host: host.into(),
        guest: guest.to_owned(),
        mode: DirMode::ReadWrite,
        quota_bytes: None,
    };
    let mut out = Vec::new();
    out.push(check(|wanted| wanted.keep = Some(0)).await);
    out.push(check(|wanted| wanted.message = Some("m".repeat(1_001))).await);
    out.push(
        check(|wanted| wanted.routes = vec!["/a/{x}".parse().unwrap(), "/a/{y}".parse().unwrap()])
            .await,
    );
    out.push(
        check(|wanted| wanted.routes = vec!["checkout.shop.localhost/*".parse().unwrap()]).await,
    );
    out.push(check(|wanted| wanted.grants.env = [("A=B".to_owned(), String::new())].into()).await);
    out.push(check(|wanted| wanted.grants.tmp_bytes = Some(0)).await);
    out.push(
        check(|wanted| {
            wanted.grants.secrets = vec![SecretGrant {
                name: "a-b".to_owned(),
                exposure: SecretExposure::Env,
            }];
        })
        .await,
    );
    let mut wanted = request(digest);
    wanted.grants.dirs = vec![dir("../../etc", "/data")];
    out.push(refusal(
        kit.try_deploy(admin(), "shop/checkout", wanted.clone())
            .await,
    ));
    wanted.grants.dirs = vec![dir("data", "relative")];
    out.push(refusal(
        kit.try_deploy(admin(), "shop/checkout", wanted.clone())
            .await,
    ));
    wanted.grants.dirs = vec![dir("/etc", "/data")];
    let refused = refusal(
        kit.try_deploy(admin(), "shop/checkout", wanted.clone())
            .await,
    );
    out.push(refused.split(':').next().unwrap().to_owned());
    assert_snapshot!(out.join("\n"), @r"
    invalid: keep is 0, write 1 to 100
    invalid: the message has 1001 bytes, the longest has 1000
    invalid: routes `/a/{x}` and `/a/{y}` match the same requests (leave one of them out)
    invalid: host `checkout.shop.localhost` is below `localhost`, whose hosts are functions' own addresses (leave the host out of the route, or name one of your own)
    invalid: environment variable name `A=B` is not a letter or `_` followed by letters, digits and `_`
    invalid: tmp is 0 bytes, write 1 to 4294967296
    invalid: secret name `a-b` is not a letter or `_` followed by letters, digits and `_`
    invalid: host folder `../../etc` has a `..`, write where it is below the namespace's data folder, such as `./data`
    invalid: guest path `relative` must start with `/` and be without `.`, `..` and `//`, write for example `/data`
    refused-policy
    ");
    wanted.grants.dirs = vec![dir("data", "/data")];
    let deployed = kit.deploy("shop/checkout", wanted).await;
    let host = &deployed.revision.grants.dirs[0].host;
    assert_eq!(
        host.to_str(),
        Some("data"),
        "where it lies is the node's affair"
    );
    let (namespace, function) = at("shop/checkout");
    let key = records::revision_key(&namespace, &function, deployed.revision.number);
    let kept = records::read::<RevisionRecord>(&*kit.store.registry, &key).await;
    let kept = kept.unwrap().unwrap().value.revision;
    let host = &kept.grants.dirs[0].host;
    assert!(
        host.is_absolute() && host.ends_with("data/shop/data"),
        "{host:?}"
    );
}

#[tokio::test]
async fn a_component_that_is_none_is_refused() {
    let kit = Kit::new().await;
    let put = async |bytes: &'static [u8]| {
        let component = (Digest::of(bytes), Bytes::from_static(bytes));
        refusal(kit.try_upload(admin(), "shop", component).await)
    };
    assert_snapshot!(put(b"(module)").await, @r"refused-component: this is no WebAssembly binary: it does not begin with `\0asm` (send a `.wasm` file; `midge deploy` turns `.wat` into one)");
    assert_snapshot!(put(b"\0as").await, @r"refused-component: this is no WebAssembly binary: it does not begin with `\0asm` (send a `.wasm` file; `midge deploy` turns `.wat` into one)");
    let lie = (Digest::of(b"other"), component("one").1);
    let lie = refusal(kit.try_upload(admin(), "shop", lie).await);
    assert!(lie.starts_with("digest-mismatch"), "{lie}");
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    let large = kit.try_upload(admin(), "shop", (Digest::of(&large), large));
    assert_snapshot!(refusal(large.await), @"too-large: the component has 1.0MiB or more, and this node takes 1MiB at most (build it optimised and without debug information)");
    // Binary, and nothing to run.
    let empty: &[u8] = b"\0asm\x01\0\0\0";
    let digest = Digest::of(empty);
    kit.try_upload(admin(), "shop", (digest, Bytes::from_static(empty)))
        .await
        .unwrap();
    let deployed = kit.try_deploy(admin(), "shop/checkout", request(digest));
    assert_snapshot!(refusal(deployed.await), @"refused-component: core module has no `_start`, so there is nothing to run (build a command (a `main` function) for wasm32-wasip1, or a component that exports `wasi:http/incoming-handler`)");
    assert!(kit.node.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_is_to_blame_decides_the_code() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let deploy = async || {
        refusal(
            kit.try_deploy(admin(), "shop/checkout", request(digest))
                .await,
        )
    };
    *kit.node.compile_fault.lock().unwrap() = Some(CompileBlame::Guest);
    assert_snapshot!(deploy().await, @"refused-component: it does not compile");
    *kit.node.compile_fault.lock().unwrap() = Some(CompileBlame::Host);
    assert_snapshot!(deploy().await, @"busy: it does not compile (try again)");
    *kit.node.compile_fault.lock().unwrap() = None;
    *kit.node.serve_fault.lock().unwrap() = Some("worker 3 has no memory".to_owned());
    assert_snapshot!(deploy().await, @"not-serving: worker 3 has no memory (it is published: see `midge logs` and the node's log, or try again)");
    // It is published, so the same deploy again changes nothing, and waits again.
    assert!(deploy().await.starts_with("not-serving"));
    *kit.node.serve_fault.lock().unwrap() = None;
    assert_eq!(deploy().await, "done");
    assert_eq!(function(&kit).await.revisions, [r(1)]);
}

#[tokio::test]
async fn names_that_are_nearly_right_are_suggested() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    kit.secret("shop", "STRIPE_KEY").await;
    let (_, misspelt) = at("shop/chekout");
    let found = kit.control.get_function(admin(), in_ns("shop"), &misspelt);
    assert_snapshot!(refusal(found.await), @"not-found: namespace `shop` has no function `chekout` (did you mean `checkout`?)");
    let found = kit.control.get_namespace(admin(), in_ns("shpo"));
    assert_snapshot!(refusal(found.await), @"not-found: there is no namespace `shpo` (did you mean `shop`?)");
    let wanted = DeployRequest {
        grants: Grants {
            secrets: vec![SecretGrant::new("STRIPE_KEI", SecretExposure::Env).unwrap()],
            ..Grants::default()
        },
        widen: true,
        ..request(digest)
    };
    let refused = kit.try_deploy(admin(), "shop/checkout", wanted).await;
    assert_snapshot!(refusal(refused), @"secret-missing: secret `STRIPE_KEI` has no value in namespace `shop` (did you mean `STRIPE_KEY`?)");
    let value = SecretValue {
        value: SecretText::new("x").unwrap(),
    };
    let put = kit.control.put_secret(admin(), in_ns("shop"), "a-b", value);
    assert_snapshot!(refusal(put.await), @"invalid: secret name `a-b` is not a letter or `_` followed by letters, digits and `_`");
}

#[tokio::test]
async fn quotas_bound_functions_and_components() {
    let kit = Kit::new().await;
    let (one, bytes) = component("one");
    let patch = QuotaPatch {
        functions: Some(1),
        component_bytes: Some(bytes.len() as u64 + 10),
        ..QuotaPatch::default()
    };
    kit.control
        .set_quota(admin(), in_ns("shop"), patch)
        .await
        .unwrap();
    kit.upload(admin(), "shop", "one").await;
    // The same bytes again are no more.
    kit.upload(admin(), "shop", "one").await;
    let more = kit.try_upload(admin(), "shop", component("two"));
    assert_snapshot!(refusal(more.await), @"quota: namespace `shop` has no room for more component-bytes: its quota is 52B (ask an admin of the node for `midge quota set component-bytes=… -n shop`)");
    kit.deploy("shop/checkout", request(one)).await;
    kit.deploy("shop/checkout", with_routes(one, &["/x"])).await;
    let more = kit.try_deploy(admin(), "shop/other", request(one)).await;
    assert_snapshot!(refusal(more), @"quota: namespace `shop` has no room for more functions: its quota is 1 (ask an admin of the node for `midge quota set functions=… -n shop`)");
    let (namespace, name) = at("shop/checkout");
    kit.control
        .remove_function(admin(), &namespace, &name, None)
        .await
        .unwrap();
    kit.deploy("shop/other", request(one)).await;
}

#[tokio::test]
async fn a_namespace_with_something_in_it_stays() {
    let kit = Kit::new().await;
    let end = async |name: &str| refusal(kit.control.delete_namespace(admin(), in_ns(name)).await);
    assert_snapshot!(end("default").await, @"conflict: namespace `default` stays: what names no namespace is in it");
    assert_snapshot!(end("nowhere").await, @"not-found: there is no namespace `nowhere` (midge namespace create nowhere)");
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    assert_snapshot!(end("shop").await, @"conflict: namespace `shop` is not empty, it has function `checkout` (midge remove checkout --namespace shop)");
    let (namespace, name) = at("shop/checkout");
    kit.control
        .remove_function(admin(), &namespace, &name, None)
        .await
        .unwrap();
    kit.secret("shop", "A").await;
    assert_snapshot!(end("shop").await, @"conflict: namespace `shop` is not empty, it has secret `A` (midge secret remove A --namespace shop)");
    kit.control
        .delete_secret(admin(), in_ns("shop"), "A")
        .await
        .unwrap();
    assert_eq!(end("shop").await, "done");
    kit.check_tidy().await;
}

#[tokio::test]
async fn components_are_read_a_few_at_a_time_and_once() {
    let kit = Kit::new().await;
    let mut digests = Vec::new();
    for seed in 0..20 {
        digests.push(kit.upload(admin(), "shop", &format!("c{seed}")).await);
    }
    let (namespace, function) = at("shop/checkout");
    for _ in 0..2 {
        let plans = digests.iter().map(|digest| {
            kit.control
                .plan(admin(), &namespace, &function, request(*digest))
        });
        for plan in futures::future::join_all(plans).await {
            plan.unwrap();
        }
    }
    let count =
        |what: &std::sync::atomic::AtomicI64| what.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(count(&kit.fuse.reading_most), 2);
    assert_eq!(count(&kit.fuse.reads), 20);
}

#[tokio::test]
async fn an_upload_of_unknown_length_keeps_to_the_quota() {
    let kit = Kit::new().await;
    let (digest, bytes) = component("large");
    let patch = format!("component-bytes={}B", bytes.len() - 1);
    let set = kit
        .control
        .set_quota(admin(), in_ns("shop"), patch.parse().unwrap());
    set.await.unwrap();
    let upload = midge_control::Upload {
        length_bytes: None,
        bytes: futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]),
    };
    let put = kit
        .control
        .put_component(admin(), in_ns("shop"), &digest, upload);
    assert!(refusal(put.await).starts_with("quota"));
    let left = kit.store.artifacts.list(None, 10).await.unwrap();
    assert!(left.is_empty());
}

/// The components of these tests are commands.
#[tokio::test]
async fn what_cannot_be_asked_again_is_refused_and_planned_with_a_warning() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let mut wanted = request(digest);
    wanted.isolation = Isolation::of_level(IsolationLevel::Serial);
    let refused = kit.try_deploy(admin(), "shop/checkout", wanted.clone());
    assert_snapshot!(refusal(refused.await), @r#"refused-component: isolation `serial` is not for this file: a command runs once, from the start of its `main` to its end (isolation = "fresh")"#);
    let (namespace, function) = at("shop/checkout");
    let plan = kit.control.plan(admin(), &namespace, &function, wanted);
    let plan = plan.await.unwrap();
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(plan.difference.isolation.is_some());
}
