//! A function over wasi:http: `handle` is called for each request.

const std = @import("std");
const http = @import("http.zig");
const Bucket = @import("keyvalue.zig").Bucket;

comptime {
    http.serve(handle);
}

/// What it allocates lives until the response was sent. An error it returns is a 500.
fn handle(request: *http.Request, arena: std.mem.Allocator) !http.Response {
    const get = std.mem.eql(u8, request.method, "GET");
    const post = std.mem.eql(u8, request.method, "POST");
    const path = request.path;

    if (get and std.mem.eql(u8, path, "/")) return .text(200, "Hello from Zig!\n");
    if (get and std.mem.startsWith(u8, path, "/hello/")) {
        const name = path["/hello/".len..];
        if (name.len > 0 and std.mem.indexOfScalar(u8, name, '/') == null)
            return hello(request, arena, name);
    }
    if (post and std.mem.eql(u8, path, "/echo")) return echo(request, arena);
    if (get and std.mem.eql(u8, path, "/fetch")) return fetch(request, arena);
    if (get and std.mem.eql(u8, path, "/count")) return count(arena);
    return .text(404, "no such path\n");
}

fn hello(request: *http.Request, arena: std.mem.Allocator, name: []const u8) !http.Response {
    const greeting = try request.parameter(arena, "greeting") orelse "Hello";
    const decoded = try http.decode(arena, name, .path);
    var response = try line(arena, 200, "{s}, {s}!\n", .{ greeting, decoded });
    try response.headers.append(arena, .{ .name = "x-language", .value = "Zig" });
    return response;
}

fn echo(request: *http.Request, arena: std.mem.Allocator) !http.Response {
    var response: http.Response = .{ .status = 200, .body = try request.body(arena) };
    if (request.header("content-type")) |kind|
        try response.headers.append(arena, .{ .name = "content-type", .value = kind });
    return response;
}

/// Status and length of what a URL answers; allow.http in midge.toml says where it may go.
fn fetch(request: *http.Request, arena: std.mem.Allocator) !http.Response {
    const url = try request.parameter(arena, "url") orelse "";
    if (url.len == 0) return .text(400, "say what: /fetch?url=https://example.com/\n");
    const fetched = http.get(arena, url) catch |why| {
        return line(arena, 502, "no answer from {s}: {t}\n", .{ url, why });
    };
    return line(arena, 200, "{d} {d}\n", .{ fetched.status, fetched.body.len });
}

/// How often this was called so far; allow.kv in midge.toml names the buckets that it may open.
fn count(arena: std.mem.Allocator) !http.Response {
    const calls = more(arena) catch |why| return line(arena, 500, "no count: {t}\n", .{why});
    return line(arena, 200, "{d}\n", .{calls});
}

fn more(arena: std.mem.Allocator) !u64 {
    const bucket: Bucket = try .open("default");
    defer bucket.close();
    const before = try bucket.get("count") orelse "0";
    const calls = (std.fmt.parseInt(u64, before, 10) catch 0) + 1;
    try bucket.set("count", try std.fmt.allocPrint(arena, "{d}", .{calls}));
    return calls;
}

fn line(arena: std.mem.Allocator, status: u16, comptime format: []const u8, values: anytype) !http.Response {
    return .text(status, try std.fmt.allocPrint(arena, format, values));
}
