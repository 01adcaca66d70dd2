// node-postgres: everything that an application does with it. The server comes from libpq's environment.
// Prints a line per check, the same against PostgreSQL and against anything that claims to be like it.
"use strict";

const { createHash } = require("node:crypto");
const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const { Readable } = require("node:stream");
const { pipeline } = require("node:stream/promises");
const { setTimeout: sleep } = require("node:timers/promises");
const { Client, Connection, Pool } = require("pg");
const copyStreams = require("pg-copy-streams");

const { PGSSLMODE: sslmode, PGSSLROOTCERT: rootcert } = process.env;
delete process.env.PGSSLMODE; // node-postgres reads it its own way
const tls = sslmode && sslmode !== "disable";
const options = { ssl: tls ? { ca: readFileSync(rootcert), servername: process.env.PGHOST } : false };

async function connect(more) {
  const client = new Client({ ...options, ...more });
  await client.connect();
  return client;
}

async function queries(client) {
  const one = await client.query({ text: "select 1, 'text', null, true, 1.5::numeric, '{1,2}'::int[]", rowMode: "array" });
  const empty = await client.query("");
  const many = await client.query("select 1 as a; select 2 as a");
  return [one.rows, empty.rows, many.map((result) => result.rows)];
}

async function parameters(client) {
  const sql = "select $1::int + 1 as a, $2::text as b, $3::bytea as c, $4::int is null as d";
  const text = await client.query(sql, [41, "O'Reilly \u00e9\u4e16", Buffer.from([0, 255]), null]);
  const binary = await client.query({ text: sql, values: [41, "x", Buffer.from([0, 255]), null], binary: true });
  return [text.rows, binary.rows.map((row) => row.a)];
}

async function copy(client) {
  await client.query("create temp table copied (id int, label text)");
  const lines = Array.from({ length: 10000 }, (_, i) => `${i}\t${i % 3 ? `row ${i}` : "\\N"}\n`);
  const copyIn = client.query(copyStreams.from("copy copied from stdin"));
  await pipeline(Readable.from(lines), copyIn);
  const hash = createHash("sha256");
  const copyOut = client.query(copyStreams.to("copy (select * from copied order by id) to stdout"));
  for await (const chunk of copyOut) hash.update(chunk);
  let refused = "accepted";
  try {
    await pipeline(Readable.from(["not a number\tx\n"]), client.query(copyStreams.from("copy copied from stdin")));
  } catch (error) {
    refused = error.code;
  }
  return [copyIn.rowCount, hash.digest("hex"), refused, (await client.query("select count(*) from copied")).rows];
}

async function waitUntilRunning(pid) {
  const watcher = await connect();
  for (let i = 0; i < 1000; i++) {
    const { rowCount } = await watcher.query("select from pg_stat_activity where pid = $1 and state = 'active'", [pid]);
    if (rowCount > 0) return watcher.end();
    await sleep(10);
  }
  throw new Error("the statement never ran");
}

// node-postgres has no public cancel; this is the CancelRequest that its own code sends.
async function sendCancel(client) {
  const connection = new Connection({ ssl: options.ssl });
  connection.connect(client.port, client.host);
  await once(connection, "connect");
  if (tls) {
    connection.requestSsl();
    await once(connection, "sslconnect");
  }
  connection.cancel(client.processID, client.secretKey);
  await once(connection, "end");
}

async function cancel(client) {
  const slow = client.query("select pg_sleep(60)").then(() => "not cancelled", (error) => error.code);
  await waitUntilRunning(client.processID);
  await sendCancel(client);
  return [await slow, (await client.query("select 'still here' as a")).rows];
}

async function notifications(client) {
  const heard = [];
  const all = new Promise((resolve) => {
    client.on("notification", (message) => heard.push(message.payload) === 3 && resolve());
  });
  await client.query("listen news");
  const other = await connect();
  for (let i = 0; i < 3; i++) await other.query("select pg_notify('news', $1)", [`item ${i}`]);
  await other.end();
  await all;
  return heard;
}

async function pipelines() {
  const client = await connect({ pipeline: true });
  const run = (sql, values) => client.query(sql, values);
  const sums = await Promise.all(Array.from({ length: 500 }, (_, i) => run("select $1::int * 2 as a", [i])));
  const mixed = ["select 1 as a", "select 1/0", "select 2 as a", "select 1/$1::int"].map((sql) => run(sql, sql.includes("$1") ? [0] : undefined));
  const settled = await Promise.allSettled(mixed);
  await client.end();
  return [sums.reduce((sum, result) => sum + result.rows[0].a, 0), settled.map((s) => s.reason?.code ?? s.value.rows)];
}

async function prepared(client) {
  const values = [];
  for (let i = 0; i < 20; i++) {
    values.push((await client.query({ name: "plus-one", text: "select $1::int + 1 as a", values: [i] })).rows[0].a);
  }
  const { rows } = await client.query("select name from pg_prepared_statements");
  return [values, rows];
}

async function failures(client) {
  await client.query("create temp table one (id int primary key)");
  await client.query("insert into one values (1)");
  const seen = [];
  for (const sql of ["select 1/0", "selec 1", "select * from nowhere", "insert into one values (1)"]) {
    for (const values of [undefined, []]) {
      await client.query(sql, values).catch((error) => seen.push([error.code, error.severity, error.message]));
    }
  }
  return [seen, (await client.query("select 'still here' as a")).rows];
}

async function large(client) {
  const { rows } = await client.query("select i, repeat('x', 100) from generate_series(1, 200000) i");
  const wide = await client.query("select repeat('y', 16 * 1024 * 1024) as a");
  const sent = await client.query("select length($1::text) as a, md5($1::text) as b", ["z".repeat(8_000_000)]);
  return [rows.length, wide.rows[0].a.length, sent.rows];
}

async function transactions(client) {
  await client.query("create temp table kept (id int)");
  await client.query("begin isolation level serializable; insert into kept values (1); savepoint s");
  await client.query("insert into kept values (2); select 1/0").catch(() => {});
  const aborted = await client.query("select 1").catch((error) => error.code);
  await client.query("rollback to s");
  await client.query("commit");
  await client.query("begin");
  await client.query("insert into kept values (3)");
  await client.query("rollback");
  return [aborted, (await client.query("select array_agg(id) as a from kept")).rows];
}

async function notices(client) {
  const heard = [];
  client.on("notice", (notice) => heard.push([notice.severity, notice.message]));
  await client.query("do $$ begin raise notice 'first'; raise warning 'second'; end $$");
  return heard;
}

async function pool() {
  const connections = new Pool({ ...options, max: 10 });
  const results = await Promise.all(Array.from({ length: 100 }, (_, i) => connections.query("select $1::int as a", [i])));
  await connections.end();
  return results.reduce((sum, result) => sum + result.rows[0].a, 0);
}

async function main() {
  const client = await connect();
  const checks = [queries, parameters, copy, cancel, notifications, pipelines, prepared];
  for (const check of [...checks, failures, large, transactions, notices, pool]) {
    console.log(`${check.name}: ${JSON.stringify(await check(client))}`);
  }
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
