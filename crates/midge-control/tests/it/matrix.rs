//! Every operation with every role, node-wide, in its own namespace, and in another's.

use insta::assert_snapshot;
use midge_api::{DeployRequest, ErrorCode, NamespaceRequest, Role, RollbackRequest, SecretValue};
use midge_control::{ControlError, Invoke, Operation, PageRequest, Reach, Who};
use midge_model::{NamespaceName, QuotaPatch, SecretText, Traffic};

use crate::kit::{Kit, admin, at, component, in_ns, ns, r, refusal, request, token_request};

/// A node with everything in `shop` that an operation could be about.
struct Stage {
    kit: Kit,
    token: String,
}

impl Stage {
    async fn new() -> Self {
        let kit = Kit::new().await;
        for name in ["empty", "other"] {
            let request = NamespaceRequest {
                name: ns(name),
                quota: QuotaPatch::default(),
            };
            kit.control
                .create_namespace(admin(), request)
                .await
                .unwrap();
        }
        let one = kit.upload(admin(), "shop", "one").await;
        let two = kit.upload(admin(), "shop", "two").await;
        kit.deploy("shop/checkout", request(one)).await;
        kit.deploy("shop/checkout", request(two)).await;
        kit.deploy("shop/spare", request(one)).await;
        kit.secret("shop", "SPARE").await;
        let carts = (&ns("shop"), &"carts".parse().unwrap());
        let put = kit.control.put_entry(admin(), carts, "a", "one".into());
        put.await.unwrap();
        let made = kit
            .control
            .create_token(admin(), token_request(Role::Viewer, Some("shop")))
            .await;
        let token = made.unwrap().info.id;
        Self { kit, token }
    }

