//! Artifacts as they are written, and servers that mean harm.

mod hostile;
mod layouts;
mod peer;

use std::time::Duration;

use bytes::Bytes;
use insta::assert_snapshot;
use midge_model::Digest;

use super::*;

/// The smallest component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The smallest module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn description() -> Description {
    Description {
        imports: vec!["wasi:http/types@0.2.0".to_owned()],
        exports: vec!["wasi:http/incoming-handler@0.2.0".to_owned()],
        created: None,
    }
}

fn artifact(component: &'static [u8]) -> Artifact {
    Artifact::new(Bytes::from_static(component), &description())
}

/// What a reader makes of a manifest.
fn check(manifest: &str) -> String {
    match Manifest::parse(manifest.as_bytes(), 100) {
        Ok(manifest) => format!("{manifest:?}"),
        Err(error) => error.to_string(),
    }
}

/// A manifest with these layers.
fn with_layers(layers: &str) -> String {
    let digest = Digest::of(b"");
    let layers = layers.replace("DIGEST", &digest.to_string());
    format!(
        r#"{{"schemaVersion": 2, "config": {{"mediaType": "{CONFIG_MEDIA_TYPE}",
        "digest": "{digest}", "size": 2}}, "layers": [{layers}]}}"#
    )
}

#[test]
fn an_artifact_is_what_the_layout_of_the_cncf_says() {
    let artifact = artifact(COMPONENT);
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    assert_snapshot!(text(&artifact.manifest), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.wasm.config.v0+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:e3b2918f23ff58fb2d7a8f0836684641c3d203695884bf006a8a72a1d70b0c8e","size":295},"layers":[{"mediaType":"application/wasm","digest":"sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29","size":8}]}"#);
    assert_snapshot!(text(&artifact.config), @r#"{"created":"1970-01-01T00:00:00.000Z","architecture":"wasm","os":"wasip2","layerDigests":["sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29"],"component":{"exports":["wasi:http/incoming-handler@0.2.0"],"imports":["wasi:http/types@0.2.0"],"target":"wasi:http/proxy@0.2.0"}}"#);
    let module = Artifact::new(Bytes::from_static(MODULE), &description());
    assert_snapshot!(text(&module.config), @r#"{"created":"1970-01-01T00:00:00.000Z","architecture":"wasm","os":"wasip1","layerDigests":["sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476"]}"#);
}

#[test]
fn the_same_component_is_the_same_artifact() {
    assert_eq!(artifact(COMPONENT), artifact(COMPONENT));
    let dated = Description {
        created: Some(Duration::from_secs(1_700_000_000)),
        ..description()
    };
    let dated = Artifact::new(Bytes::from_static(COMPONENT), &dated);
    assert_ne!(dated.digest(), artifact(COMPONENT).digest());
    let manifest = String::from_utf8(dated.manifest.to_vec()).unwrap();
    assert!(
        manifest.contains(r#"image.created":"2023-11-14T22:13:20"#),
        "{manifest}"
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let layer = |media_type: &str, size: u64| {
        format!(r#"{{"mediaType": "{media_type}", "digest": "DIGEST", "size": {size}}}"#)
    };
    let wasm = layer(LAYER_MEDIA_TYPE, 5);
    assert!(check(&with_layers(&wasm)).contains("component_bytes: 5"));
    assert_snapshot!(check("<!DOCTYPE html>"), @"the manifest is not JSON of a manifest: expected value at line 1 column 1");
    assert_snapshot!(check(r#"{"schemaVersion": 1}"#), @"the manifest has `schemaVersion` 1, not 2");
    assert_snapshot!(check(r#"{"schemaVersion": 2, "manifests": [1, {}]}"#), @"this is an index of 2 manifests, not one component");
    assert_snapshot!(check(r#"{"schemaVersion": 2}"#), @"the manifest is not JSON of a manifest: it has no `config`");
    assert_snapshot!(check(&with_layers("")), @"the artifact has 0 layers, a component is exactly one");
    assert_snapshot!(check(&with_layers(&format!("{wasm}, {wasm}"))), @"the artifact has 2 layers, a component is exactly one");
    assert_snapshot!(check(&with_layers(&layer("application/vnd.oci.image.layer.v1.tar+gzip", 5))), @"the layer is `application/vnd.oci.image.layer.v1.tar+gzip`, not `application/wasm`");
    assert_snapshot!(check(&with_layers(&layer(LAYER_MEDIA_TYPE, 101))), @"the component is said to have 101 bytes, the most are 100");
    let image = with_layers(&wasm).replace(
        CONFIG_MEDIA_TYPE,
        "application/vnd.oci.image.config.v1+json",
    );
    assert_snapshot!(check(&image), @"this is no component: its config is `application/vnd.oci.image.config.v1+json`, not `application/vnd.wasm.config.v0+json`");
    assert_snapshot!(check(&with_layers(&wasm).replace("sha256:", "md5:")), @"the manifest is not JSON of a manifest: digest `md5:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855` do");
}

proptest::proptest! {
    #[test]
    fn no_manifest_panics(text in "\\PC*", layers in "[{}\\[\\]\",:a-z0-9]{0,40}") {
        let _shown = check(&text);
        let _shown = check(&with_layers(&layers));
    }
}
