//! The routing table against sentences, and against a slow obvious scan.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::route::Segment;

/// Resolves `METHOD [host]/path` in a table of these routes.
fn check(routes: &[&str], request: &str) -> String {
    let routes = routes
        .iter()
        .map(|text| text.parse::<Route>().map(|route| (route, ())));
    let Ok(routes) = routes.collect() else {
        return "not routes".to_owned();
    };
    let table = match RouteTable::new(routes) {
        Ok(table) => table,
        Err(error) => return format!("error: {error}"),
    };
    let (method, address) = request.split_once(' ').unwrap_or(("GET", request));
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let host = Some(host).filter(|host| !host.is_empty());
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    match table.resolve(host, &method, path) {
        Resolved::Found { route, target: () } => route.to_string(),
        Resolved::MethodNotAllowed { allow } => format!("405, allow {allow:?}"),
        Resolved::NoRoute => "404".to_owned(),
    }
}

#[test]
fn a_wildcard_matches_its_mount_and_everything_below() {
    let routes = ["/x/*"];
    assert_snapshot!(check(&routes, "GET /x"), @"/x/*");
    assert_snapshot!(check(&routes, "GET /x/"), @"/x/*");
    assert_snapshot!(check(&routes, "GET /x/y/z"), @"/x/*");
    assert_snapshot!(check(&routes, "GET /x//"), @"/x/*");
}

#[test]
fn a_wildcard_never_matches_a_longer_word() {
    assert_snapshot!(check(&["/x/*"], "GET /xy"), @"404");
    assert_snapshot!(check(&["/x/*"], "GET /"), @"404");
    assert_snapshot!(check(&["/x/*"], "GET /x%2Fy"), @"404");
    assert_snapshot!(check(&["/*"], "OPTIONS *"), @"404");
}

#[test]
fn a_parameter_matches_one_segment_that_is_not_empty() {
    let routes = ["/orders/{id}"];
    assert_snapshot!(check(&routes, "GET /orders/7"), @"/orders/{id}");
    assert_snapshot!(check(&routes, "GET /orders/"), @"404");
    assert_snapshot!(check(&routes, "GET /orders/7/items"), @"404");
}

#[test]
fn the_more_specific_path_wins() {
    let routes = ["/*", "/users/*", "/users/{id}", "/users/me", "/{a}/{b}/c"];
    assert_snapshot!(check(&routes, "GET /users/me"), @"/users/me");
    assert_snapshot!(check(&routes, "GET /users/7"), @"/users/{id}");
    assert_snapshot!(check(&routes, "GET /users/7/pets"), @"/users/*");
    assert_snapshot!(check(&routes, "GET /users/7/c"), @"/users/*");
    assert_snapshot!(check(&routes, "GET /teams/7/c"), @"/{a}/{b}/c");
    assert_snapshot!(check(&routes, "GET /teams/7/d"), @"/*");
}

#[test]
fn on_one_path_the_method_wins() {
    let routes = ["/x", "GET /x", "POST /y", "GET /y", "/y/*"];
    assert_snapshot!(check(&routes, "GET /x"), @"GET /x");
    assert_snapshot!(check(&routes, "PUT /x"), @"/x");
    assert_snapshot!(check(&routes, "PUT /y"), @"/y/*");
}

#[test]
fn head_is_answered_by_get() {
    assert_snapshot!(check(&["/x", "GET /x"], "HEAD /x"), @"GET /x");
    assert_snapshot!(check(&["HEAD /x", "GET /x"], "HEAD /x"), @"HEAD /x");
    assert_snapshot!(check(&["POST /x"], "HEAD /x"), @"405, allow [POST]");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let routes = ["POST /x", "GET /x/*", "DELETE /x/y", "PURGE /x"];
    assert_snapshot!(check(&routes, "PUT /x"), @"405, allow [GET, HEAD, POST, PURGE]");
    assert_snapshot!(check(&routes, "PUT /x/y"), @"405, allow [DELETE, GET, HEAD]");
    assert_snapshot!(check(&routes, "GET /x/y"), @"GET /x/*");
}

