use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &len.to_be_bytes(), body].concat()
}

fn q(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn p(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Binds one text parameter.
fn b(portal: &str, statement: &str, value: &str) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0\0\x01").into_bytes();
    body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend(value.as_bytes());
    body.extend([0, 0]);
    message(b'B', &body)
}

fn e(portal: &str) -> Vec<u8> {
    message(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

fn s() -> Vec<u8> {
    message(b'S', b"")
}

fn reply(tag: u8) -> Vec<u8> {
    message(tag, b"")
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

fn failure(code: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0Mno\0\0").as_bytes())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// Drives a tracker and keeps what it says.
struct Drive {
    tracker: Tracker,
    now: Instant,
}

impl Drive {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(),
            now: Instant::now(),
        }
    }

    fn sent(&mut self, messages: &[Vec<u8>]) -> Vec<Fact> {
        let mut facts = Vec::new();
        let bytes = messages.concat();
        let taken = self.tracker.sent(&bytes, self.now, &mut facts);
        assert_eq!(taken, bytes.len(), "everything is there whole");
        facts
    }

    fn received(&mut self, messages: &[Vec<u8>]) -> Vec<Fact> {
        let mut facts = Vec::new();
        self.tracker
            .received(&messages.concat(), &mut facts)
            .unwrap();
        facts
    }
}

/// The texts, parameters and numbers of what started.
fn started(facts: &[Fact]) -> Vec<(u64, String, Vec<String>)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Started(it) => Some((
                it.statement,
                it.source.sql.as_ref().map(text).unwrap_or_default(),
                it.parameters
                    .iter()
                    .map(|parameter| match parameter {
                        Parameter::Text(value) => text(value),
                        other => format!("{other:?}"),
                    })
                    .collect(),
            )),
            _ => None,
        })
        .collect()
}

fn finished(facts: &[Fact]) -> Vec<(u64, Outcome)> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Finished(it) => Some((it.statement, it.outcome)),
            _ => None,
        })
        .collect()
}

fn tally(facts: &[Fact]) -> &Tally {
    let tally = facts.iter().find_map(|fact| match fact {
        Fact::Finished(it) => Some(&it.tally),
        _ => None,
    });
    tally.expect("something finished")
}

