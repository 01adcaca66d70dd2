"""asyncpg: everything that an application does with it. The server comes from libpq's environment.

Prints a line per check, the same against PostgreSQL and against anything that claims to be like it.
"""

import asyncio
import hashlib
import io

import asyncpg


async def queries(conn):
    row = await conn.fetchrow("select 1, 'text', null, true, 1.5::numeric, '{1,2}'::int[]")
    many = await conn.execute("select 1; select 2")
    return tuple(row), many


async def parameters(conn):
    row = await conn.fetchrow(
        "select $1::int + 1, $2::text, $3::bytea, $4::int is null, $5::timestamptz is null, $6::int[]",
        41, "O'Reilly \u00e9\u4e16", b"\x00\xff", None, None, [1, 2, 3],
    )
    return tuple(row)


async def copy(conn):
    await conn.execute("create temp table copied (id int, label text)")
    records = [(i, f"row\t{i}" if i % 3 else None) for i in range(10_000)]
    taken = await conn.copy_records_to_table("copied", records=records)
    text = await conn.copy_to_table("copied", source=io.BytesIO(b"10000,csv\n"), format="csv")
    out = io.BytesIO()
    given = await conn.copy_from_query("select * from copied order by id", output=out)
    try:
        await conn.copy_to_table("copied", source=io.BytesIO(b"not a number,x\n"), format="csv")
        refused = "accepted"
    except asyncpg.PostgresError as error:
        refused = error.sqlstate
    return taken, text, given, hashlib.sha256(out.getvalue()).hexdigest(), refused


async def wait_until_running(pid):
    watcher = await asyncpg.connect()
    running = "select exists (select from pg_stat_activity where pid = $1 and state = 'active')"
    for _ in range(1000):
        if await watcher.fetchval(running, pid):
            break
        await asyncio.sleep(0.01)
    else:
        raise TimeoutError("the statement never ran")
    await watcher.close()


async def cancel(conn):
    slow = asyncio.create_task(conn.execute("select pg_sleep(60)"))
    await wait_until_running(conn.get_server_pid())
    slow.cancel()
    try:
        await slow
        outcome = "not cancelled"
    except asyncio.CancelledError:
        outcome = "cancelled"
    return outcome, await conn.fetchval("select 'still here'")


async def notifications(conn):
    heard = asyncio.Queue()
    await conn.add_listener("news", lambda _conn, _pid, _channel, payload: heard.put_nowait(payload))
    other = await asyncpg.connect()
    for i in range(3):
        await other.execute("select pg_notify('news', $1)", f"item {i}")
    await other.close()
    payloads = [await asyncio.wait_for(heard.get(), 10) for _ in range(3)]
    await conn.reset()
    return payloads


async def batches(conn):
    await conn.execute("create temp table batch (id int primary key, label text)")
    await conn.executemany("insert into batch values ($1, $2)", [(i, str(i)) for i in range(5_000)])
    back = await conn.fetchmany("select label from batch where id = $1", [(i,) for i in range(0, 5_000, 1000)])
    try:
        await conn.executemany("insert into batch values ($1, $2)", [(5_000, "a"), (1, "b"), (5_001, "c")])
        refused = "accepted"
    except asyncpg.UniqueViolationError as error:
        refused = error.sqlstate
    return await conn.fetchval("select count(*) from batch"), [row[0] for row in back], refused


async def prepared(conn):
    statement = await conn.prepare("select $1::int + 1")
    values = [await statement.fetchval(i) for i in range(20)]
    types = [p.name for p in statement.get_parameters()], [a.name for a in statement.get_attributes()]
    return values, types


async def failures(conn):
    seen = []
    await conn.execute("create temp table one (id int primary key)")
    await conn.execute("insert into one values (1)")
    for sql in ["select 1/0", "selec 1", "select * from nowhere", "insert into one values (1)"]:
        for run in (conn.execute, conn.fetch):
            try:
                await run(sql)
            except asyncpg.PostgresError as error:
                seen.append((error.sqlstate, error.severity, error.message))
    return seen, await conn.fetchval("select 'still here'")


async def large(conn):
    rows = await conn.fetch("select i, repeat('x', 100) from generate_series(1, 200000) i")
    wide = await conn.fetchval("select repeat('y', 16 * 1024 * 1024)")
    sent = await conn.fetchrow("select length($1::text), md5($1::text)", "z" * 8_000_000)
    summed = 0
    async with conn.transaction():
        async for row in conn.cursor("select generate_series(1, 10000)", prefetch=1000):
            summed += row[0]
    return len(rows), len(wide), tuple(sent), summed


async def transactions(conn):
    await conn.execute("create temp table kept (id int)")
    async with conn.transaction(isolation="serializable"):
        await conn.execute("insert into kept values (1)")
        try:
            async with conn.transaction():
                await conn.execute("insert into kept values (2)")
                await conn.execute("select 1/0")
        except asyncpg.DivisionByZeroError:
            pass
    try:
        async with conn.transaction():
            await conn.execute("insert into kept values (3)")
            raise KeyError
    except KeyError:
        pass
    return await conn.fetchval("select array_agg(id) from kept")


async def notices(conn):
    heard = []
    conn.add_log_listener(lambda _conn, message: heard.append((message.severity, message.message)))
    await conn.execute("do $$ begin raise notice 'first'; raise warning 'second'; end $$")
    await asyncio.sleep(0)
    return heard


async def pool(_conn):
    async with asyncpg.create_pool(min_size=5, max_size=10) as connections:
        values = await asyncio.gather(*(connections.fetchval("select $1::int", i) for i in range(100)))
    return sum(values)


async def main():
    checks = [queries, parameters, copy, cancel, notifications, batches, prepared]
    checks += [failures, large, transactions, notices, pool]
    conn = await asyncpg.connect()
    for check in checks:
        print(f"{check.__name__}: {await check(conn)}", flush=True)
    await conn.close()


asyncio.run(main())
