//! The header block at the start of what a command writes.
//!
//! A block is lines of `name: value` up to an empty line, at least one of them
//! `Content-Type`, `Location` or `Status` (RFC 3875 section 6.3). Anything else is plain
//! output, so that a program that just prints is an HTTP function too; that is decided
//! at the first byte that cannot belong to a block. A `Location` without a `Status` is a
//! 302; the RFC's local redirect is sent to the client too, because a guest must not
//! choose which other function runs.
//!
//! **Invariant:** the result depends on the bytes only, never on how they were cut.

use std::mem;
use std::ops::Range;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::is_hop_by_hop;

/// The longest header block in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most fields in a header block.
pub const HEAD_FIELDS_MAX: usize = 100;

/// A response's head, and the body bytes that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// 200 unless the command said otherwise.
    pub status: StatusCode,
    /// What the client gets, without headers that would frame the message.
    pub headers: HeaderMap,
    /// The body's first bytes: for plain output, everything so far.
    pub rest: Vec<u8>,
}

/// Why a header block cannot be sent on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// No empty line in sight.
    #[error(
        "header block is longer than {HEAD_BYTES_MAX} bytes, is the empty line after it missing?"
    )]
    TooLong,
    /// Too many lines.
    #[error("header block has more than {HEAD_FIELDS_MAX} fields")]
    TooManyFields,
    /// `Status` is not a final status code.
    #[error("status `{}` is not a code from 200 to 599, write for example `404 Not Found`", .value.escape_debug())]
    BadStatus {
        /// What the command wrote.
        value: String,
    },
    /// A value that no HTTP header has.
    #[error("header `{name}` has a value that HTTP does not allow")]
    BadValue {
        /// The header.
        name: String,
    },
    /// A header that makes sense only once.
    #[error("header `{name}` is given twice")]
    Repeated {
        /// The header.
        name: String,
    },
}

/// Finds the head in a command's output as it comes in.
///
/// After `push` has given a head, what follows is body: drop the parser.
#[derive(Debug, Default)]
pub struct HeadParser {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Where the line that is being read starts.
    line_start: usize,
    /// Where its value starts, once its colon has been seen.
    value_start: Option<usize>,
    /// How far the line has been looked at, so that no byte is looked at twice.
    seen: usize,
    has_cgi_field: bool,
}

#[derive(Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// What the bytes so far amount to.
enum Reading {
    /// It takes more bytes to tell.
    Undecided,
    /// Not a header block.
    Plain,
    /// A header block; the body starts at this byte.
    Block(usize),
    /// Over a bound.
    Over(HeadError),
}

