//! A store as deploys leave it.

use bytes::Bytes;
use midge_model::{
    Digest, FunctionName, Grants, Limits, NamespaceName, Quota, Revision, RevisionNumber, Route,
    SecretText, Timestamp, Traffic,
};
use midge_store::records::{
    Actor, AuditOutcome, AuditRecord, ClaimRecord, ComponentRecord, FunctionRecord,
    IdempotencyRecord, IdempotentAnswer, Kept, NamespaceRecord, RevisionRecord, SecretRecord,
    TokenRecord, audit_key, claim_key, component_key, function_key, idempotency_key, namespace_key,
    revision_key, secret_key, token_key, write,
};
use midge_store::{Expect, Key, Store, Vault};

/// What every function of the kit runs.
pub(crate) const COMPONENT: &[u8] = b"\0asm component";

pub(crate) fn namespace() -> NamespaceName {
    "shop".parse().unwrap()
}

pub(crate) fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

pub(crate) fn at() -> Timestamp {
    Timestamp::from_ms(1_795_356_000_000)
}

pub(crate) async fn keep<T: Kept>(store: &Store, key: &Key, value: &T) {
    write(&*store.registry, key, value, Expect::Any)
        .await
        .unwrap();
}

pub(crate) async fn upload(store: &Store, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let mut upload = store.artifacts.create().await.unwrap();
    upload.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    upload.finish(&digest).await.unwrap();
    digest
}

/// The records of one deploy of a function, which has one revision and one route.
pub(crate) async fn deploy(store: &Store, name: &str) {
    let digest = upload(store, COMPONENT).await;
    let component = ComponentRecord {
        namespace: namespace(),
        digest,
        size_bytes: u64::try_from(COMPONENT.len()).unwrap(),
        uploaded_at: at(),
        uploaded_by: "ci".to_owned(),
    };
    keep(store, &component_key(&namespace(), &digest), &component).await;
    let route: Route = format!("GET /{name}/{{id}}").parse().unwrap();
    let claim = ClaimRecord {
        namespace: namespace(),
        function: function(name),
        route: route.clone(),
    };
    let scope = namespace();
    keep(store, &claim_key(Some(&scope), &route.shape()), &claim).await;
    let number = RevisionNumber::FIRST;
    let revision = RevisionRecord {
        revision: Revision {
            namespace: namespace(),
            function: function(name),
            number,
            digest,
            grants: Grants::default(),
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: vec![route],
        },
        component_bytes: component.size_bytes,
        created_at: at(),
        created_by: "ci".to_owned(),
        message: Some("first".to_owned()),
    };
    keep(
        store,
        &revision_key(&namespace(), &function(name), number),
        &revision,
    )
    .await;
    let record = FunctionRecord {
        namespace: namespace(),
        function: function(name),
        traffic: Traffic::all_to(number),
        revisions: vec![number],
        next: number.next().unwrap(),
        keep: 10,
        previous: None,
        created_at: at(),
        updated_at: at(),
    };
    keep(store, &function_key(&namespace(), &function(name)), &record).await;
}

/// The records that are about those who deploy.
pub(crate) async fn administer(store: &Store, vault: &Vault) {
    let record = NamespaceRecord {
        name: namespace(),
        created_at: at(),
        quota: Quota::default(),
    };
    keep(store, &namespace_key(&namespace()), &record).await;
    let value = SecretText::new("hunter2").unwrap();
    let secret = SecretRecord {
        namespace: namespace(),
        name: "STRIPE_Key".to_owned(),
        sealed: vault.seal("shop/STRIPE_Key", &value).unwrap(),
        generation: 1,
        updated_at: at(),
        updated_by: "admin".to_owned(),
    };
    keep(
        store,
        &secret_key(&namespace(), "STRIPE_Key").unwrap(),
        &secret,
    )
    .await;
    let token = TokenRecord {
        id: "4f9a".parse().unwrap(),
        name: "ci".to_owned(),
        role: "deployer".to_owned(),
        namespace: Some(namespace()),
        hash: [7; 32],
        policy: None,
        created_at: at(),
        expires_at: None,
        revoked_at: None,
        last_used_at: Some(at()),
    };
    keep(store, &token_key(&token.id), &token).await;
    let audit = AuditRecord {
        id: "019aaaaa-0000-7000-8000-000000000001".parse().unwrap(),
        at: at(),
        actor: Actor {
            token: Some(token.id.clone()),
            name: "ci".to_owned(),
        },
        from: "127.0.0.1".to_owned(),
        request_id: "req-1".to_owned(),
        action: "deploy".to_owned(),
        namespace: Some(namespace()),
        subject: "checkout".to_owned(),
        outcome: AuditOutcome::Refused("widens".to_owned()),
        detail: serde_json::json!({"grants": 1}),
    };
    keep(
        store,
        &audit_key(audit.namespace.as_ref(), &audit.id),
        &audit,
    )
    .await;
    let answer = IdempotencyRecord {
        request_hash: Digest::of(b"request"),
        answer: Some(IdempotentAnswer {
            status: 201,
            body: "{}".to_owned(),
        }),
        expires_at: at(),
    };
    keep(store, &idempotency_key(&token.id, "deploy-1"), &answer).await;
}
