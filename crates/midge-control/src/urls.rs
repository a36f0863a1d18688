//! Where functions answer, as people type it.
//!
//! Decides no routing: it repeats what the traffic door does with hosts below the node's domain.

use midge_model::{
    FunctionName, NamespaceName, Revision, RevisionNumber, Route, function_host, namespace_host,
    revision_host,
};

use crate::config::ControlConfig;

impl ControlConfig {
    /// Where a function answers whatever its routes are.
    pub(crate) fn function_url(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> String {
        self.at_host(&function_host(function, namespace, &self.domain), "")
    }

    /// Where exactly one revision answers.
    pub(crate) fn revision_url(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        number: RevisionNumber,
    ) -> String {
        let host = revision_host(number, function, namespace, &self.domain);
        self.at_host(&host, "")
    }

    /// Where a revision answers when it has the function's traffic: by its routes, and last by
    /// the function's own address.
    pub(crate) fn urls(&self, revision: &Revision) -> Vec<String> {
        let namespace = &revision.namespace;
        let mut urls = Vec::new();
        for route in &revision.routes {
            let url = self.route_url(namespace, route);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls.push(self.function_url(namespace, &revision.function));
        urls
    }

    fn route_url(&self, namespace: &NamespaceName, route: &Route) -> String {
        let mount = route.mount();
        match route.host() {
            Some(host) => self.at_host(host, mount),
            None if namespace.is_default() => {
                let path = if mount.is_empty() { "/" } else { mount };
                format!("{}{path}", self.public_url.trim_end_matches('/'))
            }
            None => self.at_host(&namespace_host(namespace, &self.domain), mount),
        }
    }

    /// The host that the node is reached by, in lower case.
    pub(crate) fn public_host(&self) -> Option<String> {
        let url: http::Uri = self.public_url.parse().ok()?;
        let host = url.host()?.trim_end_matches('.');
        Some(host.to_ascii_lowercase())
    }

    /// The traffic door's scheme and port with another host.
    fn at_host(&self, host: &str, path: &str) -> String {
        let (scheme, rest) = self.public_url.split_once("://").unwrap_or(("http", ""));
        let authority = rest.split('/').next().unwrap_or_default();
        // The last colon outside of `[…]`.
        let port = authority
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()))
            .map(|(_, port)| format!(":{port}"))
            .unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        format!("{scheme}://{host}{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::{Digest, Grants, Limits};

    use super::*;
    use crate::config::Auth;

    fn urls(public_url: &str, namespace: &str, routes: &[&str]) -> String {
        let config = ControlConfig {
            domain: "localhost".to_owned(),
            public_url: public_url.to_owned(),
            data_root: "/data".into(),
            component_bytes_max: 1,
            auth: Auth::Tokens,
        };
        let revision = Revision {
            namespace: namespace.parse().unwrap(),
            function: "checkout".parse().unwrap(),
            number: RevisionNumber::FIRST,
            digest: Digest::of(b""),
            grants: Grants::default(),
            limits: Limits::SAFE,
            isolation: midge_model::Isolation::Fresh,
            routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        };
        config.urls(&revision).join(" ")
    }

    #[test]
    fn routes_come_first_and_the_own_address_last() {
        let routes = [
            "POST /checkout",
            "GET /checkout",
            "/*",
            "shop.example.net/api/{id}",
        ];
        assert_snapshot!(urls("http://127.0.0.1:8080", "default", &routes), @"http://127.0.0.1:8080/checkout http://127.0.0.1:8080/ http://shop.example.net:8080/api http://checkout.default.localhost:8080/");
        assert_snapshot!(urls("https://[::1]:443/", "shop", &routes[..1]), @"https://shop.localhost:443/checkout https://checkout.shop.localhost:443/");
        assert_snapshot!(urls("https://fn.example.net", "shop", &[]), @"https://checkout.shop.localhost/");
    }
}
