package auth

import (
	"strings"

	"golang.org/x/text/secure/precis"

	"github.com/starling-mail/starling/mailbox"
)

// MaxNameLen is the longest user name or address, in bytes: 64 for the local
// part, 255 for the domain and the @ between them (RFC 5321 §4.5.3.1), with
// room for the detail that a recipient may carry.
const MaxNameLen = 512

// NameOptions say how user names are read.
type NameOptions struct {
	// DefaultDomain is given to names that have none: with "example.org",
	// "alice" and "alice@example.org" are the same user. Empty: names stay as they are.
	DefaultDomain string
	// Separators are the characters each of which may stand between a user and a
	// detail in an address, as "+" in alice+lists@example.org. Empty: none does.
	Separators string
}

// A Normalizer brings user names and addresses into the one form in which
// users are stored. It may be used from any number of goroutines.
//
// The form is that of the PRECIS profile UsernameCaseMapped (RFC 8265 §3.3),
// taken of the part before the last @ and the part after it: full-width
// characters become ordinary ones, letters become lower case, the whole is in
// NFC; spaces, controls and characters that only look like others are refused. Plain
// lower-casing and NFC would let "ｂob" and "bob" be two users.
type Normalizer struct {
	domain     string // normalised, or empty
	separators string
}

// NewNormalizer returns a Normalizer, or an error of kind Cannot where the
// options make no sense.
func NewNormalizer(o NameOptions) (*Normalizer, error) {
	n := &Normalizer{separators: o.Separators}
	if strings.Contains(o.Separators, "@") {
		return nil, badName("@ cannot separate a detail")
	}
	if o.DefaultDomain != "" {
		domain, err := fold(o.DefaultDomain)
		if err != nil || strings.Contains(domain, "@") {
			return nil, badName("default domain is not valid")
		}
		n.domain = domain
	}
	return n, nil
}

// Normalize returns the form of name that users are stored under, with the
// default domain if it has none. Normalising twice changes nothing. Errors are of kind Cannot.
func (n *Normalizer) Normalize(name string) (string, error) {
	local, domain, err := n.split(name)
	if err != nil {
		return "", err
	}
	if local, err = fold(local); err != nil {
		return "", err
	}
	return join(local, domain), nil
}

// A Recipient is one way of understanding a mail address.
type Recipient struct {
	Name   string // normalised name of a user or alias
	Detail string // what follows the separator, as written; empty: nothing does
}

// Recipients returns the ways of understanding an address, best first: as the
// name of a user or alias as it stands; as a user with a detail; and, where no
// default domain is configured, as the user who has the address's local part
// for a name: that the domain is ours is then the sending MTA's knowledge.
// Errors are of kind Cannot.
func (n *Normalizer) Recipients(address string) ([]Recipient, error) {
	local, domain, err := n.split(address)
	if err != nil {
		return nil, err
	}
	domains := []string{domain}
	if n.domain == "" && domain != "" {
		domains = append(domains, "")
	}
	var list []Recipient
	add := func(local, detail string) error {
		local, err := fold(local)
		if err != nil {
			return err
		}
		for _, d := range domains {
			list = append(list, Recipient{Name: join(local, d), Detail: detail})
		}
		return nil
	}
	// A detail may hold what no name may, such as a space: then the address
	// is only understood without it.
	whole := add(local, "")
	if i := strings.IndexAny(local, n.separators); i > 0 {
		rest := strings.TrimLeft(local[i:], local[i:i+1]) // "a+" has an empty detail
		if err := add(local[:i], rest); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, whole
	}
	return list, nil
}

// split cuts a name at its last @ and folds the domain, or takes the default.
func (n *Normalizer) split(name string) (local, domain string, err error) {
	if len(name) > MaxNameLen {
		return "", "", badName("user name is too long")
	}
	i := strings.LastIndexByte(name, '@')
	if i < 0 {
		return name, n.domain, nil
	}
	domain, err = fold(name[i+1:])
	return name[:i], domain, err
}

func join(local, domain string) string {
	if domain == "" {
		return local
	}
	return local + "@" + domain
}

// fold applies the profile to one part of a name.
func fold(part string) (string, error) {
	if plain(part) {
		return part, nil
	}
	folded, err := precis.UsernameCaseMapped.String(part)
	if err != nil || folded == "" {
		return "", badName("user name is empty or has a character that is not allowed")
	}
	return folded, nil
}

// plain reports whether the profile leaves s as it is, for most names.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return s != ""
}

func badName(text string) error {
	return &mailbox.Error{Kind: mailbox.Cannot, Op: "user name", Text: text}
}
