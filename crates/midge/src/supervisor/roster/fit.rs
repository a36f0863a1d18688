//! What of a function fits one order.
//!
//! Decides which kept revisions are left out of a function that is too large to be passed on with
//! all of them: those without traffic, oldest first. Secrets are passed on once, however many
//! revisions were granted them.
//!
//! **Invariant:** no order about a function is longer than [`ORDER_BYTES_MAX`], whatever stands in
//! the store: a worker ends over a line that is too long, and every one is told the same.

use std::collections::BTreeSet;

use midge_model::quantity::format_bytes;
use midge_model::{Revision, RevisionNumber};

use super::WantedFunction;
use super::placement::counted_folders;
use crate::protocol::{DOWN_LINE_BYTES_MAX, SECRET_DIGITS, line_bytes};

/// The longest order about one function. What the control door lets one have with traffic fits,
/// each of its shares; a worker reads as much in a fraction of a second.
pub(crate) const ORDER_BYTES_MAX: usize = 16 << 20;

/// What stands in an order about any function, whatever its revisions.
const FRAME_BYTES: usize = 1 << 10;

/// What stands around a revision in an order, and around a secret.
const PART_FRAME_BYTES: usize = 64;

/// The longest number of a folder, and what parts it from the next.
const FOLDER_BYTES: usize = 8;

const _: () = assert!(ORDER_BYTES_MAX < DOWN_LINE_BYTES_MAX);

/// A function that no worker can be told about, even without any revision that has no traffic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the revisions that have traffic take {} with their secrets, and workers are told at most {} of a function",
    format_bytes(*.bytes as u64),
    format_bytes(*.bytes_max as u64)
)]
pub(crate) struct TooLarge {
    bytes: usize,
    bytes_max: usize,
}

/// Leaves out of a function what does not fit an order of `bytes_max`, and says which revisions
/// that was.
///
/// # Errors
///
/// What has traffic alone does not fit; there is nothing to leave out.
pub(super) fn fit(
    wanted: &mut WantedFunction,
    bytes_max: usize,
) -> Result<Vec<RevisionNumber>, TooLarge> {
    let mut order = Measured {
        wanted,
        secrets: BTreeSet::new(),
        bytes: FRAME_BYTES + line_bytes(&wanted.traffic),
    };
    let newest_first = || wanted.revisions.iter().rev();
    let is_live = |revision: &Revision| wanted.traffic.has(revision.number);
    for live in newest_first().filter(|revision| is_live(revision)) {
        order.add(live);
    }
    if order.bytes > bytes_max {
        let bytes = order.bytes;
        return Err(TooLarge { bytes, bytes_max });
    }
    let mut others = newest_first().filter(|revision| !is_live(revision));
    // The rest is not even measured: it may be far more than what fits.
    let left_out = others.find(|revision| {
        let before = order.secrets.clone();
        order.add(revision);
        let is_too_much = order.bytes > bytes_max;
        if is_too_much {
            order.secrets = before;
        }
        is_too_much
    });
    let Some(newest_out) = left_out.map(|revision| revision.number) else {
        return Ok(Vec::new());
    };
    let kept: BTreeSet<String> = order.secrets.into_iter().map(str::to_owned).collect();
    let goes = |revision: &Revision| revision.number <= newest_out && !is_live(revision);
    let gone = wanted.revisions.iter().filter(|revision| goes(revision));
    let gone: Vec<_> = gone.map(|revision| revision.number).collect();
    wanted
        .revisions
        .retain(|revision| !gone.contains(&revision.number));
    wanted.secrets.retain(|name, _| kept.contains(name));
    Ok(gone)
}

/// What an order takes at most, revision by revision.
struct Measured<'a> {
    wanted: &'a WantedFunction,
    /// The secrets that it has already.
    secrets: BTreeSet<&'a str>,
    bytes: usize,
}

