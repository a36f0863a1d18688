// How http.hpp does it: the bindings' types in, C++ out.
#include "http.hpp"

#include <algorithm>
#include <charconv>

namespace http {

static std::string take(function_string_t &text) {
    std::string taken((const char *)text.ptr, text.len);
    function_string_free(&text);
    return taken;
}

static function_string_t string_of(std::string_view text) {
    return {(uint8_t *)text.data(), text.size()};
}

// ---- texts

std::string decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    for (size_t i = 0; i < text.size(); i++) {
        unsigned char byte = text[i];
        if (byte == '%' && i + 2 < text.size()) {
            const char *digits = text.data() + i + 1;
            if (std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
                i += 2;
            }
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        decoded += (char)byte;
    }
    return decoded;
}

std::optional<std::string> Request::parameter(std::string_view name) const {
    for (std::string_view rest = query; !rest.empty();) {
        const auto pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const auto key = pair.substr(0, pair.find('='));
        if (decode(key, true) == name) {
            return decode(pair.substr(std::min(key.size() + 1, pair.size())), true);
        }
    }
    return {};
}

std::optional<std::string> Request::header(std::string_view name) const {
    for (const auto &[key, value] : headers) {
        if (key == name) {
            return value;
        }
    }
    return {};
}

Response text(int status, std::string body) {
    return {.status = status, .headers = {{"content-type", "text/plain"}}, .body = std::move(body)};
}

// ---- headers and bodies

static Headers take(wasi_http_types_own_fields_t fields) {
    wasi_http_types_list_tuple2_field_name_field_value_t entries;
    wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
    Headers headers;
    for (size_t i = 0; i < entries.len; i++) {
        const auto &[name, value] = entries.ptr[i];
        headers.emplace_back(std::string((const char *)name.ptr, name.len),
                             std::string((const char *)value.ptr, value.len));
    }
    wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
    wasi_http_types_fields_drop_own(fields);
    return headers;
}

static wasi_http_types_own_fields_t fields_of(const Headers &headers) {
    const auto fields = wasi_http_types_constructor_fields();
    for (const auto &[name, value] : headers) {
        auto key = string_of(name);
        wasi_http_types_field_value_t bytes = {(uint8_t *)value.data(), value.size()};
        wasi_http_types_header_error_t not_allowed; // It is left out then.
        wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &key, &bytes,
                                             &not_allowed);
    }
    return fields;
}

static std::string read_all(wasi_http_types_own_incoming_body_t body) {
    std::string all;
    wasi_io_streams_own_input_stream_t stream;
    if (!wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body),
                                                     &stream)) {
        return all; // It was read before.
    }
    const auto source = wasi_io_streams_borrow_input_stream(stream);
    function_list_u8_t part;
    wasi_io_streams_stream_error_t error;
    while (wasi_io_streams_method_input_stream_blocking_read(source, 64 * 1024, &part, &error)) {
        all.append((const char *)part.ptr, part.len);
        function_list_u8_free(&part);
    }
    wasi_io_streams_stream_error_free(&error);
    wasi_io_streams_input_stream_drop_own(stream);
    return all;
}

static void write_all(wasi_http_types_own_outgoing_body_t body, std::string_view bytes) {
    wasi_io_streams_own_output_stream_t stream;
    wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream);
    const auto sink = wasi_io_streams_borrow_output_stream(stream);
    wasi_io_streams_stream_error_t broken;
    bool whole = true;
    while (whole && !bytes.empty()) {
        // The interface takes this much at a time.
        function_list_u8_t part = {(uint8_t *)bytes.data(), std::min<size_t>(bytes.size(), 4096)};
        whole = wasi_io_streams_method_output_stream_blocking_write_and_flush(sink, &part, &broken);
        bytes.remove_prefix(part.len);
    }
    wasi_io_streams_output_stream_drop_own(stream);
    if (!whole) {
        wasi_io_streams_stream_error_free(&broken);
        wasi_http_types_outgoing_body_drop_own(body);
        return;
    }
    wasi_http_types_error_code_t error;
    if (!wasi_http_types_static_outgoing_body_finish(body, nullptr, &error)) {
        wasi_http_types_error_code_free(&error);
    }
}

std::string Request::body() const { return read_all(stream); }

// ---- requests that go out

static std::unexpected<const char *> failed(wasi_http_types_error_code_t &error) {
    const auto tag = error.tag;
    wasi_http_types_error_code_free(&error);
    switch (tag) {
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED:
        return std::unexpected("the request is not allowed");
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_DNS_ERROR:
    case WASI_HTTP_TYPES_ERROR_CODE_DESTINATION_NOT_FOUND:
        return std::unexpected("there is no such host");
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_REFUSED:
        return std::unexpected("the connection was refused");
    case WASI_HTTP_TYPES_ERROR_CODE_TLS_CERTIFICATE_ERROR:
        return std::unexpected("the certificate is not trusted");
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_CONNECTION_READ_TIMEOUT:
    case WASI_HTTP_TYPES_ERROR_CODE_HTTP_RESPONSE_TIMEOUT:
        return std::unexpected("it took too long");
    default:
        return std::unexpected("the request failed");
    }
}

