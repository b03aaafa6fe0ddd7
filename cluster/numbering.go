package cluster

// A numbering is what a receiver knows about one sender: which number comes next. It is how loss is seen.
//
// Invariant: if known, every event of (instance, line) below next was received or has been reported as lost.
type numbering struct {
	known    bool
	instance uint64
	line     uint64 // of the sender's queue for this receiver: a new one begins to count anew
	next     uint64
}

// open begins a stream, whose first event will have the number next. It returns true if events are missing, or may be.
func (n *numbering) open(instance, line, next uint64) (lost bool) {
	lost = !n.known || n.instance != instance || n.line != line || n.next != next
	*n = numbering{known: true, instance: instance, line: line, next: next}
	return lost
}

// frame accepts a frame of the stream: lost if events before it are missing, fresh unless it repeats what was received.
func (n *numbering) frame(first, next uint64) (lost, fresh bool) {
	if first < n.next || next < first {
		return false, false
	}
	lost = first > n.next
	n.next = next
	return lost, true
}
