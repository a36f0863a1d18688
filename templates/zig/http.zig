//! Requests and responses over wasi:http.
//!
//! The bindings are written by hand: `wasi` at the end declares the functions of wit/world.wit that
//! are used here, and abi.zig reads what they return. To call another one, declare it there.

const std = @import("std");
const abi = @import("abi.zig");
const Area = abi.Area;

pub const Header = struct { name: []const u8, value: []const u8 };

pub const Request = struct {
    /// Such as "GET".
    method: []const u8,
    /// As it was sent, without the query.
    path: []const u8,
    /// Without the `?`.
    query: []const u8,
    headers: []const Header,
    incoming_body: i32,

    /// The first header of this name, which is in lower case.
    pub fn header(request: *const Request, name: []const u8) ?[]const u8 {
        for (request.headers) |entry|
            if (std.mem.eql(u8, entry.name, name)) return entry.value;
        return null;
    }

    /// The first parameter of this name in the query, decoded.
    pub fn parameter(
        request: *const Request,
        arena: std.mem.Allocator,
        name: []const u8,
    ) !?[]const u8 {
        var pairs = std.mem.splitScalar(u8, request.query, '&');
        while (pairs.next()) |pair| {
            const end = std.mem.indexOfScalar(u8, pair, '=') orelse pair.len;
            if (std.mem.eql(u8, try decode(arena, pair[0..end], .query), name))
                return try decode(arena, pair[@min(end + 1, pair.len)..], .query);
        }
        return null;
    }

    /// The whole body; call it once.
    pub fn body(request: *Request, arena: std.mem.Allocator) ![]const u8 {
        return readAll(request.incoming_body, arena);
    }
};

pub const Response = struct {
    status: u16,
    headers: std.ArrayList(Header) = .empty,
    body: []const u8 = "",

    /// A response of text.
    pub fn text(status: u16, body: []const u8) Response {
        var response: Response = .{ .status = status, .body = body };
        const kind: Header = .{ .name = "content-type", .value = "text/plain" };
        response.headers.append(abi.arena.allocator(), kind) catch @trap();
        return response;
    }
};

/// A text without its %XX; in queries a `+` is a space.
pub fn decode(arena: std.mem.Allocator, text: []const u8, kind: enum { path, query }) ![]const u8 {
    var decoded: std.ArrayList(u8) = try .initCapacity(arena, text.len);
    var rest = text;
    while (rest.len > 0) {
        const digits = rest[1..@min(3, rest.len)];
        const hexadecimal = digits.len == 2 and std.ascii.isHex(digits[0]) and std.ascii.isHex(digits[1]);
        if (rest[0] == '%' and hexadecimal) {
            decoded.appendAssumeCapacity(std.fmt.parseInt(u8, digits, 16) catch unreachable);
            rest = rest[3..];
        } else {
            decoded.appendAssumeCapacity(if (rest[0] == '+' and kind == .query) ' ' else rest[0]);
            rest = rest[1..];
        }
    }
    return decoded.items;
}

const Handler = fn (*Request, std.mem.Allocator) anyerror!Response;

/// Lets a function answer requests; an error that it returns is a 500.
pub fn serve(comptime handle: Handler) void {
    const entry = struct {
        fn handle_request(incoming: i32, out: i32) callconv(.c) void {
            answer(handle, incoming, out);
            _ = abi.arena.reset(.{ .retain_with_limit = 1 << 20 });
        }
    };
    @export(&entry.handle_request, .{ .name = "wasi:http/incoming-handler@0.2.12#handle" });
}

fn answer(comptime handle: Handler, incoming: i32, out: i32) void {
    const arena = abi.arena.allocator();
    var request = receive(incoming, arena) catch @trap();
    const response: Response = handle(&request, arena) catch .{ .status = 500 };

    const outgoing = wasi.@"[constructor]outgoing-response"(fields(response.headers.items));
    _ = wasi.@"[method]outgoing-response.set-status-code"(outgoing, response.status);
    var area: Area = .{};
    wasi.@"[method]outgoing-response.body"(outgoing, &area);
    const body = area.at(i32, 4);
    wasi.@"[static]response-outparam.set"(out, 0, outgoing, 0, 0, 0, 0, 0, 0);
    if (writeAll(body, response.body)) {
        wasi.@"[static]outgoing-body.finish"(body, 0, 0, &area);
    } else |_| {
        // An unfinished body tells the caller that the rest is missing.
        wasi.@"[resource-drop]outgoing-body"(body);
    }
    wasi.@"[resource-drop]incoming-body"(request.incoming_body);
}

