package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/starling-mail/starling/transfer"
)

// progressEvery is how often progress is told where there is no terminal.
const progressEvery = 10 * time.Second

// A progress tells people how a transfer goes on: as a bar on a terminal, as
// lines elsewhere.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil: lines
	total int64
	done  int64
	last  time.Time
}

func (a *app) newProgress(total int64) *progress {
	p := &progress{w: a.stderr, total: total, last: time.Now()}
	if f, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(a.stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return p
}

func (p *progress) setTotal(total int64) {
	p.total = total
	if p.bar != nil {
		p.bar.ChangeMax64(total)
	}
}

func (p *progress) watcher() transfer.Watcher {
	return transfer.Watcher{Progress: p.add, Warn: p.warn}
}

func (p *progress) add(folder string, bytes int64) {
	p.done += bytes
	if p.bar != nil {
		p.bar.Describe(folder)
		p.bar.Add64(bytes) // what a terminal does not take is not worth an end
		return
	}
	if time.Since(p.last) >= progressEvery && p.total > 0 {
		p.last = time.Now()
		fmt.Fprintf(p.w, "%3d %% %s\n", 100*p.done/p.total, folder)
	}
}

func (p *progress) warn(text string) {
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintf(p.w, "imapd: %s\n", text)
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Finish()
	}
}
