//! What there is, in the words of the schema.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression as Value};
use jiff::tz::TimeZone;

use super::Context;
use super::schema::Type;
use crate::access::{Caller, PrincipalKind, Target};

/// What the engine cannot take. Nothing of ours should be such a thing.
pub(super) type Unfit = Box<dyn std::error::Error + Send + Sync>;

/// Who calls. Whether they own the target is among their parents.
pub(super) fn principal(caller: &Caller, target: Option<&Target>) -> Result<Entity, Unfit> {
    let kind = match caller.kind {
        PrincipalKind::Person => "person",
        PrincipalKind::Service => "service",
    };
    let attributes = HashMap::from([
        ("name".to_owned(), text(caller.name.as_str())),
        ("kind".to_owned(), text(kind)),
    ]);
    let groups = caller.groups.iter();
    let mut parents: HashSet<EntityUid> = groups.map(|group| Type::Group.named(group)).collect();
    if let Some(target) = target.filter(|target| target.is_owned_by(caller)) {
        parents.insert(Type::Owners.named(target.name.as_str()));
    }
    let uid = Type::Principal.named(caller.name.as_str());
    Ok(Entity::new(uid, attributes, parents)?)
}

/// What one asks for.
pub(super) fn target(target: &Target) -> Result<Entity, Unfit> {
    let name = target.name.as_str();
    let labels = target.labels.iter().map(|label| text(label));
    let attributes = HashMap::from([
        ("name".to_owned(), text(name)),
        (
            "owners".to_owned(),
            Value::new_entity_uid(Type::Owners.named(name)),
        ),
        ("environment".to_owned(), text(&target.environment)),
        ("readOnly".to_owned(), Value::new_bool(target.read_only)),
        ("labels".to_owned(), Value::new_set(labels)),
        ("maxDuration".to_owned(), duration(target.max_duration)),
    ]);
    let uid = Type::Target.named(name);
    Ok(Entity::new(uid, attributes, HashSet::new())?)
}

/// What else is known. Facts that are absent are left out.
pub(super) fn circumstances(
    caller: &Caller,
    context: &Context<'_>,
    zone: &TimeZone,
) -> Result<cedar_policy::Context, Unfit> {
    let local = zone.to_datetime(context.now);
    let known = [
        ("now", Some(instant(context.now))),
        ("hour", Some(Value::new_long(local.hour().into()))),
        ("minute", Some(Value::new_long(local.minute().into()))),
        ("weekday", Some(text(weekday(local.weekday())))),
        ("mfa", Some(Value::new_bool(caller.mfa))),
        (
            "address",
            caller.address.map(|it| Value::new_ip(it.to_string())),
        ),
        ("duration", context.duration.map(duration)),
        ("total", context.total.map(duration)),
        ("reason", context.reason.map(text)),
        ("ticket", context.ticket.map(text)),
        (
            "requester",
            context
                .requester
                .map(|it| Value::new_entity_uid(Type::Principal.named(it.as_str()))),
        ),
        ("stage", context.stage.map(count)),
        ("extensions", context.extensions.map(count)),
    ];
    let known = known.into_iter();
    let pairs = known.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(cedar_policy::Context::from_pairs(pairs)?)
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn count(number: u32) -> Value {
    Value::new_long(number.into())
}

fn duration(duration: std::time::Duration) -> Value {
    Value::new_duration(format!("{}ms", duration.as_millis()))
}

/// To the millisecond, which is as fine as Cedar knows time.
fn instant(now: jiff::Timestamp) -> Value {
    Value::new_datetime(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

fn weekday(day: jiff::civil::Weekday) -> &'static str {
    use jiff::civil::Weekday;
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}
