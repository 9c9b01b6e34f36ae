package oauth

import "encoding/binary"

// sameText compares two texts in a time that depends on nothing but their length, as
// crypto/subtle does, in a fraction of it.
func sameText(one, another string) bool {
	if len(one) != len(another) {
		return false
	}
	a, b := []byte(one), []byte(another)
	var differs uint64
	for len(a) >= 32 && len(b) >= 32 {
		differs |= (binary.LittleEndian.Uint64(a) ^ binary.LittleEndian.Uint64(b)) |
			(binary.LittleEndian.Uint64(a[8:]) ^ binary.LittleEndian.Uint64(b[8:])) |
			(binary.LittleEndian.Uint64(a[16:]) ^ binary.LittleEndian.Uint64(b[16:])) |
			(binary.LittleEndian.Uint64(a[24:]) ^ binary.LittleEndian.Uint64(b[24:]))
		a, b = a[32:], b[32:]
	}
	for i := range a {
		differs |= uint64(a[i] ^ b[i])
	}
	return differs == 0
}
