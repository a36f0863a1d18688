//! From TOML with spans to a [`Manifest`].
//!
//! Decides which keys there are and which types their values become. What a value
//! means, and whether it is a good one, is decided by that type's own parser.
//!
//! **Invariant:** the tables are read in the order of the file, so the error shown is
//! the first one a reader meets.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::table::{Entry, Keys, at, entries, in_order};
use super::{FunctionSpec, Located, MANIFEST_BYTES_MAX, Manifest, Problem};
use crate::{
    DirGrant, DirMode, EnvVar, FunctionName, Limits, LimitsPatch, Route, RouteConflict, RouteTable,
};

/// How the top of the file is called in messages.
pub(super) const TOP: &str = "the manifest";

const TOP_KEYS: Keys = Keys {
    known: &["function"],
    planned: &[],
};
const FUNCTION_KEYS: Keys = Keys {
    known: &[
        "component",
        "build",
        "routes",
        "isolation",
        "limits",
        "env",
        "allow",
    ],
    planned: &["cron", "topics", "retry"],
};
const LIMITS_KEYS: Keys = Keys {
    known: &["memory", "time", "concurrency", "request-body"],
    planned: &["cpu"],
};
const ALLOW_KEYS: Keys = Keys {
    known: &["dirs"],
    planned: &[
        "http", "tcp", "udp", "dns", "secrets", "kv", "publish", "call",
    ],
};
const DIR_KEYS: Keys = Keys {
    known: &["host", "guest", "mode"],
    planned: &["quota"],
};

/// The routes of all functions, to be compared with each other.
#[derive(Default)]
struct AllRoutes {
    routes: Vec<(Route, ())>,
    /// Whose the route of the same index is, and where it is written.
    places: Vec<(FunctionName, usize)>,
}

