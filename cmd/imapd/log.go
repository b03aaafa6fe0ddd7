package main

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/starling-mail/starling/config"
)

// A logLevel drops what is below it; it can be changed while others log.
type logLevel struct{ level atomic.Int32 }

// Run implements zerolog.Hook.
func (l *logLevel) Run(e *zerolog.Event, level zerolog.Level, _ string) {
	if int32(level) < l.level.Load() {
		e.Discard()
	}
}

// set sets the level that config has checked.
func (l *logLevel) set(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	l.level.Store(int32(level))
}

// newLog returns a logger that writes to w.
func newLog(w io.Writer, c config.Server) (zerolog.Logger, *logLevel) {
	file, _ := w.(*os.File)
	tty := file != nil && term.IsTerminal(int(file.Fd()))
	if c.LogFormat == "console" || c.LogFormat == "auto" && tty {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.RFC3339, NoColor: !tty}
	}
	level := new(logLevel)
	level.set(c.LogLevel)
	return zerolog.New(w).Hook(level).With().Timestamp().Logger(), level
}
