//! Who is not let in, and what they are told.

use std::process::Stdio;

use hallpass::audit::{Event, Record};

use super::{GENEROUS, World};
use crate::support::login::{Login, said};
use crate::support::postgres::Cluster;
use crate::support::raw_client::{RawClient, Said};

async fn refused(login: &Login) -> Said {
    let refused = RawClient::try_login(login, &[]).await;
    refused.err().expect("the login is refused")
}

#[tokio::test]
async fn a_revoked_session_looks_like_an_unknown_name_and_a_wrong_secret() {
    let world = World::plain().await;
    let grant = world.grant("10m").await;
    let open = world.hallpass.grant("noor", "orders-admin", "10m").await;
    let mut wire = RawClient::login(&grant.login).await;
    wire.query("select 1").await;
    world.hallpass.revoke(grant.session).await;

    let with = |user: &str, password: &str| Login {
        user: user.to_owned(),
        password: password.to_owned(),
        ..open.login.clone()
    };
    let secret = &*open.login.password;
    let revoked = refused(&grant.login).await;
    assert_eq!((&*revoked.severity, &*revoked.code), ("FATAL", "28000"));
    assert!(
        revoked.hint.contains("hallpass request orders-admin"),
        "{revoked:?}"
    );
    for login in [
        with("noor~orders-admin", "hp_wrong"),
        with("maya~orders-admin", secret),
        with("nobody~orders-admin", secret),
        with("noor'; drop table orders; --~orders-admin", secret),
    ] {
        assert_eq!(refused(&login).await, revoked, "{}", login.user);
    }
    // Of another target only the hint differs, by the name that the client itself gave.
    for user in ["noor~orders-ro", "noor~nowhere", "noor~", "~", "noor"] {
        let said = refused(&with(user, secret)).await;
        assert_eq!(
            (said.code, said.message),
            (revoked.code.clone(), revoked.message.clone())
        );
    }
    assert_eq!(open.login.ask("select 1"), "1");
    world.gone(grant.session).await;
    let denied = "hallpass_denials_total{reason=\"authentication\"}";
    assert_eq!(world.hallpass.metric(denied).await, 10.0);
    // Whoever reads the audit is told more than the client.
    let records = world.hallpass.records();
    let told = |why: &str| {
        let denied = |record: &&Record| matches!(&record.event, Event::ConnectionDenied { reason, .. } if reason.contains(why));
        records.iter().filter(denied).count()
    };
    assert_eq!(
        (told("the secret is wrong"), told("no live session")),
        (1, 9)
    );
}

#[tokio::test]
async fn a_session_has_the_connections_that_its_target_allows_and_no_more() {
    let world = World::new(Cluster::start(), |setup| {
        setup.targets("max_connections = 2")
    })
    .await;
    let grant = world.grant("10m").await;
    let first = RawClient::login(&grant.login).await;
    let _second = RawClient::login(&grant.login).await;
    let said = refused(&grant.login).await;
    assert_eq!((&*said.severity, &*said.code), ("FATAL", "53300"));
    assert!(said.message.contains("has its 2 connections"), "{said:?}");
    assert_eq!(world.backends_of(grant.session).await, 2);
    // Another's session has a count of its own.
    let other = world.hallpass.grant("noor", "orders-admin", "10m").await;
    RawClient::login(&other.login).await;
    first.hang_up().await;
    world.closed(&grant, 1).await;
    RawClient::login(&grant.login).await;
}

#[tokio::test]
async fn only_the_databases_of_a_target_are_reached() {
    let world = World::plain().await;
    let grant = world.hallpass.grant("maya", "orders-ro", "10m").await;
    assert_eq!(grant.login.ask("select current_database()"), "orders");
    for database in ["analytics", "postgres", "template1", "Orders", "orders "] {
        let said = refused(&grant.login.database(database)).await;
        assert_eq!((&*said.severity, &*said.code), ("FATAL", "28000"));
        assert!(
            said.message.contains("is not part of this target"),
            "{said:?}"
        );
    }
    assert_eq!(world.backends_of(grant.session).await, 0);
    // A target of all databases: that one is missing is the server's own answer.
    let all = world.grant("10m").await;
    assert_eq!(all.login.database("analytics").ask("select 1"), "1");
    assert_eq!(refused(&all.login.database("nowhere")).await.code, "3D000");
}

#[tokio::test]
async fn replication_is_refused_in_every_spelling_unless_the_target_allows_it() {
    let world = World::plain().await;
    let grant = world.grant("10m").await;
    for value in ["database", "true", "on", "yes", "1", "tru", "nonsense", ""] {
        let parameters = [("replication", value)];
        let said = RawClient::try_login(&grant.login, &parameters).await;
        let said = said.err().expect("it is refused");
        assert_eq!(
            (&*said.severity, &*said.code),
            ("FATAL", "0A000"),
            "{value}"
        );
    }
    for value in ["false", "off", "no", "0"] {
        assert!(
            RawClient::try_login(&grant.login, &[("replication", value)])
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn allowed_replication_works_is_recorded_and_ends_with_its_session() {
    let world = World::new(Cluster::start(), |setup| {
        setup.targets("replication = true")
    })
    .await;
    let alter = "alter role orders_admin replication";
    world.admin.batch_execute(alter).await.unwrap();
    let grant = world.grant("10m").await;
    let mut psql = grant.login.psql();
    psql.args([
        "-Atd",
        "dbname=orders replication=database",
        "-c",
        "IDENTIFY_SYSTEM",
    ]);
    let identified = said(&psql.output().unwrap());
    assert!(identified.contains("|orders"), "{identified}");

    let slot = ["--slot=tail", "--dbname=orders", "--file=-"];
    let mut create = grant.login.command("pg_recvlogical");
    let created = create
        .args(slot)
        .args(["--create-slot", "--plugin=test_decoding"])
        .output()
        .unwrap();
    assert!(created.status.success(), "{}", said(&created));
    let mut follow = grant.login.command("pg_recvlogical");
    let follow = follow.args(slot).args(["--start", "--no-loop"]);
    let follow = follow
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    world.cluster.running("START_REPLICATION").await;
    let took = world.revoked_and_gone(grant.session).await;
    let printed = said(&follow.wait_with_output().unwrap());
    assert!(printed.contains("was revoked by dana"), "{printed}");
    assert!(took < GENEROUS, "{took:?}");
    let statements = world.hallpass.statements();
    for command in [
        "IDENTIFY_SYSTEM",
        "CREATE_REPLICATION_SLOT",
        "START_REPLICATION",
    ] {
        assert!(
            statements.iter().any(|sql| sql.starts_with(command)),
            "{statements:?}"
        );
    }
}
