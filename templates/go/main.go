// A function over wasi:http: handle is called for each request.
package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"{{name}}/internal/wasi"
)

func init() { wasi.Handle(handle) }

// Go wants a main; it never runs.
func main() {}

func handle(r *wasi.Request) *wasi.Response {
	query := r.URL.Query()
	switch r.Method + " " + r.URL.Path {
	case "GET /":
		return text(200, "Hello from Go!")
	case "POST /echo":
		// The body goes back as it comes in; it is never all in memory.
		response := &wasi.Response{Status: 200, Body: r.Body}
		if kind := r.Header.Get("content-type"); kind != "" {
			response.Header.Set("content-type", kind)
		}
		return response
	case "GET /fetch":
		return fetch(query.Get("url"))
	case "GET /count":
		count, err := count()
		if err != nil {
			return text(500, "no count: %v", err)
		}
		return text(200, "%d", count)
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/hello/"); ok && r.Method == "GET" {
		return hello(name, query)
	}
	return text(404, "no such path")
}

func hello(name string, query url.Values) *wasi.Response {
	if name == "" || strings.Contains(name, "/") {
		return text(404, "no such path")
	}
	greeting := "Hello"
	if query.Has("greeting") {
		greeting = query.Get("greeting")
	}
	response := text(200, "%s, %s!", greeting, name)
	response.Header.Set("x-language", "Go")
	return response
}

// fetch says status and length of what url answers; allow.http in midge.toml says where it may go.
func fetch(url string) *wasi.Response {
	if url == "" {
		return text(400, "say what: /fetch?url=https://example.com/")
	}
	response, err := wasi.Get(url)
	if err != nil {
		return text(502, "no answer from %s: %v", url, err)
	}
	length, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		return text(502, "no whole answer from %s: %v", url, err)
	}
	return text(200, "%d %d", response.Status, length)
}

// count is how often it was called so far; allow.kv in midge.toml names the buckets it may open.
func count() (int, error) {
	bucket, err := wasi.OpenBucket("default")
	if err != nil {
		return 0, err
	}
	defer bucket.Close()
	before, err := bucket.Get("count")
	if err != nil {
		return 0, err
	}
	count, _ := strconv.Atoi(string(before)) // No value is the empty one, and 0.
	count++
	return count, bucket.Set("count", []byte(strconv.Itoa(count)))
}

// text is a response of one line.
func text(status int, format string, values ...any) *wasi.Response {
	line := fmt.Sprintf(format, values...)
	response := &wasi.Response{Status: status, Body: strings.NewReader(line + "\n")}
	response.Header.Set("content-type", "text/plain")
	return response
}
