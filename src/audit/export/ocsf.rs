//! Statements as events of OCSF 1.5, class Datastore Activity (6005), for a SIEM.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::statement::Statement;
use super::super::{Event, Outcome, Record};
use crate::sql;

/// The version of the schema.
const VERSION: &str = "1.5.0";
const CATEGORY: u64 = 6;
const CLASS: u64 = 6005;

/// Where a client came from, and what it called itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address and port.
    pub peer: String,
    /// Its `application_name`.
    pub application: String,
}

impl Client {
    /// The client that `event` is about; `None` if it does not tell.
    pub fn told_by(event: &Event) -> Option<Self> {
        match event {
            Event::ConnectionOpened {
                peer,
                application_name,
                ..
            } => Some(Self {
                peer: peer.clone(),
                application: application_name.to_lossy().into_owned(),
            }),
            Event::ConnectionDenied { peer, .. } => Some(Self {
                peer: peer.clone(),
                application: String::new(),
            }),
            _ => None,
        }
    }
}

/// A kind of activity: OCSF's number and its caption.
type Activity = (u64, &'static str);

const UNKNOWN: Activity = (0, "Unknown");
const READ: Activity = (1, "Read");
const UPDATE: Activity = (2, "Update");
const CONNECT: Activity = (3, "Connect");
const QUERY: Activity = (4, "Query");
const WRITE: Activity = (5, "Write");
const CREATE: Activity = (6, "Create");
const DELETE: Activity = (7, "Delete");

/// The event that a statement is. `client` is that of its connection, if it is known.
pub fn statement(statement: &Statement, client: Option<&Client>) -> Value {
    let command = command(statement);
    let activity = command.as_deref().map_or(UNKNOWN, activity);
    let name = match activity {
        (99, _) => command.as_deref().unwrap_or_default(),
        (_, caption) => caption,
    };
    let mut event = base(activity, name, statement.at, statement.seq);
    let origin = &statement.origin;
    let uid = format!("{}#{}", origin.connection, statement.statement);
    event["metadata"]["uid"] = uid.as_str().into();
    event["metadata"]["correlation_uid"] = origin.session.to_string().into();
    event["actor"] = actor(origin.principal.as_str(), client);
    event["actor"]["session"] = json!({ "uid": origin.session.to_string() });
    event["src_endpoint"] = source(&origin.connection.to_string(), client);
    event["dst_endpoint"] = json!({ "name": origin.target.as_str(), "svc_name": "postgresql" });
    event["database"] = database(&origin.database);
    add_text(&mut event, statement, &uid);
    add_end(&mut event, statement);
    event["unmapped"] = unmapped(statement);
    event
}

/// The event that a client connected or was turned away; `None` for records of other things.
pub fn connection(record: &Record) -> Option<Value> {
    let client = Client::told_by(&record.event)?;
    let mut event = base(CONNECT, CONNECT.1, record.at, record.seq);
    let status = match &record.event {
        Event::ConnectionOpened { origin, .. } => {
            event["actor"] = actor(origin.principal.as_str(), Some(&client));
            event["actor"]["session"] = json!({ "uid": origin.session.to_string() });
            event["metadata"]["correlation_uid"] = origin.session.to_string().into();
            event["src_endpoint"] = source(&origin.connection.to_string(), Some(&client));
            event["dst_endpoint"] =
                json!({ "name": origin.target.as_str(), "svc_name": "postgresql" });
            event["database"] = database(&origin.database);
            (1, "Success")
        }
        Event::ConnectionDenied {
            connection,
            user,
            database,
            reason,
            ..
        } => {
            event["actor"] = actor(&user.to_lossy(), Some(&client));
            event["src_endpoint"] = source(&connection.to_string(), Some(&client));
            event["database"] = self::database(&database.to_lossy());
            event["status_detail"] = reason.as_str().into();
            (event["severity_id"], event["severity"]) = (2.into(), "Low".into());
            (2, "Failure")
        }
        _ => return None,
    };
    (event["status_id"], event["status"]) = (status.0.into(), status.1.into());
    Some(event)
}

fn base((activity, _): Activity, name: &str, at: Timestamp, seq: u64) -> Value {
    json!({
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "Datastore Activity",
        "activity_id": activity,
        "activity_name": name,
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Datastore Activity: {name}"),
        "severity_id": 1,
        "severity": "Informational",
        "time": at.as_millisecond(),
        "type_id": 1,
        "type": "Database",
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "hallpass",
                "vendor_name": "hallpass",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": "audit",
            "original_time": at.to_string(),
            "sequence": seq,
        },
    })
}

fn actor(name: &str, client: Option<&Client>) -> Value {
    let mut actor = json!({ "user": { "name": name, "type_id": 0 } });
    if let Some(client) = client.filter(|client| !client.application.is_empty()) {
        actor["app_name"] = client.application.as_str().into();
    }
    actor
}

