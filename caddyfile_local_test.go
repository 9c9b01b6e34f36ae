package admit

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/oauth/local"
)

const (
	someHash   = "$2a$14$LMAONTuaWfVQmCgjED/3HuObSIMcaVjLDD.HMo9qamJKQTqRRoszy"
	someDigest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
)

// What is refused at load is refused here with the line, whoever's claim it is.
func TestAdaptReservedClaims(t *testing.T) {
	for _, line := range []string{"user ada " + someHash, "api_key build " + someDigest} {
		config := func(claim string) string {
			return "{\nadmit corp {\n" + line + " {\ngroups staff\n" + claim + " x\n}\n}\n}\n"
		}
		for _, name := range local.ReservedClaims {
			if _, err := adapt(config(name)); err == nil || !strings.Contains(err.Error(), name+": reserved") || !strings.HasSuffix(err.Error(), ":5") {
				t.Errorf("%s: %s: got error %v", line, name, err)
			}
		}
		for _, name := range []string{"email", "Sub", "permissions", "sub.x"} {
			if err := validate(t, "caddyfile", config(name)); err != nil {
				t.Errorf("%s: %s: %v", line, name, err)
			}
		}
	}
}

// Errors reach logs: whatever is wrong with a line or near it, none shows a hash
// or a secret of the line.
func TestAdaptErrorsShowNoSecret(t *testing.T) {
	secret := regexp.MustCompile(`lmaontuawf|[0-9a-f]{64}|hunter2`)
	for _, block := range []string{
		"user " + someHash,
		"user ada " + someHash + " x",
		"user " + someHash + " ada",
		"user ada " + someHash + " {\n}",
		"user ada " + someHash + " {\nsub x\n}",
		"user ada:x " + someHash,
		"user ada " + someHash + "x",
		"user ada " + someHash + "\nuser ada " + someHash,
		"api_key " + someDigest,
		"api_key build " + someDigest + " x",
		"api_key build " + strings.ToUpper(someDigest),
		"api_key build " + someDigest + "\napi_key deploy " + someDigest,
		"api_key build " + someHash,
		"user ada " + someHash + "\nsession {\nsecret hunter2\n}",
		"user ada " + someHash + "\nsession {\nsecret hunter2 \"\"\n}",
		"user ada " + someHash + "\nsession {\nsecret hunter2 {\nx\n}\n}",
		"user ada " + someHash + "\nsecret hunter2-hunter2-hunter2-hunter2",
	} {
		err := validate(t, "caddyfile", "{\nadmit corp {\n"+block+"\n}\n}\n")
		if err == nil {
			t.Errorf("accepted:\n%s", block)
		} else if secret.MatchString(strings.ToLower(err.Error())) {
			t.Errorf("%s\ngave %v", block, err)
		}
	}
}
