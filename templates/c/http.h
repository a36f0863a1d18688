// Requests and responses over wasi:http 0.2.
//
// Nothing that these functions return needs to be freed: it lives until the response was sent. So
// does what is given to http_keep. Texts end with a zero, bodies do not.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What `midge build` makes of wit/world.wit, in build/bindings.
#include "function.h"

typedef function_list_u8_t http_bytes;

typedef struct {
    const char *method; // "GET"
    const char *path;   // as it was sent, without the query
    const char *query;  // without the `?`, "" if there is none
    wasi_http_types_own_fields_t headers;
    wasi_http_types_own_incoming_body_t body;
} http_request;

#define HTTP_HEADERS_MAX 16

typedef struct {
    int status;
    struct {
        const char *name, *value;
    } headers[HTTP_HEADERS_MAX]; // up to the first without a name
    http_bytes body;
} http_response;

typedef struct {
    const char *error; // NULL if all went well
    int status;
    http_bytes body;
} http_fetched;

// Answers a request. This is yours: main.c.
http_response http_handle(const http_request *request);

// The first header of this name, or NULL.
const char *http_header(const http_request *request, const char *name);
// The first parameter of this name in the query, decoded, or NULL.
const char *http_parameter(const http_request *request, const char *name);
// The whole body; call it once.
http_bytes http_body(const http_request *request);

// A response of text, as printf writes it.
__attribute__((format(printf, 2, 3))) http_response http_text(int status, const char *format, ...);
// Adds a header; one too many is left out.
void http_set(http_response *response, const char *name, const char *value);

// What a GET of this URL brings.
http_fetched http_get(const char *url);

// A text without its %XX.
const char *http_decode(const char *text);
// Frees this, which malloc gave, once the response was sent; it returns it.
void *http_keep(void *memory);
