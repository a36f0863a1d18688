//! From TOML with spans to a [`Manifest`].
//!
//! Decides which keys there are and which types their values become. What a value
//! means, and whether it is a good one, is decided by that type's own parser.
//!
//! **Invariant:** the tables are read in the order of the file, so the error shown is
//! the first one a reader meets.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::{FunctionSpec, Manifest, TOP};
use crate::document::{self, Entry, Keys, Located, Problem, at, at_start, entries, in_order};
use crate::document::{read_isolation, read_limits, unknown_was_refused};
use crate::{
    ComponentSource, EnvVar, FunctionName, Grants, LimitsPatch, Route, RouteConflict, RouteTable,
    SecretGrant, parse_keep,
};

const TOP_KEYS: Keys = Keys {
    known: &["function"],
    planned: &[],
};
pub(super) const FUNCTION_KEYS: Keys = Keys {
    known: &[
        "component",
        "build",
        "routes",
        "isolation",
        "limits",
        "keep",
        "env",
        "args",
        "allow",
    ],
    planned: &["cron", "topics", "retry"],
};
pub(super) const ALLOW_KEYS: Keys = Keys {
    known: &[
        "http", "tcp", "udp", "dns", "listen", "dirs", "secrets", "kv", "clock", "tmp",
    ],
    planned: &["publish", "call"],
};

/// The routes of all functions, to be compared with each other.
#[derive(Default)]
struct AllRoutes {
    routes: Vec<(Route, ())>,
    /// Whose the route of the same index is, and where it is written.
    places: Vec<(FunctionName, usize)>,
}

pub(super) fn manifest(document: &DeTable<'_>) -> Result<Manifest, Located> {
    let mut functions = BTreeMap::new();
    let mut all_routes = AllRoutes::default();
    for top in entries(document, TOP, &TOP_KEYS)? {
        for (key, value) in in_order(top.table_value("a table such as `[function.hello]`")?) {
            let name: FunctionName = key
                .get_ref()
                .parse()
                .map_err(|error| at(key, Problem::Name(error)))?;
            let table = format!("[function.{name}]");
            let spec = function(
                Entry {
                    table: TOP,
                    key,
                    value,
                },
                &name,
                &table,
                &mut all_routes,
            )?;
            functions.insert(name, spec);
        }
    }
    if functions.is_empty() {
        return Err(at_start(Problem::NoFunction));
    }
    all_routes.check()?;
    Ok(Manifest { functions })
}

fn function(
    entry: Entry<'_, '_>,
    name: &FunctionName,
    table: &str,
    all_routes: &mut AllRoutes,
) -> Result<FunctionSpec, Located> {
    let (mut component, mut build, mut routes, mut keep) = (None, None, None, None);
    let mut isolation = None;
    let mut limits = LimitsPatch::default();
    let mut grants = Grants::default();
    let content = entry.table_value("a table such as `[function.hello]`")?;
    for entry in entries(content, table, &FUNCTION_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "component" => component = Some(read_component(entry)?),
            "build" => build = Some(entry.text()?.to_owned()),
            "routes" => routes = Some(read_routes(entry)?),
            "isolation" => isolation = Some(read_isolation(entry)?),
            "limits" => (limits, _) = read_limits(entry)?,
            "keep" => keep = Some(read_keep(entry)?),
            "env" => read_env(entry, &mut grants)?,
            "args" => read_args(entry, &mut grants)?,
            "allow" => read_allow(entry, &mut grants)?,
            _ => unknown_was_refused(),
        }
    }
    let component = component.ok_or_else(|| {
        at(
            entry.key,
            Problem::Missing {
                table: table.to_owned(),
                key: "component",
            },
        )
    })?;
    if let (ComponentSource::Pinned(_), Some(_)) = (&component, &build) {
        let table = table.to_owned();
        return Err(at(entry.key, Problem::BuildOfPinned { table }));
    }
    let routes = routes.unwrap_or_else(|| vec![(Route::default_of(name), entry.key.span().start)]);
    for (route, offset) in &routes {
        all_routes.routes.push((route.clone(), ()));
        all_routes.places.push((name.clone(), *offset));
    }
    let routes = routes.into_iter().map(|(route, _)| route).collect();
    Ok(FunctionSpec {
        component,
        build,
        routes,
        limits,
        isolation,
        keep,
        grants,
    })
}

