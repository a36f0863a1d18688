// How http.h does it: the bindings' types in, plain C out.
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- memory

static struct {
    void **items;
    size_t count, room;
} kept;

void *http_keep(void *memory) {
    if (kept.count == kept.room) {
        kept.room = kept.room ? 2 * kept.room : 16;
        kept.items = realloc(kept.items, kept.room * sizeof *kept.items);
        if (!kept.items) {
            abort();
        }
    }
    return kept.items[kept.count++] = memory;
}

static void free_kept(void) {
    while (kept.count) {
        free(kept.items[--kept.count]);
    }
}

static char *room(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) {
        abort();
    }
    return http_keep(memory);
}

static char *text_of(const void *bytes, size_t length) {
    char *text = room(length + 1);
    memcpy(text, bytes, length);
    text[length] = 0;
    return text;
}

static function_string_t string_of(const char *text) {
    return (function_string_t){.ptr = (uint8_t *)text, .len = strlen(text)};
}

// ---- texts

static int digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20; // lower case
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *decode(const char *text, size_t length, bool plus_is_space) {
    char *decoded = room(length + 1), *end = decoded;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '%' && i + 2 < length && digit(text[i + 1]) >= 0 &&
            digit(text[i + 2]) >= 0) {
            *end++ = (char)(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            *end++ = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    *end = 0;
    return decoded;
}

const char *http_decode(const char *text) { return decode(text, strlen(text), false); }

const char *http_parameter(const http_request *request, const char *name) {
    for (const char *pair = request->query; *pair;) {
        size_t length = strcspn(pair, "&"), key = strcspn(pair, "=&");
        if (strcmp(decode(pair, key, true), name) == 0) {
            return key == length ? "" : decode(pair + key + 1, length - key - 1, true);
        }
        pair += length + (pair[length] == '&');
    }
    return NULL;
}

// ---- bodies

static http_bytes read_all(wasi_http_types_own_incoming_body_t body) {
    http_bytes all = {0};
    wasi_io_streams_own_input_stream_t stream;
    if (!wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body),
                                                     &stream)) {
        return all; // It was read before.
    }
    size_t size = 0;
    http_bytes part;
    wasi_io_streams_stream_error_t error;
    while (wasi_io_streams_method_input_stream_blocking_read(
        wasi_io_streams_borrow_input_stream(stream), 64 * 1024, &part, &error)) {
        if (all.len + part.len > size) {
            size = 2 * (all.len + part.len);
            all.ptr = realloc(all.ptr, size);
            if (!all.ptr) {
                abort();
            }
        }
        memcpy(all.ptr + all.len, part.ptr, part.len);
        all.len += part.len;
        function_list_u8_free(&part);
    }
    wasi_io_streams_stream_error_free(&error);
    wasi_io_streams_input_stream_drop_own(stream);
    if (all.ptr) {
        http_keep(all.ptr);
    }
    return all;
}

static void write_all(wasi_http_types_own_outgoing_body_t body, http_bytes bytes) {
    wasi_io_streams_own_output_stream_t stream;
    wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream);
    wasi_io_streams_stream_error_t broken;
    bool whole = true;
    for (size_t at = 0; whole && at < bytes.len;) {
        // The interface takes this much at a time.
        size_t length = bytes.len - at < 4096 ? bytes.len - at : 4096;
        http_bytes part = {.ptr = bytes.ptr + at, .len = length};
        whole = wasi_io_streams_method_output_stream_blocking_write_and_flush(
            wasi_io_streams_borrow_output_stream(stream), &part, &broken);
        at += length;
    }
    wasi_io_streams_output_stream_drop_own(stream);
    if (!whole) {
        wasi_io_streams_stream_error_free(&broken);
        wasi_http_types_outgoing_body_drop_own(body);
        return;
    }
    wasi_http_types_error_code_t error;
    if (!wasi_http_types_static_outgoing_body_finish(body, NULL, &error)) {
        wasi_http_types_error_code_free(&error);
    }
}

http_bytes http_body(const http_request *request) { return read_all(request->body); }

// ---- requests that come in

static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};

const char *http_header(const http_request *request, const char *name) {
    function_string_t key = string_of(name);
    wasi_http_types_list_field_value_t values;
    wasi_http_types_method_fields_get(wasi_http_types_borrow_fields(request->headers), &key,
                                      &values);
    const char *first = values.len ? text_of(values.ptr[0].ptr, values.ptr[0].len) : NULL;
    wasi_http_types_list_field_value_free(&values);
    return first;
}

