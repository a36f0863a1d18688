//! Lists of grants, as both documents write them.
//!
//! Decides which types the values become. Whether a value is a good one is decided by
//! that type's own parser, and what the grants mean together by [`crate::Grants::check`].

use toml::Spanned;
use toml::de::DeValue;

use super::{Entry, Keys, Located, Problem, at, entries, unknown_was_refused};
use crate::grant::GRANTS_MAX;
use crate::{
    BucketName, Clock, DirGrant, DirMode, Grants, HttpGrant, NameGrant, NetGrant, SecretExposure,
    SecretGrant,
};

const HTTP_EXPECTED: &str = "a list such as `[\"GET https://api.example.com/v1/*\"]`";
const NET_EXPECTED: &str = "a list such as `[\"db.internal:5432\"]`";
const DNS_EXPECTED: &str = "a list such as `[\"*.example.com\"]`";
const SECRETS_EXPECTED: &str = "a list such as `[\"STRIPE_KEY\"]`";
const KV_EXPECTED: &str = "a list such as `[\"carts\"]`";
const DIRS_EXPECTED: &str = "a list such as `[{ host = \"./data\", guest = \"/data\" }]`";

pub(super) const DIR_KEYS: Keys = Keys {
    known: &["host", "guest", "mode", "quota"],
    planned: &[],
};
pub(super) const SECRET_KEYS: Keys = Keys {
    known: &["name", "as", "header", "format", "to"],
    planned: &[],
};

/// Reads a list of requests.
pub(crate) fn read_http(entry: Entry<'_, '_>) -> Result<Vec<HttpGrant>, Located> {
    read_texts(entry, HTTP_EXPECTED, |text| {
        text.parse().map_err(Problem::Http)
    })
}

/// Reads a list of hosts with ports.
pub(crate) fn read_net(entry: Entry<'_, '_>) -> Result<Vec<NetGrant>, Located> {
    read_texts(entry, NET_EXPECTED, |text| {
        text.parse().map_err(Problem::Net)
    })
}

/// Reads a list of names.
pub(crate) fn read_dns(entry: Entry<'_, '_>) -> Result<Vec<NameGrant>, Located> {
    read_texts(entry, DNS_EXPECTED, |text| {
        text.parse().map_err(Problem::Dns)
    })
}

/// Reads a list of buckets.
pub(crate) fn read_kv(entry: Entry<'_, '_>) -> Result<Vec<BucketName>, Located> {
    read_texts(entry, KV_EXPECTED, |text| {
        text.parse().map_err(Problem::Bucket)
    })
}

/// Reads a clock.
pub(crate) fn read_clock(entry: Entry<'_, '_>) -> Result<Clock, Located> {
    let text = entry.text()?;
    text.parse()
        .map_err(|error| at(entry.value, Problem::Clock(error)))
}

/// Reads the directories of a function into its grants.
pub(crate) fn read_dirs(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    for value in read_list(entry, DIRS_EXPECTED)? {
        grants.dirs.push(read_dir(entry.with(value))?);
        // Checked one by one, so that the place is that of the later of the two.
        grants
            .check_last_dir()
            .map_err(|error| at(value, Problem::Grants(error)))?;
    }
    Ok(())
}

/// Reads the secrets of a function into its grants.
pub(crate) fn read_secrets(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    for value in read_list(entry, SECRETS_EXPECTED)? {
        grants.secrets.push(read_secret(entry.with(value))?);
        grants
            .check_secrets()
            .map_err(|error| at(value, Problem::Grants(error)))?;
    }
    Ok(())
}

/// The values of a list that is no longer than anybody compares requests with.
pub(crate) fn read_list<'a, 't>(
    entry: Entry<'a, 't>,
    expected: &'static str,
) -> Result<impl Iterator<Item = &'a Spanned<DeValue<'t>>>, Located> {
    let list = entry.list(expected)?;
    if list.len() > GRANTS_MAX {
        let (key, table) = (entry.key.get_ref().to_string(), entry.table.to_owned());
        let count = list.len();
        return Err(at(entry.value, Problem::TooMany { key, table, count }));
    }
    Ok(list.iter())
}

