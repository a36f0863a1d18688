//! Secrets: sealed, in use, and sealed anew.

use insta::assert_snapshot;
use midge_api::{DeployRequest, SecretValue};
use midge_control::PageRequest;
use midge_model::{Grants, SecretExposure, SecretGrant, SecretText};
use midge_store::records::{SecretRecord, all_secrets, list_all};

use crate::flaky::Failure;
use crate::kit::{Kit, admin, at, in_ns, refusal, request};

async fn put(kit: &Kit, name: &str, text: &str) {
    let value = SecretValue {
        value: SecretText::new(text).unwrap(),
    };
    let put = kit.control.put_secret(admin(), in_ns("shop"), name, value);
    put.await.unwrap();
}

/// Every secret by name, opened.
async fn opened(kit: &Kit) -> Vec<String> {
    let all = list_all::<SecretRecord>(&*kit.store.registry, &all_secrets()).await;
    let vault = kit.vault.lock().unwrap();
    let open = |(key, found): (
        midge_store::Key,
        midge_store::records::Versioned<SecretRecord>,
    )| {
        let text = vault.open_sealed(key.as_str(), &found.value.sealed);
        format!("{}={}", found.value.name, text.unwrap().expose())
    };
    all.unwrap().into_iter().map(open).collect()
}

#[tokio::test]
async fn a_value_goes_in_and_never_out() {
    let kit = Kit::new().await;
    put(&kit, "STRIPE_KEY", "correct horse").await;
    put(&kit, "STRIPE_KEY", "battery staple").await;
    put(&kit, "lower", "x").await;
    assert_eq!(opened(&kit).await, ["lower=x", "STRIPE_KEY=battery staple"]);
    let all = midge_store::Prefix::ALL;
    for record in kit.store.registry.list(&all, None, 1_000).await.unwrap() {
        let text = String::from_utf8(record.value.to_vec()).unwrap();
        assert!(!text.contains("battery"), "{}", record.key);
    }
    let page = PageRequest::default();
    let listed = kit.control.list_secrets(admin(), in_ns("shop"), &page);
    let listed = listed.await.unwrap().items;
    let shown: Vec<_> = listed
        .iter()
        .map(|found| format!("{} {}", found.name, found.generation))
        .collect();
    assert_eq!(shown, ["lower 1", "STRIPE_KEY 2"]);
}

#[tokio::test]
async fn a_secret_in_use_stays() {
    let kit = Kit::new().await;
    put(&kit, "STRIPE_KEY", "x").await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let wanted = DeployRequest {
        grants: Grants {
            secrets: vec![SecretGrant::new("STRIPE_KEY", SecretExposure::Env).unwrap()],
            ..Grants::default()
        },
        ..request(digest)
    };
    kit.deploy("shop/checkout", wanted).await;
    let page = PageRequest::default();
    let listed = kit.control.list_secrets(admin(), in_ns("shop"), &page);
    assert_eq!(
        listed.await.unwrap().items[0].used_by,
        [at("shop/checkout").1]
    );
    let end = async |name: &str| {
        let end = kit.control.delete_secret(admin(), in_ns("shop"), name);
        refusal(end.await)
    };
    assert_snapshot!(end("STRIPE_KEY").await, @"conflict: secret `STRIPE_KEY` is in use by function `checkout` (deploy the function without it first, or set another value)");
    assert_snapshot!(end("STRIPE_KEYS").await, @"not-found: namespace `shop` has no secret `STRIPE_KEYS` (did you mean `STRIPE_KEY`?)");
    kit.deploy("shop/checkout", request(digest)).await;
    assert_eq!(end("STRIPE_KEY").await, "done");
}

#[tokio::test]
async fn a_new_key_seals_everything_and_the_old_one_goes() {
    let kit = Kit::new().await;
    for name in ["A", "B", "C"] {
        put(&kit, name, "x").await;
    }
    let old = kit.vault.lock().unwrap().newest().to_owned();
    let rotated = kit.control.rotate_key(admin()).await.unwrap();
    assert_eq!(rotated.secrets, 3);
    assert_ne!(rotated.key_id, old);
    assert_eq!(opened(&kit).await, ["A=x", "B=x", "C=x"]);
    assert_eq!(kit.vault.lock().unwrap().retire_old().unwrap(), 0);
}

#[tokio::test]
async fn a_rotation_that_stops_anywhere_loses_nothing() {
    for fail_at in 0.. {
        let kit = Kit::new().await;
        for name in ["A", "B", "C"] {
            put(&kit, name, "x").await;
        }
        kit.fuse.arm(fail_at, Failure::Killed);
        let rotated = kit.control.rotate_key(admin()).await;
        let has_failed = kit.fuse.disarm();
        assert_eq!(opened(&kit).await, ["A=x", "B=x", "C=x"]);
        put(&kit, "D", "y").await;
        kit.control.rotate_key(admin()).await.unwrap();
        assert_eq!(opened(&kit).await, ["A=x", "B=x", "C=x", "D=y"]);
        assert_eq!(kit.vault.lock().unwrap().retire_old().unwrap(), 0);
        if !has_failed {
            assert!(rotated.is_ok());
            return;
        }
    }
}
