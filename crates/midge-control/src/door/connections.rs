//! Who is connected, and who makes room.
//!
//! Decides that a new connection always finds room while another has nothing at work: the oldest
//! such one ends. Waiting instead would let whoever opens connections and says nothing keep the
//! node's own watchdog out.
//!
//! **Invariant:** no more than [`CONNECTIONS_MAX`] are let in, [`ADDRESS_CONNECTIONS_MAX`] of one
//! address; none ends for another while a request of it has a place (`places.rs`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::attempts::whose;

/// Connections at a time. Administration needs few.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// Of one address; a proxy in front of the door is one too.
pub(super) const ADDRESS_CONNECTIONS_MAX: usize = CONNECTIONS_MAX / 4;

/// Everybody who is connected.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// In the order in which they came.
    rows: BTreeMap<u64, Row>,
    next: u64,
}

#[derive(Debug)]
struct Row {
    address: IpAddr,
    /// Requests that have a place.
    at_work: usize,
    ends: Arc<Notify>,
}

/// One connection's room, which it gives back when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    seat: Seat,
    /// Told when somebody newer needs the room.
    pub(super) ends: Arc<Notify>,
}

/// Which connection a request came with.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
}

/// While this is there, the connection does not end for another.
#[derive(Debug)]
pub(super) struct AtWork(Seat);

impl Connections {
    /// Room for a connection from this address, if need be an older one's that does nothing.
    /// `None` when all there could be are at work.
    pub(super) fn admit(self: &Arc<Self>, from: IpAddr) -> Option<Room> {
        let address = whose(from);
        let mut table = self.table();
        let of_address = |row: &Row| row.address == address;
        let theirs = table.rows.values().filter(|row| of_address(row)).count();
        if theirs >= ADDRESS_CONNECTIONS_MAX {
            table.end_one(of_address)?;
        } else if table.rows.len() >= CONNECTIONS_MAX {
            table.end_one(|_| true)?;
        }
        let number = table.next;
        table.next += 1;
        let ends = Arc::new(Notify::new());
        let row = Row {
            address,
            at_work: 0,
            ends: Arc::clone(&ends),
        };
        table.rows.insert(number, row);
        let connections = Arc::clone(self);
        let seat = Seat {
            connections,
            number,
        };
        Some(Room { seat, ends })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Rows are plain numbers: what a panic left behind is still right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn end_one(&mut self, of: impl Fn(&Row) -> bool) -> Option<()> {
        let mut rows = self.rows.iter();
        let (number, _) = rows.find(|(_, row)| row.at_work == 0 && of(row))?;
        let number = *number;
        let row = self.rows.remove(&number)?;
        row.ends.notify_one();
        Some(())
    }
}

impl Room {
    /// Which connection this is.
    pub(super) fn seat(&self) -> Seat {
        self.seat.clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Seat {
            connections,
            number,
        } = &self.seat;
        connections.table().rows.remove(number);
    }
}

impl Seat {
    /// Has something at work.
    pub(super) fn at_work(self) -> AtWork {
        if let Some(row) = self.connections.table().rows.get_mut(&self.number) {
            row.at_work += 1;
        }
        AtWork(self)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let Seat {
            connections,
            number,
        } = &self.0;
        // The connection may be gone, and its write still at work.
        if let Some(row) = connections.table().rows.get_mut(number) {
            row.at_work = row.at_work.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(number).unwrap().to_be_bytes())
    }

    async fn ended(room: &Room) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, room.ends.notified())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn the_oldest_that_does_nothing_makes_room() {
        let connections = Arc::new(Connections::default());
        let rooms: Vec<Room> = (0..CONNECTIONS_MAX)
            .map(|number| connections.admit(address(number)).unwrap())
            .collect();
        let at_work = rooms[0].seat().at_work();
        let newer = connections.admit(address(CONNECTIONS_MAX)).unwrap();
        assert!(!ended(&rooms[0]).await);
        assert!(ended(&rooms[1]).await);
        drop(at_work);
        let newest = connections.admit(address(1)).unwrap();
        assert!(ended(&rooms[0]).await);
        drop((rooms, newer, newest));
        assert!(connections.table().rows.is_empty());
    }

    #[tokio::test]
    async fn an_address_makes_room_for_itself_only() {
        let connections = Arc::new(Connections::default());
        let other = connections.admit(address(7)).unwrap();
        let rooms: Vec<Room> = (0..ADDRESS_CONNECTIONS_MAX)
            .map(|_| connections.admit(address(9)).unwrap())
            .collect();
        let next = connections.admit(address(9)).unwrap();
        assert!(!ended(&other).await);
        assert!(ended(&rooms[0]).await);
        let rooms = rooms.iter().chain([&next]);
        let at_work: Vec<AtWork> = rooms.map(|room| room.seat().at_work()).collect();
        assert!(connections.admit(address(9)).is_none());
        assert!(connections.admit(address(8)).is_some());
        drop(at_work);
        assert!(connections.admit(address(9)).is_some());
    }
}
