//! The stand-ins against the model: what they describe it reads, and it has the same keys.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

/// How many texts of each pattern are read.
const SAMPLES: usize = 200;

fn schema<S: PartialSchema>() -> Value {
    serde_json::to_value(S::schema()).unwrap()
}

/// Texts that a schema describes, of lengths that it allows.
fn texts(schema: &Value) -> Vec<String> {
    let pattern = schema["pattern"].as_str().unwrap();
    // The strategy makes whole texts, so it knows no anchors.
    let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
    let strategy = proptest::string::string_regex(pattern).unwrap();
    let bound = |key: &str| {
        schema[key]
            .as_u64()
            .map(|bound| usize::try_from(bound).unwrap())
    };
    let fits = bound("minLength").unwrap_or(0)..=bound("maxLength").unwrap_or(usize::MAX);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let made = (0..SAMPLES).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    made.filter(|text| fits.contains(&text.len())).collect()
}

#[track_caller]
fn check<S: ToSchema, M: DeserializeOwned>() {
    let schema = schema::<S>();
    let texts = texts(&schema);
    assert!(
        texts.len() > SAMPLES / 4,
        "{} describes hardly a text",
        S::name()
    );
    let examples = schema["examples"].as_array().unwrap().iter();
    let examples = examples.map(|example| example.as_str().unwrap().to_owned());
    for text in texts.into_iter().chain(examples) {
        if let Err(error) = serde_json::from_value::<M>(json!(text)) {
            panic!(
                "{} describes `{text}`, and the model says: {error}",
                S::name()
            );
        }
    }
}

#[test]
fn the_model_reads_the_texts_that_patterns_describe() {
    check::<super::NamespaceName, midge_model::NamespaceName>();
    check::<super::BucketName, midge_model::BucketName>();
    check::<super::FunctionName, midge_model::FunctionName>();
    check::<super::RevisionNumber, midge_model::RevisionNumber>();
    check::<super::Digest, midge_model::Digest>();
    check::<super::RequestId, midge_model::RequestId>();
    check::<super::Route, midge_model::Route>();
    check::<super::Sticky, midge_model::Sticky>();
    check::<super::HttpGrant, midge_model::HttpGrant>();
    check::<super::NetGrant, midge_model::NetGrant>();
    check::<super::NameGrant, midge_model::NameGrant>();
    check::<super::SecretText, midge_model::SecretText>();
}

/// Each key of a patch, alone, with the texts and bounds that its schema has.
#[track_caller]
fn check_patch<S: PartialSchema, M: DeserializeOwned>() {
    let schema = schema::<S>();
    for (key, described) in schema["properties"].as_object().unwrap() {
        let values: Vec<Value> = match described.get("pattern") {
            Some(_) => texts(described).into_iter().map(Value::from).collect(),
            None => vec![described["minimum"].clone(), described["maximum"].clone()],
        };
        for value in values {
            if let Err(error) = serde_json::from_value::<M>(json!({ key: value })) {
                panic!("the schema has `{key}` as {value}, and the model says: {error}");
            }
        }
    }
}

#[test]
fn the_model_reads_the_patches_that_schemas_describe() {
    check_patch::<super::LimitsPatch, midge_model::LimitsPatch>();
    check_patch::<super::QuotaPatch, midge_model::QuotaPatch>();
}

/// That the model writes the keys that the schema describes, and no others.
#[track_caller]
fn check_keys<S: PartialSchema>(written: &impl Serialize) {
    let schema = schema::<S>();
    let described = schema["properties"].as_object().unwrap();
    let written = serde_json::to_value(written).unwrap();
    let described: BTreeSet<&String> = described.keys().collect();
    let written: BTreeSet<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(described, written);
}

#[test]
fn the_model_writes_the_keys_that_schemas_describe() {
    use midge_model as model;
    let digest = model::Digest::of(b"");
    check_keys::<super::Limits>(&model::Limits::SAFE);
    check_keys::<super::Quota>(&model::Quota::DEFAULT);
    check_keys::<super::Grants>(&model::Grants::default());
    let dir = model::DirGrant::new("./data", "/data", model::DirMode::ReadWrite);
    check_keys::<super::DirGrant>(&dir.unwrap().with_quota("1GiB").unwrap());
    let secret = model::SecretGrant::new("KEY", model::SecretExposure::Env);
    check_keys::<super::SecretGrant>(&secret.unwrap());
    let share = "r7=90".parse::<model::Share>().unwrap();
    check_keys::<super::Share>(&share);
    let sticky = Some("cookie:session".parse().unwrap());
    check_keys::<super::Traffic>(&model::Traffic::new(vec![share], sticky).unwrap());
    let component = model::ComponentChange {
        from: Some(digest),
        to: digest,
    };
    check_keys::<super::ComponentChange>(&component);
    let isolation = model::IsolationChange {
        from: Some("fresh".to_owned()),
        to: "serial".to_owned(),
        widens: true,
    };
    check_keys::<super::IsolationChange>(&isolation);
    let shared = model::Isolation::Shared {
        reuse: model::Reuse {
            memory_max_bytes: Some(1 << 20),
            ..model::Reuse::DEFAULT
        },
        concurrency: 2,
    };
    check_keys::<super::Isolation>(&shared);
    let difference = model::Difference {
        isolation: Some(isolation),
        component: Some(component),
        ..model::Difference::default()
    };
    check_keys::<super::Difference>(&difference);
    let grant = model::GrantChange {
        kind: "http".to_owned(),
        grant: "https://a.example/".to_owned(),
        from: Some("https://b.example/".to_owned()),
        change: model::Change::Changed,
        widens: true,
    };
    check_keys::<super::GrantChange>(&grant);
}

#[test]
fn the_model_reads_the_isolations_that_the_schema_describes() {
    let schema = schema::<super::Isolation>();
    let properties = &schema["properties"];
    let memory = texts(&properties["memory"]);
    for (idle, memory) in texts(&properties["idle"]).into_iter().zip(memory) {
        for level in ["serial", "shared"] {
            let json = json!({ "level": level, "requests": 1, "idle": idle, "memory": memory });
            serde_json::from_value::<midge_model::Isolation>(json).unwrap();
        }
    }
}

#[test]
fn the_model_reads_an_injected_secret_as_it_is_described() {
    let schema = schema::<super::SecretInjection>();
    let properties = &schema["properties"];
    let formats = texts(&properties["format"]);
    for (header, format) in texts(&properties["header"]).into_iter().zip(formats) {
        let to = vec!["https://api.example.com/*".parse().unwrap()];
        let exposure = midge_model::SecretExposure::Inject { header, format, to };
        midge_model::SecretGrant::new("KEY", exposure).unwrap();
    }
}

proptest! {
    #[test]
    fn every_grant_of_the_schema_is_read(mode in "ro|rw", clock in "coarse|real") {
        let grants = json!({
            "dirs": [{ "host": "./data", "guest": "/data", "mode": mode }],
            "secrets": [
                { "name": "A", "exposure": "env" },
                { "name": "B", "exposure": { "inject": {
                    "header": "authorization", "format": "Bearer {}",
                    "to": ["https://api.example.com/*"],
                } } },
            ],
            "clock": clock,
            "tmp_bytes": "64MiB",
        });
        prop_assert!(serde_json::from_value::<midge_model::Grants>(grants).is_ok());
    }
}
