//! What every back end must do, a case each.
//!
//! A case is a function over a fresh, empty store. `every_case!` makes a test of each for a back
//! end; a case that it forgets is dead code, which does not pass.

pub(crate) mod artifacts;
pub(crate) mod keys;
pub(crate) mod queue;
pub(crate) mod registry;

use std::any::Any;
use std::time::Duration;

use midge_store::{Key, Store};

/// How long a case waits for a state that must come.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A fresh store, and what must live as long as it.
pub(crate) struct Fresh {
    pub(crate) store: Store,
    pub(crate) _keep: Box<dyn Any + Send>,
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, seen)
        .await
        .expect("the state that the case waits for comes")
}

/// Makes a test of every case, over the stores that an async function makes.
macro_rules! every_case {
    ($fresh:path) => {
        $crate::contract::cases! { $fresh, artifacts:
            bytes_come_back_by_their_digest
            nothing_is_an_artifact_too
            other_bytes_than_announced_are_refused_and_not_kept
            an_upload_that_is_given_up_leaves_nothing
            storing_twice_is_no_error
            there_is_no_more_room_than_there_is
            what_was_never_stored_is_not_there
            a_deleted_artifact_is_gone
            lists_are_in_order_and_in_pages
            uploads_of_one_artifact_do_not_meet
        }
        $crate::contract::every_case_of_keys! { $fresh }
        $crate::contract::cases! { $fresh, queue:
            a_message_is_leased_once_and_gone_when_acked
            messages_come_in_the_order_they_were_pushed
            a_delayed_message_waits
            a_lease_that_ran_out_is_lost
            a_message_that_is_handed_back_comes_again_and_dies
            a_message_that_is_handed_back_waits_for_its_delay
            a_message_whose_last_lease_ran_out_dies
            a_dead_letter_can_be_delivered_again
            of_two_messages_of_one_name_one_is_kept
            an_extended_lease_holds_longer
            a_purged_queue_is_empty
            messages_have_bounds
            no_two_get_the_same_message
        }
        $crate::contract::cases! { $fresh, registry:
            a_record_comes_back
            what_is_expected_absent_is_made_once
            a_write_upon_an_old_version_is_refused
            whatever_is_there_may_be_overwritten
            versions_grow_over_all_keys
            a_deletion_is_a_write
            deleting_nothing_is_nothing
            a_deleted_record_can_be_made_again
            a_record_has_a_largest_size
            lists_are_in_order_and_in_pages
            prefixes_are_whole_tokens
            of_many_writers_each_sees_the_others
            a_watch_shows_what_is_there_and_then_each_change
            a_watch_of_nothing_is_current_at_once
            a_watch_shows_its_prefix_only
            a_watch_that_starts_between_deletions_is_right
            a_slow_watch_ends_at_the_newest_state
            giving_up_on_a_watch_loses_nothing
            a_watch_pages_through_many_records
        }
    };
}

/// Those about keys, which a back end may have alone.
macro_rules! every_case_of_keys {
    ($fresh:path) => {
        $crate::contract::cases! { $fresh, keys:
            a_value_comes_back
            any_text_is_a_key
            buckets_and_namespaces_are_apart
            a_swap_wants_what_is_there
            versions_never_come_twice
            a_number_grows
            what_is_no_number_does_not_grow
            of_many_increments_none_is_lost
            lists_are_in_order_and_in_pages
            keys_and_values_have_bounds
            buckets_that_hold_something_are_listed
            a_cleared_bucket_is_empty
        }
    };
}

macro_rules! cases {
    ($fresh:path, $about:ident: $($case:ident)*) => {
        mod $about {
            $(
                #[tokio::test]
                async fn $case() {
                    let fresh = $fresh().await;
                    $crate::contract::$about::$case(&fresh.store).await;
                }
            )*
        }
    };
}

pub(crate) use {cases, every_case, every_case_of_keys};
