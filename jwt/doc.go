// Package jwt turns a raw token into claims or a rejection (RFC 7519, RFC 7515,
// RFC 8725). It fetches key sets but serves no requests.
//
// A token is parsed here and not by a library: only the compact form, only the
// bytes that were received, nothing folded, completed or ignored. jwx reads key
// sets; the standard library verifies signatures.
package jwt