http_response http_text(int status, const char *format, ...) {
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    char *text = room((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(values);
    http_response response = {.status = status, .body = {(uint8_t *)text, (size_t)length}};
    http_set(&response, "content-type", "text/plain");
    return response;
}

void http_set(http_response *response, const char *name, const char *value) {
    for (int i = 0; i < HTTP_HEADERS_MAX; i++) {
        if (!response->headers[i].name) {
            response->headers[i].name = name;
            response->headers[i].value = value;
            return;
        }
    }
}

// What the host calls.
void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t incoming,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    wasi_http_types_borrow_incoming_request_t borrowed =
        wasi_http_types_borrow_incoming_request(incoming);
    http_request request = {.path = "/", .query = ""};

    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(borrowed, &method);
    request.method = method.tag == WASI_HTTP_TYPES_METHOD_OTHER
                         ? text_of(method.val.other.ptr, method.val.other.len)
                         : methods[method.tag];
    wasi_http_types_method_free(&method);

    function_string_t target;
    if (wasi_http_types_method_incoming_request_path_with_query(borrowed, &target)) {
        char *path = text_of(target.ptr, target.len), *mark = strchr(path, '?');
        function_string_free(&target);
        if (mark) {
            *mark = 0;
            request.query = mark + 1;
        }
        request.path = path;
    }
    request.headers = wasi_http_types_method_incoming_request_headers(borrowed);
    wasi_http_types_method_incoming_request_consume(borrowed, &request.body);

    http_response response = http_handle(&request);

    wasi_http_types_own_fields_t fields = wasi_http_types_constructor_fields();
    for (int i = 0; i < HTTP_HEADERS_MAX && response.headers[i].name; i++) {
        function_string_t name = string_of(response.headers[i].name);
        function_string_t text = string_of(response.headers[i].value);
        wasi_http_types_field_value_t value = {.ptr = text.ptr, .len = text.len};
        wasi_http_types_header_error_t not_allowed; // It is left out then.
        wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &name, &value,
                                             &not_allowed);
    }
    wasi_http_types_own_outgoing_response_t outgoing =
        wasi_http_types_constructor_outgoing_response(fields);
    wasi_http_types_borrow_outgoing_response_t answer =
        wasi_http_types_borrow_outgoing_response(outgoing);
    wasi_http_types_method_outgoing_response_set_status_code(answer, (uint16_t)response.status);
    wasi_http_types_own_outgoing_body_t body;
    wasi_http_types_method_outgoing_response_body(answer, &body);
    wasi_http_types_result_own_outgoing_response_error_code_t sent = {.val.ok = outgoing};
    wasi_http_types_static_response_outparam_set(out, &sent);
    write_all(body, response.body);

    wasi_http_types_incoming_body_drop_own(request.body);
    wasi_http_types_fields_drop_own(request.headers);
    wasi_http_types_incoming_request_drop_own(incoming);
    free_kept();
}

// ---- requests that go out

static http_fetched failed(const char *error) { return (http_fetched){.error = error}; }

static const char *sentence(wasi_http_types_error_code_t *error) {
    uint8_t tag = error->tag;
    wasi_http_types_error_code_free(error);
    switch (tag) {
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED:
        return "the request is not allowed";
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_ERROR:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_NOT_FOUND:
        return "there is no such host";
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED:
        return "the connection was refused";
    case WASI_HTTP_TYPES_ERROR_CODE_TLS_CERTIFICATE_ERROR:
        return "the certificate is not trusted";
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_READ_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_TIMEOUT:
        return "it took too long";
    default:
        return "the request failed";
    }
}

http_fetched http_get(const char *url) {
    wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTPS};
    if (strncmp(url, "http://", 7) == 0) {
        scheme.tag = WASI_HTTP_TYPES_SCHEME_HTTP;
    } else if (strncmp(url, "https://", 8) != 0) {
        return failed("it is neither http nor https");
    }
    const char *host = strchr(url, ':') + 3;
    size_t length = strcspn(host, "/?#");
    function_string_t authority = {.ptr = (uint8_t *)host, .len = length};
    // Of `https://host?query` the path is `/?query`; what follows `#` is not sent.
    const char *rest = host + length;
    size_t rest_length = strcspn(rest, "#");
    char *path = room(rest_length + 2);
    snprintf(path, rest_length + 2, "%s%.*s", *rest == '/' ? "" : "/", (int)rest_length, rest);
    function_string_t target = string_of(path);

    wasi_http_types_own_outgoing_request_t request =
        wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
    wasi_http_types_borrow_outgoing_request_t borrowed =
        wasi_http_types_borrow_outgoing_request(request);
    if (!length || !wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme) ||
        !wasi_http_types_method_outgoing_request_set_authority(borrowed, &authority) ||
        !wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &target)) {
        wasi_http_types_outgoing_request_drop_own(request);
        return failed("it is not a URL");
    }

    wasi_http_types_own_future_incoming_response_t future;
    wasi_http_types_error_code_t error;
    if (!wasi_http_outgoing_handler_handle(request, NULL, &future, &error)) {
        return failed(sentence(&error));
    }
    wasi_http_types_borrow_future_incoming_response_t waiting =
        wasi_http_types_borrow_future_incoming_response(future);
    wasi_io_poll_own_pollable_t ready =
        wasi_http_types_method_future_incoming_response_subscribe(waiting);
    wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(ready));
    wasi_io_poll_pollable_drop_own(ready);
    // The outer result says whether it is asked for the first time, which it is.
    wasi_http_types_result_result_own_incoming_response_error_code_void_t got;
    wasi_http_types_method_future_incoming_response_get(waiting, &got);
    wasi_http_types_future_incoming_response_drop_own(future);
    if (got.val.ok.is_err) {
        return failed(sentence(&got.val.ok.val.err));
    }

    wasi_http_types_own_incoming_response_t incoming = got.val.ok.val.ok;
    wasi_http_types_borrow_incoming_response_t response =
        wasi_http_types_borrow_incoming_response(incoming);
    http_fetched fetched = {.status = wasi_http_types_method_incoming_response_status(response)};
    wasi_http_types_own_incoming_body_t body;
    wasi_http_types_method_incoming_response_consume(response, &body);
    fetched.body = read_all(body);
    wasi_http_types_incoming_body_drop_own(body);
    wasi_http_types_incoming_response_drop_own(incoming);
    return fetched;
}