    /// Does an operation in a namespace; what is not about one is done anyway.
    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    async fn run(
        &self,
        who: &Who,
        operation: Operation,
        namespace: &NamespaceName,
    ) -> Result<(), ControlError> {
        let control = &self.kit.control;
        let (_, checkout) = at("shop/checkout");
        let (_, spare) = at("shop/spare");
        let target = (namespace, &checkout);
        let bucket = "carts".parse().unwrap();
        let carts = (namespace, &bucket);
        let page = PageRequest::default();
        let (one, two) = (component("one").0, component("two").0);
        match operation {
            Operation::Whoami => {
                control.whoami(who);
                Ok(())
            }
            Operation::NodeStatus => control.node_status(who).map(drop),
            Operation::ListNamespaces => control.list_namespaces(who, &page).await.map(drop),
            Operation::CreateNamespace => {
                let request = NamespaceRequest {
                    name: ns("fresh"),
                    quota: QuotaPatch::default(),
                };
                control.create_namespace(who, request).await.map(drop)
            }
            Operation::GetNamespace => control.get_namespace(who, namespace).await.map(drop),
            Operation::DeleteNamespace => {
                // Who may, may end one that is empty; who may not is not told whether this is.
                let is_free = who.namespace.is_none() && *namespace == ns("shop");
                let end = if is_free {
                    ns("empty")
                } else {
                    namespace.clone()
                };
                control.delete_namespace(who, &end).await
            }
            Operation::GetQuota => control.get_quota(who, namespace).await.map(drop),
            Operation::SetQuota => {
                let patch = QuotaPatch::default();
                control.set_quota(who, namespace, patch).await.map(drop)
            }
            Operation::ListFunctions => control
                .list_functions(who, namespace, &page)
                .await
                .map(drop),
            Operation::GetFunction => control
                .get_function(who, namespace, &checkout)
                .await
                .map(drop),
            Operation::RemoveFunction => {
                control.remove_function(who, namespace, &spare, None).await
            }
            Operation::HasComponent => control.has_component(who, namespace, &one).await.map(drop),
            Operation::PutComponent => {
                self.kit
                    .try_upload(who, namespace.as_str(), component("three"))
                    .await
            }
            Operation::Plan => {
                let plan = control.plan(who, namespace, &checkout, request(one));
                plan.await.map(drop)
            }
            Operation::Deploy => {
                let wanted = DeployRequest {
                    message: Some("by the matrix".to_owned()),
                    ..request(two)
                };
                control.deploy(who, target, wanted, None).await.map(drop)
            }
            Operation::ListRevisions => control
                .list_revisions(who, namespace, &checkout)
                .await
                .map(drop),
            Operation::GetRevision => {
                let get = control.get_revision(who, namespace, &checkout, r(1));
                get.await.map(drop)
            }
            Operation::SetTraffic => {
                let set = control.set_traffic(who, target, Traffic::all_to(r(1)), None);
                set.await.map(drop)
            }
            Operation::Rollback => {
                let to = RollbackRequest { to: Some(r(2)) };
                control.rollback(who, target, to, None).await.map(drop)
            }
            Operation::Logs => control.logs(who, namespace, &checkout).await.map(drop),
            Operation::Invocations => control
                .invocations(who, namespace, &checkout)
                .await
                .map(drop),
            Operation::Invoke => {
                let asked = Invoke {
                    namespace: namespace.clone(),
                    function: checkout,
                    revision: None,
                    request: http::Request::new(axum::body::Body::empty()),
                };
                control.invoke(who, asked).await.map(drop)
            }
            Operation::ListSecrets => control.list_secrets(who, namespace, &page).await.map(drop),
            Operation::PutSecret => {
                let value = SecretText::new("v").unwrap();
                let put = control.put_secret(who, namespace, "NEW", SecretValue { value });
                put.await.map(drop)
            }
            Operation::DeleteSecret => control.delete_secret(who, namespace, "SPARE").await,
            Operation::RotateKey => control.rotate_key(who).await.map(drop),
            Operation::ListBuckets => control.list_buckets(who, namespace, &page).await.map(drop),
            Operation::ListEntries => control.list_entries(who, carts, &page).await.map(drop),
            Operation::GetEntry => control.get_entry(who, carts, "a").await.map(drop),
            Operation::PutEntry => control.put_entry(who, carts, "b", "v".into()).await,
            Operation::DeleteEntry => control.delete_entry(who, carts, "a").await,
            Operation::ClearBucket => control.clear_bucket(who, carts).await,
            Operation::ListTokens => control.list_tokens(who, &page).await.map(drop),
            Operation::CreateToken => {
                let request = token_request(Role::Viewer, Some(namespace.as_str()));
                control.create_token(who, request).await.map(drop)
            }
            Operation::GetToken => control.get_token(who, &self.token).await.map(drop),
            Operation::RevokeToken => control.revoke_token(who, &self.token).await,
            Operation::ListAudit => {
                let audit = control.list_audit(who, Some(namespace), &page);
                audit.await.map(drop)
            }
        }
    }
}

