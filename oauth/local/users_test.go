package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// userText is one user of a users file.
func userText(id, hash string) string {
	return fmt.Sprintf("%q: {\"password\": %q}", id, hash)
}

func TestReadUsers(t *testing.T) {
	hash := func(rest string) string { return `{"ada": {"password": "` + caddyArgon2id + `"` + rest + `}}` }
	for _, tc := range []struct {
		name, text, wantErr string
	}{
		{"all members", hash(`, "disabled": false, "claims": {"groups": ["admins"], "sub_": 1}`), ""},
		{"only a password", hash(""), ""},
		{"nobody", "{}", ""},
		{"unknown member", hash(`, "pasword": "x"`), `user "ada": member "pasword": unknown`},
		{"unknown member in other case", hash(`, "Disabled": true`), `member "Disabled": unknown`},
		{"duplicate member", hash(`, "password": "x"`), `user "ada": member "password" is there twice`},
		{"duplicate by escape", hash(`, "p\u0061ssword": "x"`), `user "ada": member "password" is there twice`},
		{"duplicate user", `{` + userText("ada", caddyArgon2id) + `, ` + userText("ada", caddyArgon2id) + `}`, `member "ada" is there twice`},
		{"no password", `{"ada": {}}`, `user "ada": member "password" is missing`},
		{"null password", `{"ada": {"password": null}}`, `user "ada": member "password": expected text`},
		{"password of another type", `{"ada": {"password": 12345678}}`, `member "password": expected text`},
		{"plain password", `{"ada": {"password": "hunter2"}}`, `user "ada": password: not a hash`},
		{"cheap hash", `{"ada": {"password": "$2a$04$` + bcryptTail + `"}}`, `user "ada": password: bcrypt cost 4`},
		{"disabled as text", hash(`, "disabled": "false"`), `member "disabled": expected true or false`},
		{"disabled as null", hash(`, "disabled": null`), `member "disabled": expected true or false`},
		{"claims as a list", hash(`, "claims": []`), `user "ada": claims: expected a JSON object`},
		{"claims as null", hash(`, "claims": null`), `claims: expected a JSON object`},
		{"duplicate claim", hash(`, "claims": {"a": 1, "a": 2}`), `user "ada": claims: expected a JSON object without duplicate`},
		{"duplicate deep in a claim", hash(`, "claims": {"a": {"b": 1, "b": 2}}`), `without duplicate`},
		{"a hash alone", `{"ada": "` + caddyArgon2id + `"}`, `user "ada": not a JSON object`},
		{"a hash for a member", `{"ada": {"` + caddyArgon2id + `": 1}}`, `member (a name with $): unknown`},
		{"empty id", `{` + userText("", caddyArgon2id) + `}`, `user "": the id is empty`},
		{"id with a colon", `{` + userText("a:b", caddyArgon2id) + `}`, `the id holds ":"`},
		{"id with a control", `{` + userText("a\tb", caddyArgon2id) + `}`, `control character`},
		{"id with C1 control", `{"a\u0085b": {"password": "` + caddyArgon2id + `"}}`, `control character`},
		{"id with a blank", `{` + userText("ada ", caddyArgon2id) + `}`, `white space`},
		{"id of 256 bytes", `{` + userText(strings.Repeat("x", 256), caddyArgon2id) + `}`, ""},
		{"id of 257 bytes", `{` + userText(strings.Repeat("x", 257), caddyArgon2id) + `}`, `longer than 256`},
		{"id with half a surrogate pair", `{"a\ud800": {"password": "` + caddyArgon2id + `"}}`, `half a surrogate pair`},
		{"not UTF-8", "{\"a\xff\": {\"password\": \"" + caddyArgon2id + "\"}}", `not UTF-8`},
		{"a list", `[]`, "not a JSON object"},
		{"nothing", ``, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"cut", "{\n\n" + userText("ada", caddyArgon2id), "near line 3"},
		{"data after it", hash("") + "x", "data after the end"},
		{"two objects", "{}{}", "data after the end"},
		{"trailing comma", "{" + userText("ada", caddyArgon2id) + ",}", "not a JSON object"},
		{"too large", "{" + strings.Repeat(" ", maxUsersFile) + "}", "10 MiB"},
		{"deep", hash(`, "claims": {"a": ` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`), "nested"},
	} {
		_, err := ReadUsers([]byte(tc.text))
		got := fmt.Sprint(err)
		if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(got, tc.wantErr) {
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		}
		if strings.Contains(got, "P2nzck") || strings.Contains(got, "hunter2") || strings.Contains(got, bcryptTail[:20]) {
			t.Errorf("%s: the error shows a hash: %v", tc.name, err)
		}
	}
}

// TestReservedClaims: nobody's own claims pass for those of a token (threat 84).
func TestReservedClaims(t *testing.T) {
	for _, name := range ReservedClaims {
		_, err := NewUser("ada", caddyArgon2id, false, []byte(`{"a": 1, "`+name+`": "x"}`))
		if err == nil || !strings.Contains(err.Error(), `user "ada": claims: `+name+" is reserved") {
			t.Errorf("%s: got error %v", name, err)
		}
		if _, err := NewUser("ada", caddyArgon2id, false, []byte(`{"x_`+name+`": 1, "in": {"`+name+`": 1}}`)); err != nil {
			t.Errorf("claims that are called much like %s: %v", name, err)
		}
	}
}

func makeUser(t testing.TB, id, hash string) User {
	t.Helper()
	u, err := NewUser(id, hash, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestCurrent: a stamp holds for the credential that it was taken of.
func TestCurrent(t *testing.T) {
	before := makeUser(t, "ada", caddyArgon2id)
	for _, tc := range []struct {
		name  string
		after []User
		want  bool
	}{
		{"as before", []User{makeUser(t, "ada", caddyArgon2id)}, true},
		{"other claims", []User{{ID: "ada", Hash: before.Hash}}, true},
		{"removed", []User{makeUser(t, "bob", caddyArgon2id)}, false},
		{"disabled", []User{{ID: "ada", Hash: before.Hash, Disabled: true}}, false},
		{"another password", []User{makeUser(t, "ada", argon2Hash("pass"))}, false},
		{"the same password hashed again", []User{makeUser(t, "ada", argon2Hash("antitiming"))}, false},
		{"in other case", []User{makeUser(t, "Ada", caddyArgon2id)}, false},
	} {
		users, err := NewUsers(tc.after, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := users.Current("ada", before.Stamp()); ok != tc.want || ok && u.ID != "ada" {
			t.Errorf("%s: got %q, %v, want %v", tc.name, u.ID, ok, tc.want)
		}
		if u, ok := users.Get("ada"); ok && u.Disabled {
			if _, ok := users.Current("ada", u.Stamp()); ok {
				t.Errorf("%s: current by a stamp taken later", tc.name)
			}
		}
		users.Close()
	}
	if bob := makeUser(t, "bob", caddyArgon2id); bob.Stamp() == before.Stamp() || len(bob.Stamp()) != 16 {
		t.Errorf("stamps %q and %q", bob.Stamp(), before.Stamp())
	}
}

func TestNewUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.json")
	inline := []User{makeUser(t, "ada", caddyArgon2id)}
	dear := func(passes int) string {
		return strings.Replace(caddyArgon2id, "t=1", fmt.Sprintf("t=%d", passes), 1)
	}
	var kinds []string
	for n := range 9 {
		kinds = append(kinds, userText(fmt.Sprint("user", n), dear(n+1)))
	}
	for _, tc := range []struct {
		name, text, wantErr string
		inline              []User
	}{
		{"both", "{" + userText("bob", caddyArgon2id) + "}", "", inline},
		{"in both", "{" + userText("ada", caddyArgon2id) + "}", `user "ada": given twice`, inline},
		{"inline twice", "{}", `user "ada": given twice`, append(inline, inline...)},
		{"inline without a hash", "{}", `user "eve": has no password hash`, []User{{ID: "eve"}}},
		{"broken", "{", "not a JSON object", inline},
		{"8 costs", "{" + strings.Join(kinds[:8], ",") + "}", "", inline},
		{"9 costs", "{" + strings.Join(kinds, ",") + "}", "9 different costs", inline},
	} {
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		users, err := NewUsers(tc.inline, file, func(error) {})
		if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		}
		if err == nil {
			users.Close()
		}
	}
	for name, path := range map[string]string{"missing": file + "x", "folder": t.TempDir()} {
		if _, err := NewUsers(nil, path, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestUsersChange: the file is looked at every 2 s; what is broken is reported
// once and changes nothing.
func TestUsersChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.json")
	// Each row is a file that was written long after the one before it, by a clock
	// that needs no waiting. "" removes it.
	steps := []struct {
		name, text string
		want       []string // who is there afterwards
		wantReport string
	}{
		{"another", "{" + userText("bob", caddyArgon2id) + "}", []string{"bob"}, "changed"},
		{"broken", "{" + userText("eve", caddyArgon2id), []string{"bob"}, "not a JSON object"},
		{"broken otherwise", "{" + userText("eve", "hunter2") + "}", []string{"bob"}, `"eve": password`},
		{"gone", "", []string{"bob"}, "no such file"},
		{"back", "{" + userText("bob", caddyArgon2id) + "}", []string{"bob"}, "changed"},
		{"of the same size", "{" + userText("eve", caddyArgon2id) + "}", []string{"eve"}, "changed"},
		{"empty", "{}", nil, "changed"},
	}
	write := func(t *testing.T, n int, text string) {
		at := time.Now().Add(time.Duration(n-100) * time.Hour)
		next := file + ".next"
		err := os.Remove(file)
		if text != "" {
			if err = os.WriteFile(next, []byte(text), 0o600); err == nil {
				err = os.Chtimes(next, at, at)
			}
			if err == nil {
				err = os.Rename(next, file)
			}
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		reported := make(chan string, 10)
		write(t, 0, "{"+userText("ada", caddyArgon2id)+"}")
		users, err := NewUsers(nil, file, func(err error) {
			if err == nil {
				reported <- "changed"
			} else {
				reported <- err.Error()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer users.Close()
		for n, tc := range steps {
			write(t, n+1, tc.text)
			<-time.After(5 * lookEvery) // of the test's own clock
			synctest.Wait()
			var got, reports []string
			for len(reported) > 0 {
				reports = append(reports, <-reported)
			}
			for _, id := range []string{"ada", "bob", "eve"} {
				if _, ok := users.Get(id); ok {
					got = append(got, id)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s: there are %v, want %v", tc.name, got, tc.want)
			}
			if len(reports) != 1 || !strings.Contains(reports[0], tc.wantReport) {
				t.Errorf("%s: got reports %q, want one with %q", tc.name, reports, tc.wantReport)
			}
		}
	})
}

// TestUsersLookAlike: a file of the same time and size is noticed if it was put
// in place of the other, or if the other was just written.
func TestUsersLookAlike(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   time.Time
		file string // where the second is written before it is moved
	}{
		{"written twice within a tick of the file system", time.Now(), "users.json"},
		{"replaced", time.Now().Add(-time.Hour), "next.json"},
	} {
		file := filepath.Join(t.TempDir(), "users.json")
		write := func(file, id string) {
			err := os.WriteFile(file, []byte("{"+userText(id, caddyArgon2id)+"}"), 0o600)
			if err = errors.Join(err, os.Chtimes(file, tc.at, tc.at)); err != nil {
				t.Fatal(err)
			}
		}
		write(file, "ada")
		users, err := NewUsers(nil, file, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		users.Close()
		next := filepath.Join(filepath.Dir(file), tc.file)
		write(next, "bob")
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
		if changed, err := users.watch.look(); !changed || err != nil {
			t.Errorf("%s: got %v, %v", tc.name, changed, err)
		}
		if _, ok := users.Get("bob"); !ok {
			t.Errorf("%s: the second is not there", tc.name)
		}
	}
}

var shownHash = regexp.MustCompile(`\$(2[aby]\$[0-9]|m=[0-9])`)

func FuzzReadUsers(f *testing.F) {
	for _, text := range []string{
		"{}", "{" + userText("ada", caddyArgon2id) + "}",
		`{"ada": {"password": "$2a$14$` + bcryptTail + `", "disabled": true, "claims": {"groups": ["a"], "n": 1e5}}}`,
		`{"ada": {"password": "x"}, "ada": {}}`, `{"a\ud800": {}}`, `{"ada": null}`, "{}{}", "[", "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := ReadUsers(data)
		if err != nil {
			if shownHash.MatchString(err.Error()) {
				t.Errorf("the error shows a hash: %v", err)
			}
			return
		}
		// A second reader must see the same.
		var plain map[string]struct {
			Password string         `json:"password"`
			Disabled bool           `json:"disabled"`
			Claims   map[string]any `json:"claims"`
		}
		if err := json.Unmarshal(data, &plain); err != nil || len(plain) != len(users) {
			t.Fatalf("accepted %d users, others see %d: %v", len(users), len(plain), err)
		}
		for _, u := range users {
			p, ok := plain[u.ID]
			if !ok || p.Password != u.Hash.parsed.text || p.Disabled != u.Disabled || checkID(u.ID) != nil {
				t.Errorf("accepted %q, others see %v", u.ID, ok)
			}
			if _, err := claims.Parse(u.Claims.Bytes()); err != nil {
				t.Errorf("%q: claims %q", u.ID, u.Claims.Bytes())
			}
			for _, name := range ReservedClaims {
				if _, has := p.Claims[name]; has {
					t.Errorf("%q: has claim %s", u.ID, name)
				}
			}
		}
	})
}

// TestResembles: spellings of one name, as guesses are counted, and no other name.
func TestResembles(t *testing.T) {
	ada, err := NewUser("ada", caddyArgon2id, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	users, err := NewUsers([]User{ada}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{
		"ada": true, "Ada": true, " ada": true, "\uff41da": true, "": false, "adam": false, "ad": false, "a da": false, "\u0430da": false,
	} {
		if got := users.Resembles(id); got != want {
			t.Errorf("%q: got %t", id, got)
		}
	}
}
