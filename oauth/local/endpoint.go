package local

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
)

// maxForm is the size in bytes of the longest body that is read.
const maxForm = 64 << 10

// Subject is a user as the endpoints need one.
type Subject struct {
	ID     string
	Stamp  string // of the credential, see [Member]
	Claims *claims.Set
}

// Endpoint serves the token endpoint and the revocation endpoint of an
// integration (RFC 6749 section 3.2, RFC 7009).
type Endpoint struct {
	// SignIn checks a password. Its errors are those of [Users].
	SignIn func(ctx context.Context, id, password, client string) (Subject, error)
	// Find returns a user who may use a refresh token, as the user is now.
	Find     func(id string) (Subject, bool)
	Tokens   *Tokens
	Families *Families
}

// Outcome says what came of a request, for the log and the metrics. It holds
// nothing that the client sent but the id of a user who is known.
type Outcome struct {
	Grant  string // password, refresh_token or revoke
	User   string
	Status int
	Reason claims.Reason
	// Repeated says that the client was locked out before, and that this is logged.
	Repeated bool
}

// refusal is an error answer of RFC 6749 section 5.2.
type refusal struct {
	status int
	code   string
	reason claims.Reason
	retry  time.Duration

	repeated bool
}

var (
	badForm      = &refusal{http.StatusBadRequest, "invalid_request", claims.MalformedCredential, 0, false}
	badType      = &refusal{http.StatusUnsupportedMediaType, "invalid_request", claims.MalformedCredential, 0, false}
	badGrantType = &refusal{http.StatusBadRequest, "unsupported_grant_type", claims.MalformedCredential, 0, false}
	badGrant     = &refusal{http.StatusBadRequest, "invalid_grant", claims.BadPassword, 0, false}
	badRefresh   = &refusal{http.StatusBadRequest, "invalid_grant", claims.Revoked, 0, false}
	outage       = &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", claims.StorageUnavailable, 10 * time.Second, false}
	busy         = &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", claims.SignInUnavailable, 10 * time.Second, false}
	failure      = &refusal{http.StatusInternalServerError, "server_error", "", 0, false}
)

// grant is what a token request asks for.
type grant struct{ kind, user, password, refresh string }

// parameters are those that are read; others are ignored (RFC 6749 section 3.2).
var parameters = []string{"grant_type", "username", "password", "refresh_token", "token"}

// answered is the successful answer of RFC 6749 section 5.1.
type answered struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// Token answers a POST to the token endpoint: the grants password and
// refresh_token, as a form or as JSON. client is the address for the counting of
// failures.
func (e *Endpoint) Token(w http.ResponseWriter, r *http.Request, client string) Outcome {
	form, refused := readForm(w, r)
	if refused != nil {
		return refuse(w, Outcome{}, refused)
	}
	g := grant{form.Get("grant_type"), form.Get("username"), form.Get("password"), form.Get("refresh_token")}
	o := Outcome{Grant: g.kind}
	var s Subject
	var next string
	switch g.kind {
	case "password":
		s, next, refused = e.password(r.Context(), g, client)
	case "refresh_token":
		s, next, refused = e.refresh(r.Context(), g)
	case "":
		refused = badForm
	default:
		o.Grant, refused = "", badGrantType
	}
	if refused != nil {
		return refuse(w, o, refused)
	}
	o.User = s.ID
	access, err := e.Tokens.Make(r.Context(), s.ID, s.Claims)
	if err != nil {
		return refuse(w, o, refusalOf(err))
	}
	write(w, http.StatusOK, answered{access, "Bearer", int64(e.Tokens.Access.Seconds()), next})
	o.Status = http.StatusOK
	return o
}

func (e *Endpoint) password(ctx context.Context, g grant, client string) (Subject, string, *refusal) {
	if g.user == "" || g.password == "" {
		return Subject{}, "", badForm
	}
	s, err := e.SignIn(ctx, g.user, g.password, client)
	if err != nil {
		return Subject{}, "", refusalOf(err)
	}
	token, err := e.Families.Begin(ctx, Member{User: s.ID, Stamp: s.Stamp})
	if err != nil {
		return Subject{}, "", refusalOf(err)
	}
	return s, token, nil
}

func (e *Endpoint) refresh(ctx context.Context, g grant) (Subject, string, *refusal) {
	if g.refresh == "" {
		return Subject{}, "", badForm
	}
	next, m, err := e.Families.Rotate(ctx, g.refresh, func(m Member) bool {
		s, ok := e.Find(m.User)
		return ok && s.Stamp == m.Stamp
	})
	if err != nil {
		return Subject{}, "", refusalOf(err)
	}
	s, ok := e.Find(m.User)
	if !ok {
		return Subject{}, "", badRefresh
	}
	return s, next, nil
}

// Revoke answers a POST to the revocation endpoint: the family of the token
// ends. A token that is no good is answered as one that was.
func (e *Endpoint) Revoke(w http.ResponseWriter, r *http.Request) Outcome {
	o := Outcome{Grant: "revoke"}
	form, refused := readForm(w, r)
	if refused == nil && form.Get("token") == "" {
		refused = badForm
	}
	if refused != nil {
		return refuse(w, o, refused)
	}
	if err := e.Families.End(r.Context(), form.Get("token")); err != nil {
		return refuse(w, o, refusalOf(err))
	}
	header(w)
	w.WriteHeader(http.StatusOK)
	o.Status = http.StatusOK
	return o
}

func refusalOf(err error) *refusal {
	var locked *LockedError
	switch {
	case errors.As(err, &locked):
		return &refusal{http.StatusTooManyRequests, "slow_down", claims.LockedOut, locked.RetryAfter, !locked.New}
	case errors.Is(err, ErrBadPassword):
		return badGrant
	case errors.Is(err, ErrInvalidGrant):
		return badRefresh
	case errors.Is(err, store.ErrUnavailable):
		return outage
	case errors.Is(err, ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return busy
	}
	return failure
}

// readForm reads the parameters of a body, each of which may be there once
// (RFC 6749 section 3.2). Only the types that a form of another site cannot send
// unasked for, or that carry no cookie, are read as what they say.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, badType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, badForm
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, badForm
		}
		for _, values := range form {
			if len(values) > 1 {
				return nil, badForm
			}
		}
		return form, nil
	case "application/json":
		return readJSON(body)
	}
	return nil, badType
}

func readJSON(body []byte) (url.Values, *refusal) {
	if _, err := claims.Parse(body); err != nil {
		return nil, badForm // duplicate members among others
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, badForm
	}
	form := url.Values{}
	for name, value := range members {
		if text, ok := value.(string); ok {
			form.Set(name, text)
		} else if slices.Contains(parameters, name) {
			return nil, badForm
		}
	}
	return form, nil
}

func header(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 section 5.1
	h.Set("X-Content-Type-Options", "nosniff")
}

func write(w http.ResponseWriter, status int, value any) {
	header(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that went away is no fault of ours
}

func refuse(w http.ResponseWriter, o Outcome, r *refusal) Outcome {
	if r.retry > 0 {
		seconds := int64((r.retry + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	write(w, r.status, map[string]string{"error": r.code})
	o.Status, o.Reason, o.Repeated = r.status, r.reason, r.repeated
	return o
}
