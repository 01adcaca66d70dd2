//! `hallpass audit replay --against`: the same data gives the same, other data exactly what differs.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio_postgres::types::ToSql;

use super::Recorded;
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, SYNC, execute};

/// What psql runs: several statements in one text, transactions, savepoints, errors, cursors, COPY.
const SCRIPT: &str = r#"
select 1 \; select 'a;b' as "x;y" \; select 3;
begin; insert into customers values (1000, 'new'); savepoint a; delete from customers where id = 1000;
rollback to a; select count(*) from customers; commit;
select name from customers where id = 1000;
begin; update customers set name = 'x' where id = 1000; selec 1; select 1; commit;
select name from customers where id = 1000;
start transaction; delete from customers where id = 1000; rollback;
update customers set name = name || '!' where id <= 10;
insert into customers values (1, 'taken');
insert into customers values (2000, 'one') \; insert into customers values (1, 'taken');
select count(*) from customers;
create table made (id int primary key, parent int references made deferrable initially deferred);
begin; insert into made values (1, 2); commit;
insert into made values (3, 4);
begin; insert into made values (1, 2); insert into made values (2, 1); commit;
select * from made order by id;
begin; declare c cursor for select * from orders order by id; fetch 10 from c; move 5 in c; fetch 2 from c; close c; commit;
prepare q(int) as select * from customers where id = $1; execute q(1); execute q(1000); deallocate q;
do $$ begin raise notice 'hello'; perform 1; end $$;
create function f() returns int language sql begin atomic select 41; select 42; end;
select f();
copy (select id, cents from orders order by id) to stdout;
select $1::int + 1, $2::text \bind 41 'O''Reilly' \g
select $1;
begin isolation level serializable; select sum(cents) from orders; commit and chain; select 1; rollback;
create temp table t on commit drop as select 1;
set work_mem = '8MB'; show work_mem; reset work_mem;
select
"#;

/// A client that prepares, and binds in binary.
async fn prepared(login: &Login) {
    let mut client = login.connect().await;
    let query = "select $1::int4 + 1, $2::text, $3::bytea, $4::float8, id from orders where id < $1 order by id";
    let statement = client.prepare(query).await.unwrap();
    for i in [5_i32, 50, 500] {
        let parameters: [&(dyn ToSql + Sync); 4] = [&i, &"é世", &&b"\0\xff"[..], &1.5];
        client.query(&statement, &parameters).await.unwrap();
    }
    let transaction = client.transaction().await.unwrap();
    let changed = transaction
        .execute(
            "update orders set note = $1 where id between $2 and $3",
            &[&"noted", &900, &910],
        )
        .await;
    assert_eq!(changed.unwrap(), 11);
    let portal = transaction
        .bind("select id from orders order by id limit 25", &[])
        .await
        .unwrap();
    while !transaction
        .query_portal(&portal, 10)
        .await
        .unwrap()
        .is_empty()
    {}
    transaction.commit().await.unwrap();
    let failed = client.query("select 1 / $1::int4", &[&0]).await;
    assert!(failed.is_err());
    assert!(client.prepare("selec 1").await.is_err());
    assert!(
        client
            .query_one("select note from orders where id = 905", &[])
            .await
            .is_ok()
    );
}

/// Four clients that read at the same time.
fn readers(login: &Login) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    let text = "\\set id random(1, 800)\nselect * from orders where id = :id;\n";
    std::fs::write(&script, text).unwrap();
    let mut pgbench = login.command("pgbench");
    pgbench.args(["-n", "-c", "4", "-t", "25", "-M", "prepared", "-f"]);
    let output = pgbench.arg(&script).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

