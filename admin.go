package admit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
)

func init() { caddy.RegisterModule(adminAPI{}) }

// adminAPI is what Caddy's admin API knows of sessions:
//
//	GET  /admit/sessions                            integrations that have any
//	GET  /admit/sessions/<integration>[?user=<id>]  those in the storage
//	POST /admit/revoke                              {"integration": …, "user": …}
//
// Who may call it, and from where, is the business of Caddy's option admin.
type adminAPI struct{}

const (
	sessionsPath = "/admit/sessions"
	revokePath   = "/admit/revoke"

	// maxAdminBody is the size in bytes of the longest body that is read.
	maxAdminBody = 64 << 10
	// adminTimeout bounds one request. Listing reads all sessions of a storage.
	adminTimeout = time.Minute
	// maxListed is how many entries of a list are written out.
	maxListed = 1000
)

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.admit", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements [caddy.AdminRouter].
func (adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: sessionsPath, Handler: adminHandler(http.MethodGet, answerIntegrations)},
		{Pattern: sessionsPath + "/", Handler: adminHandler(http.MethodGet, answerSessions)},
		{Pattern: revokePath, Handler: adminHandler(http.MethodPost, answerRevoke)},
	}
}

// adminHandler answers one method with the JSON of a value. The app is that of the
// configuration that runs: while another one loads, that is the one before.
func adminHandler(method string, answer func(*App, *http.Request) (any, error)) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != method {
			w.Header().Set("Allow", method)
			return refusedCall(http.StatusMethodNotAllowed, "expected the method %s", method)
		}
		loaded, err := caddy.ActiveContext().AppIfConfigured("admit")
		if err != nil {
			return refusedCall(http.StatusNotFound, "no gate and no integration is configured")
		}
		ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
		value, err := answer(loaded.(*App), r)
		switch {
		case errors.Is(err, store.ErrUnavailable):
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("the storage is out of reach: %w", err)}
		case err != nil:
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(value)
	})
}

// refusedCall is the error of a request that cannot be answered as it is.
func refusedCall(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// knownIntegration is one that has sessions.
type knownIntegration struct {
	Name string `json:"name"`
	// Sites are those of the gate whose own integration it is.
	Sites []string `json:"sites,omitempty"`
}

func (k knownIntegration) String() string {
	if len(k.Sites) == 0 {
		return k.Name
	}
	return k.Name + " (" + strings.Join(k.Sites, ", ") + ")"
}

// withSessions lists the integrations that have sessions, those of gates too.
func (a *App) withSessions() []knownIntegration {
	list := []knownIntegration{}
	for _, in := range a.known.all() {
		if in.sessions == nil {
			continue
		}
		known := knownIntegration{Name: in.name}
		if _, named := a.Integrations[in.name]; !named {
			known.Sites = sitesOfOwn(a.ctx, in.name)
		}
		list = append(list, known)
	}
	slices.SortFunc(list, func(a, b knownIntegration) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// sessionsOf returns the integration of that name, if it has sessions.
func (a *App) sessionsOf(name string) (*integration, error) {
	all := a.known.all()
	i := slices.IndexFunc(all, func(in *integration) bool { return in.name == name })
	switch {
	case i >= 0 && all[i].sessions != nil:
		return all[i], nil
	case i >= 0:
		return nil, refusedCall(http.StatusNotFound, "integration %s: nobody logs in with it, so it has no sessions; there are: %s", name, joinNames(a.withSessions()))
	}
	return nil, refusedCall(http.StatusNotFound, "integration %q: not among those that have sessions, which are: %s", name, joinNames(a.withSessions()))
}

func joinNames(list []knownIntegration) string {
	if len(list) == 0 {
		return "none"
	}
	var names []string
	for _, known := range list {
		names = append(names, known.String())
	}
	return strings.Join(names, ", ")
}

func answerIntegrations(a *App, _ *http.Request) (any, error) {
	return struct {
		Integrations []knownIntegration `json:"integrations"`
	}{a.withSessions()}, nil
}

// sessionsAnswer is a list of what lies in the storage.
type sessionsAnswer struct {
	Integration string        `json:"integration"`
	Total       int           `json:"total"`
	Sessions    []storedEntry `json:"sessions"` // the latest ones
	// Sealed says that there may be more in cookies, where nobody counts them.
	Sealed bool `json:"sealed_cookies"`
}

func answerSessions(a *App, r *http.Request) (any, error) {
	in, err := a.sessionsOf(strings.TrimPrefix(r.URL.Path, sessionsPath+"/"))
	if err != nil {
		return nil, err
	}
	users := r.URL.Query()["user"]
	if len(users) > 1 || len(users) == 1 && users[0] == "" {
		return nil, refusedCall(http.StatusBadRequest, "user: expected one id, or none for all users")
	}
	list, err := in.stored(r.Context(), strings.Join(users, ""))
	if err != nil {
		return nil, err
	}
	answer := sessionsAnswer{Integration: in.name, Total: len(list), Sessions: list, Sealed: in.sealed()}
	if len(list) > maxListed {
		answer.Sessions = list[:maxListed]
	}
	if list == nil {
		answer.Sessions = []storedEntry{}
	}
	return answer, nil
}

func answerRevoke(a *App, r *http.Request) (any, error) {
	name, user, err := readRevoke(r)
	if err != nil {
		return nil, err
	}
	in, err := a.sessionsOf(name)
	if err != nil {
		return nil, err
	}
	done, err := in.revoke(r.Context(), user, a.log)
	if err != nil {
		return nil, err
	}
	a.log.Info("sessions revoked", zap.String("integration", in.name), zap.String("user", user), zap.Bool("everybody", user == ""))
	return done, nil
}

// readRevoke reads whose sessions are to end. Without a user those of all are, so
// nothing that may be a mistake is read as if it had none.
func readRevoke(r *http.Request) (integration, user string, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", "", refusedCall(http.StatusUnsupportedMediaType, "expected the type application/json")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", "", refusedCall(http.StatusRequestEntityTooLarge, "expected at most %d bytes", maxAdminBody)
	}
	var members map[string]any
	if _, err := claims.Parse(body); err != nil || json.Unmarshal(body, &members) != nil { // a member twice, among others
		return "", "", refusedCall(http.StatusBadRequest, "expected an object of integration and user")
	}
	for member, value := range members {
		text, ok := value.(string)
		switch {
		case !ok || text == "":
			return "", "", refusedCall(http.StatusBadRequest, "%q: expected text that is not empty; leave user out to revoke everybody", member)
		case member == "integration":
			integration = text
		case member == "user":
			user = text
		default:
			return "", "", refusedCall(http.StatusBadRequest, "%q: expected integration and user", member)
		}
	}
	if integration == "" {
		return "", "", refusedCall(http.StatusBadRequest, "integration: expected its name")
	}
	return integration, user, nil
}

// Interface guards.
var _ caddy.AdminRouter = adminAPI{}
