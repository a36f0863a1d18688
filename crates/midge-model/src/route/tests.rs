//! What a route is, and what the refusals say.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    match text.parse::<Route>() {
        Ok(route) => {
            let host = route.host().unwrap_or("any");
            let method = route.method().map_or("any", Method::as_str);
            format!(
                "ok: {route} | host {host}, method {method}, mount `{}`",
                route.mount()
            )
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_route_is_a_method_a_host_and_a_path() {
    assert_snapshot!(check("POST /checkout"), @"ok: POST /checkout | host any, method POST, mount `/checkout`");
    assert_snapshot!(check("GET /orders/{id}"), @"ok: GET /orders/{id} | host any, method GET, mount `/orders`");
    assert_snapshot!(check("Shop.Example.net/api/{*rest}"), @"ok: shop.example.net/api/{*rest} | host shop.example.net, method any, mount `/api`");
    assert_snapshot!(check("GET shop.example.net/"), @"ok: GET shop.example.net/ | host shop.example.net, method GET, mount ``");
    assert_snapshot!(check("localhost/*"), @"ok: localhost/* | host localhost, method any, mount ``");
    assert_snapshot!(check("  PURGE   /x/* "), @"ok: PURGE /x/* | host any, method PURGE, mount `/x`");
}

#[test]
fn the_mount_is_the_literal_part() {
    assert_snapshot!(check("/"), @"ok: / | host any, method any, mount ``");
    assert_snapshot!(check("/*"), @"ok: /* | host any, method any, mount ``");
    assert_snapshot!(check("/a/b/"), @"ok: /a/b/ | host any, method any, mount `/a/b`");
    assert_snapshot!(check("/a/{b}/c"), @"ok: /a/{b}/c | host any, method any, mount `/a`");
}

#[test]
fn methods_are_spelt_as_they_are_sent() {
    assert_snapshot!(check("get /x"), @"error: route `get /x` has the method `get`, write it in capital letters: `GET`");
    assert_snapshot!(check("GTE /x"), @"error: route `GTE /x` has the unknown method `GTE`, did you mean `GET`?");
    assert_snapshot!(check("G3T /x"), @"error: route `G3T /x` has `G3T` where the method stands, write for example `GET`");
    assert_snapshot!(check("GET POST /x"), @"error: route `GET POST /x` has too many words, write a method, one space and a path");
}

#[test]
fn a_host_is_a_name_and_nothing_else() {
    assert_snapshot!(check("https://shop.example.net/x"), @"error: route `https://shop.example.net/x` names a scheme, leave `https://` out: a route answers over http and https");
    assert_snapshot!(check("shop.example.net:8080/x"), @"error: route `shop.example.net:8080/x` has the port `:8080` after the host, leave it out: a route answers on every port");
    assert_snapshot!(check("*.example.net/x"), @"error: route `*.example.net/x` has '*' in the host at position 0, a host is letters, digits, `-` and `.`");
    assert_snapshot!(check("shop..net/x"), @"error: route `shop..net/x` has an empty or hyphen-ended label in the host, write for example `shop.example.net`");
    assert_snapshot!(check("GET orders/{id}"), @"error: route `GET orders/{id}` has the host `orders` without a dot, write `/orders/{id}` if it is part of the path");
    assert_snapshot!(check("shop.example.net"), @"error: route `shop.example.net` has no path, write for example `GET /orders/{id}` or `/*`");
    assert_snapshot!(check(""), @"error: route `` has no path, write for example `GET /orders/{id}` or `/*`");
}

#[test]
fn a_path_holds_what_clients_send() {
    assert_snapshot!(check("/search?q=1"), @"error: route `/search?q=1` has '?' at position 7, a route is matched against the path only");
    assert_snapshot!(check("GET /caf\u{e9}"), @"error: route `GET /café` has 'é' at position 8, write it percent-encoded, as clients send it");
    assert_snapshot!(check("/a/../b"), @"error: route `/a/../b` has a `..` segment at position 3, write the path that is meant");
    assert_snapshot!(check("/a\tb"), @r"error: route `/a\tb` has '\t' at position 2, write it percent-encoded, as clients send it");
    assert_snapshot!(check(&format!("/{}", "x".repeat(2_000))), @"error: route `/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is longer than 1024 bytes");
}

#[test]
fn parameters_and_wildcards_are_whole_segments() {
    assert_snapshot!(check("/img-{id}.png"), @"error: route `/img-{id}.png` has a bad parameter at position 1, write a whole segment such as `{id}`");
    assert_snapshot!(check("/{}"), @"error: route `/{}` has a bad parameter at position 1, write a whole segment such as `{id}`");
    assert_snapshot!(check("/{1}"), @"error: route `/{1}` has a bad parameter at position 1, write a whole segment such as `{id}`");
    assert_snapshot!(check("GET /x/{id"), @"error: route `GET /x/{id` has a bad parameter at position 7, write a whole segment such as `{id}`");
    assert_snapshot!(check("/{a}/{a}"), @"error: route `/{a}/{a}` has the parameter `{a}` twice, give each a name of its own");
    assert_snapshot!(check("/*/x"), @"error: route `/*/x` has a wildcard at position 1 that is not the whole last segment, write for example `/files/*`");
    assert_snapshot!(check("/x*"), @"error: route `/x*` has a wildcard at position 1 that is not the whole last segment, write for example `/files/*`");
    assert_snapshot!(check("/{*rest}/x"), @"error: route `/{*rest}/x` has a wildcard at position 1 that is not the whole last segment, write for example `/files/*`");
}

#[test]
fn a_function_answers_below_its_name_by_default() {
    let name = "hello".parse().unwrap();
    assert_snapshot!(check(&Route::default_of(&name).to_string()), @"ok: /hello/* | host any, method any, mount `/hello`");
}

#[test]
fn a_shape_is_one_spelling_of_what_a_route_matches() {
    let shape = |text: &str| text.parse::<Route>().unwrap().shape();
    assert_snapshot!(shape("GET /orders/{id}"), @"GET /orders/{}");
    assert_snapshot!(shape("/x/{*rest}"), @"* /x/*");
    assert_snapshot!(shape("/x/*"), @"* /x/*");
    assert_snapshot!(shape("PURGE Shop.Example.net/{a}/b/{c}/"), @"PURGE shop.example.net/{}/b/{}/");
    assert_snapshot!(shape("/"), @"* /");
}

proptest! {
    #[test]
    fn a_route_survives_its_own_text(
        text in "((GET|POST|PURGE) {1,2})?(Shop\\.example\\.net)?(/([a-z.%]{0,3}|\\{[ab]\\}|\\*|\\{\\*c\\})){1,4}",
    ) {
        if let Ok(route) = text.parse::<Route>() {
            prop_assert_eq!(route.to_string().parse(), Ok(route.clone()));
            let json = serde_json::to_string(&route).unwrap();
            prop_assert_eq!(serde_json::from_str::<Route>(&json).unwrap(), route);
        }
    }

    #[test]
    fn the_mount_begins_the_path(text in "(/([a-z]{0,2}|\\{[ab]\\}|\\*)){1,4}") {
        if let Ok(route) = text.parse::<Route>() {
            prop_assert!(route.path().starts_with(route.mount()));
            let is_literal = !route.mount().contains(['{', '*']);
            prop_assert!(is_literal && !route.mount().ends_with('/'), "{}", route);
        }
    }

    #[test]
    fn never_panics(text in any::<String>(), near in "[A-Z ]{0,5}[a-zé.:/{}* ]{0,20}") {
        for text in [text, near] {
            let _route = text.parse::<Route>();
        }
    }
}
