//! PostgreSQL's own log of statements as the witness of what clients ran.

use std::time::Duration;

use futures_util::future;
use hallpass::audit::{Event, Outcome};
use postgres_protocol::message::frontend;

use super::Witnessed;
use crate::clients::drivers::python;
use crate::support::login::said;
use crate::support::raw_client::{RawClient, SYNC, execute};
use crate::support::wait;

impl Witnessed {
    /// Waits until the end of every connection is on record.
    async fn settle(&self) {
        let settled = || async {
            let records = self.hallpass.records();
            let count = |is: fn(&Event) -> bool| records.iter().filter(|r| is(&r.event)).count();
            count(|event| matches!(event, Event::ConnectionOpened { .. }))
                == count(|event| matches!(event, Event::ConnectionClosed { .. }))
        };
        wait::until("all is closed", Duration::from_secs(10), settled).await;
    }
}

/// Everything that psql can run, one way or another.
const SCRIPT: &str = r#"
select 1 \; select 2 \; select 3;
begin; insert into customers values (1000, 'new'); rollback;
do $$ begin perform count(*) from orders; raise notice 'done'; end $$;
prepare q(int) as select * from customers where id = $1; execute q(1); execute q(2);
begin; declare c cursor for select * from orders; fetch 10 from c; move 5 in c; close c; commit;
select format('select %s as generated', i) from generate_series(1, 5) i \gexec
select $1::int, $2::text \bind 41 'O''Reilly' \g
create temp table copied (like orders);
copy copied from stdin;
1	1	100	a
2	2	200	\N
\.
copy copied to stdout;
select 1/0;
selec 1;
select 'é世', E'tab\tnewline\n', 'quote ''"" end';
/* a comment */ select /* inside */ 2 -- behind
;
set application_name = 'something else'; reset all;
explain select * from orders;
lock table customers;
listen news; notify news, 'item'; unlisten news;
vacuum customers;
create function f() returns int language sql as 'select 42';
select f();
\d orders
\l
"#;

#[tokio::test]
async fn whatever_psql_runs_is_on_record_with_its_parameters() {
    let world = Witnessed::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [script, object] = ["script.sql", "object"].map(|name| folder.path().join(name));
    std::fs::write(&object, "large object ".repeat(10_000)).unwrap();
    let large = format!(
        "\\lo_import '{0}'\n\\lo_export :LASTOID '{0}.back'\n",
        object.display()
    );
    // A psql that does not know \bind says so, and goes on.
    std::fs::write(&script, format!("{SCRIPT}{large}")).unwrap();
    let mut psql = world.login.psql();
    let printed = psql.arg("-f").arg(&script).output().unwrap();
    assert!(printed.status.success(), "{}", said(&printed));
    world.settle().await;
    let ledger = world.check(50).await;
    ledger.check_outcomes();
    let functions = ledger
        .statements
        .iter()
        .filter(|s| s.sql.starts_with("function "));
    let with_arguments = functions.filter(|call| !call.parameters.is_empty());
    assert!(
        with_arguments.count() > 5,
        "large objects go by FunctionCall"
    );
    let failed = ledger
        .outcomes
        .values()
        .filter(|it| **it == [Outcome::Failed]);
    assert_eq!(failed.count(), said(&printed).matches("ERROR:").count());
}

#[tokio::test]
async fn whatever_a_driver_runs_is_on_record_with_its_parameters() {
    let world = Witnessed::start().await;
    let checks = python(&world.login, "psycopg_checks.py").output().unwrap();
    assert!(checks.status.success(), "{}", said(&checks));

    let client = world.login.connect().await;
    let statement = client
        .prepare("select $1::int4 * 2, $2::text")
        .await
        .unwrap();
    let queries = (0..200).map(|i| {
        let (client, statement) = (&client, &statement);
        async move { client.query(statement, &[&i, &"text"]).await.unwrap() }
    });
    future::join_all(queries).await;
    drop(client);
    world.settle().await;
    let ledger = world.check(700).await;
    ledger.check_outcomes();
    let doubled = ledger
        .statements
        .iter()
        .filter(|s| s.sql.starts_with("select $1::int4 * 2"));
    assert_eq!(doubled.clone().count(), 200);
    assert!(
        doubled
            .clone()
            .all(|statement| statement.parameters.len() == 2)
    );
    assert!(!ledger.messages.is_empty(), "some were long");
}

#[tokio::test]
async fn every_way_to_execute_is_on_record() {
    let world = Witnessed::start().await;
    let mut client = RawClient::login(&world.login).await;
    // A portal in slices, and another under a name, bound once and executed later.
    let mut bytes = bytes::BytesMut::new();
    let none = |(): (), _: &mut bytes::BytesMut| Ok(postgres_protocol::IsNull::No);
    let many = "select generate_series(1, 10)";
    frontend::parse("many", many, [], &mut bytes).unwrap();
    assert!(frontend::bind("slices", "many", [], [], none, [], &mut bytes).is_ok());
    for _ in 0..4 {
        frontend::execute("slices", 3, &mut bytes).unwrap();
    }
    client.send(&[&bytes[..], SYNC].concat()).await;
    client.until(b'Z').await;

    // An error in a pipeline: what follows is skipped up to the Sync, and runs no more.
    let pipeline = [
        execute("select 'before'", &[]),
        execute("select 1 / $1::int", &["0"]),
        execute("select 'skipped'", &[]),
    ];
    client.send(&[&pipeline.concat(), SYNC].concat()).await;
    while client.frame().await.unwrap().tag != b'Z' {}
    client
        .send(&[&execute("select $1 || 'after'", &["it''s"])[..], SYNC].concat())
        .await;
    client.until(b'Z').await;
    client.hang_up().await;
    world.settle().await;

    let ledger = world.check(6).await;
    ledger.check_outcomes();
    let outcomes: Vec<(&str, Outcome)> = ledger
        .statements
        .iter()
        .map(|s| (&*s.sql, ledger.outcomes[&s.place][0]))
        .collect();
    assert_eq!(
        outcomes,
        [
            (many, Outcome::Suspended),
            (many, Outcome::Suspended),
            (many, Outcome::Suspended),
            (many, Outcome::Completed),
            ("select 'before'", Outcome::Completed),
            ("select 1 / $1::int", Outcome::Failed),
            ("select 'skipped'", Outcome::Skipped),
            ("select $1 || 'after'", Outcome::Completed),
        ]
    );
}
