//! The smallest function in Zig: a program that speaks CGI. What it prints up to the empty line is
//! the response's header, what follows its body; what the caller sent stands in the environment.

const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const path = init.environ_map.get("PATH_INFO") orelse "/";
    var buffer: [1024]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(init.io, &buffer);
    try stdout.interface.print("Content-Type: text/plain\n\n", .{});
    try stdout.interface.print("Hello from Zig! You asked for {s}\n", .{path});
    try stdout.interface.flush();
}
