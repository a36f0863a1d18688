// Requests and responses over wasi:http 0.2.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What `midge build` makes of wit/world.wit, in build/bindings.
#include "function.h"

namespace http {

// Names in lower case, in the order they came.
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
    std::string method; // "GET"
    std::string path;   // as it was sent, without the query
    std::string query;  // without the `?`
    Headers headers;
    wasi_http_types_own_incoming_body_t stream;

    // The first header of this name.
    std::optional<std::string> header(std::string_view name) const;
    // The first parameter of this name in the query, decoded.
    std::optional<std::string> parameter(std::string_view name) const;
    // The whole body; call it once.
    std::string body() const;
};

struct Response {
    int status = 200;
    Headers headers = {};
    std::string body = {};
};

// Answers a request. This is yours: main.cpp.
Response handle(const Request &request);

// A response of text.
Response text(int status, std::string body);
// What a GET of this URL brings, or why it brings nothing.
std::expected<Response, std::string> get(std::string_view url);
// A text without its %XX; in queries a `+` is a space.
std::string decode(std::string_view text, bool plus_is_space = false);

} // namespace http
