//! The types that are texts in JSON, each with its pattern.
//!
//! A pattern may be narrower than what the model reads where the grammar is larger than a pattern
//! should be: then it describes the usual spelling.

use std::borrow::Cow;

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A pattern and its bounds.
struct Text {
    pattern: Option<&'static str>,
    format: Option<&'static str>,
    length: (usize, usize),
    example: &'static str,
    description: &'static str,
}

impl Text {
    fn schema(&self) -> RefOr<Schema> {
        let (min, max) = self.length;
        let mut object = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .pattern(self.pattern)
            .min_length((min > 0).then_some(min))
            .max_length(Some(max))
            .description(Some(self.description))
            .examples([serde_json::Value::from(self.example)]);
        if let Some(format) = self.format {
            let format = match format {
                "date-time" => SchemaFormat::KnownFormat(KnownFormat::DateTime),
                other => SchemaFormat::Custom(other.to_owned()),
            };
            object = object.format(Some(format));
        }
        RefOr::T(Schema::Object(object.build()))
    }
}

/// A stand-in and its description; a macro, because a function cannot make types.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident $text:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, Deserialize)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                const TEXT: Text = $text;
                TEXT.schema()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

texts! {
    /// [`midge_model::NamespaceName`].
    NamespaceName Text {
        pattern: Some("^[a-z]([a-z0-9-]*[a-z0-9])?$"),
        format: None,
        length: (1, 63),
        example: "default",
        description: "The scope of names, quotas and tokens: a DNS label that starts with a letter.",
    };
    /// [`midge_model::FunctionName`].
    FunctionName Text {
        pattern: Some("^[a-z]([a-z0-9-]*[a-z0-9])?$"),
        format: None,
        length: (1, 63),
        example: "hello",
        description: "What people deploy to: a DNS label that starts with a letter.",
    };
    /// [`midge_model::RevisionNumber`].
    RevisionNumber Text {
        pattern: Some("^r[1-9][0-9]{0,8}$"),
        format: None,
        length: (2, 11),
        example: "r1",
        description: "The number of a revision, counted from `r1` within its function.",
    };
    /// [`midge_model::Digest`].
    Digest Text {
        pattern: Some("^sha256:[0-9a-f]{64}$"),
        format: None,
        length: (71, 71),
        example: "sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476",
        description: "The SHA-256 of a component's bytes.",
    };
    /// [`midge_model::Timestamp`].
    Timestamp Text {
        pattern: None,
        format: Some("date-time"),
        length: (20, 30),
        example: "2026-11-22T14:00:00.000Z",
        description: "A moment: RFC 3339 in UTC, to the millisecond.",
    };
    /// [`midge_model::RequestId`].
    RequestId Text {
        pattern: Some("^[A-Za-z0-9._:-]+$"),
        format: None,
        length: (1, 128),
        example: "0192f0c1-7f3e-7cc2-9d6e-000000000000",
        description: "The name of one request in logs and error bodies.",
    };
    /// [`midge_model::Route`].
    Route Text {
        pattern: Some(r"^((GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) )?([a-z][a-z0-9]{0,15}(\.[a-z][a-z0-9]{0,15}){1,5})?(/[a-z0-9_-]{1,20}){0,8}(/|/\*)$"),
        format: None,
        length: (1, 1024),
        example: "GET /hello/*",
        description: "Which requests a function answers: method, host and path, the first two optional. \
                      A segment may be a parameter such as `{id}`, the last one `*` or `{*rest}`.",
    };
    /// [`midge_model::Sticky`].
    Sticky Text {
        pattern: Some("^(cookie|header):[a-z][a-z0-9-]*$"),
        format: None,
        length: (8, 128),
        example: "cookie:session",
        description: "What keeps a caller at one revision: the value of a cookie or a header field.",
    };
    /// A size with its unit, such as `64MiB`.
    SizeText Text {
        pattern: Some("^[0-9]+(\\.[0-9]+)? ?[A-Za-z]+$"),
        format: None,
        length: (2, 64),
        example: "64MiB",
        description: "A size: a number and a unit.",
    };
    /// A duration with its unit, such as `50ms`.
    DurationText Text {
        pattern: Some("^[0-9]+ ?[a-z]+( ?[0-9]+ ?[a-z]+)*$"),
        format: None,
        length: (2, 64),
        example: "5s",
        description: "A duration: numbers and units.",
    };
    /// [`midge_model::HttpGrant`].
    HttpGrant Text {
        pattern: Some(r"^((GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) )?https?://[a-z][a-z0-9]{0,15}(\.[a-z][a-z0-9]{0,15}){1,5}(/[a-z0-9_-]{1,20}){0,8}(/\*)?$"),
        format: None,
        length: (1, 1024),
        example: "POST https://api.example.com/v1/*",
        description: "HTTP requests that a function may send: method, scheme, host, port and path. \
                      `*` may stand for the first label of the host and for the rest of the path.",
    };
    /// [`midge_model::NetGrant`].
    NetGrant Text {
        pattern: Some(r"^[a-z][a-z0-9]{0,15}(\.[a-z][a-z0-9]{0,15}){1,5}:[1-9][0-9]{0,3}$"),
        format: None,
        length: (1, 300),
        example: "db.example.com:5432",
        description: "Addresses and ports: a host or a block of addresses, and a port, a range of \
                      ports or `*`.",
    };
    /// [`midge_model::NameGrant`].
    NameGrant Text {
        pattern: Some(r"^[a-z][a-z0-9]{0,15}(\.[a-z][a-z0-9]{0,15}){1,5}$"),
        format: None,
        length: (1, 253),
        example: "db.example.com",
        description: "A name that may be looked up.",
    };
    /// [`midge_model::BucketName`].
    BucketName Text {
        pattern: Some("^[a-z0-9_-]+$"),
        format: None,
        length: (1, 63),
        example: "carts",
        description: "Where values are kept by key: a name within a namespace.",
    };
    /// A key of a bucket.
    EntryKeyText Text {
        pattern: None,
        format: None,
        length: (1, 512),
        example: "count",
        description: "What a value is found by: any text.",
    };
    /// The name of a secret.
    SecretName Text {
        pattern: Some("^[A-Za-z_][A-Za-z0-9_]*$"),
        format: None,
        length: (1, 128),
        example: "STRIPE_KEY",
        description: "The name of a secret, as a variable is called.",
    };
    /// [`midge_model::SecretText`].
    SecretText Text {
        pattern: Some("^[^\\x00]*$"),
        format: Some("password"),
        length: (0, 65_536),
        example: "hunter2",
        description: "A secret's value: any text of at most 64 KiB without a zero byte.",
    };
    /// The name of a token in paths.
    TokenId Text {
        pattern: Some("^[a-z0-9-]+$"),
        format: None,
        length: (1, 64),
        example: "0192f0c17f3e",
        description: "The name of a token in paths and in the audit log; not the token.",
    };
    /// What people call a token.
    TokenName Text {
        pattern: Some(r"^[^\x00-\x1f\x7f-\x9f]+$"),
        format: None,
        length: (1, 100),
        example: "ci",
        description: "What people call a token: who or what uses it.",
    };
    /// What makes a write happen once.
    IdempotencyKey Text {
        pattern: Some("^[!-~]([ -~]*[!-~])?$"),
        format: None,
        length: (1, 255),
        example: "0192f0c1-7f3e-7cc2-9d6e-000000000000",
        description: "1 to 255 printable characters, never used for another request.",
    };
    /// A version as an entity tag.
    EntityTag Text {
        pattern: Some("^(\"[0-9]{1,18}\"|[0-9]{1,18})$"),
        format: None,
        length: (1, 20),
        example: "\"123\"",
        description: "A version in quotes, as `etag` has it.",
    };
    /// The name of an entry of the audit log.
    AuditId Text {
        pattern: Some("^[a-z0-9-]+$"),
        format: None,
        length: (1, 64),
        example: "0192f0c1-7f3e-7cc2-9d6e-000000000000",
        description: "The name of an entry of the audit log; sorts by time.",
    };
    /// What is asked of a function.
    InvokePath Text {
        pattern: Some(r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$"),
        format: None,
        length: (1, 8192),
        example: "/orders?open=1",
        description: "A path with its query, from the function's root on.",
    };
    /// How a function is asked.
    InvokeMethod Text {
        pattern: Some("^[A-Z]+$"),
        format: None,
        length: (1, 32),
        example: "GET",
        description: "A method of HTTP.",
    };
}

/// Bytes, whatever they are.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum Component {}

impl PartialSchema for Component {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        RefOr::T(Schema::Object(object.build()))
    }
}

impl ToSchema for Component {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Component")
    }
}

/// The bytes of a value.
#[derive(Debug, Clone, Copy, Deserialize)]
pub enum EntryValue {}

impl PartialSchema for EntryValue {
    fn schema() -> RefOr<Schema> {
        Component::schema()
    }
}

impl ToSchema for EntryValue {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EntryValue")
    }
}
