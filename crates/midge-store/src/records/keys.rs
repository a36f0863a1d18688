//! What each kind of record is called.
//!
//! Decides keys and prefixes, and reads a key back into what it names: a watch learns of a
//! deletion by its key alone.
//!
//! **Invariant:** [`RecordKey::parse`] gives back what the key was made from.

use std::fmt;
use std::str::FromStr;

use midge_model::{Digest, FunctionName, NamespaceName, RevisionNumber};
use serde::{Deserialize, Serialize};

use super::{
    AuditRecord, ClaimRecord, ComponentRecord, FunctionRecord, IdempotencyRecord, Kept,
    NamespaceRecord, RevisionRecord, SecretRecord, TokenRecord,
};
use crate::{Key, KeyError, Prefix};

/// The longest id of a token or an audit entry in bytes.
pub const RECORD_ID_BYTES_MAX: usize = 64;
/// Digits of a revision's number in its key, so that keys sort as numbers do.
const REVISION_DIGITS: usize = 10;
/// Stands for all hosts in the keys of claims. No namespace starts with `_`.
const HOSTS: &str = "_hosts";
/// Stands for the node in the keys of audit entries.
const NODE: &str = "_node";

/// The id of a token or an audit entry: 1 to [`RECORD_ID_BYTES_MAX`] of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordId(String);

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id `{}` is not 1 to {RECORD_ID_BYTES_MAX} of `a`-`z`, `0`-`9` and `-`", .text.escape_debug())]
pub struct RecordIdError {
    text: String,
}

/// What a key names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// A namespace.
    Namespace(NamespaceName),
    /// A function.
    Function(NamespaceName, FunctionName),
    /// A revision.
    Revision(NamespaceName, FunctionName, RevisionNumber),
    /// A secret, by its name in the case it was given in.
    Secret(NamespaceName, String),
    /// A token.
    Token(RecordId),
    /// A claim within a namespace, or on a host of the node.
    Claim(Option<NamespaceName>),
    /// A component of a namespace.
    Component(NamespaceName, Digest),
    /// An audit entry about a namespace, or about the node.
    Audit(Option<NamespaceName>, RecordId),
    /// The answer to a token's request.
    Idempotency(RecordId),
}

/// `namespace.<namespace>`
pub fn namespace_key(namespace: &NamespaceName) -> Key {
    key(&[NamespaceRecord::KIND, namespace.as_str()])
}

/// `function.<namespace>.<function>`
pub fn function_key(namespace: &NamespaceName, function: &FunctionName) -> Key {
    key(&[FunctionRecord::KIND, namespace.as_str(), function.as_str()])
}

/// `revision.<namespace>.<function>.<ten digits>`
pub fn revision_key(
    namespace: &NamespaceName,
    function: &FunctionName,
    number: RevisionNumber,
) -> Key {
    let digits = format!("{:0REVISION_DIGITS$}", number.get());
    key(&[
        RevisionRecord::KIND,
        namespace.as_str(),
        function.as_str(),
        &digits,
    ])
}

/// `secret.<namespace>.<name>`, where capitals are written small and small letters after a `=`:
/// most names are all capitals, and keys have one case.
///
/// # Errors
///
/// Not letters, digits and `_`: nothing has that name.
pub fn secret_key(namespace: &NamespaceName, name: &str) -> Result<Key, KeyError> {
    let is_known = |found: u8| found.is_ascii_alphanumeric() || found == b'_';
    if name.is_empty() || !name.bytes().all(is_known) {
        let name = name.chars().take(80).collect();
        return Err(KeyError::BadSecretName { name });
    }
    [SecretRecord::KIND, namespace.as_str(), &fold(name)]
        .join(".")
        .parse()
}

/// `token.<id>`
pub fn token_key(id: &RecordId) -> Key {
    key(&[TokenRecord::KIND, id.as_str()])
}

