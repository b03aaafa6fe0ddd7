package cluster

import (
	"bytes"
	"sync"
	"time"
)

// Bounds of the dead letters that are kept.
const (
	maxLetters    = 16
	maxLetterSize = 4 << 10
)

// A DeadLetter is a frame that could not be read: for whoever must find out why.
type DeadLetter struct {
	At    time.Time
	From  string // name of the node
	Error string
	Size  int    // of the frame
	Bytes []byte // its beginning
}

// letters are the last frames that could not be read.
type letters struct {
	mu   sync.Mutex
	list []DeadLetter
}

func (l *letters) keep(from string, err error, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == maxLetters {
		l.list = append(l.list[:0], l.list[1:]...)
	}
	l.list = append(l.list, DeadLetter{time.Now(), from, err.Error(), len(frame), bytes.Clone(frame[:min(len(frame), maxLetterSize)])})
}

// DeadLetters returns the last frames that could not be read, the oldest first.
func (n *Node) DeadLetters() []DeadLetter {
	n.letters.mu.Lock()
	defer n.letters.mu.Unlock()
	return append([]DeadLetter(nil), n.letters.list...)
}
