"""A folder, an account that is not root, and what was started: all of it ends with the run."""

import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Stage:
    def __init__(self, parent=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hallpass-bench-", dir=parent))
        # PostgreSQL and PgBouncer refuse to run as root.
        self.account = {}
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            self.account = {"user": postgres.pw_uid, "group": postgres.pw_gid, "extra_groups": []}
            os.chown(self.dir, postgres.pw_uid, postgres.pw_gid)
        self.running = []
        self.password = secrets.token_hex(16)

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o600)
        self.give(path)
        return path

    def give(self, path):
        """To the account that everything but hallpass runs under."""
        if self.account:
            os.chown(path, self.account["user"], self.account["group"])

    def run(self, *command, **more):
        """What a program prints; ends the run if it fails."""
        more = {"cwd": self.dir, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        done = subprocess.run(list(map(str, command)), text=True, **more)
        if done.returncode:
            sys.exit(f"{command[0]} failed:\n{done.stdout or ''}{done.stderr or ''}")
        return done.stdout

    def start(self, name, *command, stop=signal.SIGTERM, **more):
        with open(self.dir / f"{name}.log", "w") as log:
            process = subprocess.Popen(
                list(map(str, command)), cwd=self.dir, stdout=log, stderr=log, **more
            )
        self.running.append((process, stop))
        return process

    def wait_for(self, port, process):
        """Waits until something listens on the port; ends the run if the process ends first."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if process.poll() is not None:
                log = "".join(path.read_text() for path in self.dir.glob("*.log"))
                sys.exit(f"{process.args[0]} ended with code {process.returncode}:\n{log}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit(f"nothing listens on port {port}")

    def stop(self, process):
        """Ends one of them, and waits for it."""
        stop = next(stop for running, stop in self.running if running is process)
        self.running.remove((process, stop))
        end(process, stop)

    def close(self):
        for process, stop in reversed(self.running):
            end(process, stop)
        shutil.rmtree(self.dir, ignore_errors=True)


def end(process, stop):
    process.send_signal(stop)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
