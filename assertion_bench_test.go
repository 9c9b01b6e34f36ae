package admit

import (
	"testing"

	"github.com/caddy-admit/admit/claims"
)

// An assertion that was made before costs a look into memory.
func BenchmarkAssertion(b *testing.B) {
	set, err := claims.Parse([]byte(`{"sub":"ada","groups":["staff","admins"]}`))
	if err != nil {
		b.Fatal(err)
	}
	id := (&claims.Mapping{Integration: "corp", User: []claims.Path{claims.MustPath("sub")}, Groups: []claims.Path{claims.MustPath("groups")}}).Identify(set)
	a := &asserter{audience: "app"}
	a.made.at(now())
	a.made.put(assertionKey(id, "https://app.example.com", "app"), "made")
	b.ReportAllocs()
	for b.Loop() {
		if made, err := a.about(b.Context(), id, "https://app.example.com"); err != nil || made != "made" {
			b.Fatal(made, err)
		}
	}
}
