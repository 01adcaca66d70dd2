//! A statement as columns: the same in every form that has them.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;

use super::super::statement::Statement;

/// A column. New ones come at the end; none is renamed.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether every statement has a value.
    pub(super) required: bool,
    pub(super) value: for<'a> fn(&'a Statement) -> Value<'a>,
}

/// What values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Time,
    Text,
    /// Text that is JSON.
    Json,
}

/// What a statement has in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    None,
    Number(u64),
    Time(Timestamp),
    Text(Cow<'a, str>),
}

const fn required(
    name: &'static str,
    kind: Kind,
    value: for<'a> fn(&'a Statement) -> Value<'a>,
) -> Column {
    Column {
        name,
        kind,
        required: true,
        value,
    }
}

const fn optional(
    name: &'static str,
    kind: Kind,
    value: for<'a> fn(&'a Statement) -> Value<'a>,
) -> Column {
    Column {
        name,
        kind,
        required: false,
        value,
    }
}

/// The columns, in order.
pub(super) const COLUMNS: [Column; 20] = [
    required("seq", Kind::Number, |it| Value::Number(it.seq)),
    required("at", Kind::Time, |it| Value::Time(it.at)),
    required("principal", Kind::Text, |it| {
        text(it.origin.principal.as_str())
    }),
    required("target", Kind::Text, |it| text(it.origin.target.as_str())),
    required("database", Kind::Text, |it| text(&it.origin.database)),
    required("session", Kind::Text, |it| {
        owned(it.origin.session.to_string())
    }),
    required("connection", Kind::Text, |it| {
        owned(it.origin.connection.to_string())
    }),
    required("statement", Kind::Number, |it| Value::Number(it.statement)),
    required("kind", Kind::Text, |it| text(it.kind.label())),
    optional("outcome", Kind::Text, |it| {
        it.outcome().map_or(Value::None, |it| text(it.label()))
    }),
    optional("sqlstate", Kind::Text, |it| {
        it.sqlstate().map_or(Value::None, text)
    }),
    optional("rows", Kind::Number, |it| {
        of_end(it, |end| Value::Number(end.rows))
    }),
    optional("bytes", Kind::Number, |it| {
        of_end(it, |end| Value::Number(end.bytes))
    }),
    optional("microseconds", Kind::Number, |it| {
        of_end(it, |end| Value::Number(end.microseconds))
    }),
    optional("finished_at", Kind::Time, |it| {
        of_end(it, |end| Value::Time(end.finished_at))
    }),
    optional("tags", Kind::Text, |it| of_end(it, |_| owned(tags(it)))),
    optional("sql", Kind::Text, |it| {
        it.sql
            .as_ref()
            .map_or(Value::None, |it| Value::Text(it.to_lossy()))
    }),
    optional("parameters", Kind::Json, |it| json(&it.parameters)),
    optional("copies", Kind::Json, |it| {
        json(it.finish.as_ref().map_or(&[][..], |end| &end.copies))
    }),
    optional("missing", Kind::Json, |it| json(&it.missing)),
];

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn owned(text: String) -> Value<'static> {
    Value::Text(text.into())
}

fn of_end<'a>(
    statement: &'a Statement,
    value: impl FnOnce(&'a super::super::Finish) -> Value<'a>,
) -> Value<'a> {
    statement.finish.as_ref().map_or(Value::None, value)
}

fn tags(statement: &Statement) -> String {
    statement.tags().collect::<Vec<_>>().join("; ")
}

fn json<T: Serialize>(list: &[T]) -> Value<'static> {
    match list.is_empty() {
        true => Value::None,
        false => serde_json::to_string(list).map_or(Value::None, owned),
    }
}
