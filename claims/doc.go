// Package claims holds the values that a decision is made of: the claims of a
// token or session, how to read one, patterns and rules about them, the identity
// they describe, and the decision itself. It does no I/O and knows neither clock
// nor HTTP.
package claims