/// Reads a list of texts.
pub(crate) fn read_texts<T>(
    entry: Entry<'_, '_>,
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Result<Vec<T>, Located> {
    read_list(entry, expected)?
        .map(|value| {
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| entry.with(value).wrong_type(expected))?;
            parse(text).map_err(|problem| at(value, problem))
        })
        .collect()
}

fn read_dir(entry: Entry<'_, '_>) -> Result<DirGrant, Located> {
    let (mut host, mut guest, mut mode, mut quota) = (None, None, DirMode::default(), None);
    let table = entry.inner_table();
    let content =
        entry.table_value("a table such as `{ host = \"./data\", guest = \"/data\" }`")?;
    for entry in entries(content, &table, &DIR_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "host" => host = Some(entry.text()?),
            "guest" => guest = Some(entry.text()?),
            "mode" => mode = read_mode(entry)?,
            "quota" => quota = Some((entry.quantity("a size such as `\"1GiB\"`")?, entry.value)),
            _ => unknown_was_refused(),
        }
    }
    let host = host.ok_or_else(|| entry.missing("host"))?;
    let guest = guest.ok_or_else(|| entry.missing("guest"))?;
    let dir = DirGrant::new(host, guest, mode);
    let dir = dir.map_err(|error| at(entry.value, Problem::Dir(error)))?;
    match quota {
        Some((text, value)) => dir
            .with_quota(&text)
            .map_err(|error| at(value, Problem::Dir(error))),
        None => Ok(dir),
    }
}

/// Reads `ro` or `rw`.
pub(crate) fn read_mode(entry: Entry<'_, '_>) -> Result<DirMode, Located> {
    let text = entry.text()?;
    text.parse()
        .map_err(|error| at(entry.value, Problem::Dir(error)))
}

fn read_secret(entry: Entry<'_, '_>) -> Result<SecretGrant, Located> {
    let grant = |name: &str, exposure| {
        SecretGrant::new(name, exposure).map_err(|error| at(entry.value, Problem::Secret(error)))
    };
    if let Some(name) = entry.value.get_ref().as_str() {
        return grant(name, SecretExposure::Env);
    }
    let (mut name, mut exposure) = (None, "env");
    let (mut header, mut format, mut to) = (None, None, None);
    let table = entry.inner_table();
    let content = entry
        .table_value("a name, or a table such as `{ name = \"STRIPE_KEY\", as = \"config\" }`")?;
    let mut only_for_injected = None;
    for entry in entries(content, &table, &SECRET_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "name" => name = Some(entry.text()?),
            "as" => exposure = read_exposure(entry)?,
            "header" => header = Some(entry.text()?.to_owned()),
            "format" => format = Some(entry.text()?),
            "to" => to = Some(read_http(entry)?),
            _ => unknown_was_refused(),
        }
        if matches!(entry.key.get_ref().as_ref(), "header" | "format" | "to") {
            only_for_injected = only_for_injected.or(Some(entry));
        }
    }
    let exposure = match (exposure, only_for_injected) {
        ("inject", _) => SecretExposure::Inject {
            header: header.ok_or_else(|| entry.missing("header"))?,
            format: format.unwrap_or(SecretExposure::FORMAT_DEFAULT).to_owned(),
            to: to.ok_or_else(|| entry.missing("to"))?,
        },
        (_, Some(entry)) => {
            let (key, table) = (entry.key.get_ref().to_string(), table.clone());
            return Err(at(entry.key, Problem::NotInjected { key, table }));
        }
        ("config", None) => SecretExposure::Config,
        _ => SecretExposure::Env,
    };
    grant(name.ok_or_else(|| entry.missing("name"))?, exposure)
}

fn read_exposure<'a>(entry: Entry<'a, '_>) -> Result<&'a str, Located> {
    match entry.text()? {
        known @ ("env" | "config" | "inject") => Ok(known),
        unknown => Err(at(entry.value, Problem::Exposure(unknown.to_owned()))),
    }
}
