package main

import (
	"fmt"
	"math/rand"
	"strings"
	"time"
)

// rareWord is in every hundredth message.
const rareWord = "quetzalcoatlus"

var words = strings.Fields(`time year people way day man thing woman life child world school state
family student group country problem hand part place case week company system program question
work government number night point home water room mother area money story fact month lot right
study book eye job word business issue side kind head house service friend father power hour`)

// message makes message i, about size bytes long, the same on every call.
func message(i, size int) string {
	r := rand.New(rand.NewSource(int64(i)))
	var b strings.Builder
	fmt.Fprintf(&b, "From: Sender %d <sender%d@example.com>\r\nTo: User <user@example.org>\r\n", i%97, i%97)
	fmt.Fprintf(&b, "Subject: Message %d about %s\r\n", i, words[r.Intn(len(words))])
	fmt.Fprintf(&b, "Date: %s\r\n", time.Unix(1700000000+int64(i)*60, 0).UTC().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <%d.%d@imapload.example>\r\nMIME-Version: 1.0\r\n", i, r.Int63())
	b.WriteString("Content-Type: text/plain; charset=us-ascii\r\n\r\n")
	if i%100 == 0 {
		b.WriteString(rareWord + "\r\n")
	}
	for col := 0; b.Len() < size-2; {
		w := words[r.Intn(len(words))]
		if col += len(w) + 1; col > 70 {
			b.WriteString("\r\n")
			col = 0
		}
		b.WriteString(w + " ")
	}
	b.WriteString("\r\n")
	return b.String()
}
