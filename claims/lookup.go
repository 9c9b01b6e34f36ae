package claims

// Claim returns the values that rules see under a name of the mapping or of a
// claim, and whether they are members of a list rather than one value. There are
// none for a claim that is absent, that nobody vouches for, or that the token
// points elsewhere for.
func (id *Identity) Claim(name string) (texts []string, list bool) {
	m := id.mapping
	paths, named := m.Named[name]
	if !named {
		path, err := ParsePath(name)
		if err != nil {
			return nil, false
		}
		paths = []Path{path}
	}
	m.readAll(&id.claims, paths, true, func(text []byte) bool {
		texts = append(texts, string(text))
		return true
	})
	list = len(texts) > 1
	for i := range paths {
		v, every := paths[i].find(&id.claims)
		list = list || every || v.IsArray() || v.IsObject() || paths[i].split
	}
	return texts, list
}
