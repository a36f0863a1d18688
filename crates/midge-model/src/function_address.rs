//! The hosts that a node gives to what is deployed to it.
//!
//! Below the node's domain every namespace, function and revision has a host of its own:
//! `shop.midge.test`, `checkout.shop.midge.test`, `r7.checkout.shop.midge.test`. Decides which of
//! these a host is, and how they are written. Whether there is such a function is for others.
//!
//! **Invariant:** every address has one host below a domain, and that host is this address again.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::str::FromStr;

use crate::address::without_port;
use crate::{FunctionName, NamespaceName, RevisionNumber};

/// What a host below a node's domain stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FunctionAddress {
    /// `<namespace>.<domain>`: the routes of that namespace that name no host.
    Namespace(NamespaceName),
    /// `<function>.<namespace>.<domain>`: the function, by its traffic.
    Function {
        /// Which function.
        function: FunctionName,
        /// Whose it is.
        namespace: NamespaceName,
    },
    /// `<revision>.<function>.<namespace>.<domain>`: this revision and no other.
    Revision {
        /// Which revision.
        number: RevisionNumber,
        /// Of which function.
        function: FunctionName,
        /// Whose it is.
        namespace: NamespaceName,
    },
}

impl FunctionAddress {
    /// What the host stands for on a node of this domain; `None` where it is not below the domain,
    /// or is deeper than a revision or spelt as no name is.
    ///
    /// The host may carry a port, a last dot and any case, as clients send it. One that is not
    /// below the domain costs a comparison and no allocation.
    pub fn of(host: &str, domain: &str) -> Option<Self> {
        let labels = below(without_port(host), domain)?;
        let mut labels = labels.rsplit('.');
        let namespace = parse(labels.next()?)?;
        let Some(function) = labels.next() else {
            return Some(Self::Namespace(namespace));
        };
        let function = parse(function)?;
        let Some(number) = labels.next() else {
            return Some(Self::Function {
                function,
                namespace,
            });
        };
        let number = parse(number)?;
        labels.next().is_none().then_some(Self::Revision {
            number,
            function,
            namespace,
        })
    }

    /// Its host below this domain.
    pub fn host(&self, domain: &str) -> String {
        match self {
            Self::Namespace(namespace) => namespace_host(namespace, domain),
            Self::Function {
                function,
                namespace,
            } => function_host(function, namespace, domain),
            Self::Revision {
                number,
                function,
                namespace,
            } => revision_host(*number, function, namespace, domain),
        }
    }
}

/// The host of a namespace: `shop.midge.test`.
pub fn namespace_host(namespace: &NamespaceName, domain: &str) -> String {
    format!("{namespace}.{domain}")
}

/// The host of a function: `checkout.shop.midge.test`.
pub fn function_host(function: &FunctionName, namespace: &NamespaceName, domain: &str) -> String {
    format!("{function}.{namespace}.{domain}")
}

/// The host of a revision: `r7.checkout.shop.midge.test`.
pub fn revision_host(
    number: RevisionNumber,
    function: &FunctionName,
    namespace: &NamespaceName,
    domain: &str,
) -> String {
    format!("{number}.{function}.{namespace}.{domain}")
}

/// What stands before the domain and its dot.
fn below<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let front_bytes = host.len().checked_sub(domain.len())?;
    let (front, end) = host.split_at_checked(front_bytes)?;
    if !end.eq_ignore_ascii_case(domain) {
        return None;
    }
    front.strip_suffix('.')
}

/// A label of a host as a name, which is in lower case.
fn parse<T: FromStr>(label: &str) -> Option<T> {
    let label = match label.bytes().any(|found| found.is_ascii_uppercase()) {
        true => Cow::Owned(label.to_ascii_lowercase()),
        false => Cow::Borrowed(label),
    };
    label.parse().ok()
}
