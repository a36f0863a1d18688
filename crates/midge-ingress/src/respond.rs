//! One request, from its head to the head of its response.
//!
//! Reads top to bottom in the order in which things happen: record, prepare, dispatch, then the
//! guest's response made fit for the wire, or a problem in its place. The rest of the body, and the
//! end of the record, is `reply.rs`.
//!
//! **Invariant:** whatever the dispatcher says, the client gets exactly one well-formed response.

use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use midge_model::Outcome;
use midge_model::quantity::format_bytes;
use midge_runtime::{Aborted, Caller, InstanceUse, Receipt, RequestBody};

use crate::access::Record;
use crate::ahead::Ahead;
use crate::headers::{SERVER_TIMING, X_REQUEST_ID, strip_hop_by_hop};
use crate::listener::Handled;
use crate::render::Problem;
use crate::reply::Reply;
use crate::request::{Asked, Line, prepare};

/// Answers one request.
///
/// Dropping the future cancels the invocation; hyper does so when the client goes away.
pub(crate) async fn answer<D, B>(
    request: Box<Request<Incoming>>,
    line: &Rc<Line>,
    dispatch: &D,
) -> Response<Reply<B>>
where
    D: AsyncFn(Box<Request<RequestBody>>, &Caller) -> Handled<B>,
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    let (asked, mut record, request) = match begin(request, line) {
        Ok(begun) => begun,
        Err(refused) => {
            let (asked, mut record, problem) = *refused;
            record.end_at_the_door(problem.code);
            return refuse(&problem, &asked, record);
        }
    };
    let caller = Caller {
        peer: line.peer,
        local: line.local,
        https: line.https,
        request_id: asked.id.clone(),
    };
    let (addressee, result) = dispatch(request, &caller).await;
    record.addressee(addressee);
    let checked = result.and_then(|(response, receipt)| {
        let declared_bytes = check_head(&response)?;
        Ok((response, receipt, declared_bytes))
    });
    let outcome = match checked {
        Ok((response, receipt, declared_bytes)) => {
            return fit(response, declared_bytes, &receipt, &asked, record);
        }
        Err(outcome) => outcome,
    };
    let problem = Problem::of(&outcome);
    // Code that could not be loaded is ours too, and was told where that was found out.
    if let Outcome::Host { reason } = &outcome {
        tracing::error!(request_id = %asked.id, reason, "host fault");
    }
    record.end(outcome);
    refuse(&problem, &asked, record)
}

/// A request that a function can be asked. In a box, which everybody can hand on without keeping room
/// for what was in it.
type Begun = (Asked, Record, Box<Request<RequestBody>>);

/// Opens the record of a request and makes it fit for a function, or says what it lacks.
fn begin(
    request: Box<Request<Incoming>>,
    line: &Rc<Line>,
) -> Result<Begun, Box<(Asked, Record, Problem)>> {
    let (mut parts, body) = request.into_parts();
    let asked = Asked::read(&parts);
    let record = Record::begin(line, &parts.method, &parts.uri, &asked.id);
    match prepare(&mut parts, line, &asked.id_value) {
        Ok(()) => {
            let request = Request::from_parts(parts, RequestBody::from(body));
            Ok((asked, record, Box::new(request)))
        }
        Err(problem) => Err(Box::new((asked, record, problem))),
    }
}

/// Our answer in place of a function's.
fn refuse<B>(problem: &Problem, asked: &Asked, mut record: Record) -> Response<Reply<B>>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    record.status(problem.status);
    let (mut parts, body) = problem.response(asked.json, &asked.id).into_parts();
    finish_head(&mut parts.headers, asked, &record);
    let body = if asked.head_only {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Bytes::new()
    } else {
        body
    };
    Response::from_parts(parts, Reply::ours(body, record))
}

/// The length that a guest's response declares, if it can be sent at all.
fn check_head<B>(response: &Response<B>) -> Result<Option<u64>, Outcome> {
    let status = response.status();
    if status.is_informational() {
        // hyper would wait for the final one, which never comes.
        let reason = format!("the response has status {status}, which is not final");
        return Err(Outcome::Failed { reason });
    }
    declared_bytes(response.headers()).map_err(|reason| Outcome::Failed {
        reason: reason.to_owned(),
    })
}

