//! psql names a target in each of the ways there are.

use std::process::Output;

use crate::support::hallpass::{Grant, Setup};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::process::Process;

const SQL: &str = "select current_user, current_database()";

/// psql with a connection string of its own.
fn psql(login: &Login, dsn: &str) -> Output {
    let mut psql = login.psql();
    psql.env_remove("PGUSER").env_remove("PGDATABASE");
    psql.args(["-XAtc", SQL, dsn]).output().unwrap()
}

/// What it prints, which must be an answer.
fn answer(login: &Login, dsn: &str) -> String {
    let output = psql(login, dsn);
    assert!(output.status.success(), "{dsn}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn granted(setup: Setup) -> (Process, Grant) {
    let hallpass = Process::start(setup).await;
    let grant = hallpass.grant("maya", "orders-admin", "10m").await;
    (hallpass, grant)
}

#[tokio::test]
async fn psql_names_the_target_in_each_way_there_is() {
    let cluster = Cluster::start();
    let setup = Setup::new(&cluster).proxy("sni_suffix = \"db.example.com\"");
    let (_hallpass, grant) = granted(setup).await;
    let login = &grant.login;
    let port = login.port;

    let here = format!("host=localhost port={port}");
    let orders = "orders_admin|orders";
    for (dsn, expected) in [
        (
            format!("{here} user=maya~orders-admin dbname=orders"),
            orders,
        ),
        (format!("{here} user=maya~orders-admin"), orders),
        (
            format!("{here} user=maya~orders-admin dbname=analytics"),
            "orders_admin|analytics",
        ),
        (format!("{here} user=maya dbname=orders-admin"), orders),
        (
            format!("postgresql://maya~orders-admin@localhost:{port}/analytics"),
            "orders_admin|analytics",
        ),
        (
            format!("postgresql://maya%7Eorders-admin@localhost:{port}/orders"),
            orders,
        ),
        (
            format!("{here} user=maya~orders-admin channel_binding=require"),
            orders,
        ),
    ] {
        assert_eq!(answer(login, &dsn), expected, "{dsn}");
    }

    // The certificate is for localhost, so this must do without its name.
    let by_name = "host=orders-admin.db.example.com hostaddr=127.0.0.1 sslmode=verify-ca";
    for (dsn, expected) in [
        (
            format!("{by_name} port={port} user=maya dbname=analytics"),
            "orders_admin|analytics",
        ),
        (format!("{by_name} port={port} user=maya"), orders),
    ] {
        assert_eq!(answer(login, &dsn), expected, "{dsn}");
    }

    for dsn in [
        format!("{here} user=maya dbname=orders"),
        format!("{here} user=maya"),
        format!("{here} user=maya~orders-ro dbname=orders"),
        format!("{here} user=noor~orders-admin dbname=orders"),
        format!(
            "host=nowhere.db.example.com hostaddr=127.0.0.1 sslmode=require port={port} user=maya dbname=orders"
        ),
    ] {
        let said = said(&psql(login, &dsn));
        assert!(said.contains("no live session"), "{dsn}: {said}");
    }
    let plain = format!("{here} user=maya~orders-admin sslmode=disable");
    let said = said(&psql(login, &plain));
    assert!(said.contains("without TLS"), "{said}");
}
