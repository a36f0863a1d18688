//! Every limit of an instance holds.

use http::Request;
use midge_model::{Blame, DirGrant, Outcome, Refusal};
use midge_sandbox::{LoadError, RequestBody};

use crate::kit::{Guest, invoke, reply};

const MIB: u64 = 1 << 20;

#[test]
fn memory_without_end_is_stopped_at_the_limit() {
    let guest = Guest::of("http02-alloc.wasm").limits(|limits| limits.memory_bytes = 16 * MIB);
    let ended = guest.get("/?mb=all").unwrap_err();
    assert_eq!(
        ended,
        Outcome::OutOfMemory {
            limit_bytes: 16 * MIB
        }
    );
}

#[test]
fn memory_below_the_limit_is_given_and_counted() {
    let guest = Guest::of("http02-alloc.wasm").limits(|limits| limits.memory_bytes = 32 * MIB);
    let reply = guest.get("/?mb=8").unwrap();
    assert_eq!(reply.status, 200);
    assert!(
        (8 * MIB..32 * MIB).contains(&reply.memory_peak_bytes),
        "{}",
        reply.memory_peak_bytes
    );
}

#[test]
fn a_limit_below_what_a_guest_starts_with_is_out_of_memory() {
    let guest = Guest::of("http02-echo.wasm").limits(|limits| limits.memory_bytes = 64 << 10);
    assert_eq!(guest.get("/").unwrap_err().code(), "out-of-memory");
}

#[test]
fn tables_count_against_the_memory_limit() {
    let guest = Guest::of("http02-tables.wasm").limits(|limits| limits.memory_bytes = 4 * MIB);
    assert_eq!(guest.get("/").unwrap_err().code(), "out-of-memory");
}

#[test]
fn two_memories_share_the_limit() {
    let guest = Guest::of("http02-memory-two.wasm").limits(|limits| limits.memory_bytes = 4 * MIB);
    let got_mib: u64 = guest.get("/").unwrap().text().parse().unwrap();
    assert!(
        (1..4).contains(&got_mib),
        "{got_mib} MiB of 4 in two memories"
    );
}

#[test]
fn a_declared_body_beyond_the_limit_never_starts_the_guest() {
    let guest = Guest::of("http02-echo.wasm").limits(|limits| limits.request_body_bytes = 10);
    let ended = guest.post("/", "more than ten bytes").unwrap_err();
    assert_eq!(
        ended,
        Outcome::Refused(Refusal::BodyTooLarge { limit_bytes: 10 })
    );
}

#[test]
fn too_many_response_headers_are_the_guests_error_and_no_panic() {
    let ended = Guest::of("http02-big-headers.wasm").get("/?n=40000&size=10");
    let outcome = ended.unwrap_err();
    assert_eq!(outcome.blame(), Some(Blame::Guest), "{outcome:?}");
}

#[test]
fn a_request_for_too_much_randomness_is_the_guests_error() {
    let ended = Guest::of("http02-random.wasm").get("/?n=10000000");
    let outcome = ended.unwrap_err();
    assert_eq!(outcome.blame(), Some(Blame::Guest), "{outcome:?}");
}

#[test]
fn nothing_is_in_the_environment_but_what_was_granted() {
    let reply = Guest::of("http02-env.wasm").get("/").unwrap();
    assert_eq!(reply.text().trim(), "");
    let granted = Guest::of("http02-env.wasm").grants(|grants| {
        grants.env.insert("LOG".to_owned(), "info".to_owned());
    });
    assert_eq!(granted.get("/").unwrap().text().trim(), "LOG=info");
}

#[test]
fn a_folder_is_there_only_if_granted_and_only_as_granted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("note"), "hello").unwrap();
    let read = "/?file=/data/note&op=read";
    let write = "/?file=/data/new&op=write";
    let with = |mode: &str| {
        let grant: DirGrant = format!("{}:/data:{mode}", dir.path().display())
            .parse()
            .unwrap();
        Guest::of("http02-env.wasm").grants(|grants| grants.dirs.push(grant))
    };
    let refused = |guest: Guest, path| guest.get(path).unwrap().text().starts_with("error: ");
    assert!(refused(Guest::of("http02-env.wasm"), read));
    assert_eq!(with("ro").get(read).unwrap().text(), "hello");
    assert!(refused(with("ro"), write));
    assert!(!dir.path().join("new").exists());
    assert!(!refused(with("rw"), write));
    assert!(dir.path().join("new").exists());
}

/// What a guest with write access above a granted folder could do between two requests.
#[test]
fn a_granted_folder_stays_the_one_that_was_granted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let (inner, moved) = (dir.join("inner"), dir.join("moved"));
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("mine"), "").unwrap();
    let guest = || {
        let grant: DirGrant = format!("{}:/data:ro", inner.display()).parse().unwrap();
        Guest::of("http02-env.wasm").grants(|grants| grants.dirs.push(grant))
    };
    guest().run(async |function| {
        std::fs::rename(&inner, &moved).unwrap();
        std::os::unix::fs::symlink("/", &inner).unwrap();
        let request = Request::get("/?op=list&file=/data").body(RequestBody::empty());
        let answer = invoke(&function, request.unwrap()).await.unwrap();
        assert_eq!(reply(answer).await.unwrap().text(), "mine\n");
    });
    // A worker that starts now must not follow the link either.
    let refused = guest().try_load();
    assert!(matches!(refused, Err(LoadError::Folder { .. })));
}

#[test]
fn no_path_leads_out_of_a_granted_folder() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    let name = outside
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for path in [
        "/data/link/secret".to_owned(),
        "/data/link/../link/secret".to_owned(),
        format!("/data/../{name}/secret"),
        format!("{}/secret", outside.path().display()),
        "/data/link/./secret/".to_owned(),
    ] {
        let grant: DirGrant = format!("{}:/data:rw", dir.path().display())
            .parse()
            .unwrap();
        let guest = Guest::of("http02-env.wasm").grants(|grants| grants.dirs.push(grant));
        let reply = guest.get(&format!("/?file={path}&op=read")).unwrap();
        assert!(
            reply.text().starts_with("error: "),
            "{path}: {}",
            reply.text()
        );
    }
}
