//! From the control door's thread to the supervisor's compilers, and back.
//!
//! Compilers are children of the supervisor's thread, which watches over them. This carries the
//! question there and the answer back.
//!
//! **Invariant:** at most [`WAITING_MAX`] questions wait; more wait for room.

use std::rc::Rc;

use midge_control::{CompileBlame, CompileFault, CompileReport};
use midge_model::{Digest, FunctionName, NamespaceName};
use tokio::sync::{mpsc, oneshot};

use crate::cmd::fault::{Hint as _, chain};
use crate::supervisor::{Found, NativeCode, NativeCodeError};

/// As many as requests that the control door takes at a time.
const WAITING_MAX: usize = 64;

/// Asks for native code, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct CompileAsker(mpsc::Sender<Question>);

/// Has it made, on the supervisor's thread.
#[derive(Debug)]
pub(crate) struct CompileAnswerer(mpsc::Receiver<Question>);

#[derive(Debug)]
struct Question {
    namespace: NamespaceName,
    function: FunctionName,
    digest: Digest,
    answer: oneshot::Sender<Result<CompileReport, CompileFault>>,
}

/// Both ends.
pub(crate) fn channel() -> (CompileAsker, CompileAnswerer) {
    let (asker, answerer) = mpsc::channel(WAITING_MAX);
    (CompileAsker(asker), CompileAnswerer(answerer))
}

impl CompileAsker {
    /// Native code of a component that is in the store.
    ///
    /// # Errors
    ///
    /// Why there is none, and whose fault that is.
    pub(super) async fn compile(
        &self,
        (namespace, function): (&NamespaceName, &FunctionName),
        digest: &Digest,
    ) -> Result<CompileReport, CompileFault> {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            namespace: namespace.clone(),
            function: function.clone(),
            digest: *digest,
            answer,
        };
        let ending = || CompileFault {
            blame: CompileBlame::Host,
            message: "the node is ending".to_owned(),
            hint: None,
        };
        let asked = self.0.send(question).await;
        asked.map_err(|_| ending())?;
        answered.await.unwrap_or_else(|_| Err(ending()))
    }
}

impl CompileAnswerer {
    /// Answers for as long as it is polled, several at a time.
    pub(crate) async fn answer_from(mut self, native: Rc<NativeCode>) {
        while let Some(question) = self.0.recv().await {
            let native = Rc::clone(&native);
            tokio::task::spawn_local(async move {
                let Question {
                    namespace,
                    function,
                    digest,
                    mut answer,
                } = question;
                let made = tokio::select! {
                    made = native.make((&namespace, &function), &digest) => made,
                    // Nobody waits any more.
                    () = answer.closed() => return,
                };
                let report = made.map(|Found { took, cached }| CompileReport { took, cached });
                // Whoever asked may have gone.
                drop(answer.send(report.map_err(|error| fault(&error))));
            });
        }
    }
}

fn fault(error: &NativeCodeError) -> CompileFault {
    let is_guests = matches!(error, NativeCodeError::Compile(error) if error.is_the_components());
    CompileFault {
        blame: match is_guests {
            true => CompileBlame::Guest,
            false => CompileBlame::Host,
        },
        message: chain(error),
        hint: error.hint(),
    }
}
