//! The guest contracts: how a file wants to be run (DESIGN §4).
//!
//! Binds a function's code to its contract and passes its answer on. Which contract a
//! file follows is `detect.rs`; how each is called stands in its own file: `http02.rs`,
//! `http03.rs`, `command.rs`.

pub(crate) mod cgi;
pub(crate) mod command;
mod detect;
pub(crate) mod http02;
pub(crate) mod http03;

use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use http::Response;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::{Store, component};
use wasmtime_wasi::p2::bindings::CommandPre as Command02Pre;
use wasmtime_wasi::p3::bindings::CommandPre as Command03Pre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

pub(crate) use self::detect::CALLED;
pub use self::detect::Contract;

use crate::body::GuestBody;
use crate::guest::{Guest, Guest01};
use crate::instance::Instantiated;
use crate::limits::Vitals;

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

impl CommandProgram {
    /// The engine that its stores are of.
    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        match self {
            Self::Preview1(pre) => pre.module().engine(),
            Self::V02(pre) => pre.engine(),
            Self::V03(pre) => pre.engine(),
        }
    }
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

impl HttpProgram {
    /// The engine that its stores are of.
    pub(crate) fn engine(&self) -> &wasmtime::Engine {
        match self {
            Self::V02(pre) => pre.engine(),
            Self::V03(pre) => pre.engine(),
        }
    }

    /// A new instance of it, in this store.
    pub(crate) async fn instantiate(
        &self,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Instantiated> {
        Ok(match self {
            Self::V02(pre) => Instantiated::V02(pre.instantiate_async(store).await?),
            Self::V03(pre) => Instantiated::V03(pre.instantiate_async(store).await?),
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
    /// Ends the body of the response when its sender is dropped: where the instance goes on.
    cut: Option<Cut>,
}

/// Resolves when an invocation is over that shared its instance.
pub(crate) type Cut = oneshot::Receiver<Infallible>;

impl HeadSender {
    pub(crate) fn new(sender: oneshot::Sender<GuestHead>, vitals: Arc<Vitals>) -> Self {
        Self {
            sender,
            started: Instant::now(),
            vitals,
            cut: None,
        }
    }

    /// The same for an invocation whose instance may outlive it: with it ends its response.
    pub(crate) fn cut_by(self, cut: Cut) -> Self {
        Self {
            cut: Some(cut),
            ..self
        }
    }

    /// Notes how long instantiation took and hands the instance on.
    pub(crate) fn instantiated<T>(&self, instance: wasmtime::Result<T>) -> wasmtime::Result<T> {
        self.vitals.note_instantiated(self.started.elapsed());
        instance
    }

    /// Nobody listening means that the client has gone; the invocation is being cancelled.
    fn send(self, response: Response<GuestBody>) {
        self.vitals.note_answered();
        let response = match self.cut {
            Some(cut) => response.map(|body| body.cut_by(cut)),
            None => response,
        };
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
}
