//! Lines that are gathered arrive whole, in order, and none without being counted.

use std::io::Read as _;
use std::sync::mpsc::{self, Receiver, SyncSender};

use super::*;

/// Passes each write on; takes it when it is asked for.
struct Passes(SyncSender<Vec<u8>>);

impl Write for Passes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.send(bytes.to_vec());
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn passing(writes: usize) -> (Lines, Writing, Receiver<Vec<u8>>) {
    let (sender, written) = mpsc::sync_channel(writes);
    let (lines, writing) = start(Passes(sender));
    (lines, writing, written)
}

fn text(number: usize) -> String {
    format!("line {number} {}\n", "x".repeat(number % 300))
}

#[test]
fn a_write_is_whole_lines_that_a_pipe_takes_at_once() {
    const LINES: usize = 2_000;
    let (lines, writing, written) = passing(LINES);
    let mut all = String::new();
    for number in 0..LINES {
        lines.add(text(number).as_bytes());
        all += &text(number);
    }
    assert_eq!(writing.end(), 0);
    let writes: Vec<_> = written.try_iter().collect();
    for write in &writes {
        assert!(write.len() <= WRITE_BYTES_MAX && write.ends_with(b"\n"));
    }
    assert!(writes.len() < LINES / 4, "{} writes", writes.len());
    assert_eq!(String::from_utf8(writes.concat()).unwrap(), all);
}

#[test]
fn one_line_is_there_soon_without_another() {
    let (lines, _writing, written) = passing(1);
    for line in [&b"one\n"[..], b"two\n"] {
        lines.add(line);
        assert_eq!(written.recv().unwrap(), line);
    }
}

#[test]
fn a_line_longer_than_a_pipe_takes_is_one_write_of_its_own() {
    let (lines, writing, written) = passing(3);
    let long = [b'x'; WRITE_BYTES_MAX + 1];
    for line in [&b"before\n"[..], &long, b"after\n"] {
        lines.add(line);
    }
    assert_eq!(writing.end(), 0);
    let lengths: Vec<_> = written.try_iter().map(|write| write.len()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), long.len() + 13);
    assert!(lengths.contains(&long.len()), "{lengths:?}");
}

#[test]
fn who_adds_lines_never_waits_and_what_is_lost_is_counted() {
    // The reader takes nothing, until the log is over.
    let (lines, writing, written) = passing(0);
    let added = LINES_WAITING_MAX * 3;
    for number in 0..added {
        lines.add(format!("{number}\n").as_bytes());
    }
    let reader = std::thread::spawn(move || written.iter().collect::<Vec<_>>().concat());
    let lost = writing.end();
    drop((lines, writing));
    let read = String::from_utf8(reader.join().unwrap()).unwrap();
    let read = read.lines().map(|line| line.parse::<u64>().unwrap());
    let read: Vec<_> = read.collect();
    assert!(read.is_sorted());
    assert!(lost >= (LINES_WAITING_MAX) as u64, "{lost}");
    assert_eq!(read.len() as u64 + lost, added as u64);
}

#[test]
fn bytes_that_wait_are_bounded_too() {
    let (lines, writing, written) = passing(0);
    let long = vec![b'x'; BYTES_WAITING_MAX / 2 + 1];
    // One may be in the thread's hands.
    for _ in 0..4 {
        lines.add(&long);
    }
    drop(written);
    assert_eq!(writing.end(), 4, "nobody read any of them");
}

#[test]
fn a_closed_stderr_costs_lines_and_nothing_else() {
    let (lines, writing, written) = passing(0);
    drop(written);
    for number in 0..10 {
        lines.add(text(number).as_bytes());
    }
    assert_eq!(writing.end(), 10);
    lines.add(b"behind the end\n");
    assert_eq!(writing.end(), 11);
}

#[test]
fn what_a_thread_added_before_it_panicked_is_written() {
    let (lines, writing, written) = passing(1);
    let panicked = std::thread::spawn(move || {
        lines.add(b"last words\n");
        panic!("of a worker");
    });
    assert!(panicked.join().is_err());
    assert_eq!(writing.end(), 0);
    assert_eq!(written.recv().unwrap(), b"last words\n");
}

/// Two processes are two logs that share one pipe.
#[test]
fn lines_of_two_logs_on_one_pipe_do_not_mix() {
    const LINES: usize = 3_000;
    let (mut reader, writer) = io::pipe().unwrap();
    let logs = ["a", "b"].map(|name| {
        let (lines, writing) = start(writer.try_clone().unwrap());
        std::thread::spawn(move || {
            for number in 0..LINES {
                let line = format!("{name} {number} {}\n", name.repeat(number % 200));
                lines.add(line.as_bytes());
                if number % 100 == 0 {
                    std::thread::yield_now();
                }
            }
            writing.end()
        })
    });
    drop(writer);
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    for (log, name) in logs.into_iter().zip(["a", "b"]) {
        let lost = log.join().unwrap();
        assert_eq!(lost, 0);
        let of_it: Vec<_> = read.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(of_it.len(), LINES);
        for (number, line) in of_it.iter().enumerate() {
            assert_eq!(
                *line,
                format!("{name} {number} {}", name.repeat(number % 200))
            );
        }
    }
}