impl HeadParser {
    /// Takes more output; gives the head as soon as it is complete.
    ///
    /// # Errors
    ///
    /// A header block that cannot be sent on: the invocation has no response.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Head>, HeadError> {
        self.bytes.extend_from_slice(bytes);
        match self.read() {
            Reading::Undecided => Ok(None),
            Reading::Block(body_start) if self.has_cgi_field => self.head(body_start).map(Some),
            Reading::Over(error) if self.has_cgi_field => Err(error),
            Reading::Block(_) | Reading::Over(_) | Reading::Plain => Ok(Some(self.plain())),
        }
    }

    /// The head of output that ended before its header block did: it is plain.
    ///
    /// # Errors
    ///
    /// None today; a caller treats one like an error of [`HeadParser::push`].
    pub fn finish(mut self) -> Result<Head, HeadError> {
        Ok(self.plain())
    }

    /// Reads on where the last call stopped.
    fn read(&mut self) -> Reading {
        let window_end = self.bytes.len().min(HEAD_BYTES_MAX);
        loop {
            let step = match self.value_start {
                None => self.read_name(window_end),
                Some(value_start) => self.read_value(value_start, window_end),
            };
            match step {
                Some(Reading::Undecided) if self.bytes.len() > HEAD_BYTES_MAX => {
                    return Reading::Over(HeadError::TooLong);
                }
                Some(reading) => return reading,
                None => {}
            }
        }
    }

    /// Reads a line up to its colon; `None` means that it was found.
    fn read_name(&mut self, window_end: usize) -> Option<Reading> {
        let unseen = &self.bytes[self.seen..window_end];
        let Some(name_bytes) = unseen.iter().position(|byte| !is_token(*byte)) else {
            self.seen = window_end;
            return Some(Reading::Undecided);
        };
        self.seen += name_bytes;
        let is_empty = self.seen == self.line_start;
        match &self.bytes[self.seen..window_end] {
            [b':', ..] if !is_empty => {
                self.seen += 1;
                self.value_start = Some(self.seen);
                None
            }
            [b'\n', ..] if is_empty => Some(Reading::Block(self.seen + 1)),
            [b'\r', b'\n', ..] if is_empty => Some(Reading::Block(self.seen + 2)),
            [b'\r'] if is_empty => Some(Reading::Undecided),
            _ => Some(Reading::Plain),
        }
    }

    /// Reads a line from its colon to its end; `None` means that it was found.
    fn read_value(&mut self, value_start: usize, window_end: usize) -> Option<Reading> {
        let unseen = &self.bytes[self.seen..window_end];
        let Some(value_bytes) = unseen.iter().position(|byte| *byte == b'\n') else {
            self.seen = window_end;
            return Some(Reading::Undecided);
        };
        let line_end = self.seen + value_bytes;
        if self.fields.len() == HEAD_FIELDS_MAX {
            return Some(Reading::Over(HeadError::TooManyFields));
        }
        let field = Field {
            name: self.line_start..value_start - 1,
            value: value_start..line_end,
        };
        self.has_cgi_field |= is_cgi_field(&self.bytes[field.name.clone()]);
        self.fields.push(field);
        self.seen = line_end + 1;
        self.line_start = self.seen;
        self.value_start = None;
        None
    }

    fn head(&mut self, body_start: usize) -> Result<Head, HeadError> {
        let Self {
            mut bytes, fields, ..
        } = mem::take(self);
        let mut status = None;
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        for field in &fields {
            let name = &bytes[field.name.clone()];
            let value = bytes[field.value.clone()].trim_ascii();
            if name.eq_ignore_ascii_case(b"status") {
                if status.replace(parse_status(value)?).is_some() {
                    return Err(HeadError::Repeated {
                        name: "status".to_owned(),
                    });
                }
                continue;
            }
            let name = HeaderName::from_bytes(name).map_err(|_| bad_value(name))?;
            if is_hop_by_hop(&name) {
                continue;
            }
            append(&mut headers, name, value)?;
        }
        let redirects = headers.contains_key(LOCATION);
        let status = status.unwrap_or(if redirects {
            StatusCode::FOUND
        } else {
            StatusCode::OK
        });
        let rest = bytes.split_off(body_start);
        Ok(Head {
            status,
            headers,
            rest,
        })
    }

    fn plain(&mut self) -> Head {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        Head {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, text)]),
            rest: mem::take(self).bytes,
        }
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) -> Result<(), HeadError> {
    let single = [CONTENT_TYPE, LOCATION, CONTENT_LENGTH];
    if single.contains(&name) && headers.contains_key(&name) {
        return Err(HeadError::Repeated {
            name: name.to_string(),
        });
    }
    // The server frames the response by this one, so it must not be left to interpretation.
    if name == CONTENT_LENGTH && !is_length(value) {
        return Err(HeadError::BadValue {
            name: name.to_string(),
        });
    }
    let value = HeaderValue::from_bytes(value).map_err(|_| bad_value(name.as_str().as_bytes()))?;
    headers.append(name, value);
    Ok(())
}

fn is_length(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit)
        && str::from_utf8(value).is_ok_and(|digits| digits.parse::<u64>().is_ok())
}

fn bad_value(name: &[u8]) -> HeadError {
    HeadError::BadValue {
        name: String::from_utf8_lossy(name).into_owned(),
    }
}

/// `404 Not Found`: three digits, then whatever. Informational codes are not final, and
/// codes over 599 mean nothing to any client.
fn parse_status(value: &[u8]) -> Result<StatusCode, HeadError> {
    let digits = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let code = match StatusCode::from_bytes(digits) {
        Ok(code) if (200..600).contains(&code.as_u16()) => Some(code),
        _ => None,
    };
    code.ok_or_else(|| {
        let value = value.iter().take(80).copied().collect::<Vec<_>>();
        HeadError::BadStatus {
            value: String::from_utf8_lossy(&value).into_owned(),
        }
    })
}

fn is_cgi_field(name: &[u8]) -> bool {
    ["content-type", "location", "status"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The characters of a header's name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
