package admit

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// metric scrapes one series, 0 if it is not there. The site must serve /metrics.
func (f *front) metric(series string) float64 {
	f.t.Helper()
	for line := range strings.Lines(f.get("/metrics").body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// DESIGN 1.8: the metrics are in Caddy's registry, outlive a reload, and their
// labels hold configured names and reason codes only.
func TestMetrics(t *testing.T) {
	key := newKey("k", "metrics")
	is := newIssuer(t, key.jwk(nil))
	_, run, _ := strings.Cut(freeAddr(t), ":") // counters outlive the test
	global := "admit corp-RUN {\nissuer " + is.URL + "\naudience api\n}\nadmit local-RUN {\nsecret " + testSecret + "\naudience api\n}"
	sites := "http://:PORT {\nhandle /metrics {\nmetrics\n}\nadmit /in/* corp-RUN local-RUN {\nrequire groups staff\n}\nadmit /own/* {\nissuer " + is.URL + "/own\naudience api\n}\nrespond ok\n}"
	names := strings.NewReplacer("RUN", run)
	global, sites = names.Replace(global), names.Replace(sites)
	f := serveFront(t, global, sites)
	const decided, fetched = "admit_decisions_total{integration=", "admit_key_fetches_total{integration="
	if age := f.metric(names.Replace(`admit_keys_age_seconds{integration="corp-RUN"}`)); age != 0 || strings.Contains(f.get("/metrics").body, "admit_keys_age_seconds{") {
		t.Errorf("an age of keys that nobody has fetched: %v", age)
	}
	f.get("/in/attackertext?attackertext", key.bearer(t, is.URL, object{"groups": "staff", "sub": "attackertext"})).want(t, 200, "")
	f.get("/in/x", key.bearer(t, is.URL, object{"sub": "attackertext"})).want(t, 403, "rule")
	f.get("/in/x", "Authorization: Bearer attackertext", "X-Attackertext: attackertext").want(t, 401, "malformed_token")
	f.get("/in/x", bearer(t, object{"iss": "attackertext", "exp": 1})).want(t, 401, "expired")
	f.ask("ATTACKERTEXT", "attackertext.example", "/in/x").want(t, 401, "missing_credential")
	is.misbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	f.get("/own/x", key.bearer(t, is.URL+"/own", nil)).want(t, 503, "keys_unavailable")
	want := map[string]float64{
		decided + `"corp-RUN",reason="",verdict="allowed"}`:              1,
		decided + `"corp-RUN",reason="rule",verdict="refused"}`:          1,
		decided + `"local-RUN",reason="expired",verdict="refused"}`:      1,
		fetched + `"corp-RUN",outcome="success"}`:                        1,
		fetched + `"corp-RUN",outcome="failure"}`:                        0,
		`admit_decisions_total{integration="",reason="malformed_token",`: 0, // a series is whole
	}
	check := func(when string) {
		t.Helper()
		for series, n := range want {
			if got := f.metric(names.Replace(series)); got != n {
				t.Errorf("%s: %s is %v, want %v", when, series, got, n)
			}
		}
		body := f.get("/metrics").body
		if strings.Contains(strings.ToLower(body), "attackertext") {
			t.Errorf("%s: text of a request is in the metrics", when)
		}
		if !strings.Contains(body, names.Replace(`admit_keys_age_seconds{integration="corp-RUN"}`)) {
			t.Errorf("%s: no age of keys", when)
		}
		own := regexp.MustCompile(`admit_key_fetches_total\{integration="inline-[0-9a-f]+",outcome="failure"\} [1-9]`)
		if !own.MatchString(body) {
			t.Errorf("%s: the failed fetch of a gate's own integration is not counted", when)
		}
		for _, help := range []string{"admit_decisions_total counter", "admit_key_fetches_total counter", "admit_keys_age_seconds gauge"} {
			if strings.Count(body, "# TYPE "+help) != 1 {
				t.Errorf("%s: no %s", when, help)
			}
		}
	}
	check("at first")
	if err := f.load(global, sites+"\n# changed\nhttp://other.example:PORT {\nrespond ok\n}"); err != nil {
		t.Fatal(err)
	}
	check("after a reload")
}