/// Makes a guest's response fit for the wire.
fn fit<B>(
    response: Response<B>,
    declared_bytes: Option<u64>,
    receipt: &Receipt,
    asked: &Asked,
    mut record: Record,
) -> Response<Reply<B>>
where
    B: Body<Data = Bytes, Error = Aborted> + Unpin,
{
    let (mut parts, body) = response.into_parts();
    let bodiless = asked.head_only
        || parts.status == StatusCode::NO_CONTENT
        || parts.status == StatusCode::NOT_MODIFIED;
    strip_hop_by_hop(&mut parts.headers);
    match declared_bytes {
        // One field with one value, however often the guest said it.
        Some(bytes) if parts.status != StatusCode::NO_CONTENT => {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        _ => drop(parts.headers.remove(CONTENT_LENGTH)),
    }
    if record.line().door.config.receipt {
        parts.headers.append(SERVER_TIMING, server_timing(receipt));
    }
    finish_head(&mut parts.headers, asked, &record);
    record.status(parts.status);
    record.cost(receipt);

    let reply = if bodiless {
        // The guest goes on writing to nobody: the sandbox sees to that, and hyper would send it.
        record.end(Outcome::Responded);
        drop(body);
        Reply::ours(Bytes::new(), record)
    } else {
        let body = match declared_bytes {
            Some(_) => Ahead::unseen(body),
            None => Ahead::seen(body),
        };
        Reply::guest(body, record, declared_bytes, asked.version)
    };
    Response::from_parts(parts, reply)
}

/// What every response says, whoever made it.
fn finish_head(headers: &mut HeaderMap, asked: &Asked, record: &Record) {
    headers.insert(X_REQUEST_ID, asked.id_value.clone());
    // HTTP/2 says it with GOAWAY and forbids the field.
    if asked.version <= Version::HTTP_11 && record.line().door.tally.draining.get() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The length the guest declared, if any, and if it makes sense.
fn declared_bytes(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut declared = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let bytes = digits
            .and_then(|digits| digits.parse::<u64>().ok())
            .ok_or("the response has a content-length that is not a number")?;
        if declared.is_some_and(|before| before != bytes) {
            return Err("the response has two content-lengths that differ");
        }
        declared = Some(bytes);
    }
    Ok(declared)
}

/// What the invocation cost, as browsers and `curl` show it (Server-Timing, times in ms).
fn server_timing(receipt: &Receipt) -> HeaderValue {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1_000.0;
    let mut text = format!(
        "queue;dur={:.3}, instantiate;dur={:.3}, run;dur={:.3}, cpu;dur={:.3}, memory;desc=\"{}\"",
        ms(receipt.queue),
        ms(receipt.instantiate),
        ms(receipt.run),
        ms(receipt.cpu),
        format_bytes(receipt.memory_peak_bytes),
    );
    if let Some(InstanceUse { number, nth }) = receipt.instance {
        // Which one, and the how manieth time that it answers.
        write!(text, ", instance;desc=\"{number}\", nth;desc=\"{nth}\"")
            .expect("a String takes all writes");
    }
    HeaderValue::try_from(text).expect("numbers and units are visible ASCII")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_receipt_reads_in_milliseconds() {
        let receipt = Receipt {
            queue: Duration::from_micros(12),
            instantiate: Duration::from_nanos(7_400),
            run: Duration::from_millis(1_234),
            cpu: Duration::from_micros(56_700),
            memory_peak_bytes: 1_179_648,
            instance: None,
        };
        insta::assert_snapshot!(server_timing(&receipt).to_str().unwrap(), @r#"queue;dur=0.012, instantiate;dur=0.007, run;dur=1234.000, cpu;dur=56.700, memory;desc="1.1MiB""#);
        let kept = Receipt {
            instance: Some(InstanceUse { number: 7, nth: 3 }),
            ..receipt
        };
        insta::assert_snapshot!(server_timing(&kept).to_str().unwrap(), @r#"queue;dur=0.012, instantiate;dur=0.007, run;dur=1234.000, cpu;dur=56.700, memory;desc="1.1MiB", instance;desc="7", nth;desc="3""#);
    }

    fn check(values: &[&'static str]) -> Result<Option<u64>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(value));
        }
        declared_bytes(&headers)
    }

    #[test]
    fn a_declared_length_is_one_number() {
        assert_eq!(check(&[]), Ok(None));
        assert_eq!(check(&["5"]), Ok(Some(5)));
        assert_eq!(check(&["5", "5"]), Ok(Some(5)));
        assert!(check(&["5", "6"]).is_err());
        for odd in ["", "+5", "-1", "5, 5", "0x5", "99999999999999999999"] {
            assert!(check(&[odd]).is_err(), "{odd}");
        }
    }
}
