//! What the host leaves in memory: results that are more than a number, and the lists and texts in
//! them, as the component model's canonical ABI lays them out.

const std = @import("std");

/// All memory of one request; it is kept for the next one when the response was sent.
pub var arena: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);

/// A list of bytes, or a text.
pub const Bytes = extern struct {
    start: [*]const u8,
    length: usize,

    pub fn slice(bytes: Bytes) []const u8 {
        // The start of an empty list may be anything.
        return if (bytes.length == 0) "" else bytes.start[0..bytes.length];
    }
};

/// Room for a result, to be read as the type that the call returns.
pub const Area = extern struct {
    words: [8]u64 = undefined,

    /// What lies at an offset.
    pub fn at(area: *const Area, comptime T: type, offset: usize) T {
        return @as(*const T, @ptrCast(@alignCast(@as([*]const u8, @ptrCast(&area.words)) + offset))).*;
    }

    /// The case of a variant, an option or a result that lies at an offset; 0 is `ok` or none.
    pub fn case(area: *const Area, offset: usize) u8 {
        return area.at(u8, offset);
    }
};

/// Gives the host memory for lists and texts.
export fn cabi_realloc(old: ?[*]u8, old_size: usize, alignment: usize, size: usize) [*]u8 {
    if (size == 0) return @ptrFromInt(alignment);
    const from: []u8 = if (old) |start| start[0..old_size] else &.{};
    // Everything the interfaces return is aligned to 8 at most.
    const room = arena.allocator().alignedAlloc(u8, .@"8", size) catch @trap();
    @memcpy(room[0..@min(from.len, size)], from[0..@min(from.len, size)]);
    return room.ptr;
}