pub(super) fn manifest(text: &str) -> Result<Manifest, Located> {
    if text.len() > MANIFEST_BYTES_MAX {
        return Err(Located {
            offset: 0,
            problem: Box::new(Problem::TooLong),
        });
    }
    let document = DeTable::parse(text).map_err(|error| Located {
        offset: error.span().map_or(0, |span| span.start),
        problem: Box::new(Problem::Toml(error.message().to_owned())),
    })?;
    let mut functions = BTreeMap::new();
    let mut all_routes = AllRoutes::default();
    for top in entries(document.get_ref(), TOP, &TOP_KEYS)? {
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
        return Err(Located {
            offset: 0,
            problem: Box::new(Problem::NoFunction),
        });
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
    let (mut component, mut build, mut routes) = (None, None, None);
    let mut limits = LimitsPatch::default();
    let (mut env, mut dirs) = (BTreeMap::new(), Vec::new());
    let content = entry.table_value("a table such as `[function.hello]`")?;
    for entry in entries(content, table, &FUNCTION_KEYS)? {
        match entry.key.get_ref().as_ref() {
            "component" => component = Some(read_component(entry)?),
            "build" => build = Some(entry.text()?.to_owned()),
            "routes" => routes = Some(read_routes(entry)?),
            "isolation" => check_isolation(entry)?,
            "limits" => limits = read_limits(entry)?,
            "env" => env = read_env(entry)?,
            "allow" => dirs = read_allow(entry)?,
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
        env,
        dirs,
    })
}

fn read_component(entry: Entry<'_, '_>) -> Result<String, Located> {
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
    if component.contains("://") {
        let what = format!(
            "component `{}`, which is not a path,",
            component.escape_debug()
        );
        return Err(at(entry.value, Problem::ValueNotYet { what }));
    }
    Ok(component.to_owned())
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

fn check_isolation(entry: Entry<'_, '_>) -> Result<(), Located> {
    match entry.text()? {
        "fresh" => Ok(()),
        planned @ ("serial" | "shared") => {
            let what = format!("isolation `{planned}`");
            Err(at(entry.value, Problem::ValueNotYet { what }))
        }
        unknown => Err(at(entry.value, Problem::Isolation(unknown.to_owned()))),
    }
}

fn read_limits(entry: Entry<'_, '_>) -> Result<LimitsPatch, Located> {
    let mut limits = LimitsPatch::default();
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `{ memory = \"64MiB\" }`")?;
    for entry in entries(content, &table, &LIMITS_KEYS)? {
        let limit = |error| at(entry.value, Problem::Limit(error));
        match entry.key.get_ref().as_ref() {
            "memory" => {
                let text = entry.quantity("a size such as `\"64MiB\"`")?;
                limits.memory_bytes = Some(Limits::parse_memory(&text).map_err(limit)?);
            }
            "time" => {
                let text = entry.quantity("a duration such as `\"5s\"`")?;
                limits.time = Some(Limits::parse_time(&text).map_err(limit)?);
            }
            "concurrency" => {
                let number = entry.number("a number such as `200`")?;
                limits.concurrency = Some(Limits::parse_concurrency(number).map_err(limit)?);
            }
            "request-body" => {
                let text = entry.quantity("a size such as `\"10MiB\"`")?;
                limits.request_body_bytes = Some(Limits::parse_request_body(&text).map_err(limit)?);
            }
            _ => unknown_was_refused(),
        }
    }
    Ok(limits)
}

fn read_env(entry: Entry<'_, '_>) -> Result<BTreeMap<String, String>, Located> {
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `{ LOG = \"info\" }`")?;
    in_order(content)
        .into_iter()
        .map(|(key, value)| {
            let text = Entry {
                table: &table,
                key,
                value,
            }
            .text()?;
            let variable = EnvVar::new(key.get_ref(), text);
            let variable = variable.map_err(|error| at(key, Problem::EnvVar(error)))?;
            Ok((variable.name, variable.value))
        })
        .collect()
}

fn read_allow(entry: Entry<'_, '_>) -> Result<Vec<DirGrant>, Located> {
    let mut grants = crate::Grants::default();
    let table = entry.inner_table();
    let content = entry.table_value("a table such as `[function.hello.allow]`")?;
    for entry in entries(content, &table, &ALLOW_KEYS)? {
        for value in entry.list("a list such as `[{ host = \"./data\", guest = \"/data\" }]`")? {
            grants.dirs.push(read_dir(Entry { value, ..entry })?);
            // Checked one by one, so that the place is that of the later of the two.
            let conflict = |error| at(value, Problem::Grants(error));
            grants.check().map_err(conflict)?;
        }
    }
    Ok(grants.dirs)
}

fn read_dir(entry: Entry<'_, '_>) -> Result<DirGrant, Located> {
    let (mut host, mut guest, mut mode) = (None, None, DirMode::default());
    let table = entry.inner_table();
    let content =
        entry.table_value("a table such as `{ host = \"./data\", guest = \"/data\" }`")?;
    for entry in entries(content, &table, &DIR_KEYS)? {
        let text = entry.text()?;
        match entry.key.get_ref().as_ref() {
            "host" => host = Some(text),
            "guest" => guest = Some(text),
            "mode" => {
                mode = text
                    .parse()
                    .map_err(|error| at(entry.value, Problem::Dir(error)))?
            }
            _ => unknown_was_refused(),
        }
    }
    let missing = |key| {
        at(
            entry.value,
            Problem::Missing {
                table: table.clone(),
                key,
            },
        )
    };
    let host = host.ok_or_else(|| missing("host"))?;
    let guest = guest.ok_or_else(|| missing("guest"))?;
    DirGrant::new(host, guest, mode).map_err(|error| at(entry.value, Problem::Dir(error)))
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

/// The `match`es over keys end here: `entries` lets only known keys through.
fn unknown_was_refused() -> ! {
    unreachable!("a key is in the list of known keys and not in the match below it")
}
