//! Buckets of wasi:keyvalue.

const abi = @import("abi.zig");

pub const Error = error{ NoSuchBucket, BucketNotAllowed, BucketFails };

/// Values by key.
pub const Bucket = struct {
    handle: i32,

    pub fn open(name: []const u8) Error!Bucket {
        var area: abi.Area = .{};
        wasi.open(name.ptr, name.len, &area);
        if (area.case(0) != 0) return why(&area);
        return .{ .handle = area.at(i32, 4) };
    }

    pub fn close(bucket: Bucket) void {
        wasi.@"[resource-drop]bucket"(bucket.handle);
    }

    /// The value of a key, if it has one.
    pub fn get(bucket: Bucket, key: []const u8) Error!?[]const u8 {
        var area: abi.Area = .{};
        wasi.@"[method]bucket.get"(bucket.handle, key.ptr, key.len, &area);
        if (area.case(0) != 0) return why(&area);
        return if (area.case(4) == 0) null else area.at(abi.Bytes, 8).slice();
    }

    /// Gives a key a value, in place of the one it may have.
    pub fn set(bucket: Bucket, key: []const u8, value: []const u8) Error!void {
        var area: abi.Area = .{};
        wasi.@"[method]bucket.set"(bucket.handle, key.ptr, key.len, value.ptr, value.len, &area);
        if (area.case(0) != 0) return why(&area);
    }
};

fn why(area: *const abi.Area) Error {
    return switch (area.case(4)) {
        0 => error.NoSuchBucket,
        1 => error.BucketNotAllowed,
        else => error.BucketFails,
    };
}

/// The interface as core WebAssembly calls it: a bucket is a number, a text an address and a length.
const wasi = struct {
    extern "wasi:keyvalue/store@0.2.0-draft2" fn open([*]const u8, usize, *abi.Area) void;
    extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.get"(i32, [*]const u8, usize, *abi.Area) void;
    extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[method]bucket.set"(i32, [*]const u8, usize, [*]const u8, usize, *abi.Area) void;
    extern "wasi:keyvalue/store@0.2.0-draft2" fn @"[resource-drop]bucket"(i32) void;
};
