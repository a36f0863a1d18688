//! Every write fails once, in each way a write can fail: nothing that is live ever names what is
//! not there, and asking again succeeds.

use midge_api::{DeployRequest, RollbackRequest};
use midge_control::ControlError;
use midge_model::Traffic;

use crate::flaky::Failure;
use crate::kit::{Kit, admin, at, component, r, request, with_routes};

/// What is tried while writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Upload,
    Deploy,
    Redeploy,
    Split,
    Rollback,
    Remove,
}

/// More than any step writes: a step that goes on has no end.
const WRITES_MAX: i64 = 60;

impl Step {
    /// What stands before the step.
    async fn prepare(self, kit: &Kit) {
        if self == Self::Upload {
            return;
        }
        for seed in ["one", "two", "three"] {
            kit.upload(admin(), "shop", seed).await;
        }
        if self == Self::Deploy {
            return;
        }
        kit.deploy("shop/checkout", self.first()).await;
        kit.deploy("shop/checkout", self.second()).await;
    }

    fn first(self) -> DeployRequest {
        with_routes(
            component("one").0,
            &["/a", "shop.example.net/x/*", "/common/*"],
        )
    }

    fn second(self) -> DeployRequest {
        DeployRequest {
            keep: Some(2),
            ..with_routes(component("two").0, &["/b", "/common/*"])
        }
    }

    async fn run(self, kit: &Kit) -> Result<(), ControlError> {
        let (namespace, function) = at("shop/checkout");
        let target = (&namespace, &function);
        let (who, control) = (admin(), &kit.control);
        match self {
            Self::Upload => kit.try_upload(who, "shop", component("one")).await,
            Self::Deploy => {
                let deploy = control.deploy(who, target, self.first(), None);
                deploy.await.map(drop)
            }
            Self::Redeploy => {
                let wanted = DeployRequest {
                    keep: Some(1),
                    ..with_routes(component("three").0, &["other.example.net/*", "/common/*"])
                };
                control.deploy(who, target, wanted, None).await.map(drop)
            }
            Self::Split => {
                let shares = ["r1=1", "r2=9"].map(|share| share.parse().unwrap());
                let traffic = Traffic::new(shares.to_vec(), None).unwrap();
                let split = control.set_traffic(who, target, traffic, None);
                split.await.map(drop)
            }
            Self::Rollback => {
                let to = RollbackRequest { to: Some(r(1)) };
                control.rollback(who, target, to, None).await.map(drop)
            }
            Self::Remove => {
                let removed = control.remove_function(who, target.0, target.1, None);
                match removed.await {
                    // It was removed the first time, and only the answer was lost.
                    Err(error) if error.code == midge_api::ErrorCode::NotFound => Ok(()),
                    other => other,
                }
            }
        }
    }

    /// That the step is done.
    async fn check_done(self, kit: &Kit) {
        let (namespace, function) = at("shop/checkout");
        let found = kit
            .control
            .get_function(admin(), &namespace, &function)
            .await;
        let traffic = found.map(|found| found.traffic.to_string());
        match self {
            Self::Upload => {
                let digest = component("one").0;
                let has = kit.control.has_component(admin(), &namespace, &digest);
                has.await.unwrap();
            }
            // The number is past whatever the first attempt left.
            Self::Deploy | Self::Redeploy => assert!(traffic.unwrap().ends_with("=100")),
            Self::Split => assert_eq!(traffic.unwrap(), "r1=1 r2=9"),
            Self::Rollback => assert_eq!(traffic.unwrap(), "r1=100"),
            Self::Remove => assert!(traffic.is_err()),
        }
    }
}

/// Fails the writes of a step one after the other, until it succeeds with none failing.
async fn check(step: Step, failure: Failure) {
    for fail_at in 0.. {
        assert!(fail_at < WRITES_MAX, "{step:?} writes without end");
        let kit = Kit::with_hosts().await;
        step.prepare(&kit).await;
        kit.fuse.arm(fail_at, failure);
        let outcome = step.run(&kit).await;
        let has_failed = kit.fuse.disarm();
        kit.check_sound().await;
        if outcome.is_ok() {
            step.check_done(&kit).await;
        }
        let again = step.run(&kit).await;
        assert!(
            again.is_ok(),
            "{step:?} again after write {fail_at}: {again:?}"
        );
        step.check_done(&kit).await;
        kit.check_sound().await;
        // What is left over is found and taken away, and nothing else is.
        if step != Step::Upload {
            kit.check_tidy().await;
            step.check_done(&kit).await;
        }
        if !has_failed {
            assert!(
                outcome.is_ok(),
                "{step:?} failed although no write did: {outcome:?}"
            );
            assert!(fail_at > 1, "{step:?} wrote nothing");
            return;
        }
    }
}

macro_rules! every_write_fails {
    ($($name:ident: $step:ident;)*) => {$(
        mod $name {
            use super::{Failure, Step, check};

            #[tokio::test]
            async fn once() {
                check(Step::$step, Failure::Once).await;
            }

            #[tokio::test]
            async fn and_is_made_nevertheless() {
                check(Step::$step, Failure::Ambiguous).await;
            }

            #[tokio::test]
            async fn and_all_after_it() {
                check(Step::$step, Failure::Killed).await;
            }
        }
    )*};
}

every_write_fails! {
    upload: Upload;
    deploy: Deploy;
    redeploy: Redeploy;
    split: Split;
    rollback: Rollback;
    remove: Remove;
}

/// Without the cleaning up that a deploy does after it is live, the next sweep does it.
#[tokio::test]
async fn a_function_that_is_removed_and_made_again_does_not_meet_its_old_revisions() {
    let kit = Kit::with_hosts().await;
    let digest = kit.upload(admin(), "shop", "one").await;
    kit.deploy("shop/checkout", request(digest)).await;
    let (namespace, function) = at("shop/checkout");
    // The function's record goes; what it named stays: audit entry, record, then the fuse blows.
    kit.fuse.arm(2, Failure::Killed);
    let removed = kit
        .control
        .remove_function(admin(), &namespace, &function, None);
    drop(removed.await);
    assert!(kit.fuse.disarm());
    let deployed = kit.deploy("shop/checkout", request(digest)).await;
    assert_eq!(deployed.revision.number, r(2));
    kit.check_tidy().await;
}