impl<'a> Measured<'a> {
    fn add(&mut self, revision: &'a Revision) {
        let folders = counted_folders(&revision.grants).count() * FOLDER_BYTES;
        self.bytes += PART_FRAME_BYTES + line_bytes(revision) + folders;
        for grant in &revision.grants.secrets {
            if let Some(value) = self.wanted.secrets.get(&grant.name)
                && self.secrets.insert(&grant.name)
            {
                let value_bytes = SECRET_DIGITS * value.expose().len();
                self.bytes += PART_FRAME_BYTES + grant.name.len() + value_bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use insta::assert_snapshot;
    use midge_model::{
        Digest, Grants, Limits, NamespaceName, SecretExposure, SecretGrant, SecretText, Share,
        Traffic,
    };

    use super::*;
    use crate::protocol::{FunctionKey, Order, PlannedFunction, PlannedRevision};

    /// A revision with a variable of so many bytes, and these secrets.
    fn revision(number: u32, env_bytes: usize, secrets: &[&str]) -> Arc<Revision> {
        let grant = |name: &&str| SecretGrant::new(name, SecretExposure::Env).unwrap();
        Arc::new(Revision {
            namespace: NamespaceName::default(),
            function: "shop".parse().unwrap(),
            number: RevisionNumber::new(number).unwrap(),
            digest: Digest::of(b""),
            grants: Grants {
                env: [("V".to_owned(), "\u{1}".repeat(env_bytes))].into(),
                secrets: secrets.iter().map(grant).collect(),
                ..Grants::default()
            },
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: Vec::new(),
        })
    }

    fn wanted(revisions: Vec<Arc<Revision>>, live: &[u32], secret_bytes: usize) -> WantedFunction {
        let share = |number: &u32| Share {
            revision: RevisionNumber::new(*number).unwrap(),
            weight: 1,
        };
        let grants = revisions.iter().flat_map(|it| &it.grants.secrets);
        let text = SecretText::new("\u{1}".repeat(secret_bytes)).unwrap();
        let secrets: BTreeMap<_, _> = grants.map(|it| (it.name.clone(), text.clone())).collect();
        WantedFunction {
            key: FunctionKey {
                namespace: NamespaceName::default(),
                function: "shop".parse().unwrap(),
            },
            traffic: Traffic::new(live.iter().map(share).collect(), None).unwrap(),
            revisions,
            secrets,
            version: 1,
        }
    }

    /// What stays and how long the order is, or why there is none.
    fn check(mut wanted: WantedFunction, bytes_max: usize) -> String {
        match fit(&mut wanted, bytes_max) {
            Err(error) => format!("error: {error}"),
            Ok(gone) => {
                let stays = wanted.revisions.iter().map(|it| it.number);
                let secrets: Vec<_> = wanted.secrets.keys().cloned().collect();
                let shown = format!("{:?} {secrets:?}", stays.collect::<Vec<_>>());
                let bytes = order_bytes(wanted);
                assert!(bytes <= bytes_max, "{bytes} of {bytes_max}");
                format!("{shown} without {gone:?}").replace("RevisionNumber", "")
            }
        }
    }

    fn order_bytes(wanted: WantedFunction) -> usize {
        let planned = |revision| PlannedRevision {
            revision,
            folders: Vec::new(),
        };
        line_bytes(&Order::Apply {
            function: Arc::new(PlannedFunction {
                key: wanted.key,
                column: usize::MAX,
                traffic: wanted.traffic,
                revisions: wanted.revisions.into_iter().map(planned).collect(),
                secrets: wanted.secrets,
                seq: u64::MAX,
            }),
            preload: false,
        })
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let revisions = (1..=3).map(|number| revision(number, 10, &["A"]));
        let wanted = wanted(revisions.collect(), &[3], 10);
        assert_snapshot!(check(wanted, ORDER_BYTES_MAX), @r#"[(1), (2), (3)] ["A"] without []"#);
    }

    #[test]
    fn revisions_without_traffic_are_left_out_oldest_first_with_their_secrets() {
        let revisions = vec![
            revision(1, 30_000, &["LIVE"]),
            revision(2, 10, &["OLD"]),
            revision(3, 30_000, &["OLD"]),
            revision(4, 30_000, &["NEW"]),
            revision(5, 30_000, &["LIVE"]),
        ];
        // A control character is six bytes of JSON.
        let wanted = wanted(revisions, &[1, 5], 1_000);
        let all = check(wanted.clone(), 1_000_000);
        assert_snapshot!(all, @r#"[(1), (2), (3), (4), (5)] ["LIVE", "NEW", "OLD"] without []"#);
        let some = check(wanted.clone(), 560_000);
        assert_snapshot!(some, @r#"[(1), (4), (5)] ["LIVE", "NEW"] without [(2), (3)]"#);
        let live = check(wanted, 400_000);
        assert_snapshot!(live, @r#"[(1), (5)] ["LIVE"] without [(2), (3), (4)]"#);
    }

    #[test]
    fn what_has_traffic_and_does_not_fit_is_refused() {
        let names: Vec<_> = (0..200).map(|number| format!("S{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let wanted = wanted(vec![revision(1, 10, &names)], &[1], 65_000);
        assert_snapshot!(check(wanted, ORDER_BYTES_MAX), @"error: the revisions that have traffic take 24.8MiB with their secrets, and workers are told at most 16MiB of a function");
    }

    #[test]
    fn a_hundred_revisions_with_the_same_secrets_fit() {
        let names: Vec<_> = (0..64).map(|number| format!("S{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let revisions = (1..=100).map(|number| revision(number, 10, &names));
        let mut wanted = wanted(revisions.collect(), &[100], 65_536);
        assert_eq!(fit(&mut wanted, ORDER_BYTES_MAX), Ok(Vec::new()));
        assert!(order_bytes(wanted) <= ORDER_BYTES_MAX);
    }
}
