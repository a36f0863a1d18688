package wasi

import (
	"fmt"
	"io"
	"net/url"
	"strings"
)

// A Request is what a caller sent.
type Request struct {
	Method string
	URL    *url.URL
	Header Header
	Body   io.Reader
}

// A Response is what is sent back, and what Get receives.
type Response struct {
	Status int
	Header Header
	// Body may be nil. One from Get, and that of a Request, ends its stream when it was read to the end.
	Body io.Reader
}

// A Header is the fields of a message, by name in lower case.
type Header map[string][]string

// Get returns the first value of name, or "".
func (h Header) Get(name string) string {
	if values := h[strings.ToLower(name)]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Set gives name one value.
func (h *Header) Set(name, value string) {
	if *h == nil {
		*h = Header{}
	}
	(*h)[strings.ToLower(name)] = []string{value}
}

var handler func(*Request) *Response

// Handle says who answers requests; call it in init.
func Handle(f func(*Request) *Response) { handler = f }

//go:wasmexport wasi:http/incoming-handler@0.2.12#handle
func handle(request, out uint32) {
	response := answer(request)

	outgoing := newOutgoingResponse(newFields(response.Header))
	setStatus(outgoing, uint32(response.Status))
	outgoingResponseBody(outgoing, fresh())
	body := handleAt(4)
	setResponse(out, 0, outgoing, 0, 0, 0, 0, 0, 0)

	stream := outputStream(bodyStream(body))
	var err error
	if response.Body != nil {
		_, err = io.Copy(stream, response.Body)
	}
	dropOutputStream(uint32(stream))
	if err != nil {
		// An unfinished body tells the caller that the rest is missing.
		dropOutgoingBody(body)
		return
	}
	finishBody(body, 0, 0, fresh())
}

// answer asks the handler. What is not a request is answered here.
func answer(incoming uint32) *Response {
	requestMethod(incoming, fresh())
	method := methodAt(0)
	requestPath(incoming, fresh())
	path := "/"
	if byteAt(0) == 1 {
		path = textAt(4)
	}
	header := takeHeader(requestHeaders(incoming))
	consumeRequest(incoming, fresh())
	body := newBody(handleAt(4))
	dropRequest(incoming)

	target, err := url.ParseRequestURI(path)
	if err != nil {
		return &Response{Status: 400}
	}
	return handler(&Request{Method: method, URL: target, Header: header, Body: body})
}

// Get asks for what is at address, and returns as soon as the response's header is there.
func Get(address string) (*Response, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	scheme, known := map[string]uint32{"http": 0, "https": 1}[target.Scheme]
	if !known || target.Host == "" {
		return nil, fmt.Errorf("not an http or https URL")
	}
	request := newOutgoingRequest(newFields(nil))
	setScheme(request, 1, scheme, nil, 0)
	if setAuthority(request, 1, pointer(target.Host), uint32(len(target.Host))) != 0 {
		dropOutgoingRequest(request)
		return nil, fmt.Errorf("not a host: %q", target.Host)
	}
	path := target.RequestURI()
	if setPath(request, 1, pointer(path), uint32(len(path))) != 0 {
		dropOutgoingRequest(request)
		return nil, fmt.Errorf("not a path: %q", path)
	}

	send(request, 0, 0, fresh())
	if byteAt(0) == 1 {
		return nil, httpErrorAt(8)
	}
	future := handleAt(8)
	ready := subscribe(future)
	block(ready)
	dropPollable(ready)
	futureResponse(future, fresh())
	// An option, a result that is an error if asked twice, and what came of the request.
	failed, incoming := byteAt(16) == 1, handleAt(24)
	if failed {
		err = httpErrorAt(24)
	}
	dropFuture(future)
	if failed {
		return nil, err
	}

	response := &Response{Status: int(responseStatus(incoming))}
	response.Header = takeHeader(responseHeaders(incoming))
	consumeResponse(incoming, fresh())
	response.Body = newBody(handleAt(4))
	dropIncomingResponse(incoming)
	return response, nil
}
