// A function over wasi:http: http::handle is called for each request.
#include <charconv>
#include <string>

#include "http.hpp"
#include "keyvalue.hpp"

using http::Request, http::Response, http::text;
using namespace std::literals;

static Response hello(const Request &request, const std::string &name);
static Response echo(const Request &request);
static Response fetch(const Request &request);
static Response count();

Response http::handle(const Request &request) {
    const auto get = request.method == "GET", post = request.method == "POST";
    const auto path = std::string_view(request.path);

    if (get && path == "/") {
        return text(200, "Hello from C++!\n");
    }
    if (get && path.starts_with("/hello/")) {
        const auto name = path.substr("/hello/"sv.size());
        if (!name.empty() && !name.contains('/')) {
            return hello(request, decode(name));
        }
    }
    if (post && path == "/echo") {
        return echo(request);
    }
    if (get && path == "/fetch") {
        return fetch(request);
    }
    if (get && path == "/count") {
        return count();
    }
    return text(404, "no such path\n");
}

static Response hello(const Request &request, const std::string &name) {
    auto response =
        text(200, request.parameter("greeting").value_or("Hello") + ", " + name + "!\n");
    response.headers.emplace_back("x-language", "C++");
    return response;
}

static Response echo(const Request &request) {
    Response response{.status = 200, .body = request.body()};
    if (auto kind = request.header("content-type")) {
        response.headers.emplace_back("content-type", *kind);
    }
    return response;
}

// Status and length of what a URL answers; allow.http in midge.toml says where it may go.
static Response fetch(const Request &request) {
    const auto url = request.parameter("url").value_or("");
    if (url.empty()) {
        return text(400, "say what: /fetch?url=https://example.com/\n");
    }
    const auto fetched = http::get(url);
    if (!fetched) {
        return text(502, "no answer from " + url + ": " + fetched.error() + "\n");
    }
    const auto length = std::to_string(fetched->body.size());
    return text(200, std::to_string(fetched->status) + " " + length + "\n");
}

// How often this was called so far; allow.kv in midge.toml names the buckets that it may open.
static Response count() {
    const auto bucket = keyvalue::Bucket::open("default");
    if (!bucket) {
        return text(500, "no count: " + bucket.error() + "\n");
    }
    const auto before = bucket->get("count");
    if (!before) {
        return text(500, "no count: " + before.error() + "\n");
    }
    unsigned long long calls = 0; // It stays 0 where there is no number yet.
    const auto &digits = before->value_or("");
    std::from_chars(digits.data(), digits.data() + digits.size(), calls);
    const auto after = std::to_string(calls + 1);
    if (const auto set = bucket->set("count", after); !set) {
        return text(500, "no count: " + set.error() + "\n");
    }
    return text(200, after + "\n");
}