#[test]
fn a_host_comes_first_and_the_others_fill_in() {
    let routes = ["shop.example.net/api/*", "GET shop.example.net/x", "/*"];
    assert_snapshot!(check(&routes, "GET shop.example.net/api/1"), @"shop.example.net/api/*");
    assert_snapshot!(check(&routes, "GET SHOP.example.NET:8080/api"), @"shop.example.net/api/*");
    assert_snapshot!(check(&routes, "GET shop.example.net./api"), @"shop.example.net/api/*");
    assert_snapshot!(check(&routes, "GET shop.example.net/other"), @"/*");
    assert_snapshot!(check(&routes, "GET example.net/api"), @"/*");
    assert_snapshot!(check(&routes, "GET /api"), @"/*");
    assert_snapshot!(check(&routes, "POST shop.example.net/x"), @"405, allow [GET, HEAD]");
    assert_snapshot!(check(&routes, "GET [::1]:8080/x"), @"/*");
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    assert_snapshot!(check(&["/x/{a}", "/x/{b}"], ""), @"error: routes `/x/{a}` and `/x/{b}` match the same requests, change or remove one of them");
    assert_snapshot!(check(&["GET /x/*", "GET /x/{*rest}"], ""), @"error: routes `GET /x/*` and `GET /x/{*rest}` match the same requests, change or remove one of them");
    assert_snapshot!(check(&["A.example.net/", "a.example.net/"], ""), @"error: routes `a.example.net/` and `a.example.net/` match the same requests, change or remove one of them");
    assert_snapshot!(check(&["/x", "/x/", "GET /x", "a.example.net/x"], "GET /x/"), @"/x/");
}

#[test]
fn a_route_that_is_there_is_found_by_any_spelling_and_removed_by_its_own() {
    let route = |text: &str| text.parse::<Route>().unwrap();
    let entries = vec![
        (route("GET /x/{a}"), 1),
        (route("GET a.example.net/x/{a}"), 2),
    ];
    let mut table = RouteTable::new(entries).unwrap();
    assert_eq!(
        table.conflicts(&route("GET /x/{b}")),
        Some((&route("GET /x/{a}"), &1))
    );
    assert_eq!(table.conflicts(&route("/x/{b}")), None);
    assert_eq!(table.remove(&route("GET /x/{b}")), None);
    let conflict = table
        .insert(route("GET A.example.net/x/{b}"), 3)
        .unwrap_err();
    assert_snapshot!(conflict, @"routes `GET a.example.net/x/{a}` and `GET a.example.net/x/{b}` match the same requests, change or remove one of them");
    assert_eq!(table.remove(&route("GET a.example.net/x/{a}")), Some(2));
    assert_eq!(table.insert(route("GET a.example.net/x/{b}"), 3), Ok(()));
    assert_eq!(table.remove(&route("GET a.example.net/x/{b}")), Some(3));
    assert_eq!(table.remove(&route("GET a.example.net/x/{b}")), None);
    assert_eq!(
        table.iter().collect::<Vec<_>>(),
        [(&route("GET /x/{a}"), &1)]
    );
}

#[test]
fn a_table_that_was_emptied_holds_nothing() {
    let routes = [
        "/a/{b}/c/*",
        "GET /a/{b}/c/d",
        "POST /a",
        "/a",
        "x.example.net/a/b/{*c}",
        "/*",
    ];
    let routes = routes.map(|text| text.parse::<Route>().unwrap());
    let mut table = RouteTable::new(routes.clone().map(|route| (route, ())).to_vec()).unwrap();
    let nodes_full = nodes(&table);
    for route in &routes {
        assert_eq!(table.remove(route), Some(()), "{route}");
    }
    assert_eq!(nodes(&table), 1);
    assert!(table.hosts.is_empty() && table.is_empty());
    assert_eq!(table.iter().next(), None);
    for route in routes.clone() {
        assert_eq!(table.insert(route, ()), Ok(()));
    }
    assert_eq!(
        (nodes(&table), table.entries.len()),
        (nodes_full, routes.len())
    );
}

