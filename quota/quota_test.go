package quota

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/starling-mail/starling/mailbox"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "10000": 10000, "1K": 1 << 10, "1k": 1 << 10, "1KB": 1 << 10, "1 KiB": 1 << 10, "500M": 500 << 20, "1G": 1 << 30,
		"1.5G": 3 << 29, " 2T ": 2 << 40, "1P": 1 << 50, "7E": 7 << 60, "10B": 10, "0.5K": 512, "9223372036854775807": math.MaxInt64,
		"": -1, "K": -1, "-1": -1, "+1": -1, "1.5": -1, "8E": -1, "8.0E": -1, "1e3": -1, "1e3K": -1, "0x10": -1, "1KK": -1, "1iB": -1,
		"9223372036854775808": -1, "1.2.3K": -1, "NaNK": -1, "infK": -1, "1_000": -1, "٣": -1, ".K": -1,
		"99999999999999999999999.5K": -1,
	} {
		got, err := ParseSize(in)
		if want < 0 {
			if mailbox.KindOf(err) != mailbox.Cannot {
				t.Errorf("%q: %d %v", in, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%q: %d %v, want %d", in, got, err, want)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for in, want := range map[int64]string{
		0: "0", 1023: "1023", 1024: "1K", 1536: "1.5K", 10000: "9.77K", 1 << 20: "1M", 100 << 20: "100M", 3 << 29: "1.5G", 7 << 60: "7E",
	} {
		if got := FormatSize(in); got != want {
			t.Errorf("%d: %s, want %s", in, got, want)
		}
	}
}

func TestLimitsAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(0, 1<<20), rapid.Int64Min(0),
			rapid.Map(rapid.Int64Range(0, 1<<12), func(n int64) int64 { return n << 30 }))
		l := mailbox.QuotaLimits{Storage: value.Draw(t, "storage"), Messages: value.Draw(t, "messages")}
		if got, err := ParseLimits(FormatLimits(l)); got != l || err != nil {
			t.Errorf("%+v: %+v %v", l, got, err)
		}
	})
	if got, err := ParseLimits("", " None"); got != mailbox.Unlimited || err != nil {
		t.Errorf("%+v %v", got, err)
	}
	for _, c := range [][2]string{{"x", ""}, {"", "1K"}, {"", "-1"}} {
		if _, err := ParseLimits(c[0], c[1]); mailbox.KindOf(err) != mailbox.Cannot {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1.5 GiB", "10000", "8E", "1iB", ".K", "0.0000001E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err == nil && n < 0 {
			t.Errorf("%q: %d", s, n)
		}
	})
}

func TestRootName(t *testing.T) {
	if user, ok := RootUser(RootName("alice@example.org")); user != "alice@example.org" || !ok {
		t.Error(user, ok)
	}
	for _, root := range []string{"", "alice", "user/", "USER/alice"} {
		if user, ok := RootUser(root); ok {
			t.Errorf("%q is the root of %q", root, user)
		}
	}
}

// RFC 9208 §5.1: STORAGE is in units of 1024 octets.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		limits mailbox.QuotaLimits
		usage  mailbox.QuotaUsage
		want   []Resource
	}{
		{mailbox.QuotaLimits{Storage: 2048, Messages: 10}, mailbox.QuotaUsage{Storage: 1025, Messages: 3},
			[]Resource{{imap.QuotaResourceStorage, 2, 2}, {imap.QuotaResourceMessage, 3, 10}}},
		{mailbox.QuotaLimits{Storage: 1500, Messages: -1}, mailbox.QuotaUsage{Storage: 1500, Messages: 3},
			[]Resource{{imap.QuotaResourceStorage, 2, 2}}},
		{mailbox.QuotaLimits{Storage: -1, Messages: 0}, mailbox.QuotaUsage{Storage: 1},
			[]Resource{{imap.QuotaResourceMessage, 0, 0}}},
		{mailbox.QuotaLimits{Storage: math.MaxInt64, Messages: -1}, mailbox.QuotaUsage{},
			[]Resource{{imap.QuotaResourceStorage, 0, 1 << 53}}},
		{mailbox.Unlimited, mailbox.QuotaUsage{Storage: 1}, nil},
	} {
		r := NewReport("alice", mailbox.Quota{Limits: c.limits, Usage: c.usage})
		if r.Root != "user/alice" || !slices.Equal(r.Resources, c.want) {
			t.Errorf("%+v %+v: %+v, want %+v", c.limits, c.usage, r, c.want)
		}
	}
}

