//! What is not public and may be reached all the same: the entries of `private`.
//!
//! **Invariant:** an entry means only what it names: a block that is wider than the special
//! block around an address says nothing about that address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, CidrError, HostName, Reach};
use crate::grant::{HostPattern, HostPatternError};

/// Addresses or names that a literal grant may reach although they are not public:
/// `10.0.0.5`, `10.0.0.0/8`, `[fd00::/8]`, `db.internal`, `*.svc.cluster.local`, `localhost`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrivateGrant(Target);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Target {
    Host(HostPattern),
    Block(Cidr),
}

/// Why a text is no private host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("private host `{}` {problem}", .text.escape_debug())]
pub struct PrivateGrantError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("says nothing about which one, write addresses, blocks or names such as `10.0.0.0/8`")]
    Any,
    #[error("is public and needs no rule")]
    Public,
    #[error("is {}, and no rule changes that", Reach::Never)]
    Never,
    #[error("is no private network, or wider than one; write for example `10.0.0.0/8`")]
    TooWide,
    #[error("is a bad block: {0}")]
    Block(#[from] CidrError),
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

impl PrivateGrant {
    /// Whether the entry lets who asked for `host` go to this address, which reaches this far.
    pub(super) fn allows(&self, host: &HostName, address: IpAddr, reach: Reach) -> bool {
        match (&self.0, reach) {
            (_, Reach::Never) => false,
            (Target::Block(block), _) => block.names(address),
            (Target::Host(HostPattern::Is(HostName::Ip(own))), _) => {
                own.to_canonical() == address.to_canonical()
            }
            // Who controls a name must not be able to lead it to the machine's credentials.
            (Target::Host(_), Reach::LinkLocal) => false,
            (Target::Host(pattern), _) => pattern.matches(host),
        }
    }

    /// Whether a name may lead to what the entry opens: the entry says the name, or addresses,
    /// which any name may have.
    pub(super) fn opens_to(&self, name: &HostName) -> bool {
        match &self.0 {
            Target::Host(HostPattern::Is(HostName::Ip(_))) | Target::Block(_) => true,
            Target::Host(pattern) => pattern.matches(name),
        }
    }

    /// Whether the entry opens to this name all that the other one does.
    pub(super) fn opens_as_much(&self, other: &Self, name: &HostName) -> bool {
        match (&self.0, &other.0) {
            (Target::Block(own), Target::Block(block)) => own.covers(block),
            (Target::Block(own), Target::Host(HostPattern::Is(HostName::Ip(address)))) => {
                own.names(*address)
            }
            // A name opens every private address that it leads to, and none that is link-local.
            (Target::Host(own), Target::Block(block)) => {
                own.matches(name) && Reach::of(block.first()) == Reach::Private
            }
            (Target::Host(own), Target::Host(HostPattern::Is(HostName::Ip(address)))) => {
                own.names_literally(&HostName::Ip(*address))
                    || own.matches(name) && Reach::of(*address) == Reach::Private
            }
            (Target::Host(own), Target::Host(_)) => own.matches(name),
            (Target::Block(_), Target::Host(_)) => false,
        }
    }

    /// Whether the entry is about every address of the block.
    pub(super) fn covers(&self, block: &Cidr) -> bool {
        matches!(&self.0, Target::Block(own) if own.covers(block))
    }
}

impl FromStr for PrivateGrant {
    type Err = PrivateGrantError;

    fn from_str(text: &str) -> Result<Self, PrivateGrantError> {
        parse(text).map_err(|problem| PrivateGrantError {
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<PrivateGrant, Problem> {
    if !text.contains('/') {
        let pattern = HostPattern::parse(text)?;
        match &pattern {
            HostPattern::Any => return Err(Problem::Any),
            HostPattern::Is(HostName::Ip(address)) => check_reach(*address)?,
            HostPattern::Is(HostName::Name(_)) | HostPattern::Below(_) => {}
        }
        return Ok(PrivateGrant(Target::Host(pattern)));
    }
    let block: Cidr = text.parse()?;
    if let Some(address) = block.single() {
        check_reach(address)?;
        return Ok(PrivateGrant(Target::Host(HostPattern::Is(address.into()))));
    }
    if !block.names(block.first()) || Reach::of(block.first()) == Reach::Public {
        return Err(Problem::TooWide);
    }
    check_reach(block.first())?;
    Ok(PrivateGrant(Target::Block(block)))
}

fn check_reach(address: IpAddr) -> Result<(), Problem> {
    match Reach::of(address) {
        Reach::Private | Reach::LinkLocal => Ok(()),
        Reach::Public => Err(Problem::Public),
        Reach::Never => Err(Problem::Never),
    }
}

impl fmt::Display for PrivateGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Host(pattern) => write!(f, "{pattern}"),
            Target::Block(block) => write!(f, "{block}"),
        }
    }
}

impl TryFrom<String> for PrivateGrant {
    type Error = PrivateGrantError;

    fn try_from(text: String) -> Result<Self, PrivateGrantError> {
        text.parse()
    }
}

impl From<PrivateGrant> for String {
    fn from(grant: PrivateGrant) -> Self {
        grant.to_string()
    }
}
