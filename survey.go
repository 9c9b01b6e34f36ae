package admit

import "net/http"

// present says which headers of a request a gate has something to do with.
type present uint8

const (
	withConnection present = 1 << iota
	withUpgrade
	withCookie
	withTrailer
	withOverride
	withOurs // one that upstream could take for an identity header of this gate
)

// survey walks over the headers once, which costs less than a look for each of these.
func survey(h http.Header, ours []string) (has present) {
	for name := range h {
		switch name {
		case "Connection":
			has |= withConnection
		case "Upgrade":
			has |= withUpgrade
		case "Cookie":
			has |= withCookie
		case "Trailer":
			has |= withTrailer
		case methodOverrides[0], methodOverrides[1], methodOverrides[2]:
			has |= withOverride
		}
		if isOneOf(name, ours) {
			has |= withOurs
		}
	}
	return has
}