async fn script(login: &Login, text: impl AsRef<[u8]>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sql");
    std::fs::write(&file, text).unwrap();
    let mut psql = login.psql();
    psql.arg("-f").arg(&file);
    let output = tokio::task::spawn_blocking(move || psql.output().unwrap());
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// A session of seven connections, of which some overlap.
async fn session() -> Recorded {
    let recorded = Recorded::start().await;
    let login = recorded.login().clone();
    let reading = login.clone();
    let reading = tokio::task::spawn_blocking(move || readers(&reading));
    let (read, (), ()) = tokio::join!(reading, script(&login, SCRIPT), prepared(&login));
    read.unwrap();
    recorded.settle().await;
    recorded
}

const STATE: &str = "select (select count(*) from customers), (select sum(cents) from orders), \
    (select count(*) from pg_class where relname in ('made', 't')), \
    (select count(*) from orders where note = 'noted')";

#[tokio::test]
async fn on_a_clone_everything_is_the_same_and_nothing_is_committed() {
    let recorded = session().await;
    let clone = Cluster::start();
    let login = clone.login("orders_admin", "orders");
    let before = login.ask(STATE);
    for _ in 0..2 {
        let again = recorded.again(&clone, &[]);
        assert_eq!(again.code(), 0, "{:#?}", again.with_result("different"));
        assert_eq!(again.total("different"), 0);
        assert!(again.total("same") > 150, "{}", again.report["totals"]);
        assert_eq!(login.ask(STATE), before);
    }
}

/// Runs `sql` with one parameter of the type `oid`, in text format.
async fn typed(login: &Login, sql: &str, oid: u32, value: &str) {
    let mut client = RawClient::login(login).await;
    let mut bytes = BytesMut::new();
    frontend::parse("", sql, [oid], &mut bytes).unwrap();
    // What follows its Parse.
    let whole = execute(sql, &[value]);
    let parse = usize::try_from(u32::from_be_bytes(whole[1..5].try_into().unwrap())).unwrap() + 1;
    bytes.extend_from_slice(&whole[parse..]);
    bytes.extend_from_slice(SYNC);
    client.send(&bytes).await;
    client.until(b'C').await;
    client.hang_up().await;
}

#[tokio::test]
async fn parameters_have_the_types_that_the_client_fixed() {
    let recorded = Recorded::start().await;
    let login = recorded.login().clone();
    // Without the type the server could not tell which to_char is meant, nor what is asked for.
    typed(&login, "select to_char($1, '999')", 23, "42").await;
    typed(&login, "select pg_typeof($1)", 1700, "42").await;
    let long = format!("select to_char($1, '999') /* {} */", "x".repeat(100_000));
    typed(&login, &long, 23, "42").await;
    recorded.settle().await;
    let clone = Cluster::start();
    let again = recorded.again(&clone, &[]);
    assert_eq!(again.code(), 0, "{:#?}", again.with_result("different"));
    assert_eq!(again.total("same"), 3);
}

#[tokio::test]
async fn on_other_data_exactly_what_differs_is_told() {
    let recorded = session().await;
    let clone = Cluster::start();
    let login = clone.login("orders_admin", "orders");
    login.ask("delete from orders where id = 902; insert into customers values (1000, 'here')");
    let again = recorded.again(&clone, &["--timing", "original", "--speed", "64"]);
    assert_eq!(again.code(), 1);
    let different = again.with_result("different");
    let told: Vec<String> = different
        .iter()
        .flat_map(|it| it["differences"].as_array().unwrap())
        .map(|it| format!("{}: {}, was {}", it["what"], it["now"], it["then"]))
        .collect();
    let told = told.join("\n");
    for expected in [
        // The orders that a transaction of tokio-postgres noted.
        r#""tags": "UPDATE 10", was "UPDATE 11""#,
        // The key that was free.
        r#", was "INSERT 0 1""#,
        // The COPY of all orders.
        r#""copy": "#,
    ] {
        assert!(told.contains(expected), "{expected} in\n{told}");
    }
    // These, and the five statements behind the INSERT in its transaction.
    assert_eq!(different.len(), 8, "{told}");
}

#[tokio::test]
async fn commits_are_commits_if_asked_for_and_waits_for_locks_end_as_they_did() {
    let recorded = Recorded::start().await;
    let (one, two) = (
        recorded.login().connect().await,
        recorded.login().connect().await,
    );
    one.batch_execute("begin; update customers set name = name || 'a' where id = 1")
        .await
        .unwrap();
    let waiting = two.batch_execute("update customers set name = name || 'b' where id = 1");
    let commit = async {
        let records = recorded.hallpass.recorded("the wait", |event| match event {
            hallpass::audit::Event::StatementStarted { sql: Some(sql), .. } => {
                sql.to_lossy().contains("'b'").then_some(())
            }
            _ => None,
        });
        records.await;
        one.batch_execute("commit").await
    };
    let (waited, committed) = tokio::join!(waiting, commit);
    waited.unwrap();
    committed.unwrap();
    one.batch_execute("vacuum customers").await.unwrap();
    drop((one, two));
    recorded.settle().await;

    let clone = Cluster::start();
    let login = clone.login("orders_admin", "orders");
    let name = "select name from customers where id = 1";
    let rolled_back = recorded.again(&clone, &["--lock-timeout", "300ms"]);
    assert_eq!(rolled_back.code(), 1);
    let [blocked] = rolled_back.with_result("different")[..] else {
        panic!("{}", said(&rolled_back.output));
    };
    assert_eq!(blocked["differences"][0]["what"], "error");
    assert!(blocked.to_string().contains("55P03"), "{blocked}");
    assert_eq!(rolled_back.with_result("skipped")[0]["why"], "alone");
    assert_eq!(login.ask(name), "customer 1");

    let asked = recorded.audit(&[
        "replay",
        "--commit",
        "--against",
        "postgres://x@localhost/x",
    ]);
    let mut asked = asked;
    let asked = asked.arg(recorded.session().to_string()).output().unwrap();
    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));

    let again = recorded.again(&clone, &["--commit", "--yes"]);
    assert_eq!(again.code(), 0, "{}", said(&again.output));
    assert_eq!(login.ask(name), "customer 1ab");
}