fn receive(incoming: i32, arena: std.mem.Allocator) !Request {
    defer wasi.@"[resource-drop]incoming-request"(incoming);
    var area: Area = .{};

    const methods = [_][]const u8{
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    };
    wasi.@"[method]incoming-request.method"(incoming, &area);
    const case = area.case(0);
    const method = if (case < methods.len) methods[case] else area.at(abi.Bytes, 4).slice();

    wasi.@"[method]incoming-request.path-with-query"(incoming, &area);
    const target = if (area.case(0) == 0) "/" else area.at(abi.Bytes, 4).slice();
    const end = std.mem.indexOfScalar(u8, target, '?') orelse target.len;

    const headers = try takeFields(wasi.@"[method]incoming-request.headers"(incoming), arena);
    wasi.@"[method]incoming-request.consume"(incoming, &area);
    return .{
        .method = method,
        .path = target[0..end],
        .query = target[@min(end + 1, target.len)..],
        .headers = headers,
        .incoming_body = area.at(i32, 4),
    };
}

/// What a GET of a URL brings.
pub fn get(arena: std.mem.Allocator, url: []const u8) !Response {
    const uri: std.Uri = std.Uri.parse(url) catch return error.NotAUrl;
    const schemes = std.StaticStringMap(i32).initComptime(.{ .{ "http", 0 }, .{ "https", 1 } });
    const scheme = schemes.get(uri.scheme) orelse return error.NeitherHttpNorHttps;
    const after = url[uri.scheme.len..];
    if (!std.mem.startsWith(u8, after, "://")) return error.NotAUrl;
    const rest = after[3 .. std.mem.indexOfScalar(u8, after, '#') orelse after.len];
    const authority = rest[0 .. std.mem.indexOfAny(u8, rest, "/?") orelse rest.len];
    const path = rest[authority.len..];
    const rooted = std.mem.startsWith(u8, path, "/");
    const target = if (rooted) path else try std.mem.concat(arena, u8, &.{ "/", path });

    const request = wasi.@"[constructor]outgoing-request"(fields(&.{}));
    if (authority.len == 0 or
        wasi.@"[method]outgoing-request.set-scheme"(request, 1, scheme, null, 0) != 0 or
        wasi.@"[method]outgoing-request.set-authority"(request, 1, authority.ptr, authority.len) != 0 or
        wasi.@"[method]outgoing-request.set-path-with-query"(request, 1, target.ptr, target.len) != 0)
    {
        wasi.@"[resource-drop]outgoing-request"(request);
        return error.NotAUrl;
    }

    var area: Area = .{};
    wasi.handle(request, 0, 0, &area);
    if (area.case(0) != 0) return why(area.case(8));
    const future = area.at(i32, 8);
    const ready = wasi.@"[method]future-incoming-response.subscribe"(future);
    wasi.@"[method]pollable.block"(ready);
    wasi.@"[resource-drop]pollable"(ready);
    // An option, a result that is an error if asked twice, and what came of the request.
    wasi.@"[method]future-incoming-response.get"(future, &area);
    wasi.@"[resource-drop]future-incoming-response"(future);
    if (area.case(16) != 0) return why(area.case(24));

    const incoming = area.at(i32, 24);
    defer wasi.@"[resource-drop]incoming-response"(incoming);
    const status: u16 = @intCast(wasi.@"[method]incoming-response.status"(incoming));
    const headers = try takeFields(wasi.@"[method]incoming-response.headers"(incoming), arena);
    wasi.@"[method]incoming-response.consume"(incoming, &area);
    const body = area.at(i32, 4);
    defer wasi.@"[resource-drop]incoming-body"(body);
    return .{ .status = status, .headers = .fromOwnedSlice(headers), .body = try readAll(body, arena) };
}

/// The cases of wasi:http/types.error-code that say most.
fn why(case: u8) anyerror {
    return switch (case) {
        0, 1, 2 => error.NoSuchHost,
        6 => error.ConnectionRefused,
        8, 9, 33 => error.TookTooLong,
        13 => error.CertificateNotTrusted,
        15 => error.RequestNotAllowed,
        else => error.RequestFailed,
    };
}

fn fields(headers: []const Header) i32 {
    const made = wasi.@"[constructor]fields"();
    var area: Area = .{};
    for (headers) |header| {
        const name, const value = .{ header.name, header.value };
        // One that is not allowed, such as `connection`, is left out.
        wasi.@"[method]fields.append"(made, name.ptr, name.len, value.ptr, value.len, &area);
    }
    return made;
}

