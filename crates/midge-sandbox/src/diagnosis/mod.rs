//! What is wrong with a file that cannot be run here, in words for its author.
//!
//! Decides which of a file's faults is the one to tell, and says it: what it asks for, in which
//! version, what this host has, which tool made it, and what to type. Each kind of fault has a file
//! of its own; the table of all sentences is `docs/reference/does-not-run.md`.
//!
//! A fault that explains others comes first: a module for a browser has no `_start` either, and
//! whoever is told only that builds the wrong thing next.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one. Every
//! diagnosis has a sentence of bounded length and a hint.

mod entry;
mod maker;
mod mismatch;
mod missing;
mod other_host;
mod words;

use std::fmt;

use self::entry::{NoStart, OtherWorld};
use self::mismatch::Mismatch;
use self::missing::Missing;
use self::other_host::OtherHost;
use crate::imports::Import;
use crate::outline::{Producer, Signs};

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    is_component: bool,
    fault: Fault,
    maker: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    OtherHost(OtherHost),
    Missing(Missing),
    Mismatch(Mismatch),
    NoStart(NoStart),
    OtherWorld(OtherWorld),
    /// What the engine says of code whose imports are not to blame.
    TooLarge(String),
}

/// What is known of a file.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Whether it is a component and not a core module.
    pub(crate) is_component: bool,
    /// Whether it exports something that can be called.
    pub(crate) is_callable: bool,
    pub(crate) imports: &'a [Import],
    pub(crate) exports: &'a [String],
    pub(crate) producers: &'a [Producer],
    pub(crate) signs: Signs,
}

impl Diagnosis {
    /// What is wrong with a file, as far as its imports and exports tell.
    pub(crate) fn of(facts: &Facts<'_>) -> Option<Self> {
        let fault = match facts.is_component {
            true => Self::of_component(facts),
            false => Self::of_module(facts),
        };
        fault.map(|fault| Self::new(facts, fault))
    }

    fn of_component(facts: &Facts<'_>) -> Option<Fault> {
        let missing = Missing::of(facts.imports);
        if !facts.is_callable {
            return Some(Fault::OtherWorld(OtherWorld::of(facts.exports, missing)));
        }
        missing.map(Fault::Missing)
    }

    fn of_module(facts: &Facts<'_>) -> Option<Fault> {
        if let Some(host) = OtherHost::of(facts) {
            return Some(Fault::OtherHost(host));
        }
        if let Some(missing) = Missing::of(facts.imports) {
            return Some(Fault::Missing(missing));
        }
        if let Some(unknown) = Mismatch::of_preview1(facts.imports) {
            return Some(Fault::Mismatch(unknown));
        }
        (!facts.is_callable).then(|| Fault::NoStart(NoStart::of(facts.exports)))
    }

    /// What is wrong with a file that the engine did not link: its causes, the outermost first.
    pub(crate) fn of_link(facts: &Facts<'_>, causes: &[String]) -> Self {
        let fault = match Mismatch::of_link(facts.imports, causes) {
            Some(mismatch) => Fault::Mismatch(mismatch),
            None => {
                let causes: Vec<_> = causes.iter().map(String::as_str).collect();
                Fault::TooLarge(words::reason(&causes))
            }
        };
        Self::new(facts, fault)
    }

    fn new(facts: &Facts<'_>, fault: Fault) -> Self {
        Self {
            is_component: facts.is_component,
            fault,
            maker: maker::maker(facts.producers),
        }
    }

    /// What its author can do about it.
    pub fn hint(&self) -> String {
        match &self.fault {
            Fault::OtherHost(host) => host.hint().to_owned(),
            Fault::Missing(missing) => missing.hint(self.is_component),
            Fault::Mismatch(mismatch) => mismatch.hint(),
            Fault::NoStart(no_start) => no_start.hint().to_owned(),
            Fault::OtherWorld(world) => world.hint(),
            Fault::TooLarge(_) => "`midge inspect FILE` lists what an instance can have".to_owned(),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_component {
            true => "component ",
            false => "core module ",
        })?;
        match &self.fault {
            Fault::OtherHost(host) => host.fmt(f)?,
            Fault::Missing(missing) => missing.fmt(f)?,
            Fault::Mismatch(mismatch) => mismatch.fmt(f)?,
            Fault::NoStart(no_start) => no_start.fmt(f)?,
            Fault::OtherWorld(world) => world.fmt(f)?,
            Fault::TooLarge(reason) => write!(f, "does not fit into an instance: {reason}")?,
        }
        match &self.maker {
            Some(maker) => write!(f, " (made with {maker})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnosis {}
