package jwt

import "crypto"

type family int

const (
	familyHS family = iota
	familyRS
	familyPS
	familyES
	familyEdDSA
)

// algorithm is one signature algorithm of RFC 7518 section 3 or RFC 8037.
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
}

// algorithms are all there are. "none" is not among them and cannot be.
var algorithms = map[string]*algorithm{}

// Asymmetric lists the algorithms for public keys, the default of an issuer.
var Asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Symmetric lists the algorithms for a shared secret.
var Symmetric = []string{"HS256", "HS384", "HS512"}

func init() {
	hashes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	families := map[string]family{"HS": familyHS, "RS": familyRS, "PS": familyPS, "ES": familyES}
	for prefix, f := range families {
		for bits, hash := range hashes {
			algorithms[prefix+bits] = &algorithm{prefix + bits, f, hash}
		}
	}
	algorithms["EdDSA"] = &algorithm{"EdDSA", familyEdDSA, 0}
}

// HashSize returns the output size in bytes of the hash of an algorithm, 0 for
// one that is unknown or brings its own. A shared secret must not be shorter
// (RFC 7518 section 3.2).
func HashSize(name string) int {
	if a := algorithms[name]; a != nil && a.hash != 0 {
		return a.hash.Size()
	}
	return 0
}

// Known reports whether there is an algorithm of that name.
func Known(name string) bool { return algorithms[name] != nil }