fn takeFields(taken: i32, arena: std.mem.Allocator) ![]Header {
    defer wasi.@"[resource-drop]fields"(taken);
    var area: Area = .{};
    wasi.@"[method]fields.entries"(taken, &area);
    const List = extern struct { start: [*]const [2]abi.Bytes, length: usize };
    const entries = area.at(List, 0);
    const headers = try arena.alloc(Header, entries.length);
    for (headers, 0..) |*header, i|
        header.* = .{ .name = entries.start[i][0].slice(), .value = entries.start[i][1].slice() };
    return headers;
}

fn readAll(body: i32, arena: std.mem.Allocator) ![]const u8 {
    var area: Area = .{};
    wasi.@"[method]incoming-body.stream"(body, &area);
    if (area.case(0) != 0) return error.BodyWasRead;
    const stream = area.at(i32, 4);
    defer wasi.@"[resource-drop]input-stream"(stream);
    var parts: std.ArrayList([]const u8) = .empty;
    while (true) {
        wasi.@"[method]input-stream.blocking-read"(stream, 64 * 1024, &area);
        if (area.case(0) == 0) {
            try parts.append(arena, area.at(abi.Bytes, 4).slice());
        } else if (area.case(4) == 1) {
            return std.mem.concat(arena, u8, parts.items);
        } else {
            wasi.@"[resource-drop]error"(area.at(i32, 8));
            return error.BodyBrokeOff;
        }
    }
}

fn writeAll(body: i32, bytes: []const u8) !void {
    var area: Area = .{};
    wasi.@"[method]outgoing-body.write"(body, &area);
    const stream = area.at(i32, 4);
    defer wasi.@"[resource-drop]output-stream"(stream);
    // The interface takes this much at a time.
    var parts = std.mem.window(u8, bytes, 4096, 4096);
    while (parts.next()) |part| {
        if (part.len == 0) return;
        wasi.@"[method]output-stream.blocking-write-and-flush"(stream, part.ptr, part.len, &area);
        if (area.case(0) == 0) continue;
        if (area.case(4) == 0) wasi.@"[resource-drop]error"(area.at(i32, 8));
        return error.CallerLeft;
    }
}

/// The interfaces as core WebAssembly calls them: a resource is a number, a text or list an address
/// and a length, and a result that is more than a number is put into an area.
const wasi = struct {
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-request.method"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-request.path-with-query"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-request.headers"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-request.consume"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]incoming-request"(i32) void;
    extern "wasi:http/types@0.2.12" fn @"[constructor]fields"() i32;
    extern "wasi:http/types@0.2.12" fn @"[method]fields.append"(i32, [*]const u8, usize, [*]const u8, usize, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[method]fields.entries"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]fields"(i32) void;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-body.stream"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]incoming-body"(i32) void;
    extern "wasi:http/types@0.2.12" fn @"[constructor]outgoing-response"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-response.set-status-code"(i32, i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-response.body"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[static]response-outparam.set"(i32, i32, i32, i32, i64, i32, i32, i32, i32) void;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-body.write"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[static]outgoing-body.finish"(i32, i32, i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]outgoing-body"(i32) void;
    extern "wasi:http/types@0.2.12" fn @"[constructor]outgoing-request"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-request.set-scheme"(i32, i32, i32, ?[*]const u8, usize) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-request.set-authority"(i32, i32, [*]const u8, usize) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]outgoing-request.set-path-with-query"(i32, i32, [*]const u8, usize) i32;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]outgoing-request"(i32) void;
    extern "wasi:http/outgoing-handler@0.2.12" fn handle(i32, i32, i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[method]future-incoming-response.subscribe"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]future-incoming-response.get"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]future-incoming-response"(i32) void;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-response.status"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-response.headers"(i32) i32;
    extern "wasi:http/types@0.2.12" fn @"[method]incoming-response.consume"(i32, *Area) void;
    extern "wasi:http/types@0.2.12" fn @"[resource-drop]incoming-response"(i32) void;
    extern "wasi:io/poll@0.2.12" fn @"[method]pollable.block"(i32) void;
    extern "wasi:io/poll@0.2.12" fn @"[resource-drop]pollable"(i32) void;
    extern "wasi:io/streams@0.2.12" fn @"[method]input-stream.blocking-read"(i32, i64, *Area) void;
    extern "wasi:io/streams@0.2.12" fn @"[resource-drop]input-stream"(i32) void;
    extern "wasi:io/streams@0.2.12" fn @"[method]output-stream.blocking-write-and-flush"(i32, [*]const u8, usize, *Area) void;
    extern "wasi:io/streams@0.2.12" fn @"[resource-drop]output-stream"(i32) void;
    extern "wasi:io/error@0.2.12" fn @"[resource-drop]error"(i32) void;
};
