//! The default set as a table, mistakes in policies, and explanations.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::access::{Databases, Principal, PrincipalKind};

fn target(name: &str) -> Target {
    let (environment, read_only) = match name {
        "orders-staging-ro" => ("staging", true),
        "orders-staging" => ("staging", false),
        _ => ("production", false),
    };
    Target {
        name: name.parse().unwrap(),
        description: String::new(),
        databases: Databases::All,
        default_database: "orders".into(),
        max_duration: Duration::from_secs(7 * 86_400),
        max_connections: 10,
        idle_timeout: None,
        replication: false,
        terms: crate::access::Terms::default(),
        owners: vec!["@payments".into(), "omar".into()],
        environment: environment.into(),
        read_only,
        labels: vec!["pii".into()],
    }
}

const TARGETS: [&str; 3] = ["orders", "orders-staging", "orders-staging-ro"];

/// By first name: each in the group that it says; a `+` proves a second factor.
fn caller(who: &str) -> Caller {
    let name = who.trim_end_matches('+');
    let (groups, kind): (&[&str], _) = match name {
        "maya" => (&["engineers"], PrincipalKind::Person),
        "dana" => (&["leads"], PrincipalKind::Person),
        "petra" => (&["payments"], PrincipalKind::Person),
        "iris" => (&["security"], PrincipalKind::Person),
        "noor" => (&["engineers", "oncall"], PrincipalKind::Person),
        "ada" => (&["admins"], PrincipalKind::Person),
        "robot" => (&["engineers", "leads", "oncall"], PrincipalKind::Service),
        _ => (&[], PrincipalKind::Person),
    };
    Caller {
        mfa: who.ends_with('+'),
        ..Caller::new(Principal {
            name: name.parse().unwrap(),
            groups: groups.iter().map(ToString::to_string).collect(),
            kind,
        })
    }
}

fn people() -> Vec<Principal> {
    [
        "maya", "dana", "petra", "iris", "noor", "ada", "omar", "sam",
    ]
    .map(|name| caller(name).principal)
    .into()
}

/// Wednesday, 2026-11-18 22:30 UTC; in Tokyo it is Thursday morning.
fn now() -> Timestamp {
    "2026-11-18T22:30:00Z".parse().unwrap()
}

fn default_set() -> Cedar {
    Cedar::new(PolicySet::built_in(), &TARGETS.map(target), TimeZone::UTC)
}

fn of(text: &str) -> Result<PolicySet, Faults> {
    PolicySet::check(vec![PolicyFile {
        name: "a.cedar".into(),
        text: text.into(),
    }])
}

/// A policy that permits everybody to request, `when` this holds.
fn when(condition: &str) -> Cedar {
    let text = format!(
        "@id(\"it\") permit (principal, action == Action::\"request\", resource) when {{ {condition} }};"
    );
    let set = of(&text).unwrap_or_else(|faults| panic!("{condition}: {faults}"));
    Cedar::new(
        set,
        &TARGETS.map(target),
        TimeZone::get("Asia/Tokyo").unwrap(),
    )
}

fn full<'a>(requester: Option<&'a PrincipalName>) -> Context<'a> {
    Context {
        duration: Some(Duration::from_secs(3600)),
        total: Some(Duration::from_secs(7200)),
        reason: Some("INC-4312 stuck refunds"),
        ticket: Some("INC-4312"),
        requester,
        stage: Some(1),
        extensions: Some(0),
        ..Context::at(now())
    }
}

fn decide(policy: &Cedar, who: &str, action: Action, on: &str, context: Context<'_>) -> Decision {
    let target = (on != "-").then(|| target(on));
    policy.decide(&Query {
        caller: &caller(who),
        action,
        target: target.as_ref(),
        context,
    })
}

/// `who action target`, and in what circumstances: `for DURATION`, `of REQUESTER`, `again N`;
/// `after DURATION`: so much of it there has been.
fn row(policy: &Cedar, row: &str) -> Decision {
    let words: Vec<&str> = row.split_whitespace().collect();
    let said = |word: &str| {
        let at = words.iter().position(|it| *it == word)?;
        words.get(at + 1).copied()
    };
    let requester = said("of").map(|name| name.parse().unwrap());
    let time = |word| said(word).map(|text| humantime::parse_duration(text).unwrap());
    let before = time("after").unwrap_or_default();
    let context = Context {
        duration: time("for"),
        total: time("for").map(|more| before + more),
        requester: requester.as_ref(),
        extensions: said("again").map(|number| number.parse().unwrap()),
        ..Context::at(now())
    };
    decide(
        policy,
        words[0],
        words[1].parse().unwrap(),
        words[2],
        context,
    )
}

