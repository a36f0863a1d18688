//! Requests that come twice.

use insta::assert_snapshot;
use midge_api::Role;
use midge_control::Idempotency;
use midge_model::Digest;
use midge_store::records::{self, IdempotencyRecord};

use crate::kit::{Kit, refusal};

#[tokio::test]
async fn the_same_request_gets_the_same_answer() {
    let kit = Kit::new().await;
    let who = kit.caller(Role::Deployer, None).await;
    let other = kit.caller(Role::Deployer, None).await;
    let ask =
        async |key: &str, request: u8| kit.control.idempotency(&who, key, [request; 32]).await;
    let Ok(Idempotency::New(slot)) = ask("k", 1).await else {
        panic!("nobody used it");
    };
    assert_snapshot!(refusal(ask("k", 1).await), @"idempotency-in-progress: the first request with this idempotency key is still at work (wait, and send it again for its answer)");
    // Another's key of the same name is another key.
    let theirs = kit.control.idempotency(&other, "k", [2; 32]).await;
    assert!(matches!(theirs, Ok(Idempotency::New(_))));
    slot.done(201, Some("made".to_owned())).await;
    let Ok(Idempotency::Done { status, body }) = ask("k", 1).await else {
        panic!("it is done");
    };
    assert_eq!((status, body.as_str()), (201, "made"));
    assert_snapshot!(refusal(ask("k", 2).await), @"idempotency-mismatch: this idempotency key was used for another request (choose a new key for each thing that is to be done once)");
    // One that failed left the key free.
    drop(ask("failed", 1).await);
    assert!(matches!(ask("failed", 2).await, Ok(Idempotency::New(_))));
}

#[tokio::test]
async fn an_answer_that_is_shown_once_is_not_kept() {
    let kit = Kit::new().await;
    let who = kit.caller(Role::Admin, None).await;
    let Ok(Idempotency::New(slot)) = kit.control.idempotency(&who, "k", [1; 32]).await else {
        panic!("nobody used it");
    };
    slot.done(201, None).await;
    assert_snapshot!(refusal(kit.control.idempotency(&who, "k", [1; 32]).await), @"idempotency-in-progress: this was done, and its answer was shown once and is not kept (if that answer is lost, revoke what was made and make another)");
}

#[tokio::test]
async fn a_key_is_printable_and_not_long() {
    let kit = Kit::new().await;
    let who = kit.caller(Role::Admin, None).await;
    for bad in ["", "a\nb", "é", &"k".repeat(256)] {
        let refused = kit.control.idempotency(&who, bad, [1; 32]).await;
        assert!(refusal(refused).starts_with("invalid-request"), "{bad:?}");
    }
}

#[tokio::test]
async fn what_is_kept_does_not_tell_what_was_asked() {
    let kit = Kit::new().await;
    let who = kit.caller(Role::Deployer, None).await;
    let Ok(Idempotency::New(slot)) = kit.control.idempotency(&who, "k", [1; 32]).await else {
        panic!("nobody used it");
    };
    slot.done(201, Some("made".to_owned())).await;
    // Whoever has the store and knows all requests there could be finds none of them.
    let registry = &*kit.store.registry;
    let kept = records::list_all::<IdempotencyRecord>(registry, &records::idempotencies()).await;
    let kept = kept.unwrap().remove(0).1.value;
    assert_ne!(kept.request_hash, Digest::of(&[1; 32]));
    // The node knows it again, after a rotation and in another process.
    kit.vault.lock().unwrap().rotate().unwrap();
    let again = kit.again().idempotency(&who, "k", [1; 32]).await;
    assert!(matches!(again, Ok(Idempotency::Done { status: 201, .. })));
    let other = kit.again().idempotency(&who, "k", [2; 32]).await;
    assert!(refusal(other).starts_with("idempotency-mismatch"));
}