/// `claim.<namespace>.<SHA-256 of the shape>`, or `claim._hosts.…` for a route with a host.
pub fn claim_key(scope: Option<&NamespaceName>, shape: &str) -> Key {
    let scope = scope.map_or(HOSTS, NamespaceName::as_str);
    let digest = Digest::of(shape.as_bytes()).hex();
    key(&[ClaimRecord::KIND, scope, &digest])
}

/// The key of the claim on a host as a whole, which belongs to the namespace that routed it first.
/// No shape of a route is without a `/`, so no route has this key.
pub fn host_claim_key(host: &str) -> Key {
    claim_key(None, &format!("host {host}"))
}

/// `component.<namespace>.<digits of the digest>`
pub fn component_key(namespace: &NamespaceName, digest: &Digest) -> Key {
    key(&[ComponentRecord::KIND, namespace.as_str(), &digest.hex()])
}

/// `audit.<namespace>.<turned id>`, or `audit._node.…`. Each hexadecimal digit of the id is turned
/// round (`0` into `f`), so that a list in order of the keys shows the newest entry first.
pub fn audit_key(scope: Option<&NamespaceName>, id: &RecordId) -> Key {
    let scope = scope.map_or(NODE, NamespaceName::as_str);
    key(&[AuditRecord::KIND, scope, &turn(id.as_str())])
}

/// `idempotency.<token>.<SHA-256 of the key that the client chose>`
pub fn idempotency_key(token: &RecordId, chosen: &str) -> Key {
    let digest = Digest::of(chosen.as_bytes()).hex();
    key(&[IdempotencyRecord::KIND, token.as_str(), &digest])
}

/// All namespaces.
pub fn all_namespaces() -> Prefix {
    prefix(&[NamespaceRecord::KIND])
}

/// The functions of all namespaces.
pub fn all_functions() -> Prefix {
    prefix(&[FunctionRecord::KIND])
}

/// The functions of a namespace.
pub fn functions_of(namespace: &NamespaceName) -> Prefix {
    prefix(&[FunctionRecord::KIND, namespace.as_str()])
}

/// The revisions of all functions.
pub fn all_revisions() -> Prefix {
    prefix(&[RevisionRecord::KIND])
}

/// The revisions of a namespace.
pub fn revisions_of_namespace(namespace: &NamespaceName) -> Prefix {
    prefix(&[RevisionRecord::KIND, namespace.as_str()])
}

/// The revisions of a function, oldest first.
pub fn revisions_of(namespace: &NamespaceName, function: &FunctionName) -> Prefix {
    prefix(&[RevisionRecord::KIND, namespace.as_str(), function.as_str()])
}

/// The secrets of all namespaces.
pub fn all_secrets() -> Prefix {
    prefix(&[SecretRecord::KIND])
}

/// The secrets of a namespace.
pub fn secrets_of(namespace: &NamespaceName) -> Prefix {
    prefix(&[SecretRecord::KIND, namespace.as_str()])
}

/// All tokens.
pub fn all_tokens() -> Prefix {
    prefix(&[TokenRecord::KIND])
}

/// All claims.
pub fn all_claims() -> Prefix {
    prefix(&[ClaimRecord::KIND])
}

/// The claims within a namespace, or those on hosts of the node.
pub fn claims_of(scope: Option<&NamespaceName>) -> Prefix {
    let scope = scope.map_or(HOSTS, NamespaceName::as_str);
    prefix(&[ClaimRecord::KIND, scope])
}

/// The components of all namespaces.
pub fn all_components() -> Prefix {
    prefix(&[ComponentRecord::KIND])
}

/// The components of a namespace.
pub fn components_of(namespace: &NamespaceName) -> Prefix {
    prefix(&[ComponentRecord::KIND, namespace.as_str()])
}

/// The audit entries of all namespaces and of the node.
pub fn all_audits() -> Prefix {
    prefix(&[AuditRecord::KIND])
}

