//! What a case, or all cases of a file, are given.
//!
//! **Invariant:** keys and names are such that the function could have them in earnest.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use toml::de::DeValue;

use super::values::{Contents, headers, say_json};
use super::{status, wrong};
use crate::cases::{CaseProblem, Content, Given, StandIn, StandInAnswer, StandInAnswers};
use crate::document::{Entry, Keys, Located, Problem, at, entries, in_order, unknown_was_refused};
use crate::rehearsal::Now;
use crate::{BucketName, ENTRY_KEY_BYTES_MAX, EnvVar, SecretText};

const GIVEN_KEYS: Keys = Keys {
    known: &["kv", "env", "secrets", "now", "random", "http"],
    planned: &[],
};
const STAND_IN_KEYS: Keys = Keys {
    known: &[
        "request",
        "status",
        "headers",
        "body",
        "body-file",
        "json",
        "answers",
    ],
    planned: &[],
};
const ANSWER_KEYS: Keys = Keys {
    known: &["status", "headers", "body", "body-file", "json"],
    planned: &[],
};

pub(super) fn given(entry: Entry<'_, '_>, table: &str) -> Result<Given, Located> {
    let mut given = Given::default();
    let content = entry.table_value("a table such as `{ env = { LOG = \"info\" } }`")?;
    for entry in entries(content, table, &GIVEN_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "kv" => given.kv = read_kv(entry)?,
            "env" => given.env = read_env(entry)?,
            "secrets" => given.secrets = read_secrets(entry)?,
            "now" => given.now = Some(read_now(entry)?),
            "random" => given.random = Some(read_random(entry)?),
            "http" => {
                let stand_ins = entry.list("tables that begin with `[[case.given.http]]`")?;
                let stand_ins = stand_ins.iter().map(|value| stand_in(entry.with(value)));
                given.http = stand_ins.collect::<Result<_, _>>()?;
            }
            _ => unknown_was_refused(),
        }
    }
    Ok(given)
}

type Buckets = BTreeMap<BucketName, BTreeMap<String, String>>;

fn read_kv(entry: Entry<'_, '_>) -> Result<Buckets, Located> {
    const EXPECTED: &str = "a table such as `{ carts = { KEY = \"value\" } }`";
    let table = entry.inner_table();
    let mut buckets = BTreeMap::new();
    for (key, value) in in_order(entry.table_value(EXPECTED)?) {
        let name: BucketName = key
            .get_ref()
            .parse()
            .map_err(|error| at(key, Problem::Bucket(error)))?;
        let entry = Entry {
            table: &table,
            key,
            value,
        };
        let bucket_table = entry.inner_table();
        let mut values = BTreeMap::new();
        for (key, value) in in_order(entry.table_value("a table such as `{ KEY = \"value\" }`")?) {
            if !(1..=ENTRY_KEY_BYTES_MAX).contains(&key.get_ref().len()) {
                return Err(wrong(key, CaseProblem::Key(super::short(key.get_ref()))));
            }
            let entry = Entry {
                table: &bucket_table,
                key,
                value,
            };
            values.insert(key.get_ref().to_string(), entry.quantity("text in quotes")?);
        }
        buckets.insert(name, values);
    }
    Ok(buckets)
}

fn read_env(entry: Entry<'_, '_>) -> Result<BTreeMap<String, String>, Located> {
    let table = entry.inner_table();
    let mut variables = BTreeMap::new();
    for (key, value) in in_order(entry.table_value("a table such as `{ LOG = \"info\" }`")?) {
        let table = table.as_str();
        let text = Entry { table, key, value }.text()?;
        let variable = EnvVar::new(key.get_ref(), text);
        let variable = variable.map_err(|error| at(key, Problem::EnvVar(error)))?;
        variables.insert(variable.name, variable.value);
    }
    Ok(variables)
}

fn read_secrets(entry: Entry<'_, '_>) -> Result<BTreeMap<String, SecretText>, Located> {
    let table = entry.inner_table();
    let mut secrets = BTreeMap::new();
    for (key, value) in in_order(entry.table_value("a table such as `{ API_KEY = \"value\" }`")?) {
        let table = table.as_str();
        let text = Entry { table, key, value }.text()?;
        let secret = SecretText::new(text);
        let secret = secret.map_err(|error| wrong(value, CaseProblem::Secret(error)))?;
        secrets.insert(key.get_ref().to_string(), secret);
    }
    Ok(secrets)
}