// RFC 9208 §4.1.3: what SETQUOTA does not list has no limit.
func TestLimits(t *testing.T) {
	storage, message := imap.QuotaResourceStorage, imap.QuotaResourceMessage
	for _, c := range []struct {
		list []Limit
		want mailbox.QuotaLimits
		bad  bool
	}{
		{nil, mailbox.Unlimited, false},
		{[]Limit{{storage, 10}}, mailbox.QuotaLimits{Storage: 10240, Messages: -1}, false},
		{[]Limit{{"message", 5}, {"Storage", 0}}, mailbox.QuotaLimits{Storage: 0, Messages: 5}, false},
		{[]Limit{{storage, math.MaxInt64}}, mailbox.Unlimited, true},
		{[]Limit{{storage, -1}}, mailbox.Unlimited, true},
		{[]Limit{{message, 1}, {message, 2}}, mailbox.Unlimited, true},
		{[]Limit{{imap.QuotaResourceMailbox, 1}}, mailbox.Unlimited, true},
	} {
		got, err := Limits(c.list)
		if got != c.want || (mailbox.KindOf(err) == mailbox.Cannot) != c.bad || (err != nil) != c.bad {
			t.Errorf("%+v: %+v %v", c.list, got, err)
		}
	}
}

// A fakeCounter has wrong figures for "wrong", none for "gone" and fails for
// "broken".
type fakeCounter struct {
	names  map[mailbox.AccountID]string
	mended []string
	end    context.CancelFunc
}

func (f *fakeCounter) RecountQuota(ctx context.Context, account mailbox.AccountID, mend bool) (was, is mailbox.QuotaUsage, err error) {
	is = mailbox.QuotaUsage{Storage: 10, Messages: 1}
	switch name := f.names[account]; name {
	case "gone":
		return was, was, &mailbox.Error{Kind: mailbox.NonExistent, Op: "recount"}
	case "broken":
		return was, was, &mailbox.Error{Kind: mailbox.Corrupt, Op: "recount"}
	case "last":
		f.end()
		return was, was, &mailbox.Error{Kind: mailbox.Unavailable, Op: "recount", Err: ctx.Err()}
	case "wrong":
		if mend {
			f.mended = append(f.mended, name)
		}
		return was, is, nil
	}
	return is, is, nil
}

func TestRecount(t *testing.T) {
	for _, mend := range []bool{false, true} {
		f := &fakeCounter{names: map[mailbox.AccountID]string{}}
		var users []mailbox.User
		for _, name := range []string{"right", "wrong", "gone", "broken", "right"} {
			u := mailbox.User{Name: name, Account: mailbox.NewAccountID()}
			f.names[u.Account] = name
			users = append(users, u)
		}
		var told []string
		sum, err := Recount(t.Context(), f, users, mend, func(r Recounted) {
			told = append(told, r.User)
			if r.Wrong() != (r.User == "wrong") || (r.Err != nil) != (r.User == "broken") {
				t.Errorf("%+v", r)
			}
		})
		if err != nil || sum != (Summary{Accounts: 4, Wrong: 1, Failed: 1}) {
			t.Errorf("%+v %v", sum, err)
		}
		if !slices.Equal(told, []string{"right", "wrong", "broken", "right"}) || (len(f.mended) == 1) != mend {
			t.Errorf("told %q, mended %q", told, f.mended)
		}
	}
}

func TestRecountEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fakeCounter{names: map[mailbox.AccountID]string{{1}: "last"}, end: cancel}
	sum, err := Recount(ctx, f, []mailbox.User{{Account: mailbox.AccountID{1}}, {}}, true, func(r Recounted) { t.Errorf("%+v", r) })
	if !errors.Is(err, context.Canceled) || sum.Accounts != 0 {
		t.Errorf("%+v %v", sum, err)
	}
}
