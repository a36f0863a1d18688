//! How large a function may be, so that workers can be told about it.

use insta::assert_snapshot;
use midge_model::{RevisionNumber, SecretExposure, SecretGrant, Share, Traffic};

use crate::kit::{Kit, admin, at, refusal, request};

/// Grants of so many secrets.
fn secrets(names: impl Iterator<Item = u32>) -> Vec<SecretGrant> {
    let grant = |number| SecretGrant::new(&format!("S{number}"), SecretExposure::Env).unwrap();
    names.map(grant).collect()
}

#[tokio::test]
async fn a_revision_that_is_too_large_is_refused_before_anything_is_written() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let mut wanted = request(digest);
    let large = (0..240).map(|number| (format!("V{number}"), "x".repeat(3_900)));
    wanted.grants.env = large.collect();
    let refused = refusal(
        kit.try_deploy(admin(), "shop/checkout", wanted.clone())
            .await,
    );
    assert_snapshot!(refused, @"too-large: the grants, limits and routes take 916.9KiB as JSON, the most is 256KiB (put what is large into a file of a folder (`dirs`), not into variables)");
    wanted.grants.env = [("V".to_owned(), "\u{1}".repeat(32 << 10))].into();
    kit.deploy("shop/checkout", wanted.clone()).await;
    // What counts is what is kept: a control character takes six bytes there.
    let escaped = ["A", "B"].map(|name| (name.to_owned(), "\u{1}".repeat(32 << 10)));
    wanted.grants.env = escaped.into();
    let refused = refusal(kit.try_deploy(admin(), "shop/checkout", wanted).await);
    assert!(refused.starts_with("too-large: "), "{refused}");
}

#[tokio::test]
async fn a_function_has_a_bounded_number_of_secrets_over_all_that_has_traffic() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    for number in 0..65 {
        kit.secret("shop", &format!("S{number}")).await;
    }
    let mut wanted = request(digest);
    wanted.widen = true;
    wanted.grants.secrets = secrets(0..65);
    let refused = refusal(
        kit.try_deploy(admin(), "shop/checkout", wanted.clone())
            .await,
    );
    assert_snapshot!(refused, @"invalid: 65 secrets are more than 64");
    wanted.grants.secrets = secrets(0..64);
    kit.deploy("shop/checkout", wanted.clone()).await;
    wanted.grants.secrets = secrets(64..65);
    kit.deploy("shop/checkout", wanted).await;
    let share = |number| Share {
        revision: RevisionNumber::new(number).unwrap(),
        weight: 1,
    };
    let split = Traffic::new(vec![share(1), share(2)], None).unwrap();
    let (namespace, function) = at("shop/checkout");
    let target = (&namespace, &function);
    let control = &kit.control;
    let refused = refusal(control.set_traffic(admin(), target, split, None).await);
    assert_snapshot!(refused, @"invalid: the revisions of the split have 65 secrets together, the most is 64 (split the traffic over fewer revisions)");
}