fn source(connection: &str, client: Option<&Client>) -> Value {
    let mut source = json!({ "uid": connection });
    if let Some(Ok(address)) = client.map(|client| client.peer.parse::<SocketAddr>()) {
        source["ip"] = address.ip().to_canonical().to_string().into();
        source["port"] = address.port().into();
    }
    source
}

fn database(name: &str) -> Value {
    json!({ "name": name, "type_id": 1, "type": "Relational" })
}

fn add_text(event: &mut Value, statement: &Statement, uid: &str) {
    let Some(sql) = &statement.sql else {
        return;
    };
    let text = sql.to_lossy();
    let tables: BTreeSet<String> = sql::tables(&text).map(|it| it.to_string()).collect();
    // The class has room for one.
    if let (1, Some(table)) = (tables.len(), tables.first()) {
        event["table"] = json!({ "name": table });
    }
    event["query_info"] = json!({
        "query_string": text,
        "query_time": statement.at.as_millisecond(),
        "uid": uid,
    });
    if let Some(finish) = &statement.finish {
        event["query_info"]["bytes"] = finish.bytes.into();
    }
}

fn add_end(event: &mut Value, statement: &Statement) {
    let status = match (statement.sqlstate(), statement.outcome()) {
        (Some(_), _) | (_, Some(Outcome::Failed | Outcome::Skipped)) => (2, "Failure"),
        (_, Some(Outcome::Completed | Outcome::Suspended)) => (1, "Success"),
        (_, Some(Outcome::Unknown) | None) => (0, "Unknown"),
    };
    (event["status_id"], event["status"]) = (status.0.into(), status.1.into());
    if let Some(code) = statement.sqlstate() {
        event["status_code"] = code.into();
    }
    let Some(finish) = &statement.finish else {
        return;
    };
    event["status_detail"] = finish.outcome.label().into();
    event["start_time"] = statement.at.as_millisecond().into();
    event["end_time"] = finish.finished_at.as_millisecond().into();
    event["duration"] = (finish.microseconds / 1000).into();
}

