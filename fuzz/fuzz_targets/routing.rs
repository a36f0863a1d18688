//! A table of any routes answers any path; what it finds was put in, and can be taken out.
#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use midge_model::{Resolved, Route, RouteTable};

fuzz_target!(|input: (Vec<&str>, &str, &str)| {
    let (routes, host, path) = input;
    let routes = routes.iter().filter_map(|text| text.parse::<Route>().ok());
    let entries: Vec<_> = routes.enumerate().map(|(at, route)| (route, at)).collect();
    let Ok(mut table) = RouteTable::new(entries.clone()) else {
        return;
    };
    for method in [Method::GET, Method::HEAD, Method::POST] {
        if let Resolved::Found { route, target } = table.resolve(Some(host), &method, path) {
            assert_eq!(&entries[*target].0, route);
            assert!(path.starts_with(route.mount()), "{route} found for {path}");
        }
    }
    for (route, at) in &entries {
        assert_eq!(table.conflicts(route), Some((route, at)));
        assert_eq!(table.remove(route), Some(*at));
        assert_eq!(table.conflicts(route), None);
    }
    assert_eq!(
        table.resolve(Some(host), &Method::GET, path),
        Resolved::NoRoute
    );
});