#[test]
fn the_default_set_decides_as_the_table_says() {
    let policy = default_set();
    for (question, expected) in [
        // Asking.
        ("maya request orders", true),
        ("maya request orders for 8h", true),
        ("maya request orders for 9h", false),
        ("maya request orders-staging for 3d", true),
        ("maya request orders-staging for 4d", false),
        ("maya extend orders for 1h", true),
        ("maya extend orders for 1h after 7h", true),
        ("maya extend orders for 1h after 8h", false),
        ("maya extend orders-staging for 1h after 71h", true),
        ("maya extend orders-staging for 2h after 71h", false),
        ("omar request orders for 1h", true),
        ("petra request orders for 1h", true),
        ("robot request orders for 1h", true),
        ("dana request orders for 1h", false),
        ("iris request orders for 1h", false),
        ("sam request orders for 1h", false),
        // Without anybody deciding.
        ("maya approveAlone orders for 5m", false),
        ("maya approveAlone orders-staging for 5m", false),
        ("maya approveAlone orders-staging-ro for 8h", true),
        ("petra approveAlone orders-staging-ro for 1h", false),
        ("maya extendAlone orders for 30m again 0", true),
        ("maya extendAlone orders for 31m again 0", false),
        ("maya extendAlone orders for 5m again 1", false),
        ("maya extendAlone orders for 5m", false),
        ("maya extendAlone orders again 0", false),
        ("sam extendAlone orders for 5m again 0", false),
        // Breaking the glass.
        ("noor+ breakGlass orders for 1h", true),
        ("noor breakGlass orders for 1h", false),
        ("noor+ breakGlass orders for 2h", false),
        ("maya+ breakGlass orders for 1h", false),
        ("robot+ breakGlass orders for 1h", false),
        // Deciding.
        ("dana approve orders for 1h of maya", true),
        ("dana approve orders", true),
        ("dana approve orders for 1h of dana", false),
        ("dana approve orders for 9h of maya", false),
        ("dana approve orders for 1h of maya after 8h", false),
        ("omar approve orders for 1h of maya", true),
        ("omar approve orders for 1h of omar", false),
        ("petra approve orders for 1h of maya", true),
        ("iris approve orders for 1h of maya", false),
        ("maya approve orders for 1h of noor", false),
        ("robot approve orders for 1h of maya", false),
        ("ada approve orders for 1h of maya", false),
        // Watching.
        ("dana view orders", true),
        ("iris view orders", true),
        ("maya view orders", false),
        ("ada view orders", false),
        ("dana revoke orders of maya", true),
        ("iris revoke orders of maya", true),
        ("noor revoke orders of maya", false),
        ("iris review orders of noor", true),
        ("dana review orders of dana", false),
        ("noor review orders of maya", false),
        ("iris readAudit -", true),
        ("dana readAudit -", false),
        ("ada readAudit -", false),
        ("ada administer -", true),
        ("iris administer -", false),
    ] {
        let decision = row(&policy, question);
        assert_eq!(decision.allowed, expected, "{question}: {decision:?}");
    }
}

#[test]
fn a_decision_names_the_policies_that_made_it() {
    let policy = default_set();
    let of = |question| row(&policy, question).policies;
    assert_eq!(of("maya request orders for 1h"), ["engineers-request"]);
    assert_eq!(
        of("omar approve orders of omar"),
        ["never-ones-own"],
        "what forbids outweighs what permits"
    );
    assert_eq!(of("sam request orders"), Vec::<String>::new());
}

#[test]
fn what_concerns_a_target_is_never_allowed_without_one_nor_the_other_way_round() {
    let policy = default_set();
    for question in [
        "maya request -",
        "ada administer orders",
        "iris readAudit orders",
    ] {
        assert!(!row(&policy, question).allowed, "{question}");
    }
}