fn read_component(entry: Entry<'_, '_>) -> Result<ComponentSource, Located> {
    let component = entry.text()?;
    if component.is_empty() {
        let table = entry.table.to_owned();
        return Err(at(
            entry.value,
            Problem::Empty {
                key: "component",
                table,
            },
        ));
    }
    let source = component.parse();
    source.map_err(|error| at(entry.value, Problem::Component(error)))
}

fn read_routes(entry: Entry<'_, '_>) -> Result<Vec<(Route, usize)>, Located> {
    const EXPECTED: &str = "a list such as `[\"GET /orders/{id}\"]`";
    let list = entry.list(EXPECTED)?;
    if list.is_empty() {
        let table = entry.table.to_owned();
        return Err(at(
            entry.value,
            Problem::Empty {
                key: "routes",
                table,
            },
        ));
    }
    list.iter()
        .map(|value| {
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| Entry { value, ..entry }.wrong_type(EXPECTED))?;
            let route = text
                .parse()
                .map_err(|error| at(value, Problem::Route(error)))?;
            Ok((route, value.span().start))
        })
        .collect()
}

fn read_keep(entry: Entry<'_, '_>) -> Result<u32, Located> {
    let keep = parse_keep(entry.number("a number such as `10`")?);
    keep.map_err(|error| at(entry.value, Problem::Limit(error)))
}

fn read_env(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    let table = entry.inner_table();
    let table = table.as_str();
    let content = entry.table_value("a table such as `{ LOG = \"info\" }`")?;
    for (key, value) in in_order(content) {
        let text = Entry { table, key, value }.text()?;
        let variable = EnvVar::new(key.get_ref(), text);
        let variable = variable.map_err(|error| at(key, Problem::EnvVar(error)))?;
        let is_secret = |secret: &SecretGrant| secret.name == variable.name;
        let may_conflict = grants.secrets.iter().any(is_secret);
        grants.env.insert(variable.name, variable.value);
        if may_conflict {
            let checked = grants.check_secrets();
            checked.map_err(|error| at(key, Problem::Grants(error)))?;
        }
    }
    Ok(())
}

fn read_args(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    for word in entry.list("a list such as `[\"-c\"]`")?.iter() {
        grants.args.push(entry.with(word).text()?.to_owned());
    }
    grants
        .check_args()
        .map_err(|error| at(entry.value, Problem::Grants(error)))
}

/// Reads an `allow` table.
pub(crate) fn read_allow(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `[function.hello.allow]`")?;
    for entry in entries(content, &table, &ALLOW_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "http" => grants.http = document::read_http(entry)?,
            "tcp" => grants.tcp = document::read_net(entry)?,
            "udp" => grants.udp = document::read_net(entry)?,
            "dns" => grants.dns = document::read_dns(entry)?,
            "listen" => grants.listen = document::read_net(entry)?,
            "dirs" => document::read_dirs(entry, grants)?,
            "secrets" => document::read_secrets(entry, grants)?,
            "kv" => grants.kv = document::read_kv(entry)?,
            "clock" => grants.clock = document::read_clock(entry)?,
            "tmp" => read_tmp(entry, grants)?,
            _ => unknown_was_refused(),
        }
    }
    Ok(())
}

fn read_tmp(entry: Entry<'_, '_>, grants: &mut Grants) -> Result<(), Located> {
    let text = entry.quantity("a size such as `\"64MiB\"`")?;
    let bytes = Grants::parse_tmp(&text);
    grants.tmp_bytes = Some(bytes.map_err(|error| at(entry.value, Problem::Limit(error)))?);
    // A folder at the same path may stand before it.
    grants
        .check_dirs()
        .map_err(|error| at(entry.value, Problem::Grants(error)))
}

impl AllRoutes {
    fn check(self) -> Result<(), Located> {
        let Err(conflict) = RouteTable::new(self.routes) else {
            return Ok(());
        };
        let RouteConflict {
            first,
            first_index,
            second,
            second_index,
        } = conflict;
        let (function, _) = self.places[first_index].clone();
        let (_, offset) = self.places[second_index];
        Err(Located {
            offset,
            problem: Box::new(Problem::RouteConflict {
                first,
                second,
                function,
            }),
        })
    }
}
