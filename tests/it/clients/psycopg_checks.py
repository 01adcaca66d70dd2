"""psycopg 3: everything that an application does with it. The server comes from libpq's environment.

Prints a line per check, the same against PostgreSQL and against anything that claims to be like it.
"""

import hashlib
import threading
import time

import psycopg
from psycopg import errors


def connect(**options):
    return psycopg.connect("", autocommit=True, **options)


def queries(conn):
    row = conn.execute("select 1, 'text', null, true, 1.5::numeric, '{1,2}'::int[]").fetchone()
    empty = conn.execute("").statusmessage
    many = conn.execute("select 1; select 2").fetchone()
    return row, empty, many


def parameters(conn):
    text = conn.execute("select %t::int + 1, %t::text", (41, "O'Reilly \u00e9\u4e16")).fetchone()
    binary = conn.execute("select %b::int + 1, %b::bytea", (41, b"\x00\xff")).fetchone()
    null = conn.execute("select %s::int is null", (None,)).fetchone()
    return text, binary, null


def copy(conn):
    conn.execute("create temp table copied (id int, label text)")
    with conn.cursor() as cur:
        with cur.copy("copy copied from stdin") as copy_in:
            for i in range(10_000):
                copy_in.write_row((i, f"row\t{i}" if i % 3 else None))
        taken = cur.rowcount
        with cur.copy("copy copied from stdin (format binary)") as copy_in:
            copy_in.set_types(["int4", "text"])
            copy_in.write_row((10_000, "binary"))
        digest = hashlib.sha256()
        with cur.copy("copy (select * from copied order by id) to stdout") as copy_out:
            for data in copy_out:
                digest.update(data)
    try:
        with conn.cursor().copy("copy copied from stdin") as copy_in:
            copy_in.write(b"not a number\tx\n")
    except errors.InvalidTextRepresentation as error:
        refused = error.sqlstate
    try:
        with conn.cursor().copy("copy copied from stdin"):
            raise RuntimeError("the client changes its mind")
    except errors.QueryCanceled as error:
        failed = error.sqlstate
    except RuntimeError:
        failed = "gave up"
    left = conn.execute("select count(*) from copied").fetchone()
    return taken, digest.hexdigest(), refused, failed, left


def wait_until_running(pid):
    with connect() as watcher:
        running = "select exists (select from pg_stat_activity where pid = %s and state = 'active')"
        for _ in range(1000):
            if watcher.execute(running, (pid,)).fetchone()[0]:
                return
            time.sleep(0.01)
    raise TimeoutError("the statement never ran")


def cancel(conn):
    def later():
        wait_until_running(conn.info.backend_pid)
        conn.cancel_safe(timeout=10)

    canceller = threading.Thread(target=later)
    canceller.start()
    try:
        conn.execute("select pg_sleep(60)")
        sqlstate = "not cancelled"
    except errors.QueryCanceled as error:
        sqlstate = error.sqlstate
    canceller.join()
    return sqlstate, conn.execute("select 'still here'").fetchone()


def notifications(conn):
    conn.execute("listen news")
    with connect() as other:
        for i in range(3):
            other.execute("select pg_notify('news', %s)", (f"item {i}",))
    heard = [n.payload for n in conn.notifies(timeout=10, stop_after=3)]
    conn.execute("unlisten news")
    return heard


def pipeline(conn):
    with conn.pipeline():
        cursors = [conn.execute("select %s::int * 2", (i,)) for i in range(500)]
        total = sum(cur.fetchone()[0] for cur in cursors)
    aborted = None
    try:
        # Which of these calls raises depends on when the answers come; what it raises does not.
        with conn.pipeline():
            conn.execute("select 1")
            conn.execute("select 1/0")
            conn.execute("select 2")
    except psycopg.Error as error:
        aborted = error.sqlstate
    return total, aborted, conn.execute("select 3").fetchone()


def prepared(conn):
    values = [conn.execute("select %s::int + 1", (i,), prepare=True).fetchone()[0] for i in range(20)]
    names = conn.execute("select count(*) from pg_prepared_statements").fetchone()
    conn.execute("deallocate all")
    return values, names


def failures(conn):
    seen = []
    conn.execute("create temp table one (id int primary key)")
    conn.execute("insert into one values (1)")
    for sql in ["select 1/0", "selec 1", "select * from nowhere", "insert into one values (1)"]:
        try:
            conn.execute(sql)
        except psycopg.Error as error:
            seen.append((error.sqlstate, error.diag.severity, error.diag.message_primary))
    return seen, conn.execute("select 'still here'").fetchone()


def large(conn):
    rows = conn.execute("select i, repeat('x', 100) from generate_series(1, 200000) i").fetchall()
    wide = conn.execute("select repeat('y', 16 * 1024 * 1024)").fetchone()[0]
    sent = conn.execute("select length(%s), md5(%s)", ("z" * 8_000_000, "z" * 8_000_000)).fetchone()
    with conn.transaction(), conn.cursor(name="slowly") as cur:
        cur.itersize = 1000
        cur.execute("select generate_series(1, 10000)")
        summed = sum(row[0] for row in cur)
    return len(rows), len(wide), sent, summed


def transactions(conn):
    conn.execute("create temp table kept (id int)")
    with conn.transaction():
        conn.execute("insert into kept values (1)")
        try:
            with conn.transaction():
                conn.execute("insert into kept values (2)")
                conn.execute("select 1/0")
        except errors.DivisionByZero:
            pass
    try:
        with conn.transaction():
            conn.execute("insert into kept values (3)")
            raise KeyError
    except KeyError:
        pass
    return conn.execute("select array_agg(id) from kept").fetchone()


def notices(conn):
    heard = []
    conn.add_notice_handler(lambda diag: heard.append((diag.severity, diag.message_primary)))
    conn.execute("do $$ begin raise notice 'first'; raise warning 'second'; end $$")
    return heard


def main():
    checks = [queries, parameters, copy, cancel, notifications, pipeline, prepared]
    checks += [failures, large, transactions, notices]
    with connect() as conn:
        for check in checks:
            print(f"{check.__name__}: {check(conn)}", flush=True)


main()