#[test]
fn every_fact_reaches_the_policy_as_the_schema_says() {
    let requester: PrincipalName = "maya".parse().unwrap();
    let mut with_address = caller("dana+");
    with_address.address = Some("192.0.2.7".parse().unwrap());
    let orders = target("orders");
    for condition in [
        "principal.name == \"dana\" && principal.kind == \"person\"",
        "principal in Group::\"leads\" && !(principal in resource.owners)",
        "resource.name == \"orders\" && resource.environment == \"production\"",
        "!resource.readOnly && resource.labels.contains(\"pii\")",
        "resource.maxDuration == duration(\"7d\")",
        "context.now == datetime(\"2026-11-18T22:30:00Z\")",
        "context.weekday == \"thu\" && context.hour == 7 && context.minute == 30",
        "context.mfa",
        "context has address && context.address.isInRange(ip(\"192.0.2.0/24\"))",
        "context has duration && context.duration == duration(\"1h\")",
        "context has total && context.total == duration(\"2h\")",
        "context has reason && context.reason like \"INC-*\"",
        "context has ticket && context.ticket == \"INC-4312\"",
        "context has requester && context.requester == Principal::\"maya\"",
        "context has stage && context.stage == 1",
        "context has extensions && context.extensions == 0",
    ] {
        let query = Query {
            caller: &with_address,
            action: Action::Request,
            target: Some(&orders),
            context: full(Some(&requester)),
        };
        assert!(when(condition).decide(&query).allowed, "{condition}");
    }
    // And what is not known is not there.
    let unknown = [
        "address",
        "duration",
        "total",
        "reason",
        "ticket",
        "requester",
        "stage",
        "extensions",
    ];
    let absent: Vec<String> = unknown
        .iter()
        .map(|it| format!("!(context has {it})"))
        .collect();
    let bare = decide(
        &when(&absent.join(" && ")),
        "dana",
        Action::Request,
        "orders",
        Context::at(now()),
    );
    assert!(bare.allowed);
}

