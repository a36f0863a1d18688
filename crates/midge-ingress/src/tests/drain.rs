//! The end of a worker, as its clients see it.

use tokio::io::AsyncWriteExt;

use super::*;

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn requests_in_flight_finish_and_their_clients_are_told() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut busy = door.connect().await;
        busy.write_all(&get("/wait")).await.unwrap();
        door.guests.begun(1).await;
        let mut idle = door.connect().await;
        idle.write_all(&get("/sized")).await.unwrap();
        read_until(&mut idle, "hello").await;

        door.phase.send(Phase::Draining).unwrap();
        assert_eq!(read_to_close(&mut idle).await, "");
        assert!(
            TcpStream::connect(door.addr).await.is_err(),
            "the door is closed"
        );
        door.guests.release_one();
        let answer = read_to_close(&mut busy).await;
        assert!(answer.contains("connection: close") && answer.ends_with("\r\n\r\nwaited"));
        drop(busy);
        assert_eq!(
            door.serving.await.unwrap(),
            Drained {
                finished: 1,
                cut: 0
            }
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_already_under_way_is_answered() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut kept = door.connect().await;
        kept.write_all(&get("/sized")).await.unwrap();
        read_until(&mut kept, "hello").await;
        // Neither connection's request has been read when the drain begins.
        let mut waiting = door.connect().await;
        door.phase.send(Phase::Draining).unwrap();
        waiting.write_all(&get("/sized")).await.unwrap();
        kept.write_all(&get("/sized")).await.unwrap();
        for client in [&mut kept, &mut waiting] {
            let answer = read_to_close(client).await;
            assert!(
                answer.contains("connection: close") && answer.ends_with("hello"),
                "{answer}"
            );
        }
        drop((kept, waiting));
        assert_eq!(
            door.serving.await.unwrap(),
            Drained {
                finished: 2,
                cut: 0
            }
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_cut_and_counted() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut busy = door.connect().await;
        busy.write_all(&get("/wait")).await.unwrap();
        door.guests.begun(1).await;
        door.phase.send(Phase::Draining).unwrap();
        door.phase.send(Phase::Ended).unwrap();
        assert_eq!(
            door.serving.await.unwrap(),
            Drained {
                finished: 0,
                cut: 1
            }
        );
        door.guests.dropped(1).await;
        assert_eq!(read_to_close(&mut busy).await, "");
    })
    .await;
}

#[tokio::test]
async fn without_anybody_to_say_more_the_door_drains() {
    local(async {
        let Door { phase, serving, .. } = Door::open(IngressConfig::roomy()).await;
        drop(phase);
        assert_eq!(
            serving.await.unwrap(),
            Drained {
                finished: 0,
                cut: 0
            }
        );
    })
    .await;
}
