package config

import (
	"strconv"
	"strings"
)

// lines says on which line each key of a TOML document stands. Its keys are
// paths such as "tls.certificates[0].cert".
type lines map[string]int

// indexLines finds the keys of a document that a TOML parser has accepted; of
// one that is not valid it may return anything, but it returns.
func indexLines(doc string) lines {
	s := scanner{doc: doc, line: 1, found: lines{}, tables: map[string]int{}}
	s.document()
	return s.found
}

// maxNesting bounds the arrays and inline tables within one another.
const maxNesting = 100

// A scanner walks over a TOML document and remembers where keys begin.
type scanner struct {
	doc    string
	pos    int
	line   int
	depth  int
	found  lines
	tables map[string]int // arrays of tables: how many tables so far
}

func (s *scanner) document() {
	table := ""
	for s.space(true); s.pos < len(s.doc); s.space(true) {
		before := s.pos
		switch {
		case s.skip("[["):
			name := s.array(s.key())
			n := s.tables[name]
			s.tables[name] = n + 1
			table = name + "[" + strconv.Itoa(n) + "]"
			s.found[table] = s.line
			if n == 0 {
				s.found[name] = s.line
			}
			s.skip("]]")
		case s.skip("["):
			table = s.array(s.key())
			s.found[table] = s.line
			s.skip("]")
		default:
			s.pair(table)
		}
		if s.pos == before {
			s.next() // not TOML: go on all the same
		}
	}
}

// array puts the index of the last table into each name that is an array of
// tables, but the last.
func (s *scanner) array(names []string) string {
	path := ""
	for i, name := range names {
		path = join(path, name)
		if n := s.tables[path]; n > 0 && i < len(names)-1 {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
	}
	return path
}

// pair reads "key = value".
func (s *scanner) pair(table string) {
	line := s.line
	path := table
	for _, name := range s.key() {
		path = join(path, name)
		if _, ok := s.found[path]; !ok {
			s.found[path] = line
		}
	}
	s.space(false)
	if s.skip("=") {
		s.space(false)
		s.value(path)
	}
}

// key reads the parts of a key that may be dotted and quoted.
func (s *scanner) key() []string {
	var names []string
	for {
		s.space(false)
		start := s.pos
		switch {
		case s.at(`"`):
			s.quoted(`"`)
			name, err := strconv.Unquote(s.doc[start:s.pos])
			if err != nil {
				name = s.doc[start:s.pos]
			}
			names = append(names, name)
		case s.at("'"):
			s.quoted("'")
			names = append(names, strings.Trim(s.doc[start:s.pos], "'"))
		default:
			for s.pos < len(s.doc) && !strings.ContainsRune(" \t\r\n=.]}#,", rune(s.doc[s.pos])) {
				s.next()
			}
			names = append(names, s.doc[start:s.pos])
		}
		s.space(false)
		if !s.skip(".") {
			return names
		}
	}
}

func (s *scanner) value(path string) {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > maxNesting {
		s.pos = len(s.doc)
		return
	}
	for _, q := range []string{`"""`, "'''", `"`, "'"} {
		if s.at(q) {
			s.quoted(q)
			return
		}
	}
	switch {
	case s.skip("["):
		for i := 0; ; i++ {
			if s.space(true); s.pos == len(s.doc) || s.skip("]") {
				return
			}
			element := path + "[" + strconv.Itoa(i) + "]"
			s.found[element] = s.line
			s.value(element)
			if s.space(true); !s.skip(",") && !s.at("]") {
				return
			}
		}
	case s.skip("{"):
		for {
			if s.space(true); s.pos == len(s.doc) || s.skip("}") {
				return
			}
			s.pair(path)
			if s.space(true); !s.skip(",") && !s.at("}") {
				return
			}
		}
	default:
		for s.pos < len(s.doc) && !strings.ContainsRune("\n,]}#", rune(s.doc[s.pos])) {
			s.next()
		}
	}
}

// quoted passes over a string in the quotes q, which it stands on.
func (s *scanner) quoted(q string) {
	s.pos += len(q)
	for s.pos < len(s.doc) {
		switch {
		case q[0] == '"' && s.at(`\`):
			s.next()
			s.next()
		case s.skip(q):
			// Up to two quotes may stand before the closing ones.
			for len(q) == 3 && s.skip(q[:1]) {
			}
			return
		default:
			s.next()
		}
	}
}

// space passes over blanks, and with newlines over line ends and comments.
func (s *scanner) space(newlines bool) {
	for s.pos < len(s.doc) {
		switch c := s.doc[s.pos]; {
		case c == ' ' || c == '\t' || c == '\r':
		case newlines && c == '\n':
		case newlines && c == '#':
			for s.pos+1 < len(s.doc) && s.doc[s.pos+1] != '\n' {
				s.pos++
			}
		default:
			return
		}
		s.next()
	}
}

func (s *scanner) at(prefix string) bool { return strings.HasPrefix(s.doc[s.pos:], prefix) }

func (s *scanner) skip(prefix string) bool {
	if !s.at(prefix) {
		return false
	}
	s.pos += len(prefix)
	return true
}

func (s *scanner) next() {
	if s.pos < len(s.doc) {
		if s.doc[s.pos] == '\n' {
			s.line++
		}
		s.pos++
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
