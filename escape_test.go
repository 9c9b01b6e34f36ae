package admit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// threat 33: what Caddy itself cuts off a path behind the gate, and what PHP does,
// must not make a request another one than it was judged as.
func TestPathsOfRewrites(t *testing.T) {
	ops := bearer(t, object{"groups": "admins"})
	for _, rewrite := range []string{
		"",
		"rewrite * /app{uri}",
		"rewrite * /app{path}",
		"rewrite * {http.request.orig_uri.path}",
		"@all path_regexp all ^/(.*)$\nrewrite @all /app/{re.all.1}",
	} {
		s := serve(t, secretIntegration, "admit {\nrequire /admin/* groups admins\nbypass /public/*\n}\n"+rewrite+"\n"+upstream(t))
		for _, target := range []string{"/admin", "/admin%3Fx", "/admin%23x", "/admin%3F", "/admin/%23", "/x/%3F/../../admin", "/admin%ff", "/x/.../admin"} {
			s.get(target, bearer(t, nil)).want(t, 403, "rule")
			s.get(target, ops).want(t, 200, "")
		}
		s.get("/public/x").want(t, 200, "")
		for _, target := range []string{"/public/%3F/x", "/public/%23", "/public/%c0%ae%c0%ae/admin", "/public/.../x", "/public/..%20/x", "/public/%20./x"} {
			s.get(target).want(t, 401, "missing_credential")
		}
		s.get("/blog?x", bearer(t, nil)).want(t, 200, "")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// threat 33: a front controller gets the path that follows it.
func TestPathsOfPHP(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "admin.php"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, secretIntegration, "root * "+root+`
		admit /admin/*
		admit /admin.php {
			require groups admins
		}
		@drafts path_regexp ^/drafts/
		admit @drafts
		php_fastcgi 127.0.0.1:1
	`)
	for _, target := range []string{
		"/admin", "/admin/x", "/index.php/admin", "/index.php/admin/x", "/INDEX.PHP/Admin/x", "/other.php/admin/", "/x/y.php/admin?a=b",
		"/admin.php", "/admin.php/", "/admin.php/x", "/ADMIN.php/x", "/index.php/drafts/x",
	} {
		s.get(target).want(t, 401, "missing_credential")
	}
	// What is open gets as far as PHP, which is not there.
	for _, target := range []string{"/index.php", "/index.php/blog", "/blog/x", "/index.phps/admin", "/admin.phps", "/index.php?/admin"} {
		s.get(target).want(t, 502, "")
	}
}

// threat 33: a path with more than one meaning is every path that a matcher asks
// for, whatever else the matcher asks for.
func TestPathsOfNamedMatchers(t *testing.T) {
	odd := []string{"/admin;/x", "/x/..;/admin/x", "/admin%5cx", "/x%5c..%5cadmin/x", "/public/..;/admin", "/public/..%5cadmin", "/public/%252e%252e/admin", "/public/..%00/admin"}
	for _, matcher := range []string{
		"path /admin/*\nmethod GET POST",
		"path_regexp ^/admin/",
		"path_regexp ^/admin/\nmethod GET",
		"not path /public/* /x/* /admin*",
		"not {\npath /public/* /x/* /admin*\nmethod GET\n}",
		"not {\npath /public/* /x/* /admin*\n}\nnot method DELETE",
		"expression path('/admin/*')",
		"expression {path}.startsWith('/admin/')",
	} {
		s := serve(t, secretIntegration, "@it {\n"+matcher+"\n}\nadmit @it\n"+upstream(t))
		for _, target := range odd {
			if got := s.get(target).StatusCode; got != 401 {
				t.Errorf("%s: %s: status %d, want 401", matcher, target, got)
			}
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
	// The rest of the matcher still tells requests apart.
	s := serve(t, secretIntegration, "@it {\npath /admin/*\nmethod POST\n}\n@other {\nnot path /public/*\nnot method GET\n}\n@query query a=b\n"+
		"admit @it\nadmit @other\nadmit @query\n"+upstream(t))
	for _, target := range odd {
		s.get(target).want(t, 200, "")
		s.send("POST", target, "Content-Length: 0").want(t, 401, "missing_credential")
		s.send("PUT", target, "Content-Length: 0").want(t, 401, "missing_credential")
		s.get(target+"?a=b").want(t, 401, "missing_credential")
	}
}

// threat 33: a header by which frameworks take one method for another does not lead
// around what is asked of that method.
func TestMethodOverridesAndRules(t *testing.T) {
	s := serve(t, secretIntegration, "@delete method DELETE\n@write {\npath /docs/*\nnot method GET HEAD OPTIONS\n}\n"+
		"admit {\nrequire @delete groups admins\nrequire @write groups editors\n}\n"+upstream(t))
	ada := bearer(t, nil)
	for _, name := range []string{"X-HTTP-Method-Override", "x-http-method", "X-Method-Override"} {
		s.send("POST", "/", ada, "Content-Length: 0", name+": DELETE").want(t, 403, "rule")
		s.send("POST", "/", ada, "Content-Length: 0", name+": delete").want(t, 403, "rule")
		s.send("POST", "/", ada, "Content-Length: 0", name+": PUT").want(t, 200, "")
		s.get("/docs/x", ada, name+": PUT").want(t, 403, "rule")
		s.get("/docs;/x", ada, name+": PUT").want(t, 403, "rule")
		s.get("/docs/x", ada, name+": HEAD").want(t, 200, "")
	}
	s.send("POST", "/docs/x", ada, "Content-Length: 0", "X-HTTP-Method-Override: GET").want(t, 403, "rule")
}

// threat 98: a path that no request has protects nothing.
func TestPathsThatMatchNothing(t *testing.T) {
	for _, body := range []string{
		"@it path admin/*\nadmit @it",
		"admit /t/[a/*/admin",
		"@it path /t/[a/*/admin\nadmit @it",
		"@it host 127.0.0.1:8443\nadmit @it",
		"@it host [::1]:8443 localhost\nadmit {\nrequire @it groups admins\n}",
		"@it path /x admin\nadmit @it",
		"@it path admin/*\nadmit {\nrequire @it groups admins\n}",
		"@it path admin/*\nadmit {\ndeny @it groups guests\n}",
		"@it path admin/*\nadmit {\nany @it {\nrequire groups admins\n}\n}",
	} {
		if err := loadError(t, secretIntegration, body); !strings.Contains(err, "matches nothing") {
			t.Errorf("%s: %s", body, err)
		}
	}
	s := serve(t, secretIntegration, "@it path *.pdf /[a-c]/* /x {env.HOME} /[y/* *[x*\n@host host ::1 [::1] *.example.com {env.HOME}:1\nadmit @it\nadmit @host\n"+upstream(t))
	s.get("/y.pdf").want(t, 401, "missing_credential")
	s.get("/y").want(t, 200, "")
}