#[test]
fn a_policy_that_cannot_be_evaluated_allows_nothing() {
    let text = "
        @id(\"all\") permit (principal, action, resource);
        @id(\"broken\") forbid (principal, action == Action::\"request\", resource)
        when { context has extensions && context.extensions + 9223372036854775807 > 0 };";
    let policy = Cedar::new(of(text).unwrap(), &TARGETS.map(target), TimeZone::UTC);
    let context = Context {
        extensions: Some(1),
        ..Context::at(now())
    };
    let decision = decide(&policy, "maya", Action::Request, "orders", context);
    assert!(!decision.allowed);
    assert_eq!(decision.policies, ["broken"]);
}

/// Each fault as `line: message (help)`.
fn faults(text: &str) -> Vec<String> {
    let faults = of(text).map(|_| ()).unwrap_err().0;
    faults
        .iter()
        .map(|fault| fault.to_string().replace("a.cedar:", ""))
        .collect()
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = "\
permit (principal, action == Action::\"request\", resource);

@id(\"typo\")
permit (principal in Group::\"engineers\", action == Action::\"aprove\", resource);

@id(\"no-such-fact\")
permit (principal, action == Action::\"request\", resource)
when { context.duraton > duration(\"1h\") };

@id(\"unguarded\")
permit (principal, action == Action::\"request\", resource)
when { context.duration > duration(\"1h\") };

@id(\"typo\")
permit (principal, action == Action::\"view\", resource);

@id(\"two words\")
permit (principal, action == Action::\"view\", resource);

@id(\"slot\")
permit (principal == ?principal, action == Action::\"view\", resource);
";
    let faults = faults(text);
    let expected = [
        (1, "no id"),
        (4, "aprove"),
        (8, "duraton"),
        (12, "duration"),
        (14, "taken by the policy at 3"),
        (17, "\"two words\" is no id"),
        (20, "slot"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for ((line, words), fault) in expected.iter().zip(&faults) {
        assert!(fault.starts_with(&format!("{line}: ")), "{line} {fault}");
        assert!(fault.contains(words), "{fault}");
    }
}

#[test]
fn what_is_not_cedar_is_told_with_its_line_too() {
    let faults = faults("@id(\"a\")\npermit (principal, action, resource)\nwhen { context.mfa }\n");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with("4: ") || faults[0].starts_with("3: "),
        "{faults:?}"
    );
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    let text =
        "@id(\"a\")\npermit (principal, action == Action::\"readAudit\", resource is Target);";
    assert_eq!(faults(text).len(), 1);
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names_and_only_its_cedar_files() {
    let dir = tempfile::tempdir().unwrap();
    let missing = PolicySet::load(&dir.path().join("no"))
        .map(|_| ())
        .unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
    let empty = PolicySet::load(dir.path()).map(|_| ()).unwrap_err();
    assert!(empty.to_string().contains("has no file *.cedar"), "{empty}");
    let policy =
        |id: &str| format!("// why\n@id(\"{id}\")\npermit (principal, action, resource);\n");
    for (name, text) in [
        ("b.cedar", policy("two")),
        ("a.cedar", policy("one")),
        (".#a.cedar", "rubbish".to_owned()),
        ("README.md", "rubbish".to_owned()),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let set = PolicySet::load(dir.path()).unwrap();
    let notes: Vec<_> = set
        .notes()
        .iter()
        .map(|it| (it.id.as_str(), it.line))
        .collect();
    assert_eq!(notes, [("one", 2), ("two", 2)]);
    fs::write(dir.path().join("c.cedar"), policy("one")).unwrap();
    let twice = PolicySet::load(dir.path()).map(|_| ()).unwrap_err();
    assert!(twice.to_string().contains("a.cedar:2"), "{twice}");
}

#[test]
fn each_policy_of_the_default_set_says_what_it_means_and_where_it_stands() {
    let set = PolicySet::built_in();
    assert!(set.notes().len() >= 12);
    for note in set.notes() {
        assert!(note.says.is_some(), "{}", note.id);
        let file = set.files().iter().find(|it| it.name == note.file).unwrap();
        let line = file.text.lines().nth(note.line - 1).unwrap();
        assert_eq!(line, format!("@id(\"{}\")", note.id));
    }
    assert_eq!(
        set.groups(),
        ["admins", "engineers", "leads", "oncall", "security"]
    );
}

fn explained(who: &str, action: Action, on: &str, context: Context<'_>) -> Explanation {
    let target = target(on);
    let query = Query {
        caller: &caller(who),
        action,
        target: Some(&target),
        context,
    };
    explain(&default_set(), &query, &people())
}

fn lasting(hours: u64) -> Context<'static> {
    Context {
        duration: Some(Duration::from_secs(hours * 3600)),
        total: Some(Duration::from_secs(hours * 3600)),
        ..Context::at(now())
    }
}

#[test]
fn a_request_that_may_be_made_is_explained_with_who_could_approve_it() {
    let found = explained("omar", Action::Request, "orders", lasting(1));
    assert!(found.allowed && found.instead.is_none());
    assert_eq!(found.policies[0].id, "owners-request");
    assert_eq!(
        found.policies[0].says.as_deref(),
        Some("owners may ask for what they own")
    );
    assert!(!found.alone.unwrap().allowed);
    let names: Vec<&str> = found.approvers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        ["@leads", "@payments"],
        "omar owns it, but asked himself"
    );
    let found = explained("maya", Action::Request, "orders", lasting(1));
    let names: Vec<&str> = found.approvers.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["@leads", "@payments", "omar"]);
}

#[test]
fn what_needs_no_approval_says_by_which_policy() {
    let found = explained("maya", Action::Request, "orders-staging-ro", lasting(1));
    let alone = found.alone.unwrap();
    assert!(alone.allowed);
    assert_eq!(alone.policies[0].id, "read-only-outside-production");
}

#[test]
fn what_is_refused_says_what_would_be_granted() {
    let found = explained("maya", Action::Request, "orders", lasting(12));
    assert!(!found.allowed && found.alone.is_none() && found.approvers.is_empty());
    assert_eq!(found.policies[0].id, "production-for-a-day");
    assert_eq!(found.instead.as_deref(), Some("up to 8h"));
    let found = explained("noor", Action::BreakGlass, "orders", lasting(2));
    assert_eq!(
        found.instead.as_deref(),
        Some("up to 1h and with a second factor")
    );
    let found = explained("noor", Action::BreakGlass, "orders", lasting(1));
    assert_eq!(found.instead.as_deref(), Some("with a second factor"));
    assert_eq!(
        explained("sam", Action::Request, "orders", lasting(1)).instead,
        None
    );
}

#[test]
fn actions_are_written_as_in_the_schema() {
    for action in Action::ALL {
        assert_eq!(action.name().parse(), Ok(action));
        let json = serde_json::to_value(action).unwrap();
        assert_eq!(json, action.name());
        let known = schema::SCHEMA
            .actions()
            .any(|it| *it == schema::action(action));
        assert!(known, "{action}");
        let decided = default_set().answer(&Query {
            caller: &caller("maya"),
            action,
            target: action.has_target().then(|| target("orders")).as_ref(),
            context: full(None),
        });
        assert!(decided.is_ok(), "{action}: {decided:?}");
    }
    assert_eq!(schema::SCHEMA.actions().count(), Action::ALL.len());
    let wrong = "aprove".parse::<Action>().unwrap_err().to_string();
    assert!(wrong.contains("approve, revoke"), "{wrong}");
}