/// In quotes or as the date that TOML has.
fn read_now(entry: Entry<'_, '_>) -> Result<Now, Located> {
    let text = match entry.value.get_ref() {
        DeValue::Datetime(moment) => moment.to_string(),
        _ => entry.text()?.to_owned(),
    };
    text.parse()
        .map_err(|error| wrong(entry.value, CaseProblem::Now(error)))
}

fn read_random(entry: Entry<'_, '_>) -> Result<u64, Located> {
    let number = entry.number("a number such as `7`")?;
    u64::try_from(number).map_err(|_| wrong(entry.value, CaseProblem::Random))
}

fn stand_in(entry: Entry<'_, '_>) -> Result<StandIn, Located> {
    const TABLE: &str = "[[case.given.http]]";
    let (mut request, mut answers) = (None, None);
    let mut always = Answering::new(TABLE);
    let content = entry.table_value("a table such as `{ request = \"GET https://a.test/\" }`")?;
    for entry in entries(content, TABLE, &STAND_IN_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "request" => {
                let parsed = entry.text()?.parse();
                let wrong = |error| wrong(entry.value, CaseProblem::StandIn(error));
                request = Some(parsed.map_err(wrong)?);
            }
            "answers" => answers = Some((in_turn(entry)?, entry.key)),
            _ => always.take(entry)?,
        }
    }
    let answers = match (answers, always.first) {
        (Some((_, key)), Some(second)) => {
            let first = "answers";
            return Err(wrong(key, CaseProblem::Both { first, second }));
        }
        (Some((answers, _)), None) => StandInAnswers::InTurn(answers),
        (None, _) => StandInAnswers::Always(always.answer()),
    };
    let table = TABLE.to_owned();
    let key = "request";
    Ok(StandIn {
        request: request.ok_or_else(|| at(entry.value, Problem::Missing { table, key }))?,
        answers,
    })
}

fn in_turn(entry: Entry<'_, '_>) -> Result<Vec<StandInAnswer>, Located> {
    const TABLE: &str = "`answers`";
    const EXPECTED: &str = "a table such as `{ status = 503 }`";
    let mut answers = Vec::new();
    for value in entry.list("a list such as `[{ status = 503 }, { body = \"ok\" }]`")? {
        let mut answering = Answering::new(TABLE);
        let content = entry.with(value).table_value(EXPECTED)?;
        for entry in entries(content, TABLE, &ANSWER_KEYS)? {
            answering.take(entry)?;
        }
        answers.push(answering.answer());
    }
    if answers.is_empty() {
        return Err(wrong(entry.value, CaseProblem::NoAnswer));
    }
    Ok(answers)
}

/// An answer on its way to be read.
struct Answering {
    table: &'static str,
    /// The first key that said something of it.
    first: Option<&'static str>,
    status: StatusCode,
    headers: HeaderMap,
    contents: Contents,
}

impl Answering {
    fn new(table: &'static str) -> Self {
        Self {
            table,
            first: None,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            contents: Contents::default(),
        }
    }

    /// Takes what one of [`ANSWER_KEYS`] says.
    fn take(&mut self, entry: Entry<'_, '_>) -> Result<(), Located> {
        let key = entry.key.get_ref().as_ref();
        match key {
            "status" => self.status = status(entry)?,
            "headers" => self.headers = headers(entry, self.table)?,
            "body" | "body-file" | "json" => self.contents.take(entry)?,
            _ => unknown_was_refused(),
        }
        let known = ANSWER_KEYS.known.iter().find(|known| **known == key);
        self.first = self.first.or(known.copied());
        Ok(())
    }

    fn answer(mut self) -> StandInAnswer {
        let body = self.contents.content();
        if let Content::Json(_) = body {
            say_json(&mut self.headers);
        }
        StandInAnswer {
            status: self.status,
            headers: self.headers,
            body,
        }
    }
}
