//! Lists in parts, and the audit log.

use futures::StreamExt as _;
use insta::assert_snapshot;
use midge_api::{AuditEntry, Role};
use midge_control::{Control, PageRequest};
use midge_store::Expect;
use midge_store::records::{self, Actor, AuditOutcome, AuditRecord, audit_key, audits_of};

use crate::kit::{Kit, admin, at, in_ns, ns, r, refusal, request};

fn part(cursor: Option<String>, limit: u32) -> PageRequest {
    PageRequest {
        cursor,
        limit: Some(limit),
    }
}

async fn names(control: &Control, limit: u32) -> Vec<String> {
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let request = part(cursor, limit);
        let page = control
            .list_functions(admin(), in_ns("shop"), &request)
            .await;
        let page = page.unwrap();
        assert!(page.items.len() <= usize::try_from(limit).unwrap());
        names.extend(page.items.iter().map(|found| found.function.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return names;
        }
    }
}

#[tokio::test]
async fn pages_are_the_whole_list_whatever_their_size() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    for nth in 0..7 {
        kit.deploy(&format!("shop/f{nth}"), request(digest)).await;
    }
    let all = names(&kit.control, 100).await;
    assert_eq!(all, ["f0", "f1", "f2", "f3", "f4", "f5", "f6"]);
    for limit in [1, 2, 3, 7] {
        assert_eq!(names(&kit.control, limit).await, all);
    }
    let page = kit
        .control
        .list_functions(admin(), in_ns("shop"), &part(None, 1))
        .await;
    assert_snapshot!(page.unwrap().items[0].routes[0], @"/f0/*");
}

#[tokio::test]
async fn a_page_that_is_none_is_refused() {
    let kit = Kit::new().await;
    let ask = async |cursor: Option<&str>, limit| {
        let request = part(cursor.map(str::to_owned), limit);
        let page = kit.control.list_functions(admin(), in_ns("shop"), &request);
        refusal(page.await)
    };
    assert_snapshot!(ask(None, 0).await, @"invalid-request: limit is 0, write 1 to 1000");
    assert_snapshot!(ask(None, 1_001).await, @"invalid-request: limit is 1001, write 1 to 1000");
    assert_snapshot!(ask(Some("../etc"), 1).await, @"invalid-request: the cursor is none of this list's (send the `next` of the page before, or none for the first page)");
}

