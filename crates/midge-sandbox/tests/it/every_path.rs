//! Every way out of a guest, in every contract, with and without its grant: one table, so that no
//! pair is forgotten.
//!
//! The only trigger there is yet is a request, which is how each row is run; another trigger is
//! another column here. `wasi:config` has a guest of its own and its tests in `files.rs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use midge_model::{DirGrant, Grants, Policy, SecretExposure, SecretGrant};
use midge_sandbox::DnsConfig;
use midge_testkit::{DnsServer, Upstream};

use crate::kit::Guest;

/// A guest of each contract that can take every step its WASI version has.
const CONTRACTS: [&str; 5] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command01-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

/// What preview 1 has no calls for.
const NOT_IN_PREVIEW_1: [&str; 6] = ["fetch", "tcp", "name-tcp", "udp", "dns", "listen"];

/// One way out: the step that takes it, and the grant that opens it.
struct Way {
    step: String,
    grant: Box<dyn Fn(&mut Grants)>,
}

fn way(step: impl Into<String>, grant: impl Fn(&mut Grants) + 'static) -> Way {
    Way {
        step: step.into(),
        grant: Box::new(grant),
    }
}

/// Somebody to reach on every way. What serves ends with the test's process.
struct World {
    upstream: Upstream,
    names: DnsServer,
    tcp_port: u16,
    udp_port: u16,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let names = DnsServer::start();
        names.answer("near.test", &[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f"), "here").unwrap();
        Self {
            upstream: Upstream::start(),
            names,
            tcp_port: answers_lines(),
            udp_port: answers_datagrams(),
            folder,
        }
    }

    fn ways(&self) -> Vec<Way> {
        let url = format!("http://127.0.0.1:{}", self.upstream.port());
        let tcp = format!("127.0.0.1:{}", self.tcp_port);
        let named = format!("near.test:{}", self.tcp_port);
        let udp = format!("127.0.0.1:{}", self.udp_port);
        let folder = self.folder.path().display().to_string();
        let dir =
            move |mode: &str| -> DirGrant { format!("{folder}:/data:{mode}").parse().unwrap() };
        let (read, write) = (dir("ro"), dir("rw"));
        let secret = || SecretGrant::new("KEY", SecretExposure::Env).unwrap();
        let variable = || ("PLAIN".to_owned(), "text".to_owned());
        vec![
            way(format!("fetch={url}/"), move |own| {
                own.http.push(url.parse().unwrap())
            }),
            way(format!("tcp={tcp}"), move |own| {
                own.tcp.push(tcp.parse().unwrap())
            }),
            way(format!("name-tcp={named}"), move |own| {
                own.tcp.push(named.parse().unwrap())
            }),
            way(format!("udp={udp}"), move |own| {
                own.udp.push(udp.parse().unwrap())
            }),
            way("dns=near.test", |own| {
                own.dns.push("near.test".parse().unwrap())
            }),
            way("listen=127.0.0.1:0", |own| {
                own.listen.push("127.0.0.1:*".parse().unwrap())
            }),
            way("read=/data/f", move |own| own.dirs.push(read.clone())),
            way("write=/data/g", move |own| own.dirs.push(write.clone())),
            way("write=/tmp/t", |own| own.tmp_bytes = Some(1 << 20)),
            way("env=PLAIN", move |own| own.env.extend([variable()])),
            way("env=KEY", move |own| own.secrets.push(secret())),
        ]
    }

    /// What a guest with these grants says about the step.
    fn ask(&self, contract: &str, step: &str, grant: impl FnOnce(&mut Grants)) -> String {
        let server = self.names.address();
        let near = ["near.test".parse().unwrap()];
        let reply = Guest::of(contract)
            .powers(|powers| {
                powers.policy = Policy::operator().with_private(&near);
                powers.dns = DnsConfig::Servers(vec![server]);
            })
            .secret("KEY", "s3cret")
            .grants(grant)
            .get(&format!("/?{step}"))
            .expect("a refusal is no reason not to answer");
        assert_eq!(reply.status, 200, "{contract} {step}");
        reply.text().trim().to_owned()
    }
}

#[test]
fn every_way_out_is_closed_without_its_grant_and_open_with_it() {
    let world = World::new();
    for contract in CONTRACTS {
        for Way { step, grant } in world.ways() {
            let (action, _) = step.split_once('=').unwrap();
            let exists = contract != "command01-probe.wasm" || !NOT_IN_PREVIEW_1.contains(&action);
            let without = world.ask(contract, &step, |_| {});
            assert!(
                without.starts_with("error "),
                "{contract} {step}: {without}"
            );
            let with = world.ask(contract, &step, grant);
            assert_eq!(with.starts_with("ok"), exists, "{contract} {step}: {with}");
        }
    }
}

/// No grant opens another way than its own.
#[test]
fn no_grant_opens_another_way() {
    let world = World::new();
    for contract in CONTRACTS {
        for (index, Way { step, .. }) in world.ways().into_iter().enumerate() {
            let others = move |own: &mut Grants, all: Vec<Way>| {
                let kin = |at: usize| matches!((index, at), (2, 4) | (4, 2) | (6, 7) | (7, 6));
                for (at, other) in all.iter().enumerate() {
                    // A name that may be connected to may be looked up, and a folder that may be
                    // written may be read.
                    if at != index && !kin(at) {
                        (other.grant)(own);
                    }
                }
            };
            let said = world.ask(contract, &step, |own| others(own, world.ways()));
            assert!(said.starts_with("error "), "{contract} {step}: {said}");
        }
    }
}

/// Answers each connection's first line with `pong`.
fn answers_lines() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let heard = BufReader::new(&stream).read_line(&mut line);
            // A guest that left is not this thread's failure.
            drop(heard.and_then(|_| stream.write_all(b"pong\n")));
        }
    });
    port
}

/// Answers each datagram with `pong`.
fn answers_datagrams() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(b"pong", from));
        }
    });
    port
}
