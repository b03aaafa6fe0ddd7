#!/usr/bin/env python3
"""Drives a real Thunderbird (Debian's package) against IMAP nodes and checks that each sees what the other does.

usage: tb.py --imap HOST:PORT --user U --password P [--security plain|starttls|tls --cert FILE] [--shot FILE] STEP...

Steps; each prints when it began (Unix time), and after how many seconds it was seen:
  deliver HOST:PORT    APPEND a message through IMAP at that node; wait till Thunderbird shows it
  lmtp HOST:PORT       the same, by LMTP at that node
  seen HOST:PORT       STORE +FLAGS \\Seen on the newest message there; wait till Thunderbird shows it read
  expunge HOST:PORT    delete and expunge the newest message there; wait till it leaves Thunderbird
  read                 mark the newest message read in Thunderbird; wait till the server has it
  delete               delete the newest message in Thunderbird; wait till the server has it in Trash, not in INBOX
  open                 show the newest message in Thunderbird's window; wait till its text is there
Thunderbird's polling is off, so what arrives came by IDLE. A self-signed certificate is accepted once, as a user would.
Exit code 0 if every step was seen within --wait seconds.
"""
import argparse
import base64
import email.utils
import imaplib
import smtplib
import ssl
import sys
import time

from app import Thunderbird, until

INBOX = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.accounts.find(a => a.incomingServer?.type == "imap").incomingServer;
const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
"""
NEWEST = INBOX + """
let newest;
for (const h of inbox.messages) if (!newest || h.messageKey > newest.messageKey) newest = h;
"""
MESSAGES = INBOX + """
return inbox && {total: inbox.getTotalMessages(false),
  list: [...inbox.messages].map(h => ({id: h.messageId, uid: h.messageKey, read: h.isRead}))};
"""
LOGIN = """
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init("imap://" + host, null, "imap://" + host, user, password, "", "");
await Services.logins.addLoginAsync(login);
"""
TRUST = """
const cert = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).constructX509FromBase64(base64);
Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService)
  .rememberValidityOverride(host, port, {}, cert, false);
