package wasi

import (
	"bytes"
	"errors"
)

// A Bucket holds values by key.
type Bucket struct{ handle uint32 }

// OpenBucket opens one by name.
func OpenBucket(name string) (*Bucket, error) {
	open(pointer(name), uint32(len(name)), fresh())
	if byteAt(0) == 1 {
		return nil, storeErrorAt(4)
	}
	return &Bucket{handleAt(4)}, nil
}

// Get returns the value of key, nil if there is none.
func (b *Bucket) Get(key string) ([]byte, error) {
	bucketGet(b.handle, pointer(key), uint32(len(key)), fresh())
	if byteAt(0) == 1 {
		return nil, storeErrorAt(4)
	}
	if byteAt(4) == 0 {
		return nil, nil
	}
	return bytes.Clone(bytesAt(8)), nil
}

// Set gives key a value, in place of the one it may have.
func (b *Bucket) Set(key string, value []byte) error {
	bucketSet(b.handle, pointer(key), uint32(len(key)), bytesPointer(value), uint32(len(value)), fresh())
	if byteAt(0) == 1 {
		return storeErrorAt(4)
	}
	return nil
}

// Delete forgets key; one that is not there is no error.
func (b *Bucket) Delete(key string) error {
	bucketDelete(b.handle, pointer(key), uint32(len(key)), fresh())
	if byteAt(0) == 1 {
		return storeErrorAt(4)
	}
	return nil
}

// Close gives the bucket back.
func (b *Bucket) Close() { dropBucket(b.handle) }

func storeErrorAt(offset uintptr) error {
	switch byteAt(offset) {
	case 0:
		return errors.New("no such store")
	case 1:
		return errors.New("access denied")
	}
	return errors.New(textAt(offset + 4))
}
