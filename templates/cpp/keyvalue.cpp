// How keyvalue.hpp does it.
#include "keyvalue.hpp"

namespace keyvalue {

static function_string_t string_of(std::string_view text) {
    return {(uint8_t *)text.data(), text.size()};
}

static std::unexpected<std::string> failed(wasi_keyvalue_store_error_t &error) {
    std::string sentence = "there is no such bucket";
    if (error.tag == WASI_KEYVALUE_STORE_ERROR_ACCESS_DENIED) {
        sentence = "the bucket is not allowed";
    } else if (error.tag == WASI_KEYVALUE_STORE_ERROR_OTHER) {
        sentence.assign((const char *)error.val.other.ptr, error.val.other.len);
    }
    wasi_keyvalue_store_error_free(&error);
    return std::unexpected(std::move(sentence));
}

std::expected<Bucket, std::string> Bucket::open(std::string_view name) {
    auto identifier = string_of(name);
    wasi_keyvalue_store_own_bucket_t handle;
    wasi_keyvalue_store_error_t error;
    if (!wasi_keyvalue_store_open(&identifier, &handle, &error)) {
        return failed(error);
    }
    return Bucket(handle);
}

std::expected<std::optional<std::string>, std::string> Bucket::get(std::string_view key) const {
    auto name = string_of(key);
    function_option_list_u8_t found;
    wasi_keyvalue_store_error_t error;
    if (!wasi_keyvalue_store_method_bucket_get(wasi_keyvalue_store_borrow_bucket(handle), &name,
                                               &found, &error)) {
        return failed(error);
    }
    std::optional<std::string> value;
    if (found.is_some) {
        value.emplace((const char *)found.val.ptr, found.val.len);
    }
    function_option_list_u8_free(&found);
    return value;
}

std::expected<void, std::string> Bucket::set(std::string_view key, std::string_view value) const {
    auto name = string_of(key);
    function_list_u8_t bytes = {(uint8_t *)value.data(), value.size()};
    wasi_keyvalue_store_error_t error;
    if (!wasi_keyvalue_store_method_bucket_set(wasi_keyvalue_store_borrow_bucket(handle), &name,
                                               &bytes, &error)) {
        return failed(error);
    }
    return {};
}

} // namespace keyvalue
