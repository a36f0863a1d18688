//! Thousands of functions, each with bytes of its own.
//!
//! The component of each has a custom section that no other has, so digest, file and native code
//! are its own. Where the component says [`GREETING`], each says something else in its place, so an
//! answer tells whose code it was. The first few are compiled; the native code of the others is
//! made from that of the first by the same replacement, because compiling ten thousand would take
//! half an hour. That it is the same native code is checked with those that were compiled.
//!
//! **Invariant:** what the node gets is what its own compiler would have written.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use midge_api::{Client, DeployRequest, Upload, WriteOptions};
use midge_model::{Digest, FunctionName, Grants, Isolation, LimitsPatch, NamespaceName};

use crate::node::Node;

/// What the example says, and each function something of its own in place of.
const GREETING: &[u8] = b"Hello from Rust!";

/// Deploys at a time.
const DEPLOYERS: usize = 4;

/// The functions.
pub(crate) struct Made {
    component: Vec<u8>,
    /// Whether each says something of its own.
    speaks: bool,
    native: Vec<u8>,
    fingerprint: String,
}

impl Made {
    /// Functions made from this component.
    pub(crate) fn new(component: Vec<u8>) -> Self {
        let found = component
            .windows(GREETING.len())
            .filter(|part| *part == GREETING);
        Self {
            speaks: found.count() == 1,
            component,
            native: Vec::new(),
            fingerprint: String::new(),
        }
    }

    /// What one is called.
    pub(crate) fn name(at: usize) -> String {
        format!("fn-{at}")
    }

    /// How large the component is that all are made from.
    pub(crate) fn component_bytes(&self) -> usize {
        self.component.len()
    }

    /// Whether this could be the answer of that function.
    pub(crate) fn is_answer_of(&self, at: usize, answer: &str) -> bool {
        !self.speaks || answer.contains(&said_by(at))
    }

    /// Deploys the first few as anybody would.
    pub(crate) fn deploy_really(&self, node: &Node, few: usize) -> Result<()> {
        node.block_on(async {
            let client = node.client()?;
            for at in 0..few {
                self.deploy_one(&client, at).await?;
            }
            Ok(())
        })
    }

    /// Reads the native code of the first from the cache, and checks that of the second.
    pub(crate) fn learn_native_code(mut self, cache: &Path) -> Result<Self> {
        let (path, native) = self.read_native(cache, 0)?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let (fingerprint, _) = name
            .split_once('.')
            .context("read the name of native code")?;
        fingerprint.clone_into(&mut self.fingerprint);
        self.native = native;
        let (_, second) = self.read_native(cache, 1)?;
        ensure!(
            self.native_of(1) == second,
            "native code of two functions differs in more than what they say"
        );
        Ok(self)
    }

    fn read_native(&self, cache: &Path, at: usize) -> Result<(PathBuf, Vec<u8>)> {
        let folder = cache.join(Digest::of(&self.component_of(at)).hex());
        let entries =
            fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        let path = paths.find(|path| path.extension().is_some_and(|it| it == "cwasm"));
        let path = path.context("find native code")?;
        let native = fs::read(&path).context("read native code")?;
        Ok((path, native))
    }

    /// Deploys these, with native code that is there already.
    pub(crate) fn deploy(&self, node: &Node, functions: Range<usize>) -> Result<()> {
        for at in functions.clone() {
            self.put_native(&node.cache(), at)?;
        }
        node.block_on(async {
            let deployers = (0..DEPLOYERS).map(|deployer| {
                let mine = functions.clone().skip(deployer).step_by(DEPLOYERS);
                async move {
                    let client = node.client()?;
                    for at in mine {
                        self.deploy_one(&client, at).await?;
                    }
                    anyhow::Ok(())
                }
            });
            try_join_all(deployers).await.map(drop)
        })
    }

