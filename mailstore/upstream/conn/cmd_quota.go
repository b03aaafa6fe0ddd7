package conn

// Quota is GETQUOTAROOT (RFC 9208): the limits that a mailbox is under.
type Quota struct {
	Reply
	Mailbox string

	Roots []QuotaRoot
}

// A QuotaRoot is one limit and what counts against it.
type QuotaRoot struct {
	Name      string
	Resources []Resource
}

// A Resource is one of a quota root's figures (RFC 9208): STORAGE in units of 1,024
// octets, MESSAGE, MAILBOX.
type Resource struct {
	Name         string // upper case
	Usage, Limit int64
}

func (*Quota) name() string { return "GETQUOTAROOT" }

func (q *Quota) write(w *writer) {
	w.raw("GETQUOTAROOT ")
	w.mailbox(q.Mailbox)
}

func (q *Quota) data(_ *Conn, kind string, r *reader) bool {
	switch kind {
	case "QUOTAROOT": // the names come again in QUOTA
		for r.spaces(); r.err == nil && r.peek() != '\r' && r.peek() != '\n'; r.spaces() {
			r.astring()
		}
		return true
	case "QUOTA":
	default:
		return false
	}
	r.space()
	root := QuotaRoot{Name: string(r.astring())}
	size := 64 + len(root.Name)
	if r.spaces(); r.peek() != '(' { // Courier, where there is no limit
		return true
	}
	r.list(func() {
		f := Resource{Name: r.keyword()}
		r.space()
		f.Usage = r.number64()
		r.space()
		f.Limit = r.number64()
		size += 48 + len(f.Name)
		root.Resources = append(root.Resources, f)
	})
	if r.err == nil && r.hold(size) {
		q.Roots = append(q.Roots, root)
	}
	return true
}