/// Texts in which a COMMIT hides from who takes backslashes for what they are by default, or in
/// another encoding.
#[tokio::test]
async fn no_commit_gets_through_however_it_is_hidden() {
    let recorded = Recorded::start().await;
    let hidden = r"
begin;
update customers set name = 'committed' where id = 1;
update customers set name = 'twice' where id = 1; /* x */ commit;
do 'begin commit; end';
create procedure p() language plpgsql as 'begin update customers set name = ''thrice'' where id = 1; commit; end';
call p();
";
    script(recorded.login(), hidden).await;
    let client = recorded.login().connect().await;
    for text in [
        "set standard_conforming_strings = off",
        // One string by default; here, a short one, a COMMIT, and a comment.
        r"update customers set name = '\''; commit; --'",
    ] {
        client.batch_execute(text).await.unwrap();
    }
    drop(client);
    let other = b"set client_encoding = latin1;\nupdate customers set name = 'more' where id = 1;\n/* \xe9 */ commit;\nbegin;\n/* \xe9 */ commit;\n";
    script(recorded.login(), other).await;
    recorded.settle().await;
    let clone = Cluster::start();
    recorded.again(&clone, &[]);
    let name = "select name from customers where id = 1";
    assert_eq!(
        clone.login("orders_admin", "orders").ask(name),
        "customer 1"
    );
    assert_eq!(recorded.login().ask(name), "more", "there it was");
}

#[tokio::test]
async fn what_blocks_is_cancelled_in_time_and_told() {
    let recorded = Recorded::start().await;
    script(recorded.login(), "select pg_advisory_lock(7);\nselect 1;\n").await;
    recorded.settle().await;
    let clone = Cluster::start();
    let holder = clone.login("orders_admin", "orders").connect().await;
    holder
        .batch_execute("select pg_advisory_lock(7)")
        .await
        .unwrap();
    let again = recorded.again(&clone, &["--commit", "--yes", "--timeout", "500ms"]);
    assert_eq!((again.code(), again.total("same")), (1, 1));
    let [blocked] = again.with_result("different")[..] else {
        panic!("{}", said(&again.output));
    };
    assert!(blocked.to_string().contains("57014"), "{blocked}");
}

#[tokio::test]
async fn what_is_not_on_record_is_not_run_and_that_is_said() {
    let recorded = Recorded::with("parameters = \"omit\"").await;
    let client = recorded.login().connect().await;
    client.query("select $1::int4", &[&1]).await.unwrap();
    client
        .batch_execute("create temp table copied (id int)")
        .await
        .unwrap();
    drop(client);
    script(
        recorded.login(),
        "copy customers from stdin;\n2000\tx\n\\.\nselect 1;\n",
    )
    .await;
    let token = recorded.login().connect().await;
    let cancel = token.cancel_token();
    let slow = token.batch_execute("begin; select pg_sleep(60)");
    let cancelling = async {
        recorded._cluster.running("pg_sleep(60)").await;
        cancel.cancel_query(recorded.login().tls()).await.unwrap();
    };
    let (slept, ()) = tokio::join!(slow, cancelling);
    assert!(slept.is_err());
    assert!(
        token.batch_execute("select 1").await.is_err(),
        "the transaction failed"
    );
    drop(token);
    recorded.settle().await;

    let began = std::time::Instant::now();
    let again = recorded.again(&Cluster::start(), &[]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(again.code(), 0, "{}", said(&again.output));
    let why: Vec<&str> = again
        .with_result("skipped")
        .iter()
        .map(|it| it["why"].as_str().unwrap())
        .collect();
    assert_eq!(why, ["redacted", "copy_in", "cut_off"]);
    // The transaction that was cut off then fails now, so that what followed fails as it did.
    assert_eq!(again.total("same"), 3, "{}", said(&again.output));
}
