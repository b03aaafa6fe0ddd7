package main

import (
	"strings"

	"github.com/starling-mail/starling/config"
)

// reload reads the configuration and the certificates again and takes over what
// can be changed while serving. On faults the old ones stay in force.
func (s *server) reload() {
	s.log.Info().Str("file", s.file).Msg("reloading")
	if s.certs != nil {
		if err := s.certs.Reload(); err != nil {
			s.log.Error().Err(err).Msg("certificates are not reloaded")
		} else {
			s.log.Info().Msg("certificates are reloaded")
		}
	}
	next, err := config.Load(s.file)
	if err != nil {
		s.log.Error().Err(err).Msg("the configuration is not reloaded")
		return
	}
	current := s.config.Load()
	taken, restart := config.Diff(current, next)
	merged := merge(current, next)
	s.config.Store(&merged)
	s.level.set(merged.Server.LogLevel)
	s.imap.SetSettings(settings(&merged))
	s.reloadKeys(&merged)
	s.log.Info().Str("keys", strings.Join(taken, " ")).Msg("the configuration is reloaded")
	if len(restart) > 0 {
		s.log.Warn().Str("keys", strings.Join(restart, " ")).Msg("these changes need a restart")
	}
}

// reloadKeys takes over the content of the cluster's file of keys.
func (s *server) reloadKeys(c *config.Config) {
	if s.member == nil {
		return
	}
	if err := s.keys.reload(c); err != nil {
		s.log.Error().Err(err).Msg("the cluster's keys are not reloaded")
	}
}

// merge returns current with what next has for the keys that can change while
// serving.
func merge(current, next *config.Config) config.Config {
	m := *current
	m.Server.LogLevel = next.Server.LogLevel
	m.Server.DrainDelay, m.Server.DrainGroup, m.Server.DrainEvery = next.Server.DrainDelay, next.Server.DrainGroup, next.Server.DrainEvery
	m.IMAP = next.IMAP
	m.IMAP.PlaintextAuth, m.IMAP.ID = current.IMAP.PlaintextAuth, current.IMAP.ID
	m.Quota = next.Quota
	return m
}
