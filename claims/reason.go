package claims

// Reason is a fixed word that says why a request was refused: the same in
// answers, logs, metrics and placeholders. It never holds anything of a request.
type Reason string

// The reasons. The status and the text that go with each are the answer's.
const (
	MissingCredential    Reason = "missing_credential"
	MalformedCredential  Reason = "malformed_credential"
	SeveralCredentials   Reason = "several_credentials"
	MalformedToken       Reason = "malformed_token"
	Encrypted            Reason = "encrypted"
	UnsupportedAlgorithm Reason = "unsupported_algorithm"
	UnknownIssuer        Reason = "unknown_issuer"
	UnknownKey           Reason = "unknown_key"
	BadSignature         Reason = "bad_signature"
	CriticalHeader       Reason = "critical_header"
	WrongType            Reason = "wrong_type"
	BoundToken           Reason = "bound_token"
	Expired              Reason = "expired"
	NotYetValid          Reason = "not_yet_valid"
	TooOld               Reason = "too_old"
	MissingExpiry        Reason = "missing_expiry"
	WrongAudience        Reason = "wrong_audience"
	NoIdentity           Reason = "no_identity"
	BadPassword          Reason = "bad_password"
	LockedOut            Reason = "locked_out"
	BadAPIKey            Reason = "bad_api_key"
	BadClient            Reason = "bad_client"
	Inactive             Reason = "inactive"
	SessionInvalid       Reason = "session_invalid"
	SessionExpired       Reason = "session_expired"
	Revoked              Reason = "revoked"
	CrossOrigin          Reason = "cross_origin"
	RuleFailed           Reason = "rule"
	Denied               Reason = "denied"
	LoginRefused         Reason = "login_refused"
	StateInvalid         Reason = "state_invalid"
	KeysUnavailable      Reason = "keys_unavailable"
	SignInUnavailable    Reason = "token_endpoint_unavailable"
	StorageUnavailable   Reason = "storage_unavailable"
)
