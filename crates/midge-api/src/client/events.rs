//! Server-sent events out of a stream of bytes.
//!
//! Decides where one ends and what its data is; comments, ids and names are passed over.
//!
//! **Invariant:** how the bytes are cut into pieces makes no difference, and no more than one
//! event's bytes are kept.

use bytes::BytesMut;

/// The longest event: a line of a function is far shorter.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Bytes that have come and events that are not yet taken.
#[derive(Debug, Default)]
pub(super) struct Events {
    bytes: BytesMut,
    data: Vec<u8>,
}

/// An event without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub(super) struct EventTooLong;

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The data of the next whole event, if it has come.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, EventTooLong> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line = self.bytes.split_to(end + 1);
            let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
            if line.is_empty() && !self.data.is_empty() {
                return Ok(Some(std::mem::take(&mut self.data)));
            }
            if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                let data = data.strip_prefix(b" ").unwrap_or(data);
                self.data.extend_from_slice(data);
            }
            self.check()?;
        }
        self.check()?;
        Ok(None)
    }

    fn check(&self) -> Result<(), EventTooLong> {
        // What is whole is taken before more is pushed, so these bytes belong to one event.
        if self.bytes.len().max(self.data.len()) > EVENT_BYTES_MAX {
            return Err(EventTooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        let mut read = Vec::new();
        for piece in pieces {
            events.push(piece);
            while let Some(data) = events.next().unwrap() {
                read.push(String::from_utf8_lossy(&data).into_owned());
            }
        }
        read
    }

    #[test]
    fn comments_and_other_fields_are_passed_over() {
        let text =
            b": alive\n\nid: 7\nevent: line\ndata: one\ndata:two\n\ndata: three\r\n\r\ndata: cut";
        assert_eq!(read(&[text]), ["one\ntwo", "three"]);
    }

    #[test]
    fn an_event_without_an_end_is_an_error() {
        let mut events = Events::default();
        for _ in 0..=16 {
            events.push(&[b'x'; 64 << 10]);
        }
        assert_eq!(events.next(), Err(EventTooLong));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(data: [ab]{0,3}\n|: c\n|\n|\r\n){0,12}", cut in 1_usize..5) {
            let whole = read(&[text.as_bytes()]);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(read(&pieces), whole);
        }
    }
}
