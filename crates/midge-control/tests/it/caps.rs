//! A token whose policy caps what its deploys may be granted finds no way around that.

use insta::assert_snapshot;
use midge_api::{DeployRequest, Role, RollbackRequest, SecretValue, TokenRequest};
use midge_control::Who;
use midge_model::{Grants, LimitsPatch, Policy, SecretText, Traffic};

use crate::kit::{Kit, admin, at, in_ns, r, refusal, request, token_request, with_http};

const CAP: &str = r#"
[namespace."*"]
http = ["https://api.example.com/*"]
secrets = ["SHOP_*"]
limits = { memory = "64MiB" }
"#;

async fn capped(kit: &Kit) -> Who {
    let request = TokenRequest {
        policy: Some(CAP.to_owned()),
        ..token_request(Role::Deployer, Some("shop"))
    };
    kit.caller_of(admin(), request).await
}

#[tokio::test]
async fn a_deploy_is_granted_no_more_than_the_cap() {
    let kit = Kit::new().await;
    let who = capped(&kit).await;
    let digest = kit.upload(&who, "shop", "one").await;
    let within = with_http(digest, "https://api.example.com/v1/*");
    let deployed = kit.try_deploy(&who, "shop/checkout", within).await.unwrap();
    // Who asks for nothing gets no more than the cap either.
    assert_eq!(deployed.revision.limits.memory_bytes, 64 << 20);

    let beyond = with_http(digest, "https://evil.example.com/*");
    assert_snapshot!(refusal(kit.try_deploy(&who, "shop/checkout", beyond.clone()).await), @r#"refused-policy: refused: `http https://evil.example.com/*`, by the token's policy line 3: http = ["https://api.example.com/*"] (add "https://evil.example.com/*" to `http` in line 3 of the token's policy)"#);
    let plan = kit
        .control
        .plan(&who, in_ns("shop"), &at("shop/checkout").1, beyond)
        .await
        .unwrap();
    assert_eq!(plan.refused.len(), 1);
    let memory = DeployRequest {
        limits: LimitsPatch {
            memory_bytes: Some(65 << 20),
            ..LimitsPatch::default()
        },
        widen: true,
        ..request(digest)
    };
    assert_snapshot!(refusal(kit.try_deploy(&who, "shop/checkout", memory).await), @r#"refused-policy: refused: `limits.memory 65MiB`, by the token's policy line 5: limits.memory = "64MiB" (write `memory = "64MiB"` in the manifest, or write `memory = "65MiB"` in line 5 of the token's policy)"#);
}

#[tokio::test]
async fn traffic_goes_to_no_revision_beyond_the_cap() {
    let kit = Kit::new().await;
    let who = capped(&kit).await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy(
        "shop/checkout",
        with_http(digest, "https://evil.example.com/*"),
    )
    .await;
    let within = with_http(digest, "https://api.example.com/*");
    kit.try_deploy(&who, "shop/checkout", within).await.unwrap();

    let (namespace, function) = at("shop/checkout");
    let target = (&namespace, &function);
    let back = kit
        .control
        .rollback(&who, target, RollbackRequest { to: None }, None);
    assert_snapshot!(refusal(back.await), @r#"refused-policy: revision r1 is refused: `http https://evil.example.com/*`, `limits.memory 128MiB`, by the token's policy line 3: http = ["https://api.example.com/*"] and the token's policy line 5: limits.memory = "64MiB" (add "https://evil.example.com/*" to `http` in line 3 of the token's policy)"#);
    let back = kit
        .control
        .rollback(&who, target, RollbackRequest { to: Some(r(1)) }, None);
    assert!(refusal(back.await).starts_with("refused-policy: revision r1"));
    let shares = ["r1=1", "r2=99"].map(|share| share.parse().unwrap());
    let split = Traffic::new(shares.to_vec(), None).unwrap();
    let split = kit.control.set_traffic(&who, target, split, None);
    assert!(refusal(split.await).starts_with("refused-policy: revision r1"));
    // Whoever has no cap may.
    let back = kit
        .control
        .rollback(admin(), target, RollbackRequest { to: None }, None);
    back.await.unwrap();
    // And the capped one may take traffic away from it.
    let forward = kit
        .control
        .set_traffic(&who, target, Traffic::all_to(r(2)), None);
    forward.await.unwrap();
}

#[tokio::test]
async fn deploying_what_is_live_already_is_no_way_around() {
    let kit = Kit::new().await;
    let who = capped(&kit).await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let live = with_http(digest, "https://evil.example.com/*");
    kit.deploy("shop/checkout", live.clone()).await;
    let (namespace, function) = at("shop/checkout");
    let refused = kit.try_deploy(&who, "shop/checkout", live.clone()).await;
    assert!(refusal(refused).starts_with("refused-policy"));
    // Nor is removing the function and making it again.
    kit.control
        .remove_function(&who, &namespace, &function, None)
        .await
        .unwrap();
    let refused = kit.try_deploy(&who, "shop/checkout", live).await;
    assert!(refusal(refused).starts_with("refused-policy"));
}

#[tokio::test]
async fn secrets_beyond_the_cap_are_neither_granted_nor_changed() {
    let kit = Kit::new().await;
    let who = capped(&kit).await;
    kit.secret("shop", "ROOT_KEY").await;
    kit.secret("shop", "SHOP_KEY").await;
    let digest = kit.upload(&who, "shop", "one").await;
    let wanted = |name: &str| DeployRequest {
        grants: Grants {
            secrets: vec![
                midge_model::SecretGrant::new(name, midge_model::SecretExposure::Env).unwrap(),
            ],
            ..Grants::default()
        },
        ..request(digest)
    };
    let refused = kit
        .try_deploy(&who, "shop/checkout", wanted("ROOT_KEY"))
        .await;
    assert!(refusal(refused).starts_with("refused-policy"));
    kit.try_deploy(&who, "shop/checkout", wanted("SHOP_KEY"))
        .await
        .unwrap();
    let value = || SecretValue {
        value: SecretText::new("x").unwrap(),
    };
    let put = kit
        .control
        .put_secret(&who, in_ns("shop"), "ROOT_KEY", value());
    assert_snapshot!(refusal(put.await), @r#"refused-policy: the token's policy does not allow secret `ROOT_KEY` (add "ROOT_KEY" to `secrets` in line 4 of the token's policy)"#);
    let deleted = kit.control.delete_secret(&who, in_ns("shop"), "ROOT_KEY");
    assert!(refusal(deleted.await).starts_with("refused-policy"));
    let put = kit
        .control
        .put_secret(&who, in_ns("shop"), "SHOP_KEY", value());
    put.await.unwrap();
}

#[tokio::test]
async fn a_digest_gives_nobody_anothers_component() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "default", "theirs").await;
    let who = kit.caller(Role::Deployer, Some("shop")).await;
    let has = kit.control.has_component(&who, in_ns("shop"), &digest);
    assert!(refusal(has.await).starts_with("not-found"));
    let deployed = kit.try_deploy(&who, "shop/checkout", request(digest)).await;
    assert!(refusal(deployed).starts_with("component-missing"));
    let plan = kit
        .control
        .plan(&who, in_ns("shop"), &at("shop/checkout").1, request(digest))
        .await
        .unwrap();
    assert!(!plan.component_known);
}

#[tokio::test]
async fn the_nodes_policy_holds_for_the_way_back_too() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy(
        "shop/checkout",
        with_http(digest, "https://old.example.com/*"),
    )
    .await;
    kit.deploy("shop/checkout", request(digest)).await;
    // The operator starts the node again with a policy that does not allow what r1 has.
    let policy = "[namespace.\"*\"]\nhttp = []\n";
    let strict = kit.again_with(Policy::parse(policy).unwrap());
    let (namespace, function) = at("shop/checkout");
    let back = strict.rollback(
        admin(),
        (&namespace, &function),
        RollbackRequest { to: Some(r(1)) },
        None,
    );
    assert!(refusal(back.await).starts_with("refused-policy: revision r1"));
}

#[tokio::test]
async fn a_name_that_the_node_opens_is_not_opened_by_a_token_without_it() {
    let node = "[namespace.shop]\nprivate = [\"db.internal\", \"10.0.0.0/8\"]\n";
    let kit = Kit::with_policy(Policy::parse(node).unwrap()).await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let who = async |policy: &str| {
        let request = TokenRequest {
            policy: Some(policy.to_owned()),
            ..token_request(Role::Deployer, Some("shop"))
        };
        kit.caller_of(admin(), request).await
    };
    let wanted = with_http(digest, "http://db.internal/*");
    let capped = who("[namespace.shop]\ntmp = \"1MiB\"\n").await;
    assert_snapshot!(refusal(kit.try_deploy(&capped, "shop/checkout", wanted.clone()).await), @r#"refused-policy: refused: `http http://db.internal/*`, by no `private` in the token's policy: what is not public stays out of reach (write `private = ["db.internal"]` below [namespace.shop] of the token's policy)"#);
    let wild = with_http(digest, "http://*.internal/*");
    kit.try_deploy(&capped, "shop/wild", wild).await.unwrap();
    let opened = who("[namespace.shop]\nprivate = [\"db.internal\"]\n").await;
    kit.try_deploy(&opened, "shop/checkout", wanted)
        .await
        .unwrap();
}