std::expected<Response, std::string> get(std::string_view url) {
    wasi_http_types_scheme_t scheme = {.tag = WASI_HTTP_TYPES_SCHEME_HTTPS, .val = {}};
    if (url.starts_with("http://")) {
        scheme.tag = WASI_HTTP_TYPES_SCHEME_HTTP;
    } else if (!url.starts_with("https://")) {
        return std::unexpected("it is neither http nor https");
    }
    url = url.substr(url.find("//") + 2, url.find('#') - url.find("//") - 2);
    const auto host = url.substr(0, url.find_first_of("/?"));
    std::string path(url.substr(host.size()));
    if (!path.starts_with('/')) {
        path.insert(0, "/");
    }
    auto authority = string_of(host), target = string_of(path);

    const auto request =
        wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
    const auto borrowed = wasi_http_types_borrow_outgoing_request(request);
    if (host.empty() || !wasi_http_types_method_outgoing_request_set_scheme(borrowed, &scheme) ||
        !wasi_http_types_method_outgoing_request_set_authority(borrowed, &authority) ||
        !wasi_http_types_method_outgoing_request_set_path_with_query(borrowed, &target)) {
        wasi_http_types_outgoing_request_drop_own(request);
        return std::unexpected("it is not a URL");
    }

    wasi_http_types_own_future_incoming_response_t future;
    wasi_http_types_error_code_t error;
    if (!wasi_http_outgoing_handler_handle(request, nullptr, &future, &error)) {
        return failed(error);
    }
    const auto waiting = wasi_http_types_borrow_future_incoming_response(future);
    const auto ready = wasi_http_types_method_future_incoming_response_subscribe(waiting);
    wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(ready));
    wasi_io_poll_pollable_drop_own(ready);
    // The outer result says whether it is asked for the first time, which it is.
    wasi_http_types_result_result_own_incoming_response_error_code_void_t got;
    wasi_http_types_method_future_incoming_response_get(waiting, &got);
    wasi_http_types_future_incoming_response_drop_own(future);
    if (got.val.ok.is_err) {
        return failed(got.val.ok.val.err);
    }

    const auto incoming = got.val.ok.val.ok;
    const auto answer = wasi_http_types_borrow_incoming_response(incoming);
    Response response;
    response.status = wasi_http_types_method_incoming_response_status(answer);
    response.headers = take(wasi_http_types_method_incoming_response_headers(answer));
    wasi_http_types_own_incoming_body_t body;
    wasi_http_types_method_incoming_response_consume(answer, &body);
    response.body = read_all(body);
    wasi_http_types_incoming_body_drop_own(body);
    wasi_http_types_incoming_response_drop_own(incoming);
    return response;
}

// ---- requests that come in

static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH"};

static Request take(wasi_http_types_own_incoming_request_t incoming) {
    const auto borrowed = wasi_http_types_borrow_incoming_request(incoming);
    Request request;

    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(borrowed, &method);
    const bool other = method.tag == WASI_HTTP_TYPES_METHOD_OTHER;
    request.method = other ? take(method.val.other) : methods[method.tag];

    request.path = "/";
    function_string_t target;
    if (wasi_http_types_method_incoming_request_path_with_query(borrowed, &target)) {
        request.path = take(target);
        if (const auto mark = request.path.find('?'); mark != std::string::npos) {
            request.query = request.path.substr(mark + 1);
            request.path.resize(mark);
        }
    }
    request.headers = take(wasi_http_types_method_incoming_request_headers(borrowed));
    wasi_http_types_method_incoming_request_consume(borrowed, &request.stream);
    wasi_http_types_incoming_request_drop_own(incoming);
    return request;
}

} // namespace http

// What the host calls.
extern "C" void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t incoming,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    const auto request = http::take(incoming);
    const auto response = http::handle(request);

    const auto outgoing =
        wasi_http_types_constructor_outgoing_response(http::fields_of(response.headers));
    const auto borrowed = wasi_http_types_borrow_outgoing_response(outgoing);
    wasi_http_types_method_outgoing_response_set_status_code(borrowed, (uint16_t)response.status);
    wasi_http_types_own_outgoing_body_t body;
    wasi_http_types_method_outgoing_response_body(borrowed, &body);
    wasi_http_types_result_own_outgoing_response_error_code_t sent = {.is_err = false,
                                                                      .val = {.ok = outgoing}};
    wasi_http_types_static_response_outparam_set(out, &sent);
    http::write_all(body, response.body);
    wasi_http_types_incoming_body_drop_own(request.stream);
}