#[test]
fn a_simple_query_has_one_record_and_all_its_results() {
    let mut drive = Drive::new();
    let facts = drive.sent(&[q("select 1; select 2")]);
    assert_eq!(started(&facts), [(1, "select 1; select 2".into(), vec![])]);
    let row = message(b'D', b"\0\x01\0\0\0\x011");
    let facts = drive.received(&[
        reply(b'T'),
        row.clone(),
        complete("SELECT 1"),
        reply(b'T'),
        row,
        complete("SELECT 1"),
        ready(),
    ]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
    assert_eq!(tally(&facts).rows, 2);
    assert_eq!(tally(&facts).tags.len(), 2);
    assert!(drive.tracker.is_idle());
}

#[test]
fn an_empty_query_completes() {
    let mut drive = Drive::new();
    drive.sent(&[q("")]);
    let facts = drive.received(&[reply(b'I'), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
}

#[test]
fn a_failed_query_carries_its_sqlstate() {
    let mut drive = Drive::new();
    drive.sent(&[q("selec")]);
    let facts = drive.received(&[failure("42601"), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Failed)]);
    assert_eq!(tally(&facts).sqlstate, Some(*b"42601"));
}

#[test]
fn parse_bind_execute_in_one_breath_is_one_record() {
    let mut drive = Drive::new();
    let facts = drive.sent(&[p("", "select $1"), b("", "", "x"), e(""), s()]);
    assert_eq!(facts.len(), 1, "{facts:?}");
    assert_eq!(started(&facts), [(1, "select $1".into(), vec!["x".into()])]);
    let facts = drive.received(&[reply(b'1'), reply(b'2'), complete("SELECT 1"), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
}

#[test]
fn a_parse_without_its_execute_is_recorded_on_its_own() {
    let mut drive = Drive::new();
    let facts = drive.sent(&[p("a", "select $1"), s()]);
    assert!(
        matches!(&facts[..], [Fact::Prepared { statement: 1, .. }]),
        "{facts:?}"
    );
    let facts = drive.received(&[reply(b'1'), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
    let facts = drive.sent(&[b("", "a", "x"), e(""), s()]);
    assert_eq!(started(&facts), [(2, "select $1".into(), vec!["x".into()])]);
}

#[test]
fn a_bind_without_its_execute_is_recorded_and_then_referred_to() {
    let mut drive = Drive::new();
    drive.sent(&[p("a", "select $1"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    let facts = drive.sent(&[b("", "a", "x")]);
    assert!(
        matches!(&facts[..], [Fact::Bound { statement: 2, .. }]),
        "{facts:?}"
    );
    let facts = drive.sent(&[e(""), s()]);
    let [Fact::Started(started)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((started.bound, started.parameters.len()), (Some(2), 0));
}

#[test]
fn a_portal_executed_in_slices_suspends_and_then_completes() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "select"), b("c", "", "x"), e("c"), message(b'H', b"")]);
    let facts = drive.received(&[reply(b'1'), reply(b'2'), reply(b's')]);
    assert_eq!(finished(&facts), [(1, Outcome::Suspended)]);
    let facts = drive.sent(&[e("c"), s()]);
    let [Fact::Started(again)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((again.bound, again.source.sql.as_ref()), (Some(1), None));
    let facts = drive.received(&[complete("SELECT 9"), ready()]);
    assert_eq!(finished(&facts), [(2, Outcome::Completed)]);
}

#[test]
fn outcomes_land_on_the_right_statement_under_pipelining() {
    let mut drive = Drive::new();
    let mut sent = Vec::new();
    for i in 1..=3 {
        sent.extend([p("", &format!("s{i}")), b("", "", "x"), e(""), s()]);
    }
    assert_eq!(started(&drive.sent(&sent)).len(), 3);
    let ok = [reply(b'1'), reply(b'2'), complete("SELECT 1"), ready()].concat();
    let facts = drive.received(&[ok.clone(), [failure("22012"), ready()].concat(), ok]);
    let outcomes = [
        (1, Outcome::Completed),
        (2, Outcome::Failed),
        (3, Outcome::Completed),
    ];
    assert_eq!(finished(&facts), outcomes);
}

#[test]
fn after_an_error_the_rest_up_to_sync_is_skipped() {
    let mut drive = Drive::new();
    let one = |sql| [p("", sql), b("", "", "x"), e("")].concat();
    drive.sent(&[one("a"), one("b"), one("c"), s(), one("d"), s()]);
    let ok = [reply(b'1'), reply(b'2'), complete("SELECT 1")].concat();
    let facts = drive.received(&[ok.clone(), failure("42P01"), ready(), ok, ready()]);
    assert_eq!(
        finished(&facts),
        [
            (1, Outcome::Completed),
            (2, Outcome::Failed),
            (3, Outcome::Skipped),
            (4, Outcome::Completed)
        ]
    );
}

#[test]
fn what_is_sent_after_an_error_and_before_sync_is_recorded_as_skipped() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "a"), b("", "", "x"), e(""), message(b'H', b"")]);
    drive.received(&[failure("42601")]);
    let facts = drive.sent(&[p("", "b"), b("", "", "x"), e("")]);
    assert_eq!(started(&facts)[0].1, "b");
    drive.sent(&[s()]);
    let facts = drive.received(&[ready()]);
    assert_eq!(finished(&facts), [(2, Outcome::Skipped)]);
    assert!(drive.tracker.is_idle());
}

#[test]
fn a_parse_whose_name_is_taken_does_not_change_what_the_name_is_recorded_as() {
    let mut drive = Drive::new();
    drive.sent(&[p("a", "delete from t"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    drive.sent(&[p("a", "select 1"), s()]);
    drive.received(&[failure("42P05"), ready()]);
    let facts = drive.sent(&[b("", "a", "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "delete from t");
}

#[test]
fn a_parse_that_is_skipped_does_not_change_what_its_name_is_recorded_as() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "delete from t"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    drive.sent(&[b("", "nowhere", "x"), p("", "select 1"), s()]);
    drive.received(&[failure("26000"), ready()]);
    let facts = drive.sent(&[b("", "", "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "delete from t");
}

#[test]
fn a_name_in_doubt_is_recorded_by_its_name_alone() {
    let mut drive = Drive::new();
    drive.sent(&[p("a", "delete from t"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    // Whether the second Parse takes effect is not known when the third group is sent.
    let facts = drive.sent(&[p("a", "select 1"), s(), b("", "a", "x"), e(""), s()]);
    let Some(Fact::Started(started)) = facts.last() else {
        panic!("{facts:?}")
    };
    assert_eq!(started.source.sql, None);
    assert_eq!(started.source.name, "a");
}

#[test]
fn names_that_postgresql_cuts_alike_are_one() {
    let mut drive = Drive::new();
    let long = "n".repeat(63);
    drive.sent(&[p(&format!("{long}x"), "delete from t"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    let facts = drive.sent(&[b("", &format!("{long}y"), "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "delete from t");
}

#[test]
fn after_sql_prepare_a_name_is_no_longer_known() {
    let mut drive = Drive::new();
    drive.sent(&[p("a", "select 1"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    drive.sent(&[q("deallocate a; prepare a as delete from t")]);
    drive.received(&[complete("DEALLOCATE"), complete("PREPARE"), ready()]);
    let facts = drive.sent(&[b("", "a", "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "");
}

#[test]
fn copy_from_the_client_is_counted_and_hashed() {
    let mut drive = Drive::new();
    drive.sent(&[q("copy t from stdin")]);
    drive.received(&[message(b'G', b"\0\0\0")]);
    drive.sent(&[
        message(b'd', b"1\n"),
        message(b'd', b"2\n"),
        message(b'c', b""),
    ]);
    let facts = drive.received(&[complete("COPY 2"), ready()]);
    let copy = tally(&facts).copies[0];
    assert!(copy.from_client);
    assert_eq!(copy.bytes, 4);
    assert_eq!(copy.sha256, <[u8; 32]>::from(Sha256::digest(b"1\n2\n")));
}

#[test]
fn copy_to_the_client_is_counted_and_hashed() {
    let mut drive = Drive::new();
    drive.sent(&[q("copy t to stdout")]);
    let facts = drive.received(&[
        message(b'H', b"\0\0\0"),
        message(b'd', b"1\n"),
        message(b'c', b""),
        complete("COPY 1"),
        ready(),
    ]);
    let copy = tally(&facts).copies[0];
    assert!(!copy.from_client);
    assert_eq!(copy.bytes, 2);
    assert_eq!(copy.sha256, <[u8; 32]>::from(Sha256::digest(b"1\n")));
}

#[test]
fn a_sync_that_the_upstream_reads_inside_copy_is_not_waited_for() {
    let mut drive = Drive::new();
    // libpq sends its Sync with the Execute, and another one behind the CopyDone.
    drive.sent(&[p("", "copy t from stdin"), b("", "", "x"), e(""), s()]);
    drive.received(&[reply(b'1'), reply(b'2'), message(b'G', b"\0\0\0")]);
    drive.sent(&[message(b'd', b"1\n"), message(b'c', b""), s()]);
    let facts = drive.received(&[complete("COPY 1"), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
    assert!(drive.tracker.is_idle());
}

#[test]
fn a_copy_sent_blindly_behind_its_query_is_followed_too() {
    let mut drive = Drive::new();
    drive.sent(&[
        q("copy t from stdin"),
        message(b'd', b"1\n"),
        message(b'c', b""),
        q("select 1"),
    ]);
    let facts = drive.received(&[
        message(b'G', b"\0\0\0"),
        complete("COPY 1"),
        ready(),
        complete("SELECT 1"),
        ready(),
    ]);
    assert_eq!(
        finished(&facts),
        [(1, Outcome::Completed), (2, Outcome::Completed)]
    );
    assert_eq!(tally(&facts).copies.len(), 1);
}

#[test]
fn data_left_over_from_a_failed_copy_is_not_taken_for_the_next_one() {
    let mut drive = Drive::new();
    drive.sent(&[q("copy t from stdin")]);
    drive.received(&[message(b'G', b"\0\0\0")]);
    drive.sent(&[message(b'd', b"bad\n")]);
    let facts = drive.received(&[failure("22P02"), ready()]);
    assert_eq!(tally(&facts).copies[0].bytes, 4);
    drive.sent(&[
        message(b'd', b"late\n"),
        message(b'c', b""),
        q("copy t from stdin"),
    ]);
    drive.received(&[message(b'G', b"\0\0\0")]);
    drive.sent(&[message(b'd', b"1\n"), message(b'c', b"")]);
    let facts = drive.received(&[complete("COPY 1"), ready()]);
    assert_eq!(tally(&facts).copies[0].bytes, 2);
}

#[test]
fn a_copy_that_fails_before_its_sync_is_read_leaves_what_follows_in_step() {
    let mut drive = Drive::new();
    let one = |sql| [p("", sql), b("", "", "x"), e("")].concat();
    drive.sent(&[one("copy v from stdin"), s(), one("insert"), s()]);
    let facts = drive.received(&[
        reply(b'1'),
        reply(b'2'),
        message(b'G', b"\0\0\0"),
        failure("55000"),
        ready(),
        reply(b'1'),
        reply(b'2'),
        complete("INSERT 0 1"),
        ready(),
    ]);
    assert_eq!(
        finished(&facts),
        [(1, Outcome::Failed), (2, Outcome::Completed)]
    );
    assert!(drive.tracker.is_idle());
}

#[test]
fn a_copy_that_fails_after_its_sync_was_ignored_leaves_what_follows_in_step() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "copy t from stdin"), b("", "", "x"), e(""), s()]);
    drive.received(&[reply(b'1'), reply(b'2'), message(b'G', b"\0\0\0")]);
    drive.sent(&[message(b'd', b"bad\n"), message(b'c', b""), s()]);
    let facts = drive.received(&[failure("22P02"), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Failed)]);
    assert!(
        drive.tracker.is_idle(),
        "nothing runs, whichever Sync that was"
    );
    drive.sent(&[q("select 1")]);
    assert!(!drive.tracker.is_idle());
    let facts = drive.received(&[complete("SELECT 1"), ready()]);
    assert_eq!(finished(&facts), [(2, Outcome::Completed)]);
    assert!(drive.tracker.is_idle());
}

#[test]
fn a_sync_during_a_copy_of_a_simple_query_that_fails_at_once_is_answered_on_its_own() {
    let mut drive = Drive::new();
    drive.sent(&[q("copy v from stdin"), s(), q("insert")]);
    let facts = drive.received(&[
        message(b'G', b"\0\0\0"),
        failure("55000"),
        ready(),
        ready(),
        complete("INSERT 0 1"),
        ready(),
    ]);
    assert_eq!(
        finished(&facts),
        [(1, Outcome::Failed), (2, Outcome::Completed)]
    );
}

#[test]
fn a_text_confirmed_after_a_failed_copy_is_the_one_that_is_recorded() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "select 1"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    drive.sent(&[p("c", "copy v from stdin"), b("x", "c", "x"), e("x"), s()]);
    drive.received(&[
        reply(b'1'),
        reply(b'2'),
        message(b'G', b"\0\0\0"),
        failure("55000"),
        ready(),
    ]);
    drive.sent(&[p("", "select 666"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    let facts = drive.sent(&[b("", "", "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "select 666");
}

#[test]
fn stray_copy_data_is_not_taken_for_a_copys() {
    let mut drive = Drive::new();
    let harmless = [message(b'd', b"harmless\n"), message(b'c', b"")].concat();
    drive.sent(&[harmless.clone(), q("select 1"), harmless]);
    drive.received(&[complete("SELECT 1"), ready()]);
    drive.sent(&[message(b'd', b"more\n"), q("copy t from stdin")]);
    drive.received(&[message(b'G', b"\0\0\0")]);
    drive.sent(&[message(b'd', b"1\n"), message(b'c', b"")]);
    let facts = drive.received(&[complete("COPY 1"), ready()]);
    assert_eq!(tally(&facts).copies.len(), 1);
    let hash: [u8; 32] = Sha256::digest(b"1\n").into();
    assert_eq!(tally(&facts).copies[0].sha256, hash);
}

#[test]
fn ends_of_copies_that_never_were_do_not_count_as_outstanding() {
    let mut drive = Drive::new();
    drive.sent(&[q("select 1")]);
    for _ in 0..1000 {
        drive.sent(&[message(b'c', b"")]);
    }
    assert_eq!(drive.tracker.outstanding(), 1);
    drive.received(&[complete("SELECT 1"), ready()]);
    assert_eq!(drive.tracker.outstanding(), 0);
}

#[test]
fn a_name_that_pipelined_sql_may_redefine_is_recorded_by_its_name_alone() {
    for sql in [
        "deallocate a; prepare a as delete from t",
        "do $$ begin end $$",
    ] {
        let mut drive = Drive::new();
        drive.sent(&[p("a", "select 1"), s()]);
        drive.received(&[reply(b'1'), ready()]);
        let facts = drive.sent(&[q(sql), b("", "a", "x"), e(""), s()]);
        let Some(Fact::Started(started)) = facts.last() else {
            panic!("{facts:?}")
        };
        assert_eq!(
            (started.source.sql.as_ref(), &started.source.name[..]),
            (None, &b"a"[..])
        );
    }
}

#[test]
fn what_a_name_outside_ascii_stands_for_is_never_assumed() {
    let mut drive = Drive::new();
    drive.sent(&[p("\u{e9}", "select 1"), s()]);
    drive.received(&[reply(b'1'), ready()]);
    let facts = drive.sent(&[b("", "\u{e9}", "x"), e(""), s()]);
    assert_eq!(started(&facts)[0].1, "");
}

#[test]
fn facts_of_one_breath_are_bounded() {
    let mut drive = Drive::new();
    drive.sent(&[p("a", &"\u{1}".repeat(8_000)), s()]);
    drive.received(&[reply(b'1'), ready()]);
    let bytes = [b("", "a", "x"), e("")].concat().repeat(1_000);
    let mut facts = Vec::new();
    let taken = drive.tracker.sent(&bytes, drive.now, &mut facts);
    assert!(
        taken < bytes.len() && facts.len() < 20,
        "{} facts",
        facts.len()
    );
    let more = drive.tracker.sent(&bytes[taken..], drive.now, &mut facts);
    assert!(more > 0, "the rest is read in further calls");
}

#[test]
fn nothing_behind_a_goodbye_is_forwarded() {
    let mut drive = Drive::new();
    let goodbye = message(b'X', b"");
    let bytes = [goodbye.clone(), q("delete from t")].concat();
    let mut facts = Vec::new();
    let taken = drive.tracker.sent(&bytes, drive.now, &mut facts);
    assert_eq!((taken, facts.len()), (goodbye.len(), 0));
}

#[test]
fn what_came_before_a_violation_stands() {
    let mut drive = Drive::new();
    let good = q("select 1");
    let bytes = [good.clone(), message(b'z', b"")].concat();
    let mut facts = Vec::new();
    let taken = drive.tracker.sent(&bytes, drive.now, &mut facts);
    assert_eq!((taken, facts.len()), (good.len(), 1));
    assert!(drive.tracker.violation().is_some());
}

#[test]
fn results_that_nobody_asked_for_are_not_kept() {
    let mut drive = Drive::new();
    let mut facts = Vec::new();
    for _ in 0..1000 {
        facts.extend(drive.received(&[complete("SELECT 1")]));
    }
    drive.sent(&[q("")]);
    facts.extend(drive.received(&[reply(b'I'), ready()]));
    assert_eq!(tally(&facts).tags.len(), 0);
}

#[test]
fn a_function_call_is_recorded_with_its_arguments() {
    let mut drive = Drive::new();
    let body = b"\0\0\x03\xb9\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x07\0\x01";
    let facts = drive.sent(&[message(b'F', body)]);
    let [Fact::Started(started)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!(started.function, Some(953));
    assert_eq!(
        started.parameters,
        [Parameter::Binary(0, Bytes::from_static(&[0, 0, 0, 7]))]
    );
    let facts = drive.received(&[message(b'V', b"\0\0\0\x04\0\0\0\x01"), ready()]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
}

#[test]
fn a_commit_that_fails_after_its_statements_completed_is_noted() {
    let mut drive = Drive::new();
    drive.sent(&[p("", "insert"), b("", "", "x"), e(""), s()]);
    let facts = drive.received(&[
        reply(b'1'),
        reply(b'2'),
        complete("INSERT 0 1"),
        failure("23503"),
        ready(),
    ]);
    assert_eq!(finished(&facts), [(1, Outcome::Completed)]);
    assert!(facts.contains(&Fact::CommitFailed {
        statement: 1,
        sqlstate: *b"23503"
    }));
}

#[test]
fn a_statement_longer_than_a_record_goes_into_parts_whole() {
    let mut drive = Drive::new();
    let sql = "x".repeat(3 * WHOLE + 17);
    let bytes = q(&sql);
    let (mut facts, mut at) = (Vec::new(), 0);
    for end in (0..bytes.len()).step_by(10_000).chain([bytes.len()]) {
        at += drive.tracker.sent(&bytes[at..end], drive.now, &mut facts);
    }
    assert_eq!(at, bytes.len());
    let parts: Vec<u8> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Part(part) => Some(part.data.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(parts, bytes[5..]);
    let Some(Fact::Started(started)) = facts.last() else {
        panic!("{facts:?}")
    };
    assert_eq!((started.statement, started.source.sql.as_ref()), (1, None));
    let count = facts.len() as u64 - 1;
    assert_eq!(started.parts, count);
    let Some(Fact::Part(Part { sha256, .. })) = facts.get(facts.len() - 2) else {
        panic!("{facts:?}")
    };
    assert_eq!(*sha256, Some(Sha256::digest(&bytes[5..]).into()));
}

#[test]
fn long_texts_are_recorded_once_and_referred_to() {
    let mut drive = Drive::new();
    let sql = "y".repeat(20_000);
    let facts = drive.sent(&[p("a", &sql), s()]);
    assert!(matches!(&facts[..], [Fact::Prepared { statement: 1, .. }]));
    drive.received(&[reply(b'1'), ready()]);
    let facts = drive.sent(&[b("", "a", "x"), e(""), s()]);
    let [Fact::Started(started)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!(
        (started.source.sql.as_ref(), started.source.prepared),
        (None, Some(1))
    );
}

#[test]
fn what_is_kept_of_names_and_texts_is_bounded() {
    let mut drive = Drive::new();
    for i in 0..2_000 {
        let facts = drive.sent(&[p(&format!("s{i}"), &"z".repeat(4_000)), s()]);
        assert!(matches!(&facts[..], [Fact::Prepared { .. }]));
        drive.received(&[reply(b'1'), ready()]);
    }
    let facts = drive.sent(&[b("", "s1999", "x"), e(""), s()]);
    let [Fact::Started(started)] = &facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!(
        started.source.name, "s1999",
        "what is not kept is still named"
    );
}

#[test]
fn malformed_and_unknown_messages_are_refused() {
    for bytes in [
        message(b'Q', b"no nul"),
        message(b'S', b"x"),
        message(b'E', b"\0"),
        message(b'p', b"secret\0"),
        message(b'z', b""),
    ] {
        let mut drive = Drive::new();
        let good = q("select 1");
        let stream = [&good[..], &bytes, &good].concat();
        let mut facts = Vec::new();
        let taken = drive.tracker.sent(&stream, drive.now, &mut facts);
        assert_eq!(taken, good.len(), "what came before it stands: {bytes:?}");
        assert_eq!(started(&facts).len(), 1);
        assert!(drive.tracker.violation().is_some(), "{bytes:?}");
        let nothing = drive.tracker.sent(&good, drive.now, &mut facts);
        assert_eq!((nothing, facts.len()), (0, 1), "nothing after it is taken");
    }
}

#[test]
fn a_long_message_without_a_head_is_refused_before_its_first_byte() {
    for tag in [b'P', b'B'] {
        let long = message(tag, &vec![b'x'; WHOLE + 1]);
        let mut tracker = Tracker::new();
        let mut facts = Vec::new();
        assert_eq!(tracker.sent(&long, Instant::now(), &mut facts), 0);
        assert_eq!(tracker.violation(), Some(Violation::Malformed(tag)));
        assert!(facts.is_empty());
    }
}

#[test]
fn a_stream_that_is_lost_says_up_to_where_it_was_not() {
    let mut tracker = Tracker::new();
    let stream = [ready(), vec![b'D', 0, 0, 0, 3]].concat();
    let lost = tracker.received(&stream, &mut Vec::new()).unwrap_err();
    assert_eq!(lost.at, ready().len());
    let mut tracker = Tracker::new();
    tracker.received(b"D\xff", &mut Vec::new()).unwrap();
    let lost = tracker.received(b"\xff\xff\xff", &mut Vec::new());
    assert_eq!(lost.unwrap_err().at, 0);
}

fn client_messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z]{0,9}".prop_map(|sql| q(&sql)),
        ("[ab]{0,1}", "[a-z]{0,9}").prop_map(|(name, sql)| p(&name, &sql)),
        ("[cd]{0,1}", "[ab]{0,1}", "[a-z]{0,5}").prop_map(|(c, s, v)| b(&c, &s, &v)),
        "[cd]{0,1}".prop_map(|portal| e(&portal)),
        Just(s()),
        Just(message(b'H', b"")),
        "[ab]{0,1}".prop_map(|name| message(b'D', format!("S{name}\0").as_bytes())),
        "[ab]{0,1}".prop_map(|name| message(b'C', format!("S{name}\0").as_bytes())),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|data| message(b'd', &data)),
        Just(message(b'c', b"")),
        Just(message(b'f', b"no\0")),
    ]
}

fn server_messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(b"123tTnIsAN".to_vec()).prop_map(reply),
        "[A-Z]{0,9}".prop_map(|tag| complete(&tag)),
        "[0-9A-Z]{5}".prop_map(|code| failure(&code)),
        Just(ready()),
        Just(message(b'G', b"\0\0\0")),
        Just(message(b'H', b"\0\0\0")),
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|data| message(b'd', &data)),
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|data| message(b'D', &data)),
        proptest::collection::vec(any::<u8>(), 0..50).prop_map(|body| message(b'E', &body)),
    ]
}

proptest! {
    #[test]
    fn every_number_finishes_exactly_once_whatever_the_upstream_answers(
        turns in proptest::collection::vec(
            (
                proptest::collection::vec(client_messages(), 0..8),
                proptest::collection::vec(server_messages(), 0..8),
            ),
            0..10,
        ),
    ) {
        let (mut tracker, now) = (Tracker::new(), Instant::now());
        let mut facts = Vec::new();
        for (client, server) in turns {
            tracker.sent(&client.concat(), now, &mut facts);
            tracker.received(&server.concat(), &mut facts).unwrap();
        }
        tracker.abandon(&mut facts);
        let mut ends = HashMap::new();
        for fact in &facts {
            if let Fact::Finished(it) = fact {
                *ends.entry(it.statement).or_insert(0) += 1;
            }
        }
        for number in 1..=tracker.statements() {
            prop_assert_eq!(ends.get(&number), Some(&1), "number {}", number);
        }
    }

    #[test]
    fn how_the_upstreams_stream_is_cut_changes_no_fact(
        client in proptest::collection::vec(client_messages(), 0..20),
        server in proptest::collection::vec(server_messages(), 0..40),
        chop in 1_usize..50,
    ) {
        let (now, client, server) = (Instant::now(), client.concat(), server.concat());
        let answers = |chop: usize| {
            let mut tracker = Tracker::new();
            let mut facts = Vec::new();
            tracker.sent(&client, now, &mut facts);
            for chunk in server.chunks(chop) {
                tracker.received(chunk, &mut facts).unwrap();
            }
            (facts, tracker.at_reply_boundary())
        };
        prop_assert_eq!(answers(chop), answers(usize::MAX));
    }

    #[test]
    fn how_the_clients_stream_is_cut_loses_no_statement(
        client in proptest::collection::vec(client_messages(), 0..40),
        chop in 1_usize..50,
    ) {
        let client = client.concat();
        let executions = |chop| {
            let (mut tracker, mut facts, mut at) = (Tracker::new(), Vec::new(), 0);
            for end in (0..client.len()).step_by(chop).chain([client.len()]) {
                let chunk = &client[at..end.max(at)];
                at += tracker.sent(chunk, Instant::now(), &mut facts);
            }
            let started = |fact: &Fact| match fact {
                Fact::Started(it) => Some((it.kind, it.portal.clone())),
                _ => None,
            };
            facts.iter().filter_map(started).collect::<Vec<_>>()
        };
        prop_assert_eq!(executions(chop), executions(usize::MAX / 4));
    }

    #[test]
    fn no_bytes_make_the_tracker_panic(
        client in proptest::collection::vec(any::<u8>(), 0..300),
        server in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut tracker = Tracker::new();
        let mut facts = Vec::new();
        tracker.sent(&client, Instant::now(), &mut facts);
        let _ = tracker.received(&server, &mut facts);
    }
}
