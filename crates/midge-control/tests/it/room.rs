//! A disk that is almost full, and folders that a namespace of before left.

use insta::assert_snapshot;
use midge_api::{NamespaceRequest, Role};
use midge_control::{CompileBlame, ErrorCode};
use midge_model::QuotaPatch;
use midge_store::Room;
use midge_store::records::{self, AuditRecord};

use crate::kit::{Kit, admin, at, component, in_ns, ns, refusal, request};

const SMALL_DISK_BYTES: u64 = 48 << 20;

impl Kit {
    fn free(&self, bytes: u64) {
        *self.fuse.room.lock().unwrap() = Some(Room {
            free_bytes: bytes,
            total_bytes: SMALL_DISK_BYTES,
        });
    }

    /// How much the audit log of a namespace holds. Not the registry's version: when a token was
    /// last used is written down at some moment of its own.
    async fn noted(&self, namespace: &str) -> usize {
        let prefix = records::audits_of(Some(&ns(namespace)));
        let noted = records::list_all::<AuditRecord>(&*self.store.registry, &prefix).await;
        noted.unwrap().len()
    }
}

#[tokio::test]
async fn an_almost_full_disk_takes_no_component_and_no_deploy() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.free(SMALL_DISK_BYTES / 20 - 1);
    let put = kit.try_upload(admin(), "shop", component("two")).await;
    assert_snapshot!(refusal(put), @"disk-full: the node's disk is full, but for 2.4MiB that stay free (remove functions that are not needed, or ask the operator of the node for room)");
    let deployed = kit
        .try_deploy(admin(), "shop/checkout", request(digest))
        .await;
    assert_snapshot!(refusal(deployed), @"disk-full: the node's disk is full, but for 2.4MiB that stay free (remove functions that are not needed, or ask the operator of the node for room)");
    kit.free(SMALL_DISK_BYTES / 10);
    kit.upload(admin(), "shop", "two").await;
    kit.deploy("shop/checkout", request(digest)).await;
    kit.check_tidy().await;
}

#[tokio::test]
async fn an_upload_is_refused_that_would_not_leave_enough() {
    let kit = Kit::new().await;
    let (digest, bytes) = component("two");
    // It fits now, and would not leave what stays free.
    kit.free(SMALL_DISK_BYTES / 20 + bytes.len() as u64 - 1);
    let put = kit.try_upload(admin(), "shop", (digest, bytes)).await;
    assert_eq!(put.unwrap_err().code, ErrorCode::DiskFull);
}

#[tokio::test]
async fn an_almost_full_disk_still_revokes_removes_and_remembers_who_did() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    let deployer = kit.caller(Role::Deployer, Some("shop")).await;
    kit.free(0);
    let before = kit.noted("shop").await;
    for _ in 0..50 {
        let put = kit.try_upload(&deployer, "shop", component("two")).await;
        assert_eq!(put.unwrap_err().code, ErrorCode::DiskFull);
    }
    assert_eq!(
        kit.noted("shop").await,
        before,
        "refusing takes no room itself"
    );
    let token = deployer.token.clone().unwrap();
    kit.control
        .revoke_token(admin(), token.as_str())
        .await
        .unwrap();
    let (namespace, function) = at("shop/checkout");
    let control = &kit.control;
    let removed = control.remove_function(admin(), &namespace, &function, None);
    removed.await.unwrap();
    assert!(kit.noted("shop").await > before);
}

#[tokio::test]
async fn a_host_that_cannot_compile_blames_no_component() {
    let kit = Kit::new().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    *kit.node.compile_fault.lock().unwrap() = Some(CompileBlame::Host);
    let deployed = kit
        .try_deploy(admin(), "shop/checkout", request(digest))
        .await;
    assert_eq!(deployed.unwrap_err().code.status(), 503);
}

#[tokio::test]
async fn a_new_namespace_does_not_find_what_one_of_before_left() {
    let kit = Kit::new().await;
    let folder = kit.control.config().data_root.join("shop");
    std::fs::create_dir_all(folder.join("customers")).unwrap();
    std::fs::write(folder.join("customers/list.csv"), "Ada").unwrap();
    let shop = in_ns("shop");
    kit.control.delete_namespace(admin(), shop).await.unwrap();
    let make = async || {
        let request = NamespaceRequest {
            name: ns("shop"),
            quota: QuotaPatch::default(),
        };
        let made = kit.control.create_namespace(admin(), request).await;
        let data_root = kit.control.config().data_root.display().to_string();
        refusal(made).replace(&data_root, "DATA")
    };
    assert_snapshot!(make().await, @"conflict: data of an earlier namespace `shop` is still on the node (move `DATA/shop` away on the node, or empty it, and make the namespace then)");
    // Nor through a link.
    let elsewhere = folder.with_file_name("elsewhere");
    std::fs::rename(&folder, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
    assert!(make().await.starts_with("conflict: "));
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(make().await, "done");
    assert_snapshot!(make().await, @"conflict: there is a namespace `shop` already");
}
