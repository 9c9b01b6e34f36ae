package admit

import (
	"slices"
	"strings"
	"testing"
)

// trialRow is a request to a gate with rules on trial.
type trialRow struct {
	name, target string
	headers      []string
	status       int
	verdict      string
	reason, rule string
}

// check sends the request and looks at its answer, its log entry and the counter.
func (row *trialRow) check(t *testing.T, f *front) {
	t.Helper()
	integration := "local"
	if len(row.headers) == 0 {
		integration = ""
	}
	series := `admit_decisions_total{integration="` + integration + `",reason="` + row.reason + `",verdict="` + row.verdict + `"}`
	before := f.metric(series)
	a := f.get(row.target, row.headers...)
	all := f.entries("decision")
	entry := all[len(all)-1]
	level := "info"
	if row.reason == "" {
		level = "debug"
	}
	if a.StatusCode != row.status || entry["level"] != level || entry["verdict"] != row.verdict || entry["reason"] != row.reason || entry["rule"] != row.rule {
		t.Errorf("got %d %q, entry %v", a.StatusCode, a.body, entry)
	}
	if a.StatusCode == 200 && a.body != row.verdict+" "+row.reason {
		t.Errorf("placeholders %q", a.body)
	}
	if got := f.metric(series); got != before+1 {
		t.Errorf("%s went from %v to %v", series, before, got)
	}
}

// DESIGN 1.2 report_only: rules on trial are logged and counted, and never refuse;
// authentication and the integration's own rules do.
func TestReportOnly(t *testing.T) {
	const integration = "admit local {\nsecret " + testSecret + "\naudience api\ndeny user mallory\nrequire iat_ok *\n}"
	const rest = "\nhandle /metrics {\nmetrics\n}\nrespond \"{http.auth.admit.verdict} {http.auth.admit.reason}\""
	with := func(more object) []string {
		if more == nil {
			more = object{}
		}
		more["iat_ok"] = "yes"
		return []string{bearer(t, more)}
	}
	t.Run("bare", func(t *testing.T) {
		f := serveOne(t, integration, `
			@gate not path /metrics
			admit @gate {
				report_only
				require groups staff
				deny /secret/* groups guest
				any /any/* {
					require groups a
					require groups b
				}
			}`+rest)
		for _, row := range []trialRow{
			{"holds", "/x", with(object{"groups": "staff"}), 200, "allowed", "", ""},
			{"require", "/x", with(nil), 200, "trial", "rule", "require groups staff"},
			{"deny", "/secret/x", with(object{"groups": []string{"staff", "guest"}}), 200, "trial", "denied", "deny groups guest"},
			{"deny elsewhere", "/x", with(object{"groups": []string{"staff", "guest"}}), 200, "allowed", "", ""},
			{"any", "/any/x", with(object{"groups": "staff"}), 200, "trial", "rule", "any { require groups a; require groups b }"},
			{"any holds", "/any/x", with(object{"groups": []string{"staff", "b"}}), 200, "allowed", "", ""},
			{"no credential", "/x", nil, 401, "refused", "missing_credential", ""},
			{"refused token", "/x", with(object{"exp": 1}), 401, "refused", "expired", ""},
			{"integration denies", "/x", with(object{"groups": "staff", "sub": "mallory"}), 403, "refused", "denied", "deny user mallory"},
			{"integration requires", "/x", []string{bearer(t, object{"groups": "staff"})}, 403, "refused", "rule", "require iat_ok *"},
		} {
			t.Run(row.name, func(t *testing.T) { row.check(t, f) })
		}
	})
	t.Run("block", func(t *testing.T) {
		f := serveOne(t, integration, `
			@gate not path /metrics
			@posts method POST
			admit @gate {
				optional
				require /in/* groups staff
				report_only {
					require /in/admin/* groups admin
					deny user eve
					require @posts groups writer
				}
			}`+rest)
		for _, row := range []trialRow{
			{"real rule holds", "/in/x", with(object{"groups": "staff"}), 200, "allowed", "", ""},
			{"real rule refuses", "/in/x", with(nil), 403, "refused", "rule", "require groups staff"},
			{"real rule refuses before the trial", "/in/admin/x", with(object{"sub": "eve"}), 403, "refused", "rule", "require groups staff"},
			{"rule on trial", "/in/admin/x", with(object{"groups": "staff"}), 200, "trial", "rule", "require groups admin"},
			{"rule on trial covers the root", "/in/admin", with(object{"groups": "staff"}), 200, "trial", "rule", "require groups admin"},
			{"deny on trial", "/out", with(object{"sub": "eve"}), 200, "trial", "denied", "deny user eve"},
			{"nobody where a rule demands somebody", "/in/x", nil, 401, "refused", "missing_credential", ""},
			{"nobody elsewhere", "/out", nil, 200, "anonymous", "", ""},
		} {
			t.Run(row.name, func(t *testing.T) { row.check(t, f) })
		}
	})
	t.Run("optional, bare", func(t *testing.T) {
		f := serveOne(t, integration, "@gate not path /metrics\nadmit @gate {\noptional\nreport_only\nrequire user *\n}"+rest)
		for _, row := range []trialRow{
			{"nobody where a rule on trial demands somebody", "/x", nil, 200, "trial", "missing_credential", ""},
			{"somebody", "/x", with(nil), 200, "allowed", "", ""},
		} {
			t.Run(row.name, func(t *testing.T) { row.check(t, f) })
		}
	})
}

