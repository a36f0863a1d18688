// A function over wasi:http: http_handle is called for each request.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

static http_response hello(const http_request *request, const char *name);
static http_response echo(const http_request *request);
static http_response fetch(const http_request *request);
static http_response count(void);

http_response http_handle(const http_request *request) {
    bool get = strcmp(request->method, "GET") == 0;
    bool post = strcmp(request->method, "POST") == 0;
    const char *path = request->path;

    if (get && strcmp(path, "/") == 0) {
        return http_text(200, "Hello from C!\n");
    }
    if (get && strncmp(path, "/hello/", 7) == 0 && path[7] && !strchr(path + 7, '/')) {
        return hello(request, http_decode(path + 7));
    }
    if (post && strcmp(path, "/echo") == 0) {
        return echo(request);
    }
    if (get && strcmp(path, "/fetch") == 0) {
        return fetch(request);
    }
    if (get && strcmp(path, "/count") == 0) {
        return count();
    }
    return http_text(404, "no such path\n");
}

static http_response hello(const http_request *request, const char *name) {
    const char *greeting = http_parameter(request, "greeting");
    http_response response = http_text(200, "%s, %s!\n", greeting ? greeting : "Hello", name);
    http_set(&response, "x-language", "C");
    return response;
}

static http_response echo(const http_request *request) {
    http_response response = {.status = 200, .body = http_body(request)};
    const char *kind = http_header(request, "content-type");
    if (kind) {
        http_set(&response, "content-type", kind);
    }
    return response;
}

// Status and length of what a URL answers; allow.http in midge.toml says where it may go.
static http_response fetch(const http_request *request) {
    const char *url = http_parameter(request, "url");
    if (!url || !*url) {
        return http_text(400, "say what: /fetch?url=https://example.com/\n");
    }
    http_fetched fetched = http_get(url);
    if (fetched.error) {
        return http_text(502, "no answer from %s: %s\n", url, fetched.error);
    }
    return http_text(200, "%d %zu\n", fetched.status, fetched.body.len);
}

// How often this was called so far; allow.kv in midge.toml names the buckets that it may open.
static http_response count(void) {
    function_string_t name, key;
    function_string_set(&name, "default");
    function_string_set(&key, "count");
    wasi_keyvalue_store_error_t error;
    wasi_keyvalue_store_own_bucket_t bucket;
    if (!wasi_keyvalue_store_open(&name, &bucket, &error)) {
        wasi_keyvalue_store_error_free(&error);
        return http_text(500, "no count: the bucket does not open\n");
    }

    unsigned long long calls = 0;
    function_option_list_u8_t before;
    wasi_keyvalue_store_borrow_bucket_t borrowed = wasi_keyvalue_store_borrow_bucket(bucket);
    bool done = wasi_keyvalue_store_method_bucket_get(borrowed, &key, &before, &error);
    if (done) {
        char digits[24] = "";
        if (before.is_some && before.val.len < sizeof digits) {
            memcpy(digits, before.val.ptr, before.val.len);
        }
        function_option_list_u8_free(&before);
        calls = strtoull(digits, NULL, 10) + 1;
        function_list_u8_t after = {.ptr = (uint8_t *)digits};
        after.len = (size_t)snprintf(digits, sizeof digits, "%llu", calls);
        done = wasi_keyvalue_store_method_bucket_set(borrowed, &key, &after, &error);
    }
    wasi_keyvalue_store_bucket_drop_own(bucket);
    if (!done) {
        wasi_keyvalue_store_error_free(&error);
        return http_text(500, "no count: the bucket fails\n");
    }
    return http_text(200, "%llu\n", calls);
}
