;; What `midge doctor --isolation` runs again and again. Each instance first looks whether it is
;; fresh, says so on stdout, and then leaves something behind in every place that it can reach.
;;
;; `STEP` is how far apart it writes in its memory and `REACH` up to where, `ENDING` the last thing
;; it does; they are put in before this is compiled. One line on stdout for each place that was not fresh, else `fresh`.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get"
    (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))

  ;; 4 MiB, of which an engine may keep the first to reset it in place, and room to grow by 1 MiB.
  (memory (export "memory") 64 80)
  (table $table 8 16 funcref)
  (elem (table $table) (i32.const 0) func $seven $eight)
  (elem $unused_functions func $eight)
  (global $i32 (mut i32) (i32.const 41))
  (global $i64 (mut i64) (i64.const 42))
  (global $f64 (mut f64) (f64.const 4.5))
  (global $function (mut funcref) (ref.func $seven))
  (type $number (func (result i32)))

  ;; 0 to 1023 is scratch: zero at first. 1024 to 4095 is what the file brings along.
  (data (i32.const 1024) "initial!")
  (data (i32.const 1040) "canary")
  (data (i32.const 2000) "memory\n")
  (data (i32.const 2020) "data\n")
  (data (i32.const 2040) "table\n")
  (data (i32.const 2060) "globals\n")
  (data (i32.const 2080) "descriptors\n")
  (data (i32.const 2100) "files\n")
  (data (i32.const 2120) "segments\n")
  (data (i32.const 2140) "fresh\n")
  (data $unused_data "once")

  (func $seven (result i32) (i32.const 7))
  (func $eight (result i32) (i32.const 8))

  (func (export "_start")
    (local $stale i32)
    (if (call $memory_is_stale) (then (call $say (i32.const 2000) (i32.const 7)) (local.set $stale (i32.const 1))))
    (if (call $data_is_stale) (then (call $say (i32.const 2020) (i32.const 5)) (local.set $stale (i32.const 1))))
    (if (call $table_is_stale) (then (call $say (i32.const 2040) (i32.const 6)) (local.set $stale (i32.const 1))))
    (if (call $globals_are_stale) (then (call $say (i32.const 2060) (i32.const 8)) (local.set $stale (i32.const 1))))
    (if (call $descriptors_are_stale) (then (call $say (i32.const 2080) (i32.const 12)) (local.set $stale (i32.const 1))))
    (if (call $files_are_stale) (then (call $say (i32.const 2100) (i32.const 6)) (local.set $stale (i32.const 1))))
    (if (call $segments_are_stale) (then (call $say (i32.const 2120) (i32.const 9)) (local.set $stale (i32.const 1))))
    (if (i32.eqz (local.get $stale)) (then (call $say (i32.const 2140) (i32.const 6))))
    (call $leave_files)
    (call $leave_table)
    (call $leave_globals)
    (call $leave_memory)
    (ENDING))

  (func $say (param $text i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $text))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 16)))

  ;; Everything that the file does not bring along is zero, and nothing has grown.
  (func $memory_is_stale (result i32)
    (if (i32.ne (memory.size) (i32.const 64)) (then (return (i32.const 1))))
    (if (call $any (i32.const 0) (i32.const 1024)) (then (return (i32.const 1))))
    (call $any (i32.const 4096) (i32.const 0x400000)))

  (func $any (param $at i32) (param $end i32) (result i32)
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.const 0))

  ;; "initial!" and "fresh\n", little end first.
  (func $data_is_stale (result i32)
    (i32.or
      (i64.ne (i64.load (i32.const 1024)) (i64.const 0x216c616974696e69))
      (i32.ne (i32.load (i32.const 2140)) (i32.const 0x73657266))))

  (func $table_is_stale (result i32)
    (local $at i32)
    (if (i32.ne (table.size $table) (i32.const 8)) (then (return (i32.const 1))))
    (if (i32.ne (call_indirect $table (type $number) (i32.const 0)) (i32.const 7)) (then (return (i32.const 1))))
    (if (i32.ne (call_indirect $table (type $number) (i32.const 1)) (i32.const 8)) (then (return (i32.const 1))))
    (local.set $at (i32.const 2))
    (loop $next
      (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 8))))
    (i32.const 0))

  (func $globals_are_stale (result i32)
    (i32.or
      (i32.or (i32.ne (global.get $i32) (i32.const 41)) (i64.ne (global.get $i64) (i64.const 42)))
      (i32.or (f64.ne (global.get $f64) (f64.const 4.5)) (ref.is_null (global.get $function)))))

  ;; Beyond the three streams and the one folder, nothing is open (8 is `badf`).
  (func $descriptors_are_stale (result i32)
    (local $fd i32) (local $stale i32)
    (local.set $fd (i32.const 4))
    (loop $next
      (if (i32.ne (call $fd_fdstat_get (local.get $fd) (i32.const 512)) (i32.const 8))
        (then (local.set $stale (i32.const 1))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $fd) (i32.const 64))))
    (local.get $stale))

  ;; Nobody has written `canary` into the folder (44 is `noent`).
  (func $files_are_stale (result i32)
    (i32.ne (call $open (i32.const 0) (i64.const 2)) (i32.const 44)))

  (func $open (param $flags i32) (param $rights i64) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (i32.const 1040) (i32.const 6)
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 512)))

  ;; A segment that was dropped traps here, and a trap is no answer.
  (func $segments_are_stale (result i32)
    (memory.init $unused_data (i32.const 600) (i32.const 0) (i32.const 4))
    (table.init $table $unused_functions (i32.const 7) (i32.const 0) (i32.const 1))
    (i32.ne (i32.load (i32.const 600)) (i32.const 0x65636e6f)))

  ;; Creates `canary` (1), writes into it, and leaves it open many times.
  (func $leave_files
    (local $left i32)
    (local.set $left (i32.const 20))
    (loop $next
      (drop (call $open (i32.const 1) (i64.const 66)))
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 1024))
      (drop (call $fd_write (i32.load (i32.const 512)) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left))))

  (func $leave_table
    (drop (table.grow $table (ref.func $seven) (i32.const 8)))
    (table.fill $table (i32.const 0) (ref.func $eight) (i32.const 16))
    (elem.drop $unused_functions))

  (func $leave_globals
    (global.set $i32 (i32.const -1))
    (global.set $i64 (i64.const -1))
    (global.set $f64 (f64.const -1))
    (global.set $function (ref.null func)))

  ;; Over everything, data included, and over what it grows by.
  (func $leave_memory
    (local $at i32)
    (data.drop $unused_data)
    (drop (memory.grow (i32.const 16)))
    (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 4096))
    (local.set $at (i32.const 4096))
    (loop $next
      (i64.store (local.get $at) (i64.const 0xa5a5a5a5a5a5a5a5))
      (local.set $at (i32.add (local.get $at) (i32.const STEP)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const REACH)))))
)
