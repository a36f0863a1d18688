//! The guest contracts: how a file wants to be run (DESIGN §4).
//!
//! Decides, from what a file exports, which of the contracts it follows. How each
//! is called stands in its own file: `http02.rs`, `http03.rs`, `command.rs`.

pub(crate) mod cgi;
pub(crate) mod command;
pub(crate) mod http02;
pub(crate) mod http03;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::Response;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::component;
use wasmtime_wasi::p2::bindings::CommandPre as Command02Pre;
use wasmtime_wasi::p3::bindings::CommandPre as Command03Pre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::body::GuestBody;
use crate::guest::{Guest, Guest01};
use crate::limits::Vitals;

/// How a file is run. Detected, never declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contract {
    /// Component exporting `wasi:http/incoming-handler@0.2.*`.
    Http02,
    /// Component exporting `wasi:http/handler@0.3.*`.
    Http03,
    /// Component exporting `wasi:cli/run@0.2.*`: a command that speaks CGI/1.1 (RFC 3875).
    Command02,
    /// Component exporting `wasi:cli/run@0.3.*`: the same with component-model async.
    Command03,
    /// Core module importing WASI preview 1 and exporting `_start`: a command, run as it is.
    Command01,
    /// Core module with an embedded component type: becomes a component when compiled.
    AdaptedModule,
}

impl Contract {
    /// The contract of a component with these exports; HTTP wins over command, and the
    /// newer version over the older, where a component offers several.
    pub(crate) fn of_exports(exports: &[&str]) -> Option<Self> {
        const KNOWN: &[(&str, Contract)] = &[
            ("wasi:http/handler@0.3.", Contract::Http03),
            ("wasi:http/incoming-handler@0.2.", Contract::Http02),
            ("wasi:cli/run@0.3.", Contract::Command03),
            ("wasi:cli/run@0.2.", Contract::Command02),
        ];
        KNOWN
            .iter()
            .find(|(prefix, _)| exports.iter().any(|export| is_release(prefix, export)))
            .map(|&(_, contract)| contract)
    }
}

/// Whether an export is of the release that `prefix` names. A release candidate
/// (`0.3.0-rc-2026-03-15`) is another interface with the same beginning.
fn is_release(prefix: &str, export: &str) -> bool {
    export
        .strip_prefix(prefix)
        .is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http02 => "HTTP handler, WASI 0.2",
            Self::Http03 => "HTTP handler, WASI 0.3",
            Self::Command02 => "command (CGI), WASI 0.2",
            Self::Command03 => "command (CGI), WASI 0.3",
            Self::Command01 => "command (CGI), WASI preview 1 core module",
            Self::AdaptedModule => "core module with an embedded component type",
        })
    }
}

/// A function's code, linked and ready to be instantiated.
pub(crate) enum Program {
    /// Takes a request and gives a response.
    Http(Rc<HttpProgram>),
    /// Takes CGI variables and stdin, and gives stdout.
    Command(Rc<CommandProgram>),
}

/// The HTTP contracts.
pub(crate) enum HttpProgram {
    V02(ProxyPre<Guest>),
    V03(ServicePre<Guest>),
}

/// The command contracts.
pub(crate) enum CommandProgram {
    Preview1(wasmtime::InstancePre<Guest01>),
    V02(Command02Pre<Guest>),
    V03(Command03Pre<Guest>),
}

impl Program {
    /// A component's program, by the contract that its exports follow.
    pub(crate) fn of_component(pre: component::InstancePre<Guest>) -> wasmtime::Result<Self> {
        let of_component = pre.component().component_type();
        let exports: Vec<_> = of_component
            .exports(pre.engine())
            .map(|(name, _)| name)
            .collect();
        Ok(match Contract::of_exports(&exports) {
            Some(Contract::Http02) => HttpProgram::V02(ProxyPre::new(pre)?).into(),
            Some(Contract::Http03) => HttpProgram::V03(ServicePre::new(pre)?).into(),
            Some(Contract::Command02) => CommandProgram::V02(Command02Pre::new(pre)?).into(),
            Some(Contract::Command03) => CommandProgram::V03(Command03Pre::new(pre)?).into(),
            Some(Contract::Command01 | Contract::AdaptedModule) | None => {
                wasmtime::bail!("the component exports none of the functions Midge can call")
            }
        })
    }
}

impl From<HttpProgram> for Program {
    fn from(program: HttpProgram) -> Self {
        Self::Http(Rc::new(program))
    }
}

impl From<CommandProgram> for Program {
    fn from(program: CommandProgram) -> Self {
        Self::Command(Rc::new(program))
    }
}

/// What the guest said first: a response, or why there is none.
pub(crate) type GuestHead = Result<Response<GuestBody>, String>;

/// Where a running guest's response goes, and where its start is noted.
pub(crate) struct HeadSender {
    sender: oneshot::Sender<GuestHead>,
    started: Instant,
    vitals: Arc<Vitals>,
}

impl HeadSender {
    pub(crate) fn new(sender: oneshot::Sender<GuestHead>, vitals: Arc<Vitals>) -> Self {
        Self {
            sender,
            started: Instant::now(),
            vitals,
        }
    }

    /// Notes how long instantiation took and hands the instance on.
    fn instantiated<T>(&self, instance: wasmtime::Result<T>) -> wasmtime::Result<T> {
        self.vitals.note_instantiated(self.started.elapsed());
        instance
    }

    /// Nobody listening means that the client has gone; the invocation is being cancelled.
    fn send(self, response: Response<GuestBody>) {
        drop(self.sender.send(Ok(response)));
    }

    /// The guest answered with an error code in place of a response.
    fn fail(self, error_code: &impl fmt::Debug) {
        drop(self.sender.send(Err(clipped(error_code))));
    }
}

/// What is kept of an error code: some carry text that a guest chose.
const ERROR_CODE_BYTES_MAX: usize = 512;

/// The beginning of a value's debug form; the rest is never made.
pub(crate) fn clipped(value: &impl fmt::Debug) -> String {
    struct Clipped(String);

    impl fmt::Write for Clipped {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room_bytes = ERROR_CODE_BYTES_MAX.saturating_sub(self.0.len());
            let kept = &text[..text.floor_char_boundary(room_bytes)];
            self.0.push_str(kept);
            // An error ends the formatting.
            if kept.len() < text.len() {
                Err(fmt::Error)
            } else {
                Ok(())
            }
        }
    }

    let mut clipped = Clipped(String::new());
    if fmt::write(&mut clipped, format_args!("{value:?}")).is_err() {
        clipped.0.push('…');
    }
    clipped.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_code_is_told_in_bounded_text() {
        assert_eq!(clipped(&Some("é")), r#"Some("é")"#);
        let long = clipped(&"x\n".repeat(1 << 20));
        assert_eq!(long.chars().count(), ERROR_CODE_BYTES_MAX + 1);
    }

    #[test]
    fn a_release_candidate_is_another_interface() {
        assert_eq!(
            Contract::of_exports(&["wasi:http/handler@0.3.0-rc-2026-03-15"]),
            None
        );
        let both = ["wasi:cli/run@0.2.6", "wasi:http/incoming-handler@0.2.12"];
        assert_eq!(Contract::of_exports(&both), Some(Contract::Http02));
    }
}
