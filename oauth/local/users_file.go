package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-admit/admit/claims"
)

// maxUsersFile is the size of the largest users file in bytes.
const maxUsersFile = 10 << 20

// ReadUsers reads the text of a users file, a JSON object of users by id:
//
//	{"ada": {"password": "<hash>", "disabled": false, "claims": {…}}}
//
// Only the password is required. Unknown and duplicate members, null and whatever
// else is not as above are errors that name user and member and show no hash.
func ReadUsers(data []byte) ([]User, error) {
	if len(data) > maxUsersFile {
		return nil, errors.New("users file: more than 10 MiB")
	}
	members, err := readObject(data)
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	users := make([]User, 0, len(members))
	for _, m := range members {
		u, err := readUser(m.name, m.value)
		if err != nil {
			return nil, fmt.Errorf("users file: %w", err)
		}
		users = append(users, u)
	}
	if _, err := claims.Parse(data); err != nil {
		return nil, errors.New("users file: not UTF-8, half a surrogate pair, a duplicate name, data after the end, or nested more than 32 deep")
	}
	return users, nil
}

func readUser(id string, text []byte) (User, error) {
	members, err := readObject(text)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", shown(id), err)
	}
	var (
		hash     *string
		disabled = new(bool)
		own      json.RawMessage
	)
	for _, m := range members {
		var err error
		switch m.name {
		case "password":
			err = readValue(m.value, &hash, "text")
		case "disabled":
			err = readValue(m.value, &disabled, "true or false")
		case "claims":
			own = m.value
		default:
			err = errors.New("unknown: expected password, disabled or claims")
		}
		if err != nil {
			return User{}, fmt.Errorf("user %s: member %s: %w", shown(id), shown(m.name), err)
		}
	}
	if hash == nil {
		return User{}, fmt.Errorf("user %s: member \"password\" is missing", shown(id))
	}
	return NewUser(id, *hash, *disabled, own)
}

// readValue decodes a value that is not null.
func readValue[T any](text []byte, into **T, what string) error {
	*into = nil
	if err := json.Unmarshal(text, into); err != nil || *into == nil {
		return fmt.Errorf("expected %s", what) // the cause would quote the value
	}
	return nil
}

type jsonMember struct {
	name  string
	value json.RawMessage
}

// readObject returns the members of a JSON object in their order. It refuses a
// name that is there twice and says which.
func readObject(data []byte) ([]jsonMember, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, notJSON(data, d)
	}
	var members []jsonMember
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, notJSON(data, d)
		}
		if seen[name] {
			return nil, fmt.Errorf("member %s is there twice", shown(name))
		}
		seen[name] = true
		m := jsonMember{name: name}
		if err := d.Decode(&m.value); err != nil {
			return nil, notJSON(data, d)
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, notJSON(data, d)
	}
	return members, nil
}

// notJSON says where reading stopped; the decoder's own error would quote bytes.
func notJSON(data []byte, d *json.Decoder) error {
	line := 1 + bytes.Count(data[:min(int(d.InputOffset()), len(data))], []byte("\n"))
	return fmt.Errorf("not a JSON object, near line %d of it", line)
}
