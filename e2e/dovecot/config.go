package dovecot

import (
	"fmt"
	"os/user"
	"strings"
	"text/template"
	"time"
)

// configuration is what dovecot.conf is made of.
type configuration struct {
	Dir                   string
	IMAP, IMAPS           string // ports
	Cert, Key             string
	Location              string
	Internal, Login, Mail string // system users
	Hibernate             string
	NoIdle                bool
	Clients, Processes    int // most connections, most processes of a service
	Reuse                 int
}

// conf is a Dovecot that keeps to its own folder and is set up for many
// clients: login processes that serve many connections each. Each write is flushed to the disk (mail_fsync).
var conf = template.Must(template.New("dovecot.conf").Parse(`
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/run
instance_name = starling-test
log_path = /dev/stderr
info_log_path = /dev/null
listen = 127.0.0.1
protocols = imap
default_internal_user = {{.Internal}}
default_login_user = {{.Login}}
default_vsz_limit = 0
default_client_limit = {{.Clients}}
default_process_limit = {{.Processes}}
first_valid_uid = 1
mail_uid = {{.Mail}}
mail_gid = {{.Mail}}
mail_home = {{.Dir}}/mail/%n
mail_location = {{.Location}}
mail_fsync = always
mail_max_userip_connections = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
ssl = yes
ssl_cert = <{{.Cert}}
ssl_key = <{{.Key}}
namespace inbox {
  inbox = yes
}
passdb {
  driver = passwd-file
  args = {{.Dir}}/users
}
userdb {
  driver = static
  args = uid={{.Mail}} gid={{.Mail}}
}
service imap-login {
  chroot =
  service_count = 0
  process_min_avail = 2
  process_limit = 2
  inet_listener imap {
    port = {{.IMAP}}
  }
  inet_listener imaps {
    port = {{.IMAPS}}
    ssl = yes
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap {
  process_limit = {{.Processes}}
  service_count = {{.Reuse}}
  extra_groups = $default_internal_group
  unix_listener imap-master {
    user = $default_internal_user
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
protocol imap {
  imap_hibernate_timeout = {{.Hibernate}}
{{- if .NoIdle}}
  imap_capability = IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE LITERAL+ UIDPLUS NAMESPACE CHILDREN SPECIAL-USE CONDSTORE QRESYNC
{{- end}}
}
`))

// systemUsers returns the users that Dovecot's own processes, its login
// processes and its mail processes run as. Root uses those of Debian's
// package, anybody else runs all as himself.
func systemUsers() (internal, login, mail string, err error) {
	me, err := user.Current()
	if err != nil {
		return "", "", "", err
	}
	if me.Uid != "0" {
		return me.Username, me.Username, me.Username, nil
	}
	return "dovecot", "dovenull", "mail", nil
}

func location(format string) (string, error) {
	switch format {
	case "", "maildir":
		return "maildir:~/Maildir", nil
	case "sdbox":
		return "sdbox:~/sdbox", nil
	}
	return "", fmt.Errorf("unknown mailbox format %q", format)
}

// usersFile is a passwd-file. The passwords are stored plain, so that logins
// cost Dovecot no hash.
func usersFile(names []string, password string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s:{PLAIN}%s\n", n, password)
	}
	return b.String()
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
}
