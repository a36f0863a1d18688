// Buckets of wasi:keyvalue.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "function.h"

namespace keyvalue {

// Values by key. An error is a sentence.
class Bucket {
  public:
    static std::expected<Bucket, std::string> open(std::string_view name);

    // The value of a key, if it has one.
    std::expected<std::optional<std::string>, std::string> get(std::string_view key) const;
    // Gives a key a value, in place of the one it may have.
    std::expected<void, std::string> set(std::string_view key, std::string_view value) const;

    Bucket(Bucket &&other) : handle(std::exchange(other.handle, {-1})) {}
    Bucket &operator=(Bucket &&) = delete;
    ~Bucket() {
        if (handle.__handle >= 0) {
            wasi_keyvalue_store_bucket_drop_own(handle);
        }
    }

  private:
    explicit Bucket(wasi_keyvalue_store_own_bucket_t handle) : handle(handle) {}
    wasi_keyvalue_store_own_bucket_t handle;
};

} // namespace keyvalue
