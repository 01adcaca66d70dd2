"""What is measured of one contestant: each returns figures by their names.

The names end in their unit. What a contestant without a process of its own cannot have (the CPU of
a direct connection) is left out.
"""

import os
import re
import subprocess
import time

# 1,000,000 rows of 1,073 bytes and a line end: 1 GiB of COPY data.
COPY_ROWS = 1_000_000
ROWS = 5_000_000
# Latencies are read from a sample: to log every transaction is work that is not to be measured.
SAMPLE = 0.1
PIPELINE = """\\set aid random(1, 100000 * :scale)
\\startpipeline
""" + "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" * 10 + "\\endpipeline\n"


def prepare(stage, direct):
    """What the measures need beside pgbench's own tables."""
    stage.write("pipeline.sql", PIPELINE)
    stage.write("setup.sql", "SELECT 1;\n")
    psql(stage, direct, "CREATE UNLOGGED TABLE wide AS SELECT repeat(md5(i::text), 33) || "
         f"lpad(i::text, 17) AS line FROM generate_series(1, {COPY_ROWS}) AS i")
    psql(stage, direct, "CREATE UNLOGGED TABLE taken (line text)")
    psql(stage, direct, f"CREATE UNLOGGED TABLE narrow AS SELECT i, i * 7 AS j, md5(i::text) AS t "
         f"FROM generate_series(1, {ROWS}) AS i")
    copy_file = stage.dir / "wide.copy"
    with open(copy_file, "w") as out:
        psql(stage, direct, "COPY wide TO STDOUT", stdout=out)


def psql(stage, contestant, sql, **more):
    return stage.run("psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql,
                     env=os.environ | contestant.environment, **more)


def pgbench(stage, contestant, mode, clients, seconds):
    """Transactions a second, their latencies, and what the proxy used for each."""
    pipelined = mode == "pipelined"
    script = ["-f", "pipeline.sql", "-D", "scale=10"] if pipelined else ["-S"]
    for left in stage.dir.glob("pgbench_log.*"):
        left.unlink()
    if contestant.process:
        contestant.forget_peak()
    before = contestant.cpu_seconds()
    printed = stage.run(
        "pgbench", "-n", *script, "-M", "prepared" if pipelined else mode, "-c", clients,
        "-j", min(clients, 2), "-T", seconds, "--log", f"--sampling-rate={SAMPLE}",
        env=os.environ | contestant.environment,
    )
    used = contestant.cpu_seconds() - before
    # `without initial connection time` from PostgreSQL 14 on.
    tps = float(re.search(r"tps = ([\d.]+) \((?:without|excluding)", printed)[1])
    count = int(re.search(r"transactions actually processed: (\d+)", printed)[1])
    latencies = sorted(
        int(line.split()[2]) for path in stage.dir.glob("pgbench_log.*") for line in path.open()
    )
    figures = {
        "tps": tps,
        "p50_us": latencies[len(latencies) // 2],
        "p99_us": latencies[len(latencies) * 99 // 100],
    }
    if contestant.process:
        figures["cpu_us"] = used / count * 1e6
        figures["rss_mib"] = contestant.memory("VmHWM") / 1024
    return figures


def set_up(stage, contestant, clients, seconds):
    """Connections a second, each with its own login, one query and its end."""
    before = contestant.cpu_seconds()
    printed = stage.run(
        "pgbench", "-n", "-C", "-f", "setup.sql", "-c", clients, "-j", min(clients, 2),
        "-T", seconds, env=os.environ | contestant.environment,
    )
    used = contestant.cpu_seconds() - before
    count = int(re.search(r"transactions actually processed: (\d+)", printed)[1])
    figures = {"per_second": count / seconds}
    if contestant.process:
        figures["cpu_us"] = used / count * 1e6
    return figures


def bulk(stage, contestant, what, _clients, _seconds):
    """Seconds to move much data through one connection."""
    if what == "copy in":
        psql(stage, contestant, "TRUNCATE taken")
    before, began = contestant.cpu_seconds(), time.monotonic()
    if what == "copy in":
        with open(stage.dir / "wide.copy") as data:
            psql(stage, contestant, "COPY taken FROM STDIN", stdin=data)
    elif what == "copy out":
        psql(stage, contestant, "COPY wide TO STDOUT", stdout=subprocess.DEVNULL)
    else:
        psql(stage, contestant, "SELECT * FROM narrow", stdout=subprocess.DEVNULL)
    figures = {"seconds": time.monotonic() - began}
    if contestant.process:
        figures["cpu_s"] = contestant.cpu_seconds() - before
    return figures


def idle(stage, contestant, connections, hold):
    """KiB that the proxy holds for a connection that has run a query and is idle since."""
    before = contestant.memory("VmRSS")
    clients = hold(contestant.environment, connections)
    time.sleep(3)  # buffers are given back, statistics written
    held = contestant.memory("VmRSS") - before
    clients.close()
    return {"kib": held / connections}
