(module (func (export "_start")) (@producers (language "Rust" "1.95") (processed-by "x" "1")))
