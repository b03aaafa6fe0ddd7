package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// instances is the number of inotify instances that one user may have.
const instances = "/proc/sys/fs/inotify/max_user_instances"

// raiseInotify makes sure that each of n Dovecot processes gets an inotify
// instance: one without would poll, and could not hibernate, and the figures
// would be those of another Dovecot. It returns how to undo that.
func raiseInotify(n int) (restore func(), err error) {
	text, err := os.ReadFile(instances)
	if err != nil {
		return nil, err
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", instances, err)
	}
	if have >= n {
		return func() {}, nil
	}
	if err := os.WriteFile(instances, []byte(strconv.Itoa(n)), 0); err != nil {
		return nil, fmt.Errorf("dovecot needs more inotify instances (as root: sysctl fs.inotify.max_user_instances=%d): %w", n, err)
	}
	return func() { os.WriteFile(instances, text, 0) }, nil
}