// Who is let in on trial is known to the application like anybody else.
func TestTrialIsLetIn(t *testing.T) {
	f := serveOne(t, secretIntegration, `
		@ada claim user ada
		route {
			admit {
				report_only
				require groups staff
				header_up X-User {http.auth.user.id}
			}
			header @ada X-Matched yes
			`+upstream(t)+`
		}`)
	a := f.get("/", bearer(t, nil))
	if a.seen(t).Header.Get("X-User") != "ada" || a.Header.Get("X-Matched") != "yes" {
		t.Errorf("seen %s", a.body)
	}
	users := []any{}
	for _, entry := range f.entries("handled request") {
		users = append(users, entry["user_id"])
	}
	if !slices.Contains(users, any("ada")) {
		t.Errorf("access log names %v", users)
	}
}

// DESIGN 2: each decision is one entry with the same fields, in the same order.
func TestDecisionFields(t *testing.T) {
	f := serveOne(t, everywhere, `
		admit {
			bypass /free
			optional
			origins https://app.example.com
			require /admin/* groups admin
			require /trial groups admin
		}
		respond ok`)
	tok := sign(t, testSecret, good(nil))
	asks := []func() answered{
		func() answered { return f.get("/free?token=" + tok) },
		func() answered { return f.get("/anonymous?a=querytext") },
		func() answered { return f.get("/in?token=" + tok + "&a=querytext") },
		func() answered { return f.get("/admin/x?token=" + tok) },
		func() answered { return f.get("/x", "Authorization: Bearer secrettext") },
		func() answered { return f.get("/x", "Authorization: Bearer", "X-Forwarded-For: 192.0.2.7") },
		func() answered { return f.ask("OPTIONS", "a.example", "/x", listedOrigin, asksPost) },
	}
	for _, ask := range asks {
		ask()
	}
	entries := f.entries("decision")
	if len(entries) != len(asks) {
		t.Fatalf("%d entries, want %d", len(entries), len(asks))
	}
	for _, entry := range entries {
		for _, name := range strings.Fields("verdict status reason rule integration user credential client_ip method host path request_id") {
			if _, there := entry[name]; !there {
				t.Errorf("no %s in %v", name, entry)
			}
		}
		if len(entry) != 12+4 { // level, ts, logger, msg
			t.Errorf("fields %v", entry)
		}
		if entry["client_ip"] != "127.0.0.1" || entry["host"] != "a.example" || entry["logger"] != "http.handlers.admit" {
			t.Errorf("entry %v", entry)
		}
		if (entry["reason"] != "") != (entry["level"] == "info") {
			t.Errorf("level of %v", entry)
		}
		for name, value := range entry {
			if text, ok := value.(string); ok && (strings.Contains(text, "querytext") || strings.Contains(text, "secrettext") || strings.Contains(text, tok[:20])) {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}