/// What the class has no place for.
fn unmapped(statement: &Statement) -> Value {
    let Ok(Value::Object(all)) = serde_json::to_value(statement) else {
        return Value::Null;
    };
    let kept = [
        "statement",
        "kind",
        "name",
        "portal",
        "function",
        "parameters",
        "missing",
        "results",
        "rows",
        "copies",
        "microseconds",
        "commit_failed",
    ];
    let fields = all
        .into_iter()
        .filter(|(name, _)| kept.contains(&name.as_str()));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// The command, in the words of its tag; if it has none, of its text.
fn command(statement: &Statement) -> Option<String> {
    let of_tag = statement.tags().next().map(|tag| {
        let words = tag
            .split(' ')
            .take_while(|word| !word.bytes().all(|c| c.is_ascii_digit()));
        words.collect::<Vec<_>>().join(" ")
    });
    let of_text = || sql::command(&statement.sql.as_ref()?.to_lossy());
    let command = of_tag.or_else(of_text)?;
    let copies = statement.finish.iter().flat_map(|finish| &finish.copies);
    let mut copies = copies.map(|copy| copy.direction);
    Some(match (&*command, copies.next()) {
        ("COPY", Some(super::super::CopyDirection::In)) => "COPY FROM".to_owned(),
        ("COPY", Some(super::super::CopyDirection::Out)) => "COPY TO".to_owned(),
        _ => command,
    })
}

/// What OCSF calls a command. Commands on other things than data (DDL, transactions, settings)
/// have no number, and keep their own name.
fn activity(command: &str) -> Activity {
    match command {
        "SELECT" | "FETCH" => QUERY,
        "COPY TO" => READ,
        "INSERT" => CREATE,
        "UPDATE" => UPDATE,
        "DELETE" | "TRUNCATE TABLE" => DELETE,
        "MERGE" | "COPY FROM" => WRITE,
        _ => (99, "Other"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::join::Joiner;
    use super::super::super::testing::{finished, origin, records, started};
    use super::super::super::{CommandResult, Text};
    use super::*;

    /// The attributes that OCSF 1.5.0 has for the class, of those that are not of profiles; and
    /// whether each is required.
    const ATTRIBUTES: [(&str, bool); 41] = [
        ("activity_id", true),
        ("activity_name", false),
        ("actor", true),
        ("category_name", false),
        ("category_uid", true),
        ("class_name", false),
        ("class_uid", true),
        ("count", false),
        ("database", false),
        ("databucket", false),
        ("dst_endpoint", false),
        ("duration", false),
        ("end_time", false),
        ("enrichments", false),
        ("http_request", false),
        ("http_response", false),
        ("message", false),
        ("metadata", true),
        ("observables", false),
        ("query_info", false),
        ("raw_data", false),
        ("raw_data_size", false),
        ("severity", false),
        ("severity_id", true),
        ("src_endpoint", true),
        ("start_time", false),
        ("status", false),
        ("status_code", false),
        ("status_detail", false),
        ("status_id", false),
        ("table", false),
        ("time", true),
        ("timezone_offset", false),
        ("type", false),
        ("type_id", false),
        ("type_name", false),
        ("type_uid", true),
        ("unmapped", false),
        ("action_id", false),
        ("disposition_id", false),
        ("osint", false),
    ];

    fn check(event: &Value) {
        let fields = event.as_object().unwrap();
        for (name, required) in ATTRIBUTES {
            assert!(!required || fields.contains_key(name), "{name} of {event}");
        }
        for name in fields.keys() {
            assert!(ATTRIBUTES.iter().any(|(known, _)| known == name), "{name}");
        }
        assert_eq!(
            (&event["category_uid"], &event["class_uid"]),
            (&6.into(), &6005.into())
        );
        let activity = event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], 600_500 + activity);
        assert!(activity <= 10 || activity == 99);
        for time in ["time", "start_time", "end_time", "duration"] {
            assert!(
                event.get(time).is_none_or(Value::is_i64),
                "{time} of {event}"
            );
        }
        // What the objects in it require.
        assert_eq!(event["metadata"]["version"], "1.5.0");
        assert!(event["metadata"]["product"]["vendor_name"].is_string());
        assert!(event["actor"]["user"]["name"].is_string());
        assert!(event["src_endpoint"]["uid"].is_string());
        assert!(event["database"]["type_id"].is_u64());
        let query = event.get("query_info");
        assert!(query.is_none_or(|query| query["query_string"].is_string()));
    }

    fn made(sql: &str, tag: Option<&str>) -> Value {
        let origin = origin(1, 1);
        let mut events = vec![started(&origin, 1, sql), finished(&origin, 1, 7)];
        if let Event::StatementFinished {
            results, sqlstate, ..
        } = &mut events[1]
        {
            match tag {
                Some(tag) => results.push(CommandResult { tag: tag.into() }),
                None => *sqlstate = Some("42P01".to_owned()),
            }
        }
        let mut joiner = Joiner::default();
        records(events)
            .iter()
            .for_each(|record| joiner.take(record));
        let client = Client {
            peer: "[::ffff:10.1.2.3]:5432".to_owned(),
            application: "psql".to_owned(),
        };
        let event = statement(&joiner.finish().next().unwrap(), Some(&client));
        check(&event);
        event
    }

    #[test]
    fn a_statement_has_what_the_class_requires_and_nothing_else() {
        let event = made("select * from orders", Some("SELECT 7"));
        assert_eq!(
            (&event["activity_name"], &event["status"]),
            (&"Query".into(), &"Success".into())
        );
        assert_eq!(event["src_endpoint"]["ip"], "10.1.2.3");
        assert_eq!(event["table"]["name"], "orders");
        assert_eq!(event["query_info"]["query_string"], "select * from orders");
        assert_eq!(
            (&event["duration"], &event["unmapped"]["rows"]),
            (&7.into(), &7.into())
        );
    }

    #[test]
    fn commands_have_the_activity_that_is_nearest() {
        for (sql, tag, name) in [
            ("insert into a values (1)", Some("INSERT 0 1"), "Create"),
            ("delete from a", Some("DELETE 3"), "Delete"),
            ("truncate a", Some("TRUNCATE TABLE"), "Delete"),
            ("create table a ()", Some("CREATE TABLE"), "CREATE TABLE"),
            ("update a set b = 1", None, "Update"),
            ("", None, "Unknown"),
        ] {
            assert_eq!(made(sql, tag)["activity_name"], name, "{sql}");
        }
        assert_eq!(made("update a set b = 1", None)["status_code"], "42P01");
    }

    #[test]
    fn clients_that_came_or_were_turned_away_are_connects() {
        let origin = origin(1, 1);
        let opened = Event::ConnectionOpened {
            origin: origin.clone(),
            peer: "10.1.2.3:40000".to_owned(),
            application_name: Text::from("psql"),
            startup: Vec::new(),
            tls: None,
        };
        let denied = Event::ConnectionDenied {
            connection: origin.connection,
            peer: "10.1.2.3:40000".to_owned(),
            user: "maya~orders-ro".into(),
            database: "orders".into(),
            reason: "the password is wrong".to_owned(),
        };
        let events: Vec<Value> = records(vec![opened, denied, Event::Stopped])
            .iter()
            .filter_map(connection)
            .collect();
        events.iter().for_each(check);
        let statuses: Vec<_> = events
            .iter()
            .map(|it| it["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["Success", "Failure"]);
    }
}
