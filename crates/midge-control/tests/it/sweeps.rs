//! What a sweep takes, and what it leaves.

use midge_api::ErrorCode;
use midge_model::Timestamp;
use midge_store::Expect;
use midge_store::records::{self, ComponentRecord, component_key};

use crate::flaky::Failure;
use crate::kit::{Kit, admin, at, ns, request};

#[tokio::test]
async fn what_is_young_is_left_alone() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.fuse.arm(3, Failure::Killed); // audit entry, claim, revision
    assert!(
        kit.try_deploy(admin(), "shop/checkout", request(digest))
            .await
            .is_err()
    );
    kit.fuse.disarm();
    let swept = kit.control.sweep().await.unwrap();
    assert_eq!(
        (swept.revisions, swept.components, swept.artifacts),
        (0, 0, 0)
    );
    // A claim is only taken where no deploy can be between it and its function.
    assert_eq!(swept.claims, 1);
    let swept = kit.control.sweep_all().await.unwrap();
    // The revision goes, and with it the last name of its component.
    assert_eq!(
        (swept.revisions, swept.components, swept.artifacts),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn an_artifact_stays_while_one_namespace_has_it() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.upload(admin(), "default", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    let swept = kit.control.sweep_all().await.unwrap();
    assert_eq!((swept.components, swept.artifacts), (1, 0));
    let (namespace, function) = at("shop/checkout");
    kit.control
        .remove_function(admin(), &namespace, &function, None)
        .await
        .unwrap();
    let swept = kit.control.sweep_all().await.unwrap();
    assert_eq!((swept.components, swept.artifacts), (1, 1));
    // What was swept away can be uploaded and deployed again.
    kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    kit.check_tidy().await;
}

/// A component that nobody named for hours is deployed while a sweep is at it: either the deploy
/// says in time that it wants it, or it is told that it is gone.
#[tokio::test]
async fn sweeps_and_deploys_at_once_end_sound() {
    let kit = Kit::new().await;
    let mut refused = 0;
    for round in 0..20 {
        let seed = format!("seed {round}");
        let digest = kit.upload(admin(), "shop", &seed).await;
        let key = component_key(&ns("shop"), &digest);
        let found = records::read::<ComponentRecord>(&*kit.store.registry, &key).await;
        let mut record = found.unwrap().unwrap().value;
        let hours_ago = record.uploaded_at.as_ms() - 7_200_000;
        record.uploaded_at = Timestamp::from_ms(hours_ago);
        records::write(&*kit.store.registry, &key, &record, Expect::Any)
            .await
            .unwrap();
        let sweep = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            kit.control.sweep().await.unwrap()
        };
        let deploy = kit.try_deploy(admin(), "shop/checkout", request(digest));
        match futures::join!(deploy, sweep) {
            (Ok(_), _) => {}
            (Err(error), swept) => {
                assert_eq!(error.code, ErrorCode::ComponentMissing, "{error}");
                assert_eq!(swept.components, 1);
                refused += 1;
            }
        }
        kit.check_sound().await;
    }
    println!("{refused} of 20 deploys came too late");
}

#[tokio::test]
async fn a_namespace_takes_what_killed_deploys_left_with_it() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.fuse.arm(3, Failure::Killed); // audit entry, claim, revision
    let killed = kit.try_deploy(admin(), "shop/checkout", request(digest));
    assert!(killed.await.is_err());
    kit.fuse.disarm();
    let ended = kit.control.delete_namespace(admin(), &ns("shop")).await;
    ended.unwrap();
    kit.check_sound().await;
    kit.check_tidy().await;
}
