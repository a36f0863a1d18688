//! Artifacts: whole and right, or not there.

use bytes::Bytes;
use midge_model::Digest;
use midge_store::{Artifacts, FinishError, Store};

const PIECE_BYTES: usize = 64 << 10;

async fn store_whole(artifacts: &dyn Artifacts, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let mut writer = artifacts.create().await.unwrap();
    for piece in bytes.chunks(PIECE_BYTES) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let length_bytes = writer.finish(&digest).await.unwrap();
    assert_eq!(length_bytes, u64::try_from(bytes.len()).unwrap());
    digest
}

pub(crate) async fn bytes_come_back_by_their_digest(store: &Store) {
    let artifacts = &*store.artifacts;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|nth| (nth % 251) as u8).collect();
    let digest = store_whole(artifacts, &bytes).await;
    let read = artifacts.get(&digest).await.unwrap().unwrap();
    assert!(read == bytes);
    assert_eq!(artifacts.size(&digest).await.unwrap(), Some(3_000_000));
}

pub(crate) async fn nothing_is_an_artifact_too(store: &Store) {
    let artifacts = &*store.artifacts;
    let digest = store_whole(artifacts, b"").await;
    assert_eq!(artifacts.get(&digest).await.unwrap(), Some(Bytes::new()));
    assert_eq!(artifacts.size(&digest).await.unwrap(), Some(0));
}

pub(crate) async fn other_bytes_than_announced_are_refused_and_not_kept(store: &Store) {
    let artifacts = &*store.artifacts;
    let announced = Digest::of(b"good");
    let mut writer = artifacts.create().await.unwrap();
    writer.write(Bytes::from("bad")).await.unwrap();
    let refused = writer.finish(&announced).await.unwrap_err();
    let FinishError::Mismatch { expected, found } = refused else {
        panic!("{refused}");
    };
    assert_eq!((expected, found), (announced, Digest::of(b"bad")));
    assert_eq!(artifacts.list(None, 10).await.unwrap(), []);
    assert_eq!(artifacts.get(&found).await.unwrap(), None);
}

pub(crate) async fn an_upload_that_is_given_up_leaves_nothing(store: &Store) {
    let artifacts = &*store.artifacts;
    let mut writer = artifacts.create().await.unwrap();
    writer.write(Bytes::from("some")).await.unwrap();
    drop(writer);
    assert_eq!(artifacts.list(None, 10).await.unwrap(), []);
    assert_eq!(artifacts.get(&Digest::of(b"some")).await.unwrap(), None);
}

pub(crate) async fn storing_twice_is_no_error(store: &Store) {
    let artifacts = &*store.artifacts;
    let digest = store_whole(artifacts, b"component").await;
    let first = artifacts.list(None, 10).await.unwrap();
    assert_eq!(store_whole(artifacts, b"component").await, digest);
    let second = artifacts.list(None, 10).await.unwrap();
    assert_eq!(second.len(), 1);
    assert!(second[0].stored_at >= first[0].stored_at);
    assert_eq!(
        artifacts.get(&digest).await.unwrap().as_deref(),
        Some(b"component".as_slice())
    );
}

pub(crate) async fn what_was_never_stored_is_not_there(store: &Store) {
    let artifacts = &*store.artifacts;
    let digest = Digest::of(b"component");
    assert_eq!(artifacts.get(&digest).await.unwrap(), None);
    assert_eq!(artifacts.size(&digest).await.unwrap(), None);
    assert!(!artifacts.delete(&digest).await.unwrap());
}

pub(crate) async fn a_deleted_artifact_is_gone(store: &Store) {
    let artifacts = &*store.artifacts;
    let digest = store_whole(artifacts, b"component").await;
    assert!(artifacts.delete(&digest).await.unwrap());
    assert!(!artifacts.delete(&digest).await.unwrap());
    assert_eq!(artifacts.get(&digest).await.unwrap(), None);
}

pub(crate) async fn lists_are_in_order_and_in_pages(store: &Store) {
    let artifacts = &*store.artifacts;
    let mut digests = Vec::new();
    for nth in 0..5 {
        digests.push(store_whole(artifacts, format!("component {nth}").as_bytes()).await);
    }
    digests.sort_unstable();
    let mut listed = Vec::new();
    loop {
        let page = artifacts.list(listed.last(), 2).await.unwrap();
        assert!(page.iter().all(|info| info.size_bytes == 11));
        listed.extend(page.iter().map(|info| info.digest));
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(listed, digests);
}

pub(crate) async fn uploads_of_one_artifact_do_not_meet(store: &Store) {
    let artifacts = &*store.artifacts;
    let bytes = vec![7; 300_000];
    let uploads = (0..8).map(|_| store_whole(artifacts, &bytes));
    let digests = futures::future::join_all(uploads).await;
    let read = artifacts.get(&digests[0]).await.unwrap().unwrap();
    assert!(read == bytes);
    assert_eq!(artifacts.list(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn there_is_no_more_room_than_there_is(store: &Store) {
    let room = store.artifacts.room().await.unwrap();
    assert!(room.total_bytes > 0);
    assert!(room.free_bytes <= room.total_bytes, "{room:?}");
}
