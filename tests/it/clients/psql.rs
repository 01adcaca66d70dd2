//! psql: the same words on standard output and standard error as directly, to the byte.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use super::{Ways, text};
use crate::support::login::{Login, said};
use crate::support::wait;

/// What the terminal sends when somebody presses Ctrl-C.
const CTRL_C: &str = "\x03";

/// Runs psql with `script` on its standard input, to the end.
fn feed(mut psql: Command, script: &str) -> Output {
    psql.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = psql.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let script = script.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // psql may have ended before it read everything; what it printed will tell.
    let _ = writer.join().unwrap();
    output
}

/// Both ways must print the same; what they printed.
fn same(ways: &Ways, script: &str) -> String {
    let run = |login: &Login| {
        let mut psql = login.psql();
        psql.arg("--echo-errors");
        feed(psql, script)
    };
    let directly = run(&ways.direct);
    let through = run(ways.through());
    assert_eq!(said(&through), said(&directly), "{script}");
    said(&through)
}

#[tokio::test]
async fn queries_errors_and_notices_look_as_they_do_directly() {
    let ways = Ways::open().await;
    let printed = same(
        &ways,
        "select * from customers order by id limit 3;\n\
         select 1/0;\n\
         selec 1;\n\
         \\errverbose\n\
         do $$ begin raise notice 'look'; raise warning 'out'; end $$;\n\
         \\set VERBOSITY verbose\n\
         select * from nowhere;\n\
         select 1 \\; select 2 \\; select 1/0 \\; select 3;\n\
         begin; select 1/0; select 1; rollback;\n\
         \\gdesc\n\
         select $1::int + 1 as answer \\bind 41 \\g\n\
         ;\n\
         \\echo :LAST_ERROR_SQLSTATE :ROW_COUNT\n",
    );
    for word in ["customer 1", "division by zero", "NOTICE:  look", "42601"] {
        assert!(printed.contains(word), "{word} is missing from:\n{printed}");
    }
}

#[tokio::test]
async fn describing_commands_look_as_they_do_directly() {
    let ways = Ways::open().await;
    let printed = same(
        &ways,
        "\\l\n\\du\n\\dt+\n\\d orders\n\\dn\n\\df\n\\conninfo_is_not\n",
    );
    assert!(printed.contains("analytics") && printed.contains("orders_customer_idx"));
}

#[tokio::test]
async fn connecting_to_another_database_works() {
    let ways = Ways::open().await;
    let script =
        "\\c analytics\nselect current_database();\n\\c nowhere\nselect current_database();\n";
    let output = feed(ways.through().psql(), script);
    let printed = said(&output);
    assert!(
        printed.contains("You are now connected to database \"analytics\""),
        "{printed}"
    );
    assert!(
        printed.contains("database \"nowhere\" does not exist"),
        "{printed}"
    );
}

#[tokio::test]
async fn copy_works_both_ways() {
    let ways = Ways::open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.csv");
    let file = file.display();
    let printed = same(
        &ways,
        &format!(
            "\\copy orders to '{file}' csv header\n\
             create temp table again (like orders);\n\
             \\copy again from '{file}' csv header\n\
             select count(*), sum(cents) from again;\n\
             copy again from stdin;\n1\t2\t3\tx\n\\.\n\
             copy again from stdin;\nnot a number\n\\.\n\
             copy (select * from again order by id limit 2) to stdout;\n\
             select count(*) from again;\n"
        ),
    );
    assert!(
        printed.contains("COPY 1000") && printed.contains("1001"),
        "{printed}"
    );
}

#[tokio::test]
async fn large_results_and_cursors_work() {
    let ways = Ways::open().await;
    let printed = same(
        &ways,
        "\\pset format unaligned\n\\pset tuples_only\n\
         select i, repeat('x', 50) from generate_series(1, 100000) i;\n\
         \\set FETCH_COUNT 1000\n\
         select i from generate_series(1, 20000) i;\n\
         select length(repeat('y', 50000000));\n",
    );
    assert!(printed.contains("50000000"));
}

#[tokio::test]
async fn notifications_and_large_objects_work() {
    let ways = Ways::open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object");
    std::fs::write(&file, "large object ".repeat(100_000)).unwrap();
    let back = folder.path().join("back");
    let script = format!(
        "listen news;\nnotify news, 'item';\n\\lo_import '{}'\n\\lo_export :LASTOID '{}'\n\\lo_unlink :LASTOID\n",
        file.display(),
        back.display()
    );
    let printed = text(&feed(ways.through().psql(), &script));
    assert!(
        printed.contains("Asynchronous notification \"news\" with payload \"item\""),
        "{printed}"
    );
    assert_eq!(std::fs::read(back).unwrap(), std::fs::read(file).unwrap());
}

/// psql at a terminal of its own: without one, it ends at a Ctrl-C.
struct Terminal {
    script: Child,
    keyboard: ChildStdin,
}

impl Terminal {
    fn open(login: &Login) -> Self {
        let psql = "psql --no-psqlrc --no-readline --pset pager=off -At";
        let mut script = login.command("script");
        script.args(["-qec", psql, "/dev/null"]);
        let mut script = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = script.stdin.take().unwrap();
        Self { script, keyboard }
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Leaves psql; all that was on the screen.
    fn leave(mut self) -> String {
        self.type_in("\\q\n");
        said(&self.script.wait_with_output().unwrap())
    }
}

#[tokio::test]
async fn watch_repeats_until_it_is_interrupted() {
    let ways = Ways::open().await;
    let mut terminal = Terminal::open(ways.through());
    terminal.type_in("select 'ti' || 'ck' \\watch 0.05\n");
    let ticks = || {
        let statements = ways.hallpass.statements();
        statements.iter().filter(|sql| sql.contains("'ck'")).count()
    };
    let three = || async { ticks() >= 3 };
    wait::until("three ticks", Duration::from_secs(20), three).await;
    terminal.type_in(CTRL_C);
    // A terminal drops what is typed while it interrupts, so it has to be over first.
    let quiet = || async {
        let before = ticks();
        tokio::time::sleep(Duration::from_millis(300)).await;
        before == ticks()
    };
    wait::until("no more ticks", Duration::from_secs(20), quiet).await;
    terminal.type_in("select 'still ' || 'here';\n");
    let screen = terminal.leave();
    assert!(screen.matches("tick").count() >= 2, "{screen}");
    assert!(screen.contains("still here"), "{screen}");
}

#[tokio::test]
async fn ctrl_c_cancels_the_statement_and_the_connection_lives_on() {
    let ways = Ways::open().await;
    let mut terminal = Terminal::open(ways.through());
    terminal.type_in("select pg_sleep(60);\n");
    ways.cluster.running("pg_sleep(60)").await;
    terminal.type_in(CTRL_C);
    let idle = || async {
        ways.cluster
            .backends()
            .await
            .iter()
            .all(|b| b.state == "idle")
    };
    wait::until("the statement is cancelled", Duration::from_secs(5), idle).await;
    terminal.type_in("select 'still ' || 'here';\n");
    let screen = terminal.leave();
    assert!(
        screen.contains("ERROR:  canceling statement due to user request"),
        "{screen}"
    );
    assert!(screen.contains("still here"), "{screen}");
}
