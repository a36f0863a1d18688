//! Every short text that people type is a value or an error; a value reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midge_model::quantity::{parse_bytes, parse_duration};
use midge_model::{
    ComponentReference, ComponentSource, Digest, DirGrant, EnvVar, FunctionName, RequestId, Route,
};

fuzz_target!(|text: &str| {
    if let Ok(route) = text.parse::<Route>() {
        assert_eq!(route.to_string().parse::<Route>().as_ref(), Ok(&route));
    }
    if let Ok(grant) = text.parse::<DirGrant>() {
        assert_eq!(grant.to_string().parse::<DirGrant>().as_ref(), Ok(&grant));
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse::<Digest>().ok(), Some(digest));
    }
    if let Ok(reference) = text.parse::<ComponentReference>() {
        assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
    }
    if let Ok(source) = text.parse::<ComponentSource>() {
        assert_eq!(source.to_string().parse().as_ref(), Ok(&source));
    }
    let name = FunctionName::from_file_stem(text);
    assert_eq!(name.to_string().parse::<FunctionName>().ok(), Some(name));
    let _ = text.parse::<EnvVar>();
    let _ = RequestId::keep(text);
    let _ = parse_bytes(text);
    let _ = parse_duration(text);
});
