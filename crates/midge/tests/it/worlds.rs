//! The worlds that are published in `wit/`: each is called, and has nothing that is not here.
//!
//! A component that imports and exports all of a world is made by the encoder's own generator, and
//! `midge inspect` holds names, versions and types against the host.

use std::fs;

use midge_build::{Project, plan};
use midge_model::FunctionName;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use crate::kit::midge_in;

/// What `midge inspect` says of a component with everything that this world has.
fn inspect(world: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let wit = folder.path().join("wit");
    fs::create_dir(&wit).unwrap();
    let text = format!(
        "package test:worlds;\nworld function {{\n  include midge:function/{world}@0.1.0;\n}}\n"
    );
    fs::write(wit.join("world.wit"), text).unwrap();
    let name: FunctionName = "all".parse().unwrap();
    let project = Project::new(
        folder.path().to_owned(),
        name,
        folder.path().join("all.wasm"),
    );
    // Puts the texts that the world names beside it, whatever the line is.
    plan(&project, Some("true")).unwrap();
    let mut resolve = Resolve::new();
    let (package, _) = resolve.push_dir(&wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mangling = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let mut module = dummy_module(&resolve, world, mangling);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default().validate(true);
    encoder = encoder.module(&module).unwrap();
    fs::write(folder.path().join("all.wasm"), encoder.encode().unwrap()).unwrap();
    midge_in(folder.path(), &["inspect", "all.wasm"])
}

#[test]
fn worlds_have_what_is_here_and_are_called() {
    for (world, contract) in [
        ("http", "HTTP handler, WASI 0.2"),
        ("http-p3", "HTTP handler, WASI 0.3"),
        ("command", "command (CGI), WASI 0.2"),
        ("command-p3", "command (CGI), WASI 0.3"),
    ] {
        let told = inspect(world);
        let has = |words: &str| told.contains(words);
        assert!(has(&format!("contract   {contract}\n")), "{world}: {told}");
        assert!(
            has("wasi:keyvalue/atomics@0.2.0-draft2 (could reach values"),
            "{told}"
        );
        assert!(has("wasi:config/store@0.2.0-rc.1"), "{told}");
        assert!(!has("does not have it") && !has("this host has"), "{told}");
    }
}
