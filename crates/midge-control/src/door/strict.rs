//! JSON read to the letter of the API document.
//!
//! serde's derived readers also take an array where the document says object, field by field, and
//! refuse `1.0` where it says integer. Here an object is an object and a whole number is whole
//! however it is written; no key is there twice (`strict/unique.rs`); and a body of the wrong shape is told apart from a value of the right
//! shape that its type does not take.
//!
//! **Invariant:** a body that is read has the shape that the document describes.

mod unique;

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Number, Value};

use self::unique::Unique;

/// Up to here every whole number is a number of its own in JSON (RFC 8259, section 6).
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// Why a body is not what is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Not JSON, or not of the shape.
    #[error("{0}")]
    Shape(String),
    /// Of the shape, and not a value of its type.
    #[error("{0}")]
    Value(String),
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let value = serde_json::from_slice(bytes);
    let Unique(value) = value.map_err(|error| Fault::Shape(error.to_string()))?;
    T::deserialize(Strict(value))
}

struct Strict(Value);

impl Strict {
    /// What stands here, and should not.
    fn instead_of(&self, what: &str) -> Fault {
        let found = match &self.0 {
            Value::Null => "null",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Fault::Shape(format!("{found} stands where {what} should"))
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(found) => visitor.visit_bool(found),
            Value::Number(found) => visit_number(&found, visitor),
            Value::String(found) => visitor.visit_string(found),
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Strict));
                let read = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(read)
            }
            Value::Object(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key, Strict(value)));
                let mut entries = MapDeserializer::new(entries);
                let read = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(read)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(self.instead_of("an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            Value::Object(entries) if entries.len() == 1 => {
                let entries = entries.into_iter().map(|(key, value)| (key, Strict(value)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(entries)))
            }
            _ => Err(self.instead_of("one of several values")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Fault> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is whole and a float holds it exactly"
)]
fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, Fault> {
    if let Some(number) = number.as_u64() {
        return visitor.visit_u64(number);
    }
    if let Some(number) = number.as_i64() {
        return visitor.visit_i64(number);
    }
    let number = number.as_f64().unwrap_or(f64::NAN);
    if number.fract() != 0.0 || number.abs() > WHOLE_MAX {
        return visitor.visit_f64(number);
    }
    match u64::try_from(number as i64) {
        Ok(whole) => visitor.visit_u64(whole),
        Err(_) => visitor.visit_i64(number as i64),
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Shape(format!("{found} is not {expected}"))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::Shape(format!("{length} items are not {expected}"))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::Shape(unknown("value", found, known))
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        Self::Shape(unknown("key", found, known))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Shape(format!("key `{field}` is missing"))
    }
}

fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    let found: String = found.chars().take(80).collect();
    let found = found.escape_debug();
    match midge_model::suggest::nearest(&found.to_string(), known.iter().copied()) {
        Some(meant) => format!("{what} `{found}` is unknown, did you mean `{meant}`?"),
        None => format!(
            "{what} `{found}` is unknown, write one of `{}`",
            known.join("`, `")
        ),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_api::{DeployRequest, NamespaceRequest, TokenRequest};
    use midge_model::{Grants, QuotaPatch, Traffic};
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    fn check<T: DeserializeOwned + fmt::Debug>(text: &str) -> String {
        match read::<T>(text.as_bytes()) {
            Ok(read) => format!("ok: {read:?}"),
            Err(Fault::Shape(why)) => format!("shape: {why}"),
            Err(Fault::Value(why)) => format!("value: {why}"),
        }
    }

    #[test]
    fn an_array_is_no_object_however_deep() {
        assert_snapshot!(check::<QuotaPatch>("[null, null]"), @"shape: an array stands where an object should");
        assert_snapshot!(check::<NamespaceRequest>(r#"{"name":"a","quota":[null]}"#), @"shape: an array stands where an object should");
        assert_snapshot!(check::<Grants>(r#"{"dirs":[["./a","/a","ro"]]}"#), @"shape: an array stands where an object should");
        assert_snapshot!(check::<Grants>(r#"{"secrets":[{"name":"A","exposure":{"inject":["a","{}",[]]}}]}"#), @"shape: an array stands where an object should");
        assert_snapshot!(check::<Grants>(r#"{"secrets":[{"name":"A","exposure":["env"]}]}"#), @"shape: an array stands where one of several values should");
    }

    #[test]
    fn a_whole_number_is_whole_however_it_is_written() {
        let one = read::<QuotaPatch>(br#"{"functions":1.0}"#).unwrap();
        assert_eq!(one.functions, Some(1));
        assert_snapshot!(check::<QuotaPatch>(r#"{"functions":1.5}"#), @"shape: floating point `1.5` is not u32");
        assert_snapshot!(check::<QuotaPatch>(r#"{"functions":-1}"#), @"value: invalid value: integer `-1`, expected u32");
    }

    #[test]
    fn a_key_is_there_once() {
        assert_snapshot!(check::<NamespaceRequest>(r#"{"name":"a","name":"b"}"#), @"shape: key `name` is there twice at line 1 column 18");
        assert_snapshot!(check::<NamespaceRequest>(r#"{"name":"a","quota":{"functions":1,"functions":9}}"#), @"shape: key `functions` is there twice at line 1 column 46");
        let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"ä",{"b":{}}],"c":[]}"#;
        let Unique(read) = serde_json::from_str(text).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn shape_and_value_are_told_apart() {
        assert_snapshot!(check::<TokenRequest>(r#"{"name":"ci"}"#), @"shape: key `role` is missing");
        assert_snapshot!(check::<TokenRequest>(r#"{"name":"ci","role":"admn"}"#), @"shape: value `admn` is unknown, did you mean `admin`?");
        assert_snapshot!(check::<TokenRequest>(r#"{"nam":"ci","role":"admin"}"#), @"shape: key `nam` is unknown, did you mean `name`?");
        assert_snapshot!(check::<Traffic>(r#"{"shares":[]}"#), @"value: traffic has no share, write for example `r7=90 r8=10`");
        assert_snapshot!(check::<Traffic>("{"), @"shape: EOF while parsing an object at line 1 column 1");
        let deep = "[".repeat(200_000);
        assert_snapshot!(check::<Traffic>(&deep), @"shape: recursion limit exceeded at line 1 column 128");
    }

    fn reads_back<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) {
        let json = serde_json::to_vec(value).unwrap();
        assert_eq!(&read::<T>(&json).unwrap(), value);
    }

    #[test]
    fn what_a_client_writes_is_read() {
        let grants = r#"{"dirs":[{"host":"./a","guest":"/a","mode":"rw","quota_bytes":"1GiB"}],
            "secrets":[{"name":"A","exposure":"env"},
                {"name":"B","exposure":{"inject":{"header":"x-b","format":"{}","to":["https://a.example/*"]}}}],
            "tmp_bytes":"64MiB","clock":"real","env":{"A":"b"}}"#;
        let grants: Grants = serde_json::from_str(grants).unwrap();
        reads_back(&grants);
        reads_back(&DeployRequest {
            digest: midge_model::Digest::of(b""),
            routes: vec!["GET /a".parse().unwrap()],
            limits: midge_model::LimitsPatch {
                cpu: Some(std::time::Duration::from_secs(1)),
                ..Default::default()
            },
            grants,
            isolation: midge_model::Isolation::of_level(midge_model::IsolationLevel::Serial),
            keep: Some(3),
            message: None,
            widen: true,
        });
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(read::<DeployRequest>(&bytes));
        }
    }
}
