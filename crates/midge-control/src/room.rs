//! Room on the disk that nobody's uploads may take.
//!
//! Decides how much stays free where the store is: what ends a tenant's token, takes functions away
//! or says so in the audit log must be written even when tenants have written all that they may.
//! What each of them may have is `counts.rs`.
//!
//! **Invariant:** nothing large is written that leaves less than [`RESERVE_BYTES`], or a
//! twentieth of a small file system.

use midge_api::ErrorCode;
use midge_model::quantity::format_bytes;
use midge_store::Room;

use crate::control::Control;
use crate::error::ControlError;

/// What stays free where the store is, on a file system that is not small.
const RESERVE_BYTES: u64 = 512 << 20;
/// The part of a small one that does.
const RESERVE_PART: u64 = 20;

impl Control {
    /// Refuses to write so many bytes where that would leave too little.
    ///
    /// # Errors
    ///
    /// It would, or the store does not say.
    pub(crate) async fn room_on_disk(&self, bytes: u64) -> Result<(), ControlError> {
        let room = self.store.artifacts.room().await?;
        let free = room.free_bytes.saturating_sub(bytes);
        if free >= reserve(room) {
            return Ok(());
        }
        tracing::warn!(
            free_bytes = room.free_bytes,
            "disk almost full, nothing is taken"
        );
        let kept = format_bytes(reserve(room));
        let message = format!("the node's disk is full, but for {kept} that stay free");
        Err(ControlError::new(ErrorCode::DiskFull, message).with_hint(
            "remove functions that are not needed, or ask the operator of the node for room",
        ))
    }
}

fn reserve(room: Room) -> u64 {
    RESERVE_BYTES.min(room.total_bytes / RESERVE_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_system_keeps_a_part_free_and_a_large_one_no_more_than_it_needs() {
        let reserve = |total_bytes| {
            let free_bytes = 0;
            reserve(Room {
                free_bytes,
                total_bytes,
            })
        };
        assert_eq!(reserve(48 << 20), (48 << 20) / 20);
        assert_eq!(reserve(1 << 40), 512 << 20);
    }
}
