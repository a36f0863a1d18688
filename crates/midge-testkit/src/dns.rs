//! A name server that says what a test told it to, and remembers what it was asked.
//!
//! Answers A and AAAA questions over UDP, one after the other; names it was not told
//! of do not exist. Unless told otherwise its answers may not be kept, so that each
//! question is asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Length of the header of a message, and the reference to a name that stands behind it.
const HEADER_BYTES: usize = 12;
const NAME_IN_QUESTION: [u8; 2] = [0xC0, 12];

const KIND_A: u16 = 1;
const KIND_AAAA: u16 = 28;

/// Second half of the flags: "recursion available", and the two answers that are given.
const FOUND: u8 = 0x80;
const NO_SUCH_NAME: u8 = 0x83;

/// A running name server; it ends when dropped.
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Zone {
    names: HashMap<String, Answers>,
    asked: Vec<String>,
    ttl_seconds: u32,
    ended: bool,
}

enum Answers {
    /// One after the other, the last one for ever. Counted for each kind of address.
    Given {
        turns: Vec<Vec<IpAddr>>,
        asked: HashMap<u16, usize>,
    },
    Silence,
}

impl DnsServer {
    /// A name server on a port of its own.
    ///
    /// # Panics
    ///
    /// There is no port left.
    pub fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        let zone = Arc::<Mutex<Zone>>::default();
        let thread = std::thread::spawn({
            let zone = Arc::clone(&zone);
            move || serve(&socket, &zone)
        });
        Self {
            address,
            zone,
            thread: Some(thread),
        }
    }

    /// Where to ask it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses.
    pub fn answer(&self, name: &str, addresses: &[IpAddr]) {
        self.answer_in_turn(name, &[addresses]);
    }

    /// From now on `name` has the first of these on the first question, and so on; after that the
    /// last for ever. This is how a name is rebound.
    pub fn answer_in_turn(&self, name: &str, turns: &[&[IpAddr]]) {
        let turns = turns.iter().map(|addresses| addresses.to_vec()).collect();
        let asked = HashMap::new();
        self.tell(name, Answers::Given { turns, asked });
    }

    /// From now on questions for `name` get no answer at all.
    pub fn ignore(&self, name: &str) {
        self.tell(name, Answers::Silence);
    }

    /// From now on answers may be kept for so long.
    pub fn answers_may_be_kept(&self, seconds: u32) {
        lock(&self.zone).ttl_seconds = seconds;
    }

    /// The names that were asked for until now, with the kind of address: `a.test A`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.zone).asked.clone()
    }

    fn tell(&self, name: &str, answers: Answers) {
        lock(&self.zone).names.insert(name.to_owned(), answers);
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        lock(&self.zone).ended = true;
        // Wakes it; if that fails there is nobody to wake.
        drop(
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|own| own.send_to(&[], self.address)),
        );
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut question = [0; 4096];
    while let Ok((bytes, from)) = socket.recv_from(&mut question) {
        let mut zone = lock(zone);
        if zone.ended {
            return;
        }
        if let Some(answer) = zone.answer(&question[..bytes]) {
            // Who asked may have left meanwhile.
            drop(socket.send_to(&answer, from));
        }
    }
}

impl Zone {
    /// The answer to a message with one question, if it gets any.
    fn answer(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, question, kind) = read_question(message)?;
        let kind_name = match kind {
            KIND_A => "A",
            KIND_AAAA => "AAAA",
            _ => "?",
        };
        self.asked.push(format!("{name} {kind_name}"));
        let (code, addresses) = match self.names.get_mut(&name) {
            None => (NO_SUCH_NAME, Vec::new()),
            Some(Answers::Silence) => return None,
            Some(Answers::Given { turns, asked }) => {
                let turn = asked.entry(kind).or_default();
                let addresses = turns.get(*turn).or(turns.last()).cloned();
                *turn += 1;
                (FOUND, addresses.unwrap_or_default())
            }
        };
        let records: Vec<_> = addresses
            .into_iter()
            .filter(|address| kind == if address.is_ipv4() { KIND_A } else { KIND_AAAA })
            .collect();
        let count = u16::try_from(records.len()).ok()?;
        let mut answer = message[..2].to_vec();
        answer.extend([0x81, code, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(question);
        for address in records {
            write_record(&mut answer, (kind, self.ttl_seconds), address);
        }
        Some(answer)
    }
}

/// The name asked for in lower case, the bytes of the whole question, and the kind of record.
fn read_question(message: &[u8]) -> Option<(String, &[u8], u16)> {
    let mut rest = message.get(HEADER_BYTES..)?;
    let mut labels = Vec::new();
    loop {
        let (&length, behind) = rest.split_first()?;
        if length == 0 {
            rest = behind;
            break;
        }
        let (label, behind) = behind.split_at_checked(usize::from(length))?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = behind;
    }
    let kind = u16::from_be_bytes(*rest.first_chunk()?);
    let end = message.len() - rest.len() + 4;
    Some((labels.join("."), message.get(HEADER_BYTES..end)?, kind))
}

/// A record of the name in the question.
fn write_record(message: &mut Vec<u8>, (kind, ttl_seconds): (u16, u32), address: IpAddr) {
    let data = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    message.extend(NAME_IN_QUESTION);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]); // class: internet
    message.extend(ttl_seconds.to_be_bytes());
    message.extend([0, if address.is_ipv4() { 4 } else { 16 }]);
    message.extend(data);
}
