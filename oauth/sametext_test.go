package oauth

import (
	"strings"
	"testing"
)

// Two texts are the same if no byte differs, wherever it is.
func TestSameText(t *testing.T) {
	for n := range 100 {
		text := strings.Repeat("x", n)
		if !sameText(text, strings.Clone(text)) || sameText(text, text+"x") || sameText(text+"x", text) {
			t.Errorf("%d bytes", n)
		}
		for i := range n {
			if sameText(text, text[:i]+"y"+text[i+1:]) {
				t.Errorf("%d bytes, of which byte %d differs", n, i)
			}
		}
	}
}

func BenchmarkSameText(b *testing.B) {
	one, another := strings.Repeat("x", 1500), strings.Repeat("x", 1500)
	b.ReportAllocs()
	for b.Loop() {
		sameText(one, another)
	}
}