"""
CONNECT = INBOX + "server.performExpand(null);"
UPDATE = INBOX + "inbox?.updateFolder(null); return !!inbox;"
SHOW = INBOX + """
const w = Services.wm.getMostRecentWindow("mail:3pane");
const pane = w.document.getElementById("tabmail")?.currentAbout3Pane;
if (!pane?.folderTree) return false; // still loading
if (pane.gFolder?.URI == inbox.URI && pane.gDBView) return true;
w.moveTo(0, 0);
w.resizeTo(1400, 900);
pane.displayFolder(inbox.URI);
return false;
"""
OPEN = NEWEST + """
const w = Services.wm.getMostRecentWindow("mail:3pane");
w.document.getElementById("tabmail").currentAbout3Pane.selectMessage(newest);
"""
TEXT = """
const w = Services.wm.getMostRecentWindow("mail:3pane");
const m = w.document.getElementById("tabmail").currentAboutMessage;
return m?.getMessagePaneBrowser()?.contentDocument?.body?.textContent ?? "";
"""
BODY = "If you can read this, Starling keeps your mail."


class Scenario:
    def __init__(self, tb, a):
        self.tb, self.a = tb, a

    def connect(self, node):
        """An IMAP connection to a node, with INBOX selected."""
        host, port = node.rsplit(":", 1)
        context = ssl.create_default_context(cafile=self.a.cert) if self.a.security != "plain" else None
        if self.a.security == "tls":
            c = imaplib.IMAP4_SSL(host, int(port), ssl_context=context)
        else:
            c = imaplib.IMAP4(host, int(port))
        if self.a.security == "starttls":
            c.starttls(context)
        c.login(self.a.user, self.a.password)
        ok(c.select("INBOX"))
        return c

    def start(self):
        """Connects Thunderbird, waits till it has all messages, opens INBOX and waits till it idles there."""
        tb = self.tb
        host, port = self.a.imap.rsplit(":", 1)
        tb.js(LOGIN, host=host, user=self.a.user, password=self.a.password)
        if self.a.security != "plain":
            with open(self.a.cert) as f:
                der = ssl.PEM_cert_to_DER_cert(f.read())
            tb.js(TRUST, host=host, port=int(port), base64=base64.b64encode(der).decode())
        tb.js(CONNECT)
        until("INBOX in Thunderbird", 60, lambda: tb.js(UPDATE), 0.2)
        until("INBOX in the window", 60, lambda: tb.js(SHOW), 0.2)
        self.idling()

    def idling(self):
        """Waits till the last thing that Thunderbird said on INBOX is IDLE."""
        def said_idle():
            said = [line for line in self.tb.log().splitlines() if "S-INBOX:SendData:" in line]
            return said and said[-1].rstrip().endswith(" IDLE")
        until("IDLE on INBOX", 60, said_idle)

    def messages(self):
        state = self.tb.js(MESSAGES)
        return state["list"] if state else []

    # Each step returns after how many seconds it was seen.

    def seen_in_thunderbird(self, cond):
        start = time.monotonic()
        until("Thunderbird to show it", self.a.wait, lambda: cond(self.messages()), 0.02)
        return time.monotonic() - start

    def message(self):
        """A new message: its id and its text."""
        id = "%.6f@tb.example" % time.time()
        return id, ("From: Grace Hopper <grace@example.org>\r\nTo: Ada Lovelace <ada@example.org>\r\n"
                    "Subject: A first message\r\nMessage-ID: <%s>\r\nDate: %s\r\n\r\n%s\r\n"
                    % (id, email.utils.formatdate(), BODY))

    def deliver(self, node):
        c = self.connect(node)
        id, text = self.message()
        ok(c.append("INBOX", None, None, text.encode()))
        took = self.seen_in_thunderbird(lambda list: any(m["id"] == id for m in list))
        c.logout()
        return took

    def lmtp(self, node):
        host, port = node.rsplit(":", 1)
        id, text = self.message()
        with smtplib.LMTP(host, int(port)) as c:
            c.sendmail("grace@example.org", [self.a.user], text)
            return self.seen_in_thunderbird(lambda list: any(m["id"] == id for m in list))

    def newest(self, c):
        return ok(c.uid("SEARCH", None, "ALL"))[0].split()[-1].decode()

    def seen(self, node):
        c = self.connect(node)
        uid = self.newest(c)
        ok(c.uid("STORE", uid, "+FLAGS", "(\\Seen)"))
        took = self.seen_in_thunderbird(lambda list: any(m["uid"] == int(uid) and m["read"] for m in list))
        c.logout()
        return took

    def expunge(self, node):
        c = self.connect(node)
        uid = self.newest(c)
        ok(c.uid("STORE", uid, "+FLAGS", "(\\Deleted)"))
        ok(c.expunge())
        took = self.seen_in_thunderbird(lambda list: all(m["uid"] != int(uid) for m in list))
        c.logout()
        return took

    def read(self):
        uid = self.tb.js(NEWEST + "inbox.markMessagesRead([newest], true); return newest.messageKey;")
        start = time.monotonic()
        c = self.connect(self.a.imap)
        until("the server to have \\Seen", self.a.wait, lambda: b"\\Seen" in (c.uid("FETCH", str(uid), "(FLAGS)")[1][0] or b""))
        c.logout()
        return time.monotonic() - start

    def delete(self):
        id = self.tb.js(NEWEST + "inbox.deleteMessages([newest], null, false, false, null, false); return newest.messageId;")
        start = time.monotonic()
        c = self.connect(self.a.imap)

        def holds(box):
            return c.select(box)[0] == "OK" and c.search(None, "HEADER", "Message-ID", id)[1][0]
        until("the message in Trash", self.a.wait, lambda: holds("Trash"))
        until("the message to leave INBOX", self.a.wait, lambda: not holds("INBOX"))
        c.logout()
        return time.monotonic() - start

    def open(self):
        start = time.monotonic()
        self.tb.js(OPEN)
        until("the message's text", self.a.wait, lambda: BODY in self.tb.js(TEXT))
        return time.monotonic() - start


def ok(response):
    status, data = response
    if status != "OK":
        raise RuntimeError("IMAP: %s %s" % (status, data))
    return data


def run(scenario, words):
    """Runs the steps and returns how many failed."""
    failed = 0
    words = iter(words)
    for word in words:
        args = [next(words)] if word in ("deliver", "lmtp", "seen", "expunge") else []
        try:
            began = time.time()
            print("%s: began %.6f, seen after %.3f s" % (word, began, getattr(scenario, word)(*args)), flush=True)
            scenario.idling()
        except (TimeoutError, RuntimeError) as e:
            print("%s: %s" % (word, e), flush=True)
            failed += 1
    return failed


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0], description=__doc__)
    p.add_argument("--imap", required=True, help="the node that Thunderbird connects to")
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--security", choices=("plain", "starttls", "tls"), default="plain")
    p.add_argument("--cert", help="the server's self-signed certificate, PEM; needed for starttls and tls")
    p.add_argument("--shot", metavar="FILE", help="show Thunderbird on a virtual screen, and save a picture of it at the end")
    p.add_argument("--wait", type=float, default=30, help="seconds that a step may take to be seen")
    p.add_argument("--log", metavar="FILE", help="save Thunderbird's IMAP dialogue")
    p.add_argument("steps", nargs="+", metavar="STEP")
    a = p.parse_args()
    host, port = a.imap.rsplit(":", 1)

    failed = 1
    tb = Thunderbird(host, int(port), a.user, a.security, visible=bool(a.shot))
    try:
        scenario = Scenario(tb, a)
        scenario.start()
        print("start: Thunderbird sees %d messages" % len(scenario.messages()), flush=True)
        failed = run(scenario, a.steps)
        if a.shot:
            tb.shot(a.shot)
    finally:
        if a.log:
            with open(a.log, "w") as f:
                f.write(tb.log())
        tb.close(keep=False)
    print("steps failed: %d" % failed)
    sys.exit(1 if failed else 0)


main()
