// Package wasi has the parts of WASI 0.2 that this function uses: wasi:http and wasi:keyvalue.
//
// Its bindings are written by hand, so that nothing has to be generated. The interfaces are those of
// wit/world.wit; how their types lie in memory is the component model's canonical ABI. To call
// another function of theirs, declare it in imports.go like those that are there.
//
//	http.go      requests, responses, and Get
//	keyvalue.go  buckets
//	stream.go    bodies, headers and errors of both
//	imports.go   the calls themselves
//	memory.go    what they leave in memory
package wasi

import "unsafe"

// area is where a call puts a result that is more than a number. The longest is that of
// future-incoming-response.get, 56 bytes.
var area [8]uint64

// shelf is where the host puts the lists and texts of a result. It is no memory of Go's collector:
// the host asks for room in the midst of a call, when nothing that allocates may run.
var shelf [shelfBytes / 8]uint64 // Aligned for every type.

const shelfBytes = 1 << 20

// used is how much of the shelf the current call has taken.
var used uint32

// fresh is area and shelf for the next call. What the last one left there has to be copied by then.
func fresh() *[8]uint64 {
	used = 0
	return &area
}

// realloc gives the host room on the shelf. It has to run through without Go's scheduler, whose look
// at the clock would be a call of ours while another is under way, and the end of the instance.
//
//go:nosplit
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	start := (used + align - 1) &^ (align - 1)
	if size > shelfBytes || start > shelfBytes-size {
		panic("a result is longer than the shelf")
	}
	used = start + size
	room := unsafe.Add(unsafe.Pointer(&shelf), start)
	if old != nil {
		copy(unsafe.Slice((*byte)(room), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return room
}

// adapter is for `midge build`, which finds it in the module by its mark. Go's runtime calls preview
// 1, and the adapter that translates these calls needs memory before Go can run anything. It must
// not grow the module's: Go believes that all growth is its own, and would use the same addresses.
var adapter = struct {
	mark   [16]byte
	room   *[adapterBytes / 8]uint64
	length uint64
}{[16]byte{'m', 'i', 'd', 'g', 'e', ':', 'a', 'd', 'a', 'p', 't', 'e', 'r', ' ', 'p', '1'}, &adapterRoom, adapterBytes}

const adapterBytes = 192 * 1024

var adapterRoom [adapterBytes / 8]uint64

// What nothing uses is not linked.
func init() {
	if adapter.length != adapterBytes {
		panic("the adapter's room is not what it was")
	}
}

func byteAt(offset uintptr) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(&area), offset))
}

func handleAt(offset uintptr) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(&area), offset))
}

// bytesAt is the list whose address and length are at offset, still on the shelf.
func bytesAt(offset uintptr) []byte {
	return listOf[byte](handleAt(offset), handleAt(offset+4))
}

func textAt(offset uintptr) string { return string(bytesAt(offset)) }

// listOf is a list on the shelf.
func listOf[T any](address, length uint32) []T {
	if length == 0 {
		return nil
	}
	start := unsafe.Add(unsafe.Pointer(&shelf), uintptr(address)-uintptr(unsafe.Pointer(&shelf)))
	return unsafe.Slice((*T)(start), length)
}

func pointer(text string) *byte { return unsafe.StringData(text) }

func bytesPointer(bytes []byte) *byte { return unsafe.SliceData(bytes) }
