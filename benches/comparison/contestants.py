"""Who is compared: each is a way to the same throw-away PostgreSQL on this machine."""

import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from .stage import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET_DIR = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HALLPASS = TARGET_DIR / "release/hallpass"
SCALE = 10
# Connections that fit everywhere, the idle ones and those that measure.
MOST = 6000


@dataclasses.dataclass
class Contestant:
    """A way to PostgreSQL: what libpq needs to take it, and the process that is measured."""

    name: str
    environment: dict
    process: subprocess.Popen | None = None

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def cpu_seconds(self):
        """What the proxy has used of the processors, in user and kernel mode."""
        if self.process is None:
            return 0.0
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self):
        """`VmHWM` begins anew (proc(5), clear_refs)."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory(self, field):
        """`VmRSS` or `VmHWM`, its peak, in KiB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def postgres_programs():
    """The newest folder that holds the server's programs."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    folders.sort(key=lambda path: int(re.findall(r"\d+", path)[-1]))
    if found := shutil.which("initdb"):
        folders.append(os.path.dirname(os.path.realpath(found)))
    folders = [folder for folder in folders if os.path.exists(f"{folder}/initdb")]
    if not folders:
        sys.exit("no PostgreSQL server found: run scripts/install-deps bench")
    return folders[-1]


def program(name):
    """A program that Debian keeps out of people's PATH."""
    found = shutil.which(name) or f"/usr/sbin/{name}"
    if not os.path.exists(found):
        sys.exit(f"no {name} found: run scripts/install-deps bench")
    return found


def connection(port, user, password, database="bench"):
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": database,
        "PGSSLMODE": "disable",
    }


def over_tls(contestant):
    """The same with TLS between client and proxy."""
    environment = contestant.environment | {"PGSSLMODE": "require"}
    return dataclasses.replace(contestant, environment=environment)


def make_certificate(stage):
    """One that nobody checks: what is measured is what it costs to encrypt."""
    stage.run(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "server.key", "-out", "server.crt", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1",
    )
    for name in ("server.key", "server.crt"):
        (stage.dir / name).chmod(0o600)
        stage.give(stage.dir / name)


def start_postgres(stage):
    """A cluster with pgbench's tables, reached directly."""
    programs, port = postgres_programs(), free_port()
    password_file = stage.write("password", stage.password)
    stage.run(
        f"{programs}/initdb", "-D", "data", "-U", "bench", "-A", "scram-sha-256",
        f"--pwfile={password_file}", "--no-sync", **stage.account,
    )
    settings = ("fsync=off", f"max_connections={MOST}", "shared_buffers=256MB", "max_wal_size=4GB",
                "log_min_messages=fatal", "autovacuum=off", "listen_addresses=127.0.0.1",
                f"unix_socket_directories={stage.dir}", "ssl=on",
                f"ssl_cert_file={stage.dir}/server.crt", f"ssl_key_file={stage.dir}/server.key")
    options = [word for setting in settings for word in ("-c", setting)]
    process = stage.start(
        "postgres", f"{programs}/postgres", "-D", "data", "-p", port, *options,
        stop=signal.SIGINT, **stage.account,
    )
    stage.wait_for(port, process)
    admin = connection(port, "bench", stage.password, "postgres")
    while subprocess.run(["pg_isready", "--quiet"], env=os.environ | admin).returncode == 1:
        time.sleep(0.05)  # it listens a moment before it is ready
    stage.run("createdb", "bench", env=os.environ | admin)
    direct = connection(port, "bench", stage.password)
    stage.run("pgbench", "-i", "-q", "-s", SCALE, env=os.environ | direct)
    return Contestant("direct", direct)


def start_pgbouncer(stage, direct, name="PgBouncer", more=""):
    """Session mode: one server connection for each client, as with all the others."""
    port = free_port()
    users = stage.write("users.txt", f'"bench" "{stage.password}"\n')
    configuration = stage.write(
        f"{name}.ini",
        f"""[databases]
bench = host=127.0.0.1 port={direct.environment["PGPORT"]} dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = session
default_pool_size = {MOST - 100}
max_client_conn = {MOST}
client_tls_sslmode = allow
client_tls_key_file = {stage.dir}/server.key
client_tls_cert_file = {stage.dir}/server.crt
server_tls_sslmode = disable
log_connections = 0
log_disconnections = 0
{more}
""",
    )
    process = stage.start(name, program("pgbouncer"), configuration, **stage.account)
    stage.wait_for(port, process)
    return Contestant(name, connection(port, "bench", stage.password), process)


def start_haproxy(stage, direct):
    """Plain TCP: TLS, where the client asks for it, is PostgreSQL's work."""
    port = free_port()
    configuration = stage.write(
        "haproxy.cfg",
        f"""global
    maxconn {MOST}
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
frontend bench
    bind 127.0.0.1:{port}
    default_backend postgres
backend postgres
    server postgres 127.0.0.1:{direct.environment["PGPORT"]}
""",
    )
    process = stage.start("haproxy", program("haproxy"), "-db", "-f", configuration)
    stage.wait_for(port, process)
    environment = direct.environment | {"PGPORT": str(port)}
    return Contestant("HAProxy", environment, process)


def start_hallpass(stage, direct, name="hallpass", tls="off", durability="write"):
    """hallpass with an approved session, its audit on."""
    proxy, api, ops = free_port(), free_port(), free_port()
    tokens = {person: "hpt_" + secrets.token_hex(20) for person in ("maya", "dana")}
    hashes = {person: hashlib.sha256(it.encode()).hexdigest() for person, it in tokens.items()}
    stage.write("upstream.password", stage.password)
    configuration = stage.write(
        f"{name}.toml",
        f"""data_dir = "{name}"
[audit]
durability = "{durability}"
# Sealing waits for a quiet moment, which here would be the turn of somebody else.
segment_size = "64GiB"
segment_age = "24h"
[proxy]
listen = ["127.0.0.1:{proxy}"]
tls = "{tls}"
unauthenticated_per_address = {MOST}
drain_grace = "1s"
[tls]
certificate = "server.crt"
key = "server.key"
[api]
listen = "127.0.0.1:{api}"
[ops]
listen = "127.0.0.1:{ops}"
[log]
filter = "warn"
[principals.maya]
groups = ["engineers"]
token_sha256 = "{hashes["maya"]}"
[principals.dana]
groups = ["leads"]
token_sha256 = "{hashes["dana"]}"
[targets.bench]
description = "The benchmark"
host = "127.0.0.1"
port = {direct.environment["PGPORT"]}
user = "bench"
password = {{ file = "upstream.password" }}
tls = "off"
databases = ["bench"]
max_connections = {MOST}
""",
    )
    process = stage.start(name, HALLPASS, "serve", "--config", configuration)
    stage.wait_for(api, process)
    stage.wait_for(proxy, process)
    asked = call(api, tokens["maya"], "POST", "requests",
                 {"target": "bench", "duration": "2h", "reason": "side by side"})
    approved = call(api, tokens["dana"], "POST", f"requests/{asked['id']}/approve", {})
    secret = call(api, tokens["maya"], "POST", f"sessions/{approved['session']['id']}/secret")
    environment = connection(proxy, secret["user"], secret["password"], secret["database"])
    return Contestant(name, environment, process)


def call(api, token, method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{api}/api/v1/{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
