//! Quotas over the real workers of a node: what each of them counts, all of them count.

use std::fs;
use std::path::Path;

use midge_testkit::{fixture, http};

use crate::kit::Site;

const QUOTA_BYTES: u64 = 1 << 20;

/// What a name counts beside the bytes of its file.
const ENTRY_BYTES: u64 = 4 << 10;

/// Requests at once: four times as much as fits.
const REQUESTS: usize = 60;
const FILE_BYTES: u64 = 64 << 10;

fn held_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len() + ENTRY_BYTES)
        .sum()
}

#[tokio::test]
async fn workers_fill_a_folder_together_and_no_further() {
    let component = fixture("http02-probe.wasm");
    let component = component.display();
    let site = Site::written(&format!(
        "[function.shop]\ncomponent = \"{component}\"\nroutes = [\"/*\"]\n\n[function.shop.allow]\n\
         dirs = [{{ host = \"data\", guest = \"/data\", mode = \"rw\", quota = \"1MiB\" }}]\n"
    ));
    let folder = site.path().join("data");
    fs::create_dir(&folder).unwrap();
    let midge = site.server().args(["--workers", "3"]).start();
    let address = midge.addr();
    let write = async |number: usize| {
        let path = format!("/?write=/data/{number}&bytes={FILE_BYTES}");
        let answer = http::get(address, &path).await.unwrap();
        let text = String::from_utf8(answer.body.unwrap().to_vec()).unwrap();
        assert!(
            text.starts_with("ok ") || text.starts_with("error quota"),
            "{text}"
        );
        text.starts_with("ok ")
    };
    for round in 0..3 {
        futures::future::join_all((0..REQUESTS).map(write)).await;
        let held = held_bytes(&folder);
        assert!(held <= QUOTA_BYTES, "round {round}: {held}");
        assert!(held > QUOTA_BYTES / 2, "round {round}: {held}");
        // Somebody else makes room, of which no guest tells anybody.
        for file in fs::read_dir(&folder).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        midge_testkit::wait_until_async("room is found", async || write(0).await).await;
    }
}
