package claims

import (
	"strings"
	"testing"
)

// realistic are the claims of a token of about 800 bytes.
var realistic = `{"iss":"https://idp.example/realms/corp","aud":"https://api.example","sub":"5f0c2a9e-8f3e-4f7b-9a54-3d1f0a9c6b11","iat":1700000000,` +
	`"nbf":1700000000,"exp":1700003600,"jti":"4d2f3c1b-7f4e-4a0b-a1d5-0d6f2b8e9c77","email":"ann@corp.example","groups":["staff","admins"],` +
	`"roles":["reader","writer"],"pad":"` + strings.Repeat("x", 90) + `"}`

func benchRules(tb testing.TB) *Rules {
	return &Rules{
		Deny:    []ScopedRule{{Rule: mustRule(tb, "user", []string{"mallory", "eve-*"}, true)}},
		Require: []ScopedRule{{Rule: mustRule(tb, "groups", []string{"admins"}, false)}, {Rule: mustRule(tb, "email", []string{"*@corp.example"}, false)}},
	}
}

func benchMapping() *Mapping {
	return &Mapping{Integration: "corp", User: paths("sub"), Groups: paths("groups", "roles")}
}

func BenchmarkParse(b *testing.B) {
	data := []byte(realistic)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseWorst(b *testing.B) {
	for name, text := range worst() {
		b.Run(name, func(b *testing.B) {
			data := []byte(text)
			for b.Loop() {
				_, _ = Parse(data)
			}
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	rules, id := benchRules(b), benchMapping().Identify(parse(b, realistic))
	b.ReportAllocs()
	for b.Loop() {
		if reason, _ := rules.Judge(id, nil); reason != "" {
			b.Fatal(reason)
		}
	}
}

// BenchmarkJudgeAgain is what rules cost on an identity that is known from before, and
// BenchmarkJudgeOnce on one that is made for the request.
func BenchmarkJudgeAgain(b *testing.B) {
	rules, id := benchRules(b), benchMapping().Identify(parse(b, realistic))
	rules.Remember()
	b.ReportAllocs()
	for b.Loop() {
		if reason, _ := rules.Judge(id, nil); reason != "" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkJudgeOnce(b *testing.B) {
	rules, m, s := benchRules(b), benchMapping(), parse(b, realistic)
	rules.Remember()
	b.ReportAllocs()
	for b.Loop() {
		if reason, _ := rules.Judge(m.Identify(s), nil); reason != "" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkIdentify(b *testing.B) {
	m, s := benchMapping(), parse(b, realistic)
	b.ReportAllocs()
	for b.Loop() {
		if len(m.Identify(s).Groups()) != 4 {
			b.Fatal("groups")
		}
	}
}

// Rules run on every request: they must not allocate.
func TestJudgeAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	id := benchMapping().Identify(parse(t, realistic))
	for _, rule := range []string{
		`require|user|5f0c2a9e-8f3e-4f7b-9a54-3d1f0a9c6b11`, `require|groups|admins`, `require|claims.groups|adm*`, `require|integration|corp`,
		`require|email|*@corp.example`, `require|iat|1700000000`, `require|absent|*`, `require|roles.*|writer`,
		`deny|user|mallory*`, `deny|groups|mallory`, `deny|email|*@evil.example`, `deny|pad|y*`,
	} {
		words := strings.Split(rule, "|")
		r := mustRule(t, words[1], words[2:], words[0] == "deny")
		if n := testing.AllocsPerRun(100, func() { r.Judge(id) }); n > 0 {
			t.Errorf("%s: %v allocations", rule, n)
		}
	}
	rules := benchRules(t)
	if n := testing.AllocsPerRun(100, func() { rules.Judge(id, nil) }); n > 0 {
		t.Errorf("three rules: %v allocations", n)
	}
	data := []byte(realistic)
	if n := testing.AllocsPerRun(100, func() { _, _ = Parse(data) }); n > 1 {
		t.Errorf("Parse: %v allocations", n)
	}
}