    async fn deploy_one(&self, client: &Client, at: usize) -> Result<()> {
        let bytes = Bytes::from(self.component_of(at));
        let digest = Digest::of(&bytes);
        let namespace = NamespaceName::default();
        let function: FunctionName = Self::name(at).parse().context("name a function")?;
        let put = client.put_component(&namespace, &digest, Upload::bytes(bytes));
        put.await.context("upload a component")?;
        let request = DeployRequest {
            digest,
            routes: Vec::new(),
            limits: LimitsPatch::default(),
            isolation: Isolation::Fresh,
            grants: Grants::default(),
            keep: None,
            message: None,
            widen: true,
        };
        let options = WriteOptions::default();
        let deployed = client.deploy(&namespace, &function, &request, &options);
        deployed.await.map(drop).context("deploy a function")
    }

    /// Waits until everything is on the disk, and reads all native code.
    ///
    /// A compiler waits for its file to be written; here thousands are on their way at once, and
    /// the disk would be busy with them for minutes. What is measured is a node whose files lie in
    /// the page cache.
    pub(crate) fn settle(&self, cache: &Path, functions: usize) -> Result<()> {
        rustix::fs::sync();
        for at in 0..functions {
            self.read_native(cache, at)?;
        }
        Ok(())
    }

    /// Writes native code as a compiler does.
    fn put_native(&self, cache: &Path, at: usize) -> Result<()> {
        let folder = cache.join(Digest::of(&self.component_of(at)).hex());
        let native = self.native_of(at);
        let hash = Digest::of(&native).hex();
        let path = folder.join(format!("{}.{hash}.cwasm", self.fingerprint));
        let write = || -> std::io::Result<()> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&path)?.write_all(&native)
        };
        write().with_context(|| format!("write {}", path.display()))
    }

    /// The component with the greeting and a custom section of this function.
    fn component_of(&self, at: usize) -> Vec<u8> {
        let mut bytes = self.spoken(&self.component, at);
        let text = said_by(at);
        let name = b"density";
        bytes.push(0);
        bytes.push(short(1 + name.len() + text.len()));
        bytes.push(short(name.len()));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    fn native_of(&self, at: usize) -> Vec<u8> {
        let from = said_by(0);
        match self.speaks {
            true => replaced(&self.native, from.as_bytes(), said_by(at).as_bytes()),
            false => self.native.clone(),
        }
    }

    fn spoken(&self, bytes: &[u8], at: usize) -> Vec<u8> {
        match self.speaks {
            true => replaced(bytes, GREETING, said_by(at).as_bytes()),
            false => bytes.to_vec(),
        }
    }
}

/// What a function says: as long as the greeting.
fn said_by(at: usize) -> String {
    format!("I am fn {at:08}")
}

/// A length that takes one byte in LEB128.
fn short(length: usize) -> u8 {
    u8::try_from(length)
        .ok()
        .filter(|byte| *byte < 128)
        .expect("a few dozen bytes")
}

/// The bytes with one part in the place of another of the same length, wherever it stands.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "nothing may move");
    let mut replaced = bytes.to_vec();
    for at in 0..(bytes.len() + 1).saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            replaced[at..at + to.len()].copy_from_slice(to);
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says_is_as_long_as_the_greeting() {
        assert_eq!(said_by(0).len(), GREETING.len());
        assert_eq!(said_by(99_999_999).len(), GREETING.len());
    }

    #[test]
    fn nothing_moves_where_a_part_is_replaced() {
        assert_eq!(replaced(b"abcabd", b"ab", b"xy"), b"xycxyd");
        assert_eq!(replaced(b"a", b"ab", b"xy"), b"a");
    }

    #[test]
    fn every_component_is_another() {
        let made = Made::new(b"\0asm\x0d\0\x01\0Hello from Rust!".to_vec());
        assert!(made.speaks);
        assert_ne!(made.component_of(1), made.component_of(2));
        let silent = Made::new(b"\0asm\x0d\0\x01\0".to_vec());
        assert!(!silent.speaks);
        assert_ne!(silent.component_of(1), silent.component_of(2));
    }
}
