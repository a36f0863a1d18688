//! The resolver against a real name server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use midge_testkit::{DnsServer, wait_until_async};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

fn asking(servers: &[SocketAddr]) -> Resolver {
    Resolver::new(&DnsConfig::Servers(servers.to_vec())).unwrap()
}

async fn check(resolver: &Resolver, name: &str) -> String {
    match resolver.resolve(&host(name)).await {
        Ok(addresses) => {
            let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            texts.join(" ")
        }
        Err(error) => format!("error: {error}"),
    }
}

#[tokio::test]
async fn both_kinds_of_address_are_found_the_older_first() {
    let server = DnsServer::start();
    server.answer(
        "a.test",
        &[ip("2001:db8::1"), ip("192.0.2.1"), ip("192.0.2.2")],
    );
    let resolver = asking(&[server.address()]);
    assert_eq!(
        check(&resolver, "a.test").await,
        "192.0.2.1 192.0.2.2 2001:db8::1"
    );
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["a.test A", "a.test AAAA"]);
}

#[tokio::test]
async fn an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() {
    let server = DnsServer::start();
    server.answer("a.test", &[ip("::ffff:169.254.169.254")]);
    assert_eq!(
        check(&asking(&[server.address()]), "a.test").await,
        "169.254.169.254"
    );
}

#[tokio::test]
async fn a_name_that_is_not_there_is_not_found() {
    let server = DnsServer::start();
    server.answer("empty.test", &[]);
    let resolver = asking(&[server.address()]);
    assert_eq!(
        check(&resolver, "none.test").await,
        "error: there is no address of this name"
    );
    assert_eq!(
        check(&resolver, "empty.test").await,
        "error: there is no address of this name"
    );
}

#[tokio::test]
async fn nobody_is_asked_for_addresses_and_for_this_machine() {
    let server = DnsServer::start();
    let resolver = asking(&[server.address()]);
    assert_eq!(check(&resolver, "192.0.2.9").await, "192.0.2.9");
    assert_eq!(check(&resolver, "localhost").await, "127.0.0.1 ::1");
    assert_eq!(check(&resolver, "a.b.localhost").await, "127.0.0.1 ::1");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_short_name_is_asked_as_it_is() {
    let server = DnsServer::start();
    server.answer("db", &[ip("192.0.2.1")]);
    assert_eq!(check(&asking(&[server.address()]), "db").await, "192.0.2.1");
    assert!(server.asked().iter().all(|name| name.starts_with("db ")));
}

#[tokio::test]
async fn without_a_name_server_the_answer_says_so() {
    let answer = check(&asking(&[]), "a.test").await;
    assert_eq!(
        answer,
        "error: look-up failed: no name server is configured"
    );
}

#[tokio::test]
async fn an_answer_is_kept_only_if_it_may_be() {
    let server = DnsServer::start();
    server.answer_in_turn("a.test", &[&[ip("192.0.2.1")], &[ip("127.0.0.1")]]);
    let resolver = asking(&[server.address()]);
    assert_eq!(check(&resolver, "a.test").await, "192.0.2.1");
    assert_eq!(check(&resolver, "a.test").await, "127.0.0.1");

    server.answers_may_be_kept(60);
    server.answer_in_turn("b.test", &[&[ip("192.0.2.1")], &[ip("127.0.0.1")]]);
    assert_eq!(check(&resolver, "b.test").await, "192.0.2.1");
    assert_eq!(check(&resolver, "b.test").await, "192.0.2.1");
}

#[tokio::test]
async fn a_name_has_a_bounded_number_of_addresses() {
    let server = DnsServer::start();
    let many: Vec<_> = (1..=40)
        .map(|last| ip(&format!("192.0.2.{last}")))
        .collect();
    server.answer("a.test", &many);
    let addresses = asking(&[server.address()]).resolve(&host("a.test")).await;
    assert_eq!(addresses.unwrap().len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn a_silent_server_costs_a_bounded_time_and_bounded_descriptors() {
    let server = DnsServer::start();
    let resolver = asking(&[server.address()]);
    let (started, before) = (Instant::now(), open_sockets());
    let mut look_ups = JoinSet::new();
    // As many functions as it takes to fill all places, with twice the names each may ask for.
    for function in 0..LOOK_UPS_MAX / LOOK_UPS_OF_FUNCTION_MAX {
        let resolver = resolver.for_function();
        for number in 0..2 * LOOK_UPS_OF_FUNCTION_MAX {
            let name = format!("slow{function}-{number}.test");
            server.ignore(&name);
            let resolver = resolver.clone();
            look_ups.spawn(async move { resolver.resolve(&host(&name)).await });
        }
    }
    let mut most_open = 0;
    while !look_ups.is_empty() {
        let ended = timeout(Duration::from_millis(50), look_ups.join_next()).await;
        if let Ok(Some(answer)) = ended {
            assert_eq!(answer.unwrap(), Err(ResolveError::Timeout));
        }
        most_open = most_open.max(open_sockets() - before);
    }
    assert!(started.elapsed() < 10 * LOOK_UP_TIME_MAX);
    let (least, most) = (LOOK_UPS_MAX * 2, LOOK_UP_DESCRIPTORS_MAX);
    assert!((least..=most).contains(&most_open), "{most_open}");
}

/// How many sockets this process has open.
fn open_sockets() -> u32 {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:"));
    u32::try_from(sockets.count()).unwrap()
}

#[tokio::test]
async fn the_second_server_is_asked_when_the_first_is_silent() {
    let (silent, answering) = (DnsServer::start(), DnsServer::start());
    silent.ignore("a.test");
    answering.answer("a.test", &[ip("192.0.2.1")]);
    let resolver = asking(&[silent.address(), answering.address()]);
    assert_eq!(check(&resolver, "a.test").await, "192.0.2.1");
}

#[tokio::test]
async fn slow_names_of_one_function_leave_places_for_others() {
    let server = DnsServer::start();
    server.answer("quick.test", &[ip("192.0.2.1")]);
    let resolver = asking(&[server.address()]);
    let slow: Vec<_> = (0..4 * LOOK_UPS_MAX)
        .map(|number| format!("slow{number}.test"))
        .collect();
    slow.iter().for_each(|name| server.ignore(name));
    let waiting: Vec<_> = slow
        .iter()
        .map(|name| {
            let (resolver, name) = (resolver.clone(), host(name));
            AbortOnDropHandle::new(tokio::spawn(async move { resolver.resolve(&name).await }))
        })
        .collect();
    wait_until_async("its places are taken", async || {
        resolver.share.available_permits() == 0
    })
    .await;

    assert_eq!(
        check(&resolver.for_function(), "quick.test").await,
        "192.0.2.1"
    );
    drop(waiting);
    let all = LOOK_UPS_OF_FUNCTION_MAX as usize;
    wait_until_async("they are given back", async || {
        resolver.share.available_permits() == all
    })
    .await;
}

#[tokio::test]
async fn who_stops_asking_gives_back_the_place() {
    let server = DnsServer::start();
    server.ignore("slow.test");
    let resolver = asking(&[server.address()]);
    let name = host("slow.test");
    let look_up = resolver.resolve(&name);
    tokio::select! {
        _ = look_up => panic!("nobody answers"),
        () = wait_until_async("it is asked", async || !server.asked().is_empty()) => {}
    }
    let all = LOOK_UPS_OF_FUNCTION_MAX as usize;
    wait_until_async("it is given back", async || {
        resolver.share.available_permits() == all
    })
    .await;
}

#[test]
fn a_look_up_may_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let resolver = asking(&[]);
    check(resolver.resolve(&host("a.test")));
}