/// Nodes of the whole table; one that a removed route left would be one too many.
fn nodes<T>(table: &RouteTable<T>) -> usize {
    fn below(node: &Node) -> usize {
        let parameter = node.parameter.as_deref().map_or(0, below);
        1 + parameter + node.literals.values().map(below).sum::<usize>()
    }
    below(&table.any_host) + table.hosts.values().map(below).sum::<usize>()
}

/// Requests and routes that meet often, so that the property says something.
fn route() -> impl Strategy<Value = Route> {
    let segment = || select(vec!["a", "b", "{p}", "{q}", ""]);
    let method = select(vec!["", "GET ", "POST ", "HEAD "]);
    let host = select(vec!["", "", "a.example.net", "b.example.net"]);
    let end = select(vec!["", "/*"]);
    (method, host, vec(segment(), 0..4), end).prop_map(|(method, host, segments, end)| {
        let mut names = 0;
        let mut path = String::new();
        for segment in segments {
            names += 1;
            // Two parameters of one route need two names.
            path += "/";
            path += &segment.replace('}', &format!("{names}}}"));
        }
        let path = if path.is_empty() && end.is_empty() {
            "/"
        } else {
            &path
        };
        format!("{method}{host}{path}{end}")
            .parse()
            .expect("made of good parts")
    })
}