/// The audit entries of a namespace, or those of the node, newest first.
pub fn audits_of(scope: Option<&NamespaceName>) -> Prefix {
    let scope = scope.map_or(NODE, NamespaceName::as_str);
    prefix(&[AuditRecord::KIND, scope])
}

/// The answers that are kept for requests that come again.
pub fn idempotencies() -> Prefix {
    prefix(&[IdempotencyRecord::KIND])
}

impl RecordKey {
    /// What a key names; `None` if it is none of ours.
    pub fn parse(key: &Key) -> Option<Self> {
        let tokens: Vec<_> = key.tokens().collect();
        Some(match *tokens.as_slice() {
            [NamespaceRecord::KIND, name] => Self::Namespace(name.parse().ok()?),
            [FunctionRecord::KIND, namespace, function] => {
                Self::Function(namespace.parse().ok()?, function.parse().ok()?)
            }
            [RevisionRecord::KIND, namespace, function, digits] => {
                let number = RevisionNumber::new(digits.parse().ok()?)?;
                Self::Revision(namespace.parse().ok()?, function.parse().ok()?, number)
            }
            [SecretRecord::KIND, namespace, name] => {
                Self::Secret(namespace.parse().ok()?, unfold(name)?)
            }
            [TokenRecord::KIND, id] => Self::Token(id.parse().ok()?),
            [ClaimRecord::KIND, HOSTS, _] => Self::Claim(None),
            [ClaimRecord::KIND, scope, _] => Self::Claim(Some(scope.parse().ok()?)),
            [ComponentRecord::KIND, namespace, digits] => Self::Component(
                namespace.parse().ok()?,
                format!("sha256:{digits}").parse().ok()?,
            ),
            [AuditRecord::KIND, NODE, id] => Self::Audit(None, turn(id).parse().ok()?),
            [AuditRecord::KIND, scope, id] => {
                Self::Audit(Some(scope.parse().ok()?), turn(id).parse().ok()?)
            }
            [IdempotencyRecord::KIND, token, _] => Self::Idempotency(token.parse().ok()?),
            _ => return None,
        })
    }
}

impl RecordId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RecordId {
    type Err = RecordIdError;

    fn from_str(text: &str) -> Result<Self, RecordIdError> {
        let is_known =
            |found: u8| found.is_ascii_lowercase() || found.is_ascii_digit() || found == b'-';
        if !(1..=RECORD_ID_BYTES_MAX).contains(&text.len()) || !text.bytes().all(is_known) {
            let text = text.chars().take(80).collect();
            return Err(RecordIdError { text });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RecordId {
    type Error = RecordIdError;

    fn try_from(text: String) -> Result<Self, RecordIdError> {
        text.parse()
    }
}

impl From<RecordId> for String {
    fn from(id: RecordId) -> Self {
        id.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn key(tokens: &[&str]) -> Key {
    tokens
        .join(".")
        .parse()
        .expect("names, ids and digests are tokens of keys, and short")
}

fn prefix(tokens: &[&str]) -> Prefix {
    Prefix::under(key(tokens))
}

fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for found in name.chars() {
        if found.is_ascii_lowercase() {
            folded.push('=');
        }
        folded.push(found.to_ascii_lowercase());
    }
    folded
}

fn unfold(folded: &str) -> Option<String> {
    let mut name = String::with_capacity(folded.len());
    let mut characters = folded.chars();
    while let Some(found) = characters.next() {
        name.push(match found {
            '=' => characters.next()?,
            _ => found.to_ascii_uppercase(),
        });
    }
    Some(name)
}

/// Its own inverse, and letters behind `f` stay.
fn turn(id: &str) -> String {
    let turned = |found: char| {
        found
            .to_digit(16)
            .and_then(|digit| char::from_digit(15 - digit, 16))
            .unwrap_or(found)
    };
    id.chars().map(turned).collect()
}

#[cfg(test)]
mod tests;