/// `yes`, or the code of the refusal.
fn cell(result: &Result<(), ControlError>) -> String {
    match result {
        Ok(()) => "yes".to_owned(),
        Err(error) => error.code.status().to_string(),
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one row for each operation")]
async fn roles_and_operations() {
    let mut columns = Vec::new();
    for scope in [None, Some("shop"), Some("other")] {
        for role in Role::ALL {
            let stage = Stage::new().await;
            let who = stage.kit.caller(role, scope).await;
            let mut column = Vec::new();
            for operation in Operation::ALL {
                let result = stage.run(&who, operation, in_ns("shop")).await;
                column.push(cell(&result));
            }
            columns.push(column);
        }
    }
    let mut table = format!(
        "{:<17}|{:^20}|{:^20}|{:^20}\n{:<17}",
        "", "whole node", "own namespace", "another's", ""
    );
    for _ in 0..3 {
        table.push('|');
        for role in Role::ALL {
            table.push_str(&format!(" {:<4}", &role.as_str()[..4]));
        }
    }
    for (row, operation) in Operation::ALL.into_iter().enumerate() {
        table.push_str(&format!("\n{operation:<17}"));
        for (nth, column) in columns.iter().enumerate() {
            let edge = if nth % 4 == 0 { "|" } else { "" };
            table.push_str(&format!("{edge} {:<4}", column[row]));
        }
    }
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    assert_snapshot!(table.join("\n"), @r"
                     |     whole node     |   own namespace    |     another's
                     | admi depl view invo| admi depl view invo| admi depl view invo
    whoami           | yes  yes  yes  yes | yes  yes  yes  yes | yes  yes  yes  yes
    node_status      | yes  yes  yes  403 | 403  403  403  403 | 403  403  403  403
    list_namespaces  | yes  yes  yes  403 | yes  yes  yes  403 | yes  yes  yes  403
    create_namespace | yes  403  403  403 | 403  403  403  403 | 403  403  403  403
    get_namespace    | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    delete_namespace | yes  403  403  403 | 403  403  403  403 | 404  404  404  404
    get_quota        | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    set_quota        | yes  403  403  403 | 403  403  403  403 | 404  404  404  404
    list_functions   | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    get_function     | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    remove_function  | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    has_component    | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    put_component    | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    plan             | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    deploy           | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    list_revisions   | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    get_revision     | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    set_traffic      | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    rollback         | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    logs             | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    invocations      | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    invoke           | yes  yes  403  yes | yes  yes  403  yes | 404  404  404  404
    list_secrets     | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    put_secret       | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    delete_secret    | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    rotate_key       | yes  403  403  403 | 403  403  403  403 | 403  403  403  403
    list_buckets     | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    list_entries     | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    get_entry        | yes  yes  yes  403 | yes  yes  yes  403 | 404  404  404  404
    put_entry        | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    delete_entry     | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    clear_bucket     | yes  yes  403  403 | yes  yes  403  403 | 404  404  404  404
    list_tokens      | yes  403  403  403 | yes  403  403  403 | yes  403  403  403
    create_token     | yes  403  403  403 | yes  403  403  403 | 404  404  404  404
    get_token        | yes  403  403  403 | yes  403  403  403 | 404  403  403  403
    revoke_token     | yes  403  403  403 | yes  403  403  403 | 404  403  403  403
    list_audit       | yes  403  403  403 | yes  403  403  403 | 404  404  404  404
    ");
}

/// Nothing tells a namespace that is another's from one that is not there: not the code, not the
/// words, not the hint, and not the things in it.
#[tokio::test]
async fn another_namespace_is_as_if_it_were_not_there() {
    let stage = Stage::new().await;
    for role in Role::ALL {
        let who = stage.kit.caller(role, Some("other")).await;
        for operation in Operation::ALL {
            let there = stage.run(&who, operation, in_ns("shop")).await;
            let nowhere = stage.run(&who, operation, in_ns("shoq")).await;
            if operation.reach() == Reach::Namespace {
                let code = there.as_ref().map_err(|error| error.code);
                assert_eq!(code, Err(ErrorCode::NotFound), "{role} {operation}");
            }
            let (there, nowhere) = (refusal(there), refusal(nowhere));
            assert_eq!(there.replace("shop", "shoq"), nowhere, "{role} {operation}");
        }
    }
}

/// The lists that are not about one namespace leave out what is another's.
#[tokio::test]
async fn lists_show_what_is_the_callers() {
    let stage = Stage::new().await;
    let who = stage.kit.caller(Role::Admin, Some("other")).await;
    let (control, page) = (&stage.kit.control, PageRequest::default());
    let namespaces = control.list_namespaces(&who, &page).await.unwrap().items;
    let names: Vec<_> = namespaces.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["other"]);
    let tokens = control.list_tokens(&who, &page).await.unwrap().items;
    assert!(!tokens.is_empty());
    assert!(
        tokens
            .iter()
            .all(|found| found.namespace == Some(ns("other")))
    );
    let entries = control.list_audit(&who, None, &page).await.unwrap().items;
    assert!(!entries.is_empty());
    assert!(
        entries
            .iter()
            .all(|found| found.namespace == Some(ns("other")))
    );
    let mine = stage.token.as_str();
    let foreign = refusal(control.get_token(&who, mine).await);
    let unknown = refusal(control.get_token(&who, "0123456789abcdef").await);
    assert_eq!(foreign.replace(mine, "0123456789abcdef"), unknown);
}
