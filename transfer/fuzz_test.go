package transfer

import (
	"io"
	"strings"
	"testing"

	"github.com/starling-mail/starling/mailbox"
)

// FuzzMbox: messages lie one after the other within the file, each is read to
// the size that was told, and nothing is read twice.
func FuzzMbox(f *testing.F) {
	const day = "From a Fri Jan  2 03:04:05 2015\n"
	f.Add(day+"Status: R\n\nx\n\n"+day+"\n>From y\n", false)
	f.Add(day+"X-Mozilla-Status: 0009\nX-Keywords: a b\n c\n\n\n"+day, true)
	f.Add("From \r\n\r\n"+day+"\n>>From \n", true)
	f.Fuzz(func(t *testing.T, text string, mboxo bool) {
		end := int64(0)
		for e, err := range mboxEntries(strings.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
			if e.start < end || e.end < e.start || e.end > int64(len(text)) {
				t.Fatalf("%+v after %d, of %d bytes", e, end, len(text))
			}
			end = e.end
		}
		for item, err := range mboxOf(text, mboxo).items() {
			if err != nil {
				t.Fatal(err)
			}
			r, err := item.Open()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); n != item.Size || err != nil {
				t.Fatalf("%d bytes, told %d: %v", n, item.Size, err)
			}
		}
	})
}

// FuzzUIDList: every UID is one and below the next, unless it is the highest.
func FuzzUIDList(f *testing.F) {
	f.Add("3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n25006 W1394 :1276528487.M364837P9451.kurkku,S=1355:2,S\n")
	f.Add("1 7 12\n5 a\n11 b:2,S\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readUIDList(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, uid := range list.UIDs {
			if name == "" || strings.Contains(name, ":") || uid == 0 || uid >= list.Next && uid != 1<<32-1 {
				t.Errorf("%q %d, next %d", name, uid, list.Next)
			}
		}
	})
}

// FuzzMaildirName: keywords and flags of any file are flags that can be
// stored and written again.
func FuzzMaildirName(f *testing.F) {
	f.Add("0 $Label1\n25 x\n", "1600000001.M1P1.host,S=17:2,DFPRSTabz")
	f.Add("1 bad(word\n-1 a\n", "a:2,")
	f.Fuzz(func(t *testing.T, keywords, name string) {
		words, err := readKeywords(strings.NewReader(keywords))
		if err != nil {
			return
		}
		base, flags := parseMaildirName(name, words)
		var table keywordTable
		info := table.info(flags) // names the keywords in the table
		var written strings.Builder
		if err := table.writeTo(&written); err != nil {
			t.Fatal(err)
		}
		words, err = readKeywords(strings.NewReader(written.String()))
		if err != nil {
			t.Fatal(err)
		}
		if again, same := parseMaildirName(base+":"+info, words); again != base || same != flags {
			t.Errorf("%q %+v came back as %q %+v", base, flags, again, same)
		}
	})
}

// FuzzFolderName: every folder has a name that a mailbox can have.
func FuzzFolderName(f *testing.F) {
	f.Add("Sent.2020")
	f.Add("Entw&APw-rfe.a&AC4-b")
	f.Add("INBOX..\xff%*/")
	f.Fuzz(func(t *testing.T, folder string) {
		if len(folder) > 200 || strings.Count(folder, ".") >= mailbox.MaxNameDepth {
			return
		}
		name := folderToName(folder)
		if err := mailbox.CheckName(name); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if back := folderToName(strings.TrimPrefix(nameToFolder(name), ".")); nameToFolder(name) != "" && back != name {
			t.Errorf("%q is the folder %q, which is %q", name, nameToFolder(name), back)
		}
		if _, err := parseSubscriptions(strings.NewReader(folder)); err != nil && len(folder) < maxIndexLine {
			t.Fatal(err)
		}
	})
}
