package admit

// clientCredentialsOptions are the options of an integration's client_credentials
// block.
var clientCredentialsOptions = table[ClientCredentials]{
	"scopes":    list("<scope>...", func(c *ClientCredentials) *[]string { return &c.Scopes }),
	"audience":  text("<aud>", func(c *ClientCredentials) *string { return &c.Audience }),
	"token_url": text("<url>", func(c *ClientCredentials) *string { return &c.TokenURL }),
}

// introspectionOptions are those of an introspection block.
var introspectionOptions = table[Introspection]{
	"client_id":     text("<id>", func(i *Introspection) *string { return &i.ClientID }),
	"client_secret": text("<secret>", func(i *Introspection) *string { return &i.ClientSecret }),
	"url":           text("<url>", func(i *Introspection) *string { return &i.URL }),
}

// exchangeOptions are those of forward exchange.
var exchangeOptions = table[Forward]{
	"audience": text("<aud>", func(f *Forward) *string { return &f.Audience }),
	"scopes":   list("<scope>...", func(f *Forward) *[]string { return &f.Scopes }),
}
