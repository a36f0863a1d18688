//! What counts as an open socket.

use midge_model::{NetGrant, Policy};
use tokio::net::TcpListener;
use wasmtime::Store;
use wasmtime::component::Accessor;

use super::*;
use crate::engine::{Allocation, Engine, SandboxConfig, Tasks};
use crate::guest;
use crate::guest_log::LogLabel;
use crate::host::dirs::OpenedDirs;
use crate::host::tmp::TmpRoot;
use crate::limits::Meter;
use crate::powers::Lent;

/// The store of a guest that may connect to anything, and no guest in it.
fn store() -> Store<Guest> {
    let any = NetGrant::ANY;
    let this = "127.0.0.1:*".parse().unwrap();
    let grants = Grants {
        tcp: vec![any, this],
        ..Grants::default()
    };
    let lent = Lent::of_a_test(grants, Policy::operator());
    let tmp = Arc::new(TmpRoot::new(std::env::temp_dir()));
    let dirs = OpenedDirs::open(&lent.powers.grants, None, &tmp).unwrap();
    let granted = guest::granted(&lent, &dirs, None, LogLabel::of_a_test()).unwrap();
    let guest = Guest::new(granted, &lent, Meter::new(0, Arc::default()));
    let config = SandboxConfig {
        allocation: Allocation::OnDemand,
        instances_max: 1,
    };
    Store::new(Engine::new(&config).unwrap().of(Tasks::Many), guest)
}

/// A connected socket of 0.3, by its handle.
async fn connect(guest: &Accessor<Guest>, listener: &TcpListener) -> u32 {
    let v4 = types::IpAddressFamily::Ipv4;
    let made = guest.with(|mut store| create_tcp_03(store.as_context_mut(), (v4,)));
    let socket = made.unwrap().0.unwrap().rep();
    let address = listener.local_addr().unwrap().into();
    let engine = guest.with_getter::<WasiSockets>(Guest::sockets);
    let connecting = WasiSockets::connect(&engine, Resource::new_borrow(socket), address);
    connecting.await.unwrap();
    socket
}

fn orphans(guest: &Accessor<Guest>) -> usize {
    guest.with(|mut store| store.data_mut().open_sockets.count_orphans())
}

async fn wait_for(guest: &Accessor<Guest>, expected: usize) {
    while orphans(guest) != expected {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_without_a_handle_counts_until_its_streams_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let test = async |guest: &Accessor<Guest>| {
        let socket = connect(guest, &listener).await;
        let handle = || Resource::new_borrow(socket);
        let (mut received, sent) = guest.with(|mut store| {
            let ((received, _),) = receive_03(store.as_context_mut(), (handle(),)).unwrap();
            let nothing = StreamReader::new(&mut store, std::iter::empty::<u8>()).unwrap();
            let (sent,) = send_03(store.as_context_mut(), (handle(), nothing)).unwrap();
            (received, sent)
        });
        assert_eq!(orphans(guest), 0);
        guest.with(|mut store| drop_tcp_03(store.as_context_mut(), socket).unwrap());
        assert_eq!(orphans(guest), 1);
        // The sending stream has ended by itself, the receiving one has not.
        let (tell, told) = oneshot::channel();
        let relay = Relay {
            tell: Some(tell),
            token: None,
            overdrawn: Overdrawn::default(),
        };
        guest.with(|mut store| sent.pipe(&mut store, relay).unwrap());
        assert!(told.await.unwrap().is_ok());
        assert_eq!(orphans(guest), 1);
        guest.with(|mut store| received.close(&mut store).unwrap());
        wait_for(guest, 0).await;
    };
    store().run_concurrent(test).await.unwrap();
}

#[tokio::test]
async fn who_drops_handles_and_keeps_streams_comes_to_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let test = async |guest: &Accessor<Guest>| {
        let limit = guest.with(|mut store| store.data_mut().lent.powers.limits.sockets);
        let mut kept = Vec::new();
        for _ in 0..2 * limit {
            let socket = connect(guest, &listener).await;
            guest.with(|mut store| {
                let handle = Resource::new_borrow(socket);
                kept.push(receive_03(store.as_context_mut(), (handle,)).unwrap());
                drop_tcp_03(store.as_context_mut(), socket).unwrap();
            });
        }
        let create = |guest: &Accessor<Guest>| {
            let v4 = types::IpAddressFamily::Ipv4;
            let made = guest.with(|mut store| create_tcp_03(store.as_context_mut(), (v4,)));
            made.unwrap().0
        };
        assert!(create(guest).is_err());
        let ((mut received, _),) = kept.pop().unwrap();
        guest.with(|mut store| received.close(&mut store).unwrap());
        wait_for(guest, 2 * limit as usize - 1).await;
        assert!(create(guest).is_ok());
    };
    store().run_concurrent(test).await.unwrap();
}

#[tokio::test]
async fn who_closes_all_may_open_as_many_again_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let test = async |guest: &Accessor<Guest>| {
        let limit = guest.with(|mut store| store.data_mut().lent.powers.limits.sockets);
        let mut open = Vec::new();
        for _ in 0..limit {
            let socket = connect(guest, &listener).await;
            let handle = Resource::new_borrow(socket);
            let stream = guest.with(|mut store| receive_03(store.as_context_mut(), (handle,)));
            open.push((socket, stream.unwrap()));
        }
        // In one go, without a turn of the engine's loop in between.
        guest.with(|mut store| {
            for (socket, ((mut received, _),)) in open {
                received.close(&mut store).unwrap();
                drop_tcp_03(store.as_context_mut(), socket).unwrap();
            }
            let v4 = types::IpAddressFamily::Ipv4;
            for _ in 0..limit {
                let made = create_tcp_03(store.as_context_mut(), (v4,));
                assert!(made.unwrap().0.is_ok());
            }
            assert!(
                create_tcp_03(store.as_context_mut(), (v4,))
                    .unwrap()
                    .0
                    .is_err()
            );
        });
    };
    store().run_concurrent(test).await.unwrap();
}
