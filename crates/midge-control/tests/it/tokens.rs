//! Who gets in, and what a token hands on.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use insta::assert_snapshot;
use midge_api::{ErrorCode, Role, TokenRequest};
use midge_control::{Control, Who};
use midge_model::{RequestId, Timestamp};
use midge_store::records::{self, RecordId, TokenRecord, token_key};
use midge_store::{Expect, now};

use crate::kit::{Kit, admin, component, in_ns, ns, refusal, request, token_request};

async fn edit(kit: &Kit, id: &RecordId, change: impl FnOnce(&mut TokenRecord)) {
    let key = token_key(id);
    let found = records::read::<TokenRecord>(&*kit.store.registry, &key).await;
    let mut record = found.unwrap().unwrap().value;
    change(&mut record);
    records::write(&*kit.store.registry, &key, &record, Expect::Any)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_token_that_is_not_good_gets_the_same_answer() {
    let kit = Kit::new().await;
    let made = async || {
        let request = token_request(Role::Viewer, None);
        kit.control.create_token(admin(), request).await.unwrap()
    };
    let (revoked, expired, good) = (made().await, made().await, made().await);
    let id = |text: &str| text.parse::<RecordId>().unwrap();
    kit.control
        .revoke_token(admin(), &revoked.info.id)
        .await
        .unwrap();
    edit(&kit, &id(&expired.info.id), |record| {
        record.expires_at = Some(record.created_at);
    })
    .await;
    // The right id with a secret of another token.
    let mixed = format!("{}{}", &good.token[..20], &revoked.token[20..]);
    let unknown = good.token.replace(&good.info.id, "0123456789abcdef");
    let answer = refusal(kit.authenticate(None).await);
    assert_snapshot!(answer, @"unauthenticated: a token is needed that is known, not expired and not revoked (run `midge login`, or send `authorization: Bearer mdg_…`)");
    for bad in [
        revoked.token.as_str(),
        &expired.token,
        &mixed,
        &unknown,
        "",
        "Bearer",
        "mdg_",
    ] {
        assert_eq!(refusal(kit.authenticate(Some(bad)).await), answer, "{bad}");
    }
    assert!(kit.authenticate(Some(&good.token)).await.is_ok());
}

#[tokio::test]
async fn the_store_holds_no_token() {
    let kit = Kit::new().await;
    let made = kit
        .control
        .create_token(admin(), token_request(Role::Admin, None))
        .await
        .unwrap();
    let secret = made.token.rsplit('_').next().unwrap();
    let all = midge_store::Prefix::ALL;
    let records = kit.store.registry.list(&all, None, 1_000).await.unwrap();
    for record in records {
        let text = String::from_utf8(record.value.to_vec()).unwrap();
        assert!(!text.contains(secret), "{}", record.key);
    }
    assert!(!format!("{made:?}").contains(secret));
}

#[tokio::test]
async fn the_last_use_is_written_down_once_a_minute() {
    let kit = Kit::new().await;
    let made = kit
        .control
        .create_token(admin(), token_request(Role::Viewer, None))
        .await
        .unwrap();
    let used = async || {
        let info = kit.control.get_token(admin(), &made.info.id).await;
        info.unwrap().last_used_at
    };
    assert_eq!(used().await, None);
    kit.authenticate(Some(&made.token)).await.unwrap();
    let first = loop {
        if let Some(at) = used().await {
            break at;
        }
        tokio::task::yield_now().await;
    };
    let version = kit.store.registry.version().await.unwrap();
    for _ in 0..20 {
        kit.authenticate(Some(&made.token)).await.unwrap();
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(kit.store.registry.version().await.unwrap(), version);
    let id = made.info.id.parse().unwrap();
    edit(&kit, &id, |record| {
        let before = record.created_at.as_ms() - 61_000;
        record.last_used_at = Some(Timestamp::from_ms(before));
    })
    .await;
    kit.authenticate(Some(&made.token)).await.unwrap();
    while used().await < Some(first) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_hands_on_more_than_they_have() {
    let kit = Kit::new().await;
    let shop = kit.caller(Role::Admin, Some("shop")).await;
    let make = async |who: &Who, request: TokenRequest| {
        refusal(kit.control.create_token(who, request).await)
    };
    assert_snapshot!(make(&shop, token_request(Role::Viewer, None)).await, @"forbidden: a token of namespace `shop` makes tokens of that namespace only (name it: `--namespace shop`)");
    assert_snapshot!(make(&shop, token_request(Role::Viewer, Some("default"))).await, @"not-found: there is no namespace `default` (this token is for namespace `shop`)");
    assert_snapshot!(make(&shop, token_request(Role::Admin, Some("shop"))).await, @"done");

    let policy = "[namespace.\"*\"]\nhttp = [\"https://api.example.com/*\"]\n";
    let capped = TokenRequest {
        policy: Some(policy.to_owned()),
        ..token_request(Role::Admin, Some("shop"))
    };
    let capped = kit.caller_of(admin(), capped).await;
    let wider = TokenRequest {
        policy: Some("[namespace.\"*\"]\nclock = \"real\"\n".to_owned()),
        ..token_request(Role::Deployer, Some("shop"))
    };
    assert_snapshot!(make(&capped, wider).await, @"forbidden: a token with a policy makes tokens with the same policy only (leave the policy out: the new token gets yours)");
    let made = kit
        .control
        .create_token(&capped, token_request(Role::Deployer, Some("shop")))
        .await
        .unwrap();
    assert_eq!(made.info.policy.as_deref(), Some(policy));

    let short = TokenRequest {
        expires_in_s: Some(60),
        ..token_request(Role::Admin, None)
    };
    let short = kit.caller_of(admin(), short).await;
    let longer = TokenRequest {
        expires_in_s: Some(3_600),
        ..token_request(Role::Viewer, None)
    };
    assert!(
        make(&short, longer)
            .await
            .starts_with("forbidden: a token makes no token that lives longer")
    );
    let made = kit
        .control
        .create_token(&short, token_request(Role::Viewer, None))
        .await
        .unwrap();
    assert_eq!(made.info.expires_at, short.expires_at);
}

#[tokio::test]
async fn a_token_request_that_makes_no_sense_is_refused() {
    let kit = Kit::new().await;
    let make = async |change: fn(&mut TokenRequest)| {
        let mut request = token_request(Role::Viewer, None);
        change(&mut request);
        refusal(kit.control.create_token(admin(), request).await)
    };
    assert_snapshot!(make(|request| request.name = " ".to_owned()).await, @"invalid: the token has no name (say who or what uses it: `ci of the shop`)");
    assert_snapshot!(make(|request| request.name = "a\nb".to_owned()).await, @"invalid: a token's name is at most 100 bytes and without characters that are not seen");
    assert!(
        make(|request| request.name = "first\u{202e}admin".to_owned())
            .await
            .starts_with("invalid")
    );
    assert_snapshot!(make(|request| request.policy = Some("#".repeat(20_000))).await, @"invalid: the policy has 20000 bytes, a token's has at most 16384");
    assert_snapshot!(make(|request| request.expires_in_s = Some(0)).await, @"invalid: a token lives for 1 to 315360000 seconds, and not 0");
    assert_snapshot!(make(|request| request.policy = Some("[namespaces]".to_owned())).await, @"invalid: the token's policy: line 1, column 2: unknown key `namespaces` in the policy, did you mean `namespace`?");
    assert_snapshot!(make(|request| request.namespace = Some(ns("shp"))).await, @"not-found: there is no namespace `shp` (did you mean `shop`?)");
}

#[tokio::test]
async fn the_first_start_makes_an_admin_token_and_the_next_does_not() {
    let kit = Kit::new().await;
    let mut text = String::new();
    let keep = |token: &str| {
        text = token.to_owned();
        Ok(())
    };
    assert!(kit.control.first_token(keep).await.unwrap());
    let who = kit.authenticate(Some(&text)).await.unwrap();
    assert_eq!((who.role, who.namespace), (Role::Admin, None));
    let again = kit.again();
    let unused = |_: &str| panic!("there is a live one");
    assert!(!again.first_token(unused).await.unwrap());
    // Without a live one there is no way in, so the next start makes another.
    let id = who.token.unwrap().to_string();
    kit.control.revoke_token(admin(), &id).await.unwrap();
    assert!(again.first_token(|_| Ok(())).await.unwrap());
}

#[tokio::test]
async fn a_first_token_that_could_not_be_kept_is_no_token() {
    let kit = Kit::new().await;
    let mut text = String::new();
    let fail = |token: &str| {
        text = token.to_owned();
        Err(std::io::Error::other("the disk is full"))
    };
    assert!(kit.control.first_token(fail).await.is_err());
    assert!(kit.authenticate(Some(&text)).await.is_err());
    assert!(kit.control.first_token(|_| Ok(())).await.unwrap());
}

#[tokio::test]
async fn a_local_token_is_in_memory_only() {
    let kit = Kit::new().await;
    let text = kit
        .control
        .local_token("with", Role::Deployer, Some(ns("shop")))
        .unwrap();
    let who = kit.authenticate(Some(&text)).await.unwrap();
    assert_eq!(
        (who.role, who.namespace),
        (Role::Deployer, Some(ns("shop")))
    );
    assert!(authenticate(&kit.again(), &text).await.is_err());
}

async fn authenticate(control: &Control, token: &str) -> Result<Who, midge_control::ControlError> {
    let request_id = RequestId::keep("test").unwrap();
    let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
    control.authenticate(Some(token), from, request_id).await
}

#[tokio::test]
async fn a_namespace_has_no_more_tokens_than_its_quota() {
    let kit = Kit::new().await;
    let patch = "tokens=2".parse().unwrap();
    kit.control
        .set_quota(admin(), in_ns("shop"), patch)
        .await
        .unwrap();
    let make = async || {
        let request = token_request(Role::Viewer, Some("shop"));
        kit.control.create_token(admin(), request).await
    };
    let first = make().await.unwrap();
    make().await.unwrap();
    let third = make().await;
    assert_eq!(third.unwrap_err().code, ErrorCode::Quota);
    // One that ended makes room.
    let id = first.info.id.parse().unwrap();
    edit(&kit, &id, |record| {
        record.expires_at = Some(now());
        record.created_at = Timestamp::default().plus(Duration::from_secs(1));
    })
    .await;
    // Who is over the quota does not have all tokens read each time.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    make().await.unwrap();
}

#[tokio::test]
async fn tokens_that_ended_do_not_pile_up() {
    let kit = Kit::new().await;
    let make = async |nth: u64| {
        let request = token_request(Role::Viewer, Some("shop"));
        let made = kit.control.create_token(admin(), request).await.unwrap();
        let id = made.info.id.parse().unwrap();
        edit(&kit, &id, |record| {
            record.expires_at = Some(Timestamp::default().plus(Duration::from_secs(nth)))
        })
        .await;
        id
    };
    let first = make(1).await;
    for nth in 2..350 {
        make(nth).await;
    }
    let registry = &*kit.store.registry;
    let left = records::list_all::<TokenRecord>(registry, &records::all_tokens()).await;
    let left = left.unwrap();
    assert!((100..=200).contains(&left.len()), "{}", left.len());
    assert!(left.iter().all(|(_, token)| token.value.id != first));
    // One that is revoked leaves nothing.
    let request = token_request(Role::Viewer, Some("shop"));
    let made = kit.control.create_token(admin(), request).await.unwrap();
    kit.control
        .revoke_token(admin(), &made.info.id)
        .await
        .unwrap();
    let key = token_key(&made.info.id.parse().unwrap());
    assert!(registry.get(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn tokens_are_counted_again_after_they_were_revoked() {
    let kit = Kit::new().await;
    let patch = "tokens=2".parse().unwrap();
    let set = kit.control.set_quota(admin(), in_ns("shop"), patch);
    set.await.unwrap();
    for _ in 0..5 {
        let request = token_request(Role::Viewer, Some("shop"));
        let made = kit.control.create_token(admin(), request).await.unwrap();
        kit.control
            .revoke_token(admin(), &made.info.id)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_token_that_ends_meanwhile_deploys_and_uploads_nothing() {
    let kit = Kit::new().await;
    let who = kit.caller(Role::Deployer, Some("shop")).await;
    let digest = kit.upload(&who, "shop", "one").await;
    let id = who.token.clone().unwrap();
    kit.control
        .revoke_token(admin(), id.as_str())
        .await
        .unwrap();
    let deployed = kit.try_deploy(&who, "shop/checkout", request(digest)).await;
    assert_eq!(deployed.unwrap_err().code, ErrorCode::Unauthenticated);
    let uploaded = kit.try_upload(&who, "shop", component("two")).await;
    assert_eq!(uploaded.unwrap_err().code, ErrorCode::Unauthenticated);
    let artifacts = kit.store.artifacts.list(None, 10).await.unwrap();
    assert_eq!(artifacts.len(), 1);
}

#[tokio::test]
async fn tokens_of_a_namespace_end_with_it() {
    let kit = Kit::new().await;
    let made = kit
        .control
        .create_token(admin(), token_request(Role::Admin, Some("shop")))
        .await
        .unwrap();
    kit.control
        .delete_namespace(admin(), in_ns("shop"))
        .await
        .unwrap();
    assert!(kit.authenticate(Some(&made.token)).await.is_err());
}
