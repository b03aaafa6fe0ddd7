package transfer

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// maildirKeywords is how many keywords a Maildir's file names have letters for.
const maildirKeywords = 26

// readKeywords reads a dovecot-keywords file, lines such as "3 $Junk", where
// the number stands for a letter in file names, 0 for "a".
func readKeywords(r io.Reader) ([]imap.Flag, error) {
	words := make([]imap.Flag, maildirKeywords)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxIndexLine)
	for lines.Scan() {
		number, word, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < maildirKeywords && validKeyword(word) {
			words[n] = imap.Flag(word)
		}
	}
	return words, lines.Err()
}

// validKeyword reports whether word can be a flag: an atom (RFC 9051 §9).
func validKeyword(word string) bool {
	return word != "" && len(word) <= 255 && !strings.ContainsFunc(word, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	})
}

// maildirFlags are the letters of system flags, in the order of their bits in
// file names (ASCII, as the Maildir specification has it).
var maildirFlags = []struct {
	letter byte
	flag   imap.Flag
}{
	{'D', imap.FlagDraft}, {'F', imap.FlagFlagged}, {'P', imap.FlagForwarded},
	{'R', imap.FlagAnswered}, {'S', imap.FlagSeen}, {'T', imap.FlagDeleted},
}

// parseMaildirName splits a file's name into what names the message and its
// flags.
func parseMaildirName(name string, keywords []imap.Flag) (base string, flags mailbox.Flags) {
	base, info, _ := strings.Cut(name, ":")
	letters, ok := strings.CutPrefix(info, "2,")
	if !ok {
		return base, flags
	}
	var list []imap.Flag
	for _, c := range []byte(letters) {
		if i := int(c) - 'a'; i >= 0 && i < len(keywords) && keywords[i] != "" {
			list = append(list, keywords[i])
		}
		for _, f := range maildirFlags {
			if f.letter == c {
				list = append(list, f.flag)
			}
		}
	}
	return base, mailbox.NewFlags(list...)
}

// A keywordTable gives letters to the keywords of one folder.
type keywordTable struct {
	words []string
	lost  []string // those that there were no letters for
}

// info returns what stands after the ":" of a file's name.
func (t *keywordTable) info(flags mailbox.Flags) string {
	var letters []byte
	for _, f := range maildirFlags {
		if flags.Has(f.flag) {
			letters = append(letters, f.letter)
		}
	}
	for _, word := range flags.KeywordList() {
		if strings.EqualFold(word, string(imap.FlagForwarded)) {
			continue
		}
		if c, ok := t.letter(word); ok {
			letters = append(letters, c)
		}
	}
	slices.Sort(letters)
	return "2," + string(letters)
}

func (t *keywordTable) letter(word string) (byte, bool) {
	same := func(w string) bool { return strings.EqualFold(w, word) }
	i := slices.IndexFunc(t.words, same)
	if i < 0 {
		if len(t.words) == maildirKeywords {
			if !slices.ContainsFunc(t.lost, same) {
				t.lost = append(t.lost, word)
			}
			return 0, false
		}
		i = len(t.words)
		t.words = append(t.words, word)
	}
	return 'a' + byte(i), true
}

func (t *keywordTable) writeTo(w io.Writer) error {
	for i, word := range t.words {
		if _, err := fmt.Fprintf(w, "%d %s\n", i, word); err != nil {
			return err
		}
	}
	return nil
}