fn request() -> impl Strategy<Value = (Option<&'static str>, Method, String)> {
    let host = select(vec![None, Some("A.example.net:80"), Some("c.example.net")]);
    let method = select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT]);
    let segments = vec(select(vec!["a", "b", "c", ""]), 1..6);
    let path = segments.prop_map(|segments| format!("/{}", segments.join("/")));
    (host, method, path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// The tree agrees with the scan on any table and any request.
    #[test]
    fn resolve_agrees_with_a_scan(
        routes in vec(route(), 0..12),
        (host, method, path) in request(),
    ) {
        let routes = without_conflicts(routes);
        let want = resolve_by_scan(&routes, host, &method, &path);
        let entries = routes.into_iter().enumerate().map(|(number, route)| (route, number));
        let table = RouteTable::new(entries.collect()).expect("conflicts were taken out");
        let found = match table.resolve(host, &method, &path) {
            Resolved::Found { target, .. } => Scanned::Found(*target),
            Resolved::MethodNotAllowed { allow } => {
                Scanned::Allow(allow.iter().map(Method::to_string).collect())
            }
            Resolved::NoRoute => Scanned::NoRoute,
        };
        prop_assert_eq!(found, want);
    }

    /// Whatever was put in and taken out, the table is as one made of what is left.
    #[test]
    fn a_changed_table_is_as_one_made_fresh(
        changes in vec((any::<bool>(), route()), 0..40),
        requests in vec(request(), 1..10),
    ) {
        let mut table = RouteTable::default();
        let mut kept: Vec<(Route, usize)> = Vec::new();
        let mut most = 0;
        for (number, (is_put_in, route)) in changes.into_iter().enumerate() {
            let there = kept.iter().position(|(kept, _)| kept.shape() == route.shape());
            if is_put_in {
                let conflict = there.map(|place| kept[place].0.clone());
                prop_assert_eq!(table.conflicts(&route).map(|(route, _)| route.clone()), conflict.clone());
                let inserted = table.insert(route.clone(), number);
                prop_assert_eq!(inserted.map_err(|error| *error.first), conflict.map_or(Ok(()), Err));
                if there.is_none() {
                    kept.push((route, number));
                }
            } else {
                let exact = there.filter(|place| kept[*place].0 == route);
                let removed = exact.map(|place| kept.remove(place).1);
                prop_assert_eq!(table.remove(&route), removed);
            }
            most = most.max(kept.len());
        }
        let fresh = RouteTable::new(kept.clone()).expect("conflicts were refused");
        for (host, method, path) in requests {
            prop_assert_eq!(table.resolve(host, &method, &path), fresh.resolve(host, &method, &path));
        }
        let mut left: Vec<_> = table.iter().map(|(route, number)| (route.clone(), *number)).collect();
        left.sort_by_key(|(_, number)| *number);
        prop_assert_eq!(left, kept);
        prop_assert_eq!(nodes(&table), nodes(&fresh));
        prop_assert_eq!(table.entries.len(), most);
    }

    /// Two routes have one shape exactly when one table cannot hold both.
    #[test]
    fn shapes_are_equal_exactly_where_routes_conflict(one in route(), other in route()) {
        let is_same_shape = one.shape() == other.shape();
        let table = RouteTable::new(vec![(one, ()), (other, ())]);
        prop_assert_eq!(table.is_err(), is_same_shape);
    }

    /// A table is refused exactly when two of its routes are the same but for names.
    #[test]
    fn new_refuses_exactly_the_conflicts(routes in vec(route(), 0..12)) {
        let distinct = without_conflicts(routes.clone()).len() == routes.len();
        let table = RouteTable::new(routes.into_iter().map(|route| (route, ())).collect());
        prop_assert_eq!(table.is_ok(), distinct);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Scanned {
    Found(usize),
    Allow(BTreeSet<String>),
    NoRoute,
}

fn without_conflicts(routes: Vec<Route>) -> Vec<Route> {
    let mut seen = BTreeSet::new();
    let shape = |route: &Route| {
        let path: Vec<_> = route
            .segments()
            .map(|segment| format!("{segment:?}"))
            .collect();
        format!("{:?} {:?} {path:?}", route.host(), route.method())
    };
    routes
        .into_iter()
        .filter(|route| seen.insert(shape(route)))
        .collect()
}

fn resolve_by_scan(routes: &[Route], host: Option<&str>, method: &Method, path: &str) -> Scanned {
    let host = host.map(|host| host.split(':').next().unwrap_or_default().to_lowercase());
    let hosts = if host.is_some() {
        vec![host, None]
    } else {
        vec![None]
    };
    for host in hosts {
        let of_host = routes
            .iter()
            .enumerate()
            .filter(|(_, route)| route.host() == host.as_deref());
        let matching: Vec<_> = of_host.filter(|(_, route)| matches(route, path)).collect();
        let best = matching
            .iter()
            .filter_map(|(number, route)| {
                Some(((specificity(route), method_rank(route, method)?), *number))
            })
            .max();
        if let Some((_, number)) = best {
            return Scanned::Found(number);
        }
        if !matching.is_empty() {
            let names = matching.iter().flat_map(|(_, route)| match route.method() {
                Some(&Method::GET) => vec!["GET".to_owned(), "HEAD".to_owned()],
                Some(method) => vec![method.to_string()],
                None => vec![],
            });
            return Scanned::Allow(names.collect());
        }
    }
    Scanned::NoRoute
}

fn matches(route: &Route, path: &str) -> bool {
    let mut sent = path[1..].split('/');
    for segment in route.segments() {
        let fits = match (segment, sent.next()) {
            (Segment::Rest, _) => return true,
            (Segment::Literal(text), Some(sent)) => text == sent,
            (Segment::Parameter, Some(sent)) => !sent.is_empty(),
            (Segment::Literal(_) | Segment::Parameter, None) => false,
        };
        if !fits {
            return false;
        }
    }
    sent.next().is_none()
}

/// Segment by segment: a literal over a parameter over a wildcard, and an end over a wildcard.
fn specificity(route: &Route) -> Vec<u8> {
    let ranks = route.segments().map(|segment| match segment {
        Segment::Literal(_) => 3,
        Segment::Parameter => 2,
        Segment::Rest => 0,
    });
    ranks.chain([1]).collect()
}

fn method_rank(route: &Route, method: &Method) -> Option<u8> {
    match route.method() {
        None => Some(0),
        Some(own) if own == method => Some(2),
        Some(&Method::GET) if method == Method::HEAD => Some(1),
        Some(_) => None,
    }
}