#[tokio::test]
async fn tokens_fill_pages_although_others_are_left_out() {
    let kit = Kit::new().await;
    for nth in 0..6 {
        let namespace = if nth % 2 == 0 { "shop" } else { "default" };
        kit.caller(Role::Viewer, Some(namespace)).await;
    }
    let shop = kit.caller(Role::Admin, Some("shop")).await;
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = kit
            .control
            .list_tokens(&shop, &part(cursor, 2))
            .await
            .unwrap();
        seen.extend(page.items.into_iter().map(|found| found.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        assert!(seen.len() % 2 == 0);
    }
    assert_eq!(seen.len(), 4);
}

fn shown(entry: &AuditEntry) -> String {
    let namespace = entry.namespace.as_ref().map_or("-", |found| found.as_str());
    let code = entry.code.as_deref().unwrap_or_default();
    format!(
        "{} {namespace} {} {} {:?} {code} {}",
        entry.actor.name, entry.action, entry.subject, entry.outcome, entry.detail
    )
}

#[tokio::test]
async fn everything_that_changes_state_is_in_the_audit_log() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    kit.secret("shop", "STRIPE_KEY").await;
    let viewer = kit.caller(Role::Viewer, Some("shop")).await;
    let (namespace, function) = at("shop/checkout");
    let removed = kit
        .control
        .remove_function(&viewer, &namespace, &function, None);
    assert!(removed.await.is_err());
    let (_, none) = at("shop/none");
    let missing = kit
        .control
        .remove_function(admin(), &namespace, &none, None);
    assert!(missing.await.is_err());
    let page = kit
        .control
        .list_audit(admin(), None, &part(None, 100))
        .await
        .unwrap();
    assert!(page.items.is_sorted_by(|newer, older| newer.id > older.id));
    let lines: Vec<_> = page.items.iter().map(shown).collect();
    let lines = lines.join("\n").replace(&digest.hex(), "…");
    let id = viewer.token.unwrap();
    assert_snapshot!(lines.replace(id.as_str(), "ID"), @r#"
    test shop remove_function none Refused not-found {}
    viewer of the test - remove_function shop Refused forbidden {}
    test shop create_token viewer of the test Done  {"role":"viewer","token":"ID"}
    test shop put_secret STRIPE_KEY Done  {"generation":1}
    test shop deploy checkout Done  {"change":"new","digest":"sha256:…","revision":"r1","widen":false}
    test shop put_component sha256:… Done  {"size_bytes":42}
    test shop create_namespace shop Done  {"quota":{"component_bytes":"64GiB","functions":20000,"secrets":1000,"tokens":1000}}
    "#);
}

#[tokio::test]
async fn the_audit_log_is_read_in_parts_across_namespaces() {
    let kit = Kit::new().await;
    for nth in 0..3 {
        kit.secret("shop", &format!("A{nth}")).await;
        kit.secret("default", &format!("A{nth}")).await;
    }
    let all = kit
        .control
        .list_audit(admin(), None, &part(None, 100))
        .await
        .unwrap()
        .items;
    for limit in [1, 2, 5] {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = kit
                .control
                .list_audit(admin(), None, &part(cursor, limit))
                .await
                .unwrap();
            seen.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}

#[tokio::test]
async fn who_tries_a_thousand_times_fills_no_log() {
    let kit = Kit::new().await;
    let viewer = kit.caller(Role::Viewer, Some("shop")).await;
    for _ in 0..50 {
        let refused = kit.control.rotate_key(&viewer).await;
        assert!(refused.is_err());
    }
    let page = kit
        .control
        .list_audit(admin(), None, &part(None, 1_000))
        .await
        .unwrap();
    let refused = page
        .items
        .iter()
        .filter(|entry| entry.action == "rotate_key");
    assert_eq!(refused.count(), 10);
}

#[tokio::test]
async fn who_asks_a_thousand_times_for_nothing_fills_no_log_either() {
    let kit = Kit::new().await;
    let deployer = kit.caller(Role::Deployer, Some("shop")).await;
    let (namespace, function) = at("shop/none");
    for _ in 0..50 {
        let control = &kit.control;
        let removed = control.remove_function(&deployer, &namespace, &function, None);
        assert!(removed.await.is_err());
    }
    let control = &kit.control;
    let page = control.list_audit(admin(), None, &part(None, 1_000)).await;
    let items = page.unwrap().items.into_iter();
    let refused = items.filter(|entry| entry.action == "remove_function");
    assert_eq!(refused.count(), 10);
}

#[tokio::test]
async fn what_was_done_stays_in_a_log_full_of_what_was_refused() {
    let kit = Kit::new().await;
    kit.secret("shop", "CRIME").await;
    // Many tokens, many minutes: more refusals than a log holds.
    let refusal = |_| {
        let id = uuid::Uuid::now_v7().to_string().parse().unwrap();
        let record = AuditRecord {
            id,
            at: midge_store::now(),
            actor: Actor {
                token: None,
                name: "evil".to_owned(),
            },
            from: "127.0.0.1".to_owned(),
            request_id: "test".to_owned(),
            action: "remove_function".to_owned(),
            namespace: Some(ns("shop")),
            subject: "none".to_owned(),
            outcome: AuditOutcome::Refused("not-found".to_owned()),
            detail: serde_json::Value::Null,
        };
        let store = kit.store.clone();
        async move {
            let key = audit_key(record.namespace.as_ref(), &record.id);
            let written = records::write(&*store.registry, &key, &record, Expect::Absent);
            written.await.unwrap();
        }
    };
    let many = futures::stream::iter(0..10_100).map(refusal);
    many.buffer_unordered(256).count().await;
    // The bound is looked at every 500 entries, without a sweep.
    for nth in 0..500 {
        kit.secret("shop", &format!("A{}", nth % 5)).await;
    }
    let shop = ns("shop");
    let prefix = audits_of(Some(&shop));
    let left = records::list_all::<AuditRecord>(&*kit.store.registry, &prefix).await;
    let left = left.unwrap();
    assert!(left.len() <= 10_500, "{}", left.len());
    assert!(left.iter().any(|(_, entry)| entry.value.subject == "CRIME"));
}

#[tokio::test]
async fn a_list_of_revisions_has_no_values_of_variables() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    let mut wanted = request(digest);
    wanted.grants.env = [("LOG".to_owned(), "debug".to_owned())].into();
    kit.deploy("shop/checkout", wanted).await;
    let (namespace, function) = at("shop/checkout");
    let control = &kit.control;
    let page = control.list_revisions(admin(), &namespace, &function).await;
    assert_eq!(page.unwrap().items[0].grants.env["LOG"], "");
    let one = control
        .get_revision(admin(), &namespace, &function, r(1))
        .await;
    assert_eq!(one.unwrap().grants.env["LOG"], "debug");
}

#[tokio::test]
async fn a_new_tenant_does_not_read_what_the_last_one_did() {
    let kit = Kit::new().await;
    kit.secret("shop", "OLD").await;
    let (control, shop) = (&kit.control, ns("shop"));
    control.delete_secret(admin(), &shop, "OLD").await.unwrap();
    control.delete_namespace(admin(), &shop).await.unwrap();
    let before = midge_store::now();
    while midge_store::now() == before {
        tokio::task::yield_now().await;
    }
    let again = midge_api::NamespaceRequest {
        name: shop.clone(),
        quota: midge_model::QuotaPatch::default(),
    };
    control.create_namespace(admin(), again).await.unwrap();
    let tenant = kit.caller(Role::Admin, Some("shop")).await;
    let page = part(None, 100);
    let entries = control.list_audit(&tenant, Some(&shop), &page).await;
    let entries = entries.unwrap().items;
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| entry.subject != "OLD"));
}
