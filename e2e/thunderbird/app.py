"""A Thunderbird of our own: the installed one with a way in, a new profile, and a display where it is to be seen."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

LIB = "/usr/lib/thunderbird"  # where Debian installs it
HERE = os.path.dirname(os.path.abspath(__file__))

AUTOCONFIG = """//
pref("general.config.filename", "drive.cfg");
pref("general.config.obscure_value", 0);
pref("general.config.sandbox_enabled", false);
"""

# Nothing that asks, phones home, or polls: what Thunderbird learns of the mailbox, it learns by IDLE.
PREFS = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.update.enabled": False,
    "mail.account.account1.identities": "id1",
    "mail.account.account1.server": "server1",
    "mail.accountmanager.accounts": "account1",
    "mail.accountmanager.defaultaccount": "account1",
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.chat.enabled": False,
    "mail.identity.id1.fullName": "Ada Lovelace",
    "mail.inappnotifications.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.server.server1.authMethod": 3,
    "mail.server.server1.check_new_mail": False,
    "mail.server.server1.login_at_startup": False,
    "mail.server.server1.max_cached_connections": 5,
    "mail.server.server1.type": "imap",
    "mail.server.server1.use_idle": True,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.startup.enabledMailCheckOnce": True,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "security.warn_submit_secure_to_insecure": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}

SOCKET_TYPES = {"plain": 0, "starttls": 2, "tls": 3}


def until(what, seconds, cond, pause=0.05):
    """Waits until cond() is true and returns its value; raises TimeoutError otherwise."""
    end = time.monotonic() + seconds
    while True:
        value = cond()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("waited %d s for %s" % (seconds, what))
        time.sleep(pause)


def install(dir):
    """Makes a Thunderbird in dir that is the installed one and drive.cfg besides: links, and a copy of the small
    executable, because a program looks for its files beside itself. The installed one stays as it is."""
    pref = os.path.join(dir, "defaults", "pref")
    os.makedirs(pref)
    for name in os.listdir(LIB):
        source = os.path.join(LIB, name)
        if name == "defaults":
            for part in os.listdir(source):
                if part != "pref":
                    os.symlink(os.path.join(source, part), os.path.join(dir, "defaults", part))
            for part in os.listdir(os.path.join(source, "pref")):
                os.symlink(os.path.join(source, "pref", part), os.path.join(pref, part))
        elif name == "thunderbird-bin":
            shutil.copy(source, os.path.join(dir, name))
        else:
            os.symlink(source, os.path.join(dir, name))
    with open(os.path.join(pref, "drive.js"), "w") as f:
        f.write(AUTOCONFIG)
    shutil.copy(os.path.join(HERE, "drive.cfg"), dir)


class Thunderbird:
    """A running Thunderbird. js runs a script in it; log is its IMAP dialogue."""

    def __init__(self, host, port, user, security, visible):
        self.display = self.process = None
        self.dir = tempfile.mkdtemp(prefix="thunderbird")
        try:
            self.start(host, port, user, security, visible)
        except BaseException:
            self.close(keep=False)
            raise

    def start(self, host, port, user, security, visible):
        app, profile = os.path.join(self.dir, "app"), os.path.join(self.dir, "profile")
        install(app)
        os.mkdir(profile)
        prefs = dict(PREFS)
        prefs.update({
            "mail.server.server1.name": user,
            "mail.server.server1.hostname": host,
            "mail.server.server1.port": port,
            "mail.server.server1.userName": user,
            "mail.server.server1.socketType": SOCKET_TYPES[security],
            "mail.identity.id1.useremail": user if "@" in user else user + "@example.org",
        })
        with open(os.path.join(profile, "user.js"), "w") as f:
            for k, v in prefs.items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(k), json.dumps(v)))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            drive = s.getsockname()[1]
        env = dict(os.environ, HOME=self.dir, TB_DRIVE_PORT=str(drive),
                   MOZ_LOG="IMAP:4,sync", MOZ_LOG_FILE=os.path.join(self.dir, "imap"))
        args = [os.path.join(app, "thunderbird-bin"), "--profile", profile, "--no-remote"]
        if visible:
            self.display = subprocess.Popen(["Xvfb", "-displayfd", "1", "-screen", "0", "1400x900x24"],
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.screen = env["DISPLAY"] = ":" + self.display.stdout.readline().decode().strip()
        else:
            args.append("--headless")
        self.errors = open(os.path.join(self.dir, "stderr"), "wb")
        self.process = subprocess.Popen(args, env=env, stdout=self.errors, stderr=self.errors)
        self.socket = until("Thunderbird to start", 120, lambda: self.dial(drive), 0.2)
        self.lines = self.socket.makefile("rb")
        until("Thunderbird's window", 120, lambda: self.js("return !!Services.wm.getMostRecentWindow('mail:3pane')"), 0.2)

    def dial(self, port):
        if self.process.poll() is not None:
            raise RuntimeError("Thunderbird ended with code %d" % self.process.returncode)
        try:
            return socket.create_connection(("127.0.0.1", port), 120)
        except OSError:
            return None

    def js(self, body, **values):
        """Runs the body of an async function in Thunderbird; values are constants in it."""
        head = "".join("const %s = %s;" % (k, json.dumps(v)) for k, v in values.items())
        self.socket.sendall(json.dumps({"js": head + body}).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def log(self):
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("imap"):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    text += f.read()
        return text

    def shot(self, file):
        subprocess.run(["import", "-display", self.screen, "-window", "root", file], check=True)

    def close(self, keep):
        for p in (self.process, self.display):
            if p and p.poll() is None:
                p.terminate()
                try:
                    p.wait(20)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
        if keep:
            print("kept:", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
