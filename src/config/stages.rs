//! `[[targets.NAME.stages]]`, and what else a target demands of those who ask and decide.

use toml::Spanned;

use super::check::Section;
use super::people::People;
use super::raw::{Field, List, RawStage, RawTarget, Table};
use super::values;
use crate::access::{ReasonRule, Stage, Terms};

/// Stands for those who own the target.
const OWNERS: &str = "owners";

/// What a target of these `owners` demands.
pub(super) fn terms(
    section: &mut Section<'_, '_>,
    raw: &RawTarget,
    owners: &[String],
    people: &People,
) -> Terms {
    let max_extension = section.optional("max_extension", &raw.max_extension, values::duration);
    let default = Terms::default();
    let reason = reason(section, raw);
    Terms {
        stages: stages(section, &raw.stages, owners, people),
        check_ticket: check_ticket(section, raw, reason.as_ref()),
        reason,
        max_extension: max_extension.unwrap_or(default.max_extension),
    }
}

fn reason(section: &mut Section<'_, '_>, raw: &RawTarget) -> Option<ReasonRule> {
    let hint = section.optional("reason_hint", &raw.reason_hint, values::text);
    if raw.reason_pattern.is_none() && raw.reason_hint.is_some() {
        let at = section.at("reason_hint", &raw.reason_hint);
        let message = "says what reason_pattern wants, which is not there";
        section.check.error(&at, message);
    }
    section.optional("reason_pattern", &raw.reason_pattern, |pattern: &str| {
        ReasonRule::new(pattern, hint).map_err(|error| format!("is no regular expression: {error}"))
    })
}

/// Whether the ticket is looked up, which takes one in the reason.
fn check_ticket(
    section: &mut Section<'_, '_>,
    raw: &RawTarget,
    reason: Option<&ReasonRule>,
) -> bool {
    let wanted = raw.check_ticket.as_ref().is_some_and(|it| *it.get_ref());
    // A pattern that cannot be read is a mistake of its own.
    let unread = reason.is_none() && raw.reason_pattern.is_some();
    if wanted && !unread && !reason.is_some_and(ReasonRule::names_tickets) {
        let at = section.at("check_ticket", &raw.check_ticket);
        let message = r"needs a reason_pattern that says which part is the ticket: write reason_pattern = '\b(?<ticket>INC-[0-9]+)\b'";
        section.check.error(&at, message);
    }
    wanted
}

fn stages(
    section: &mut Section<'_, '_>,
    raw: &[Spanned<Table<RawStage>>],
    owners: &[String],
    people: &People,
) -> Vec<Stage> {
    let name = format!("{}.stages", section.own().key);
    let mut stages = Vec::new();
    for raw in raw {
        let mut section = Section::new(section.check, name.clone(), raw.span());
        stages.extend(stage(&mut section, raw.get_ref(), owners, people));
    }
    stages
}

fn stage(
    section: &mut Section<'_, '_>,
    raw: &RawStage,
    owners: &[String],
    people: &People,
) -> Option<Stage> {
    let like = "[\"owners\", \"@group\", \"principal\"]";
    section.required("approvers", &raw.approvers, like, |_: &List| Ok(()))?;
    let approvers = names(section, ("approvers", &raw.approvers), owners, people)?;
    if approvers.is_empty() {
        let at = section.at("approvers", &raw.approvers);
        let written = raw.approvers.as_ref()?.get_ref();
        // What is wrong with other names is said of each.
        let message = match written.iter().any(|name| name.get_ref() == OWNERS) {
            true => "the target has no owners: nobody could approve",
            false => "is empty: nobody could approve",
        };
        if written.iter().all(|name| name.get_ref() == OWNERS) {
            section.check.error(&at, message);
        }
    }
    let count = section.optional("count", &raw.count, values::count);
    let after = section.optional(
        "escalate_after",
        &raw.escalate_after,
        values::positive_duration,
    );
    let to = names(section, ("escalate_to", &raw.escalate_to), owners, people);
    together(section, raw);
    Some(Stage {
        approvers,
        count: count.unwrap_or(1),
        escalate_after: after,
        escalate_to: to.unwrap_or_default(),
    })
}

/// When and to whom a stage escalates go together.
fn together(section: &mut Section<'_, '_>, raw: &RawStage) {
    match (&raw.escalate_after, &raw.escalate_to) {
        (Some(_), None) => {
            let at = section.at("escalate_after", &raw.escalate_after);
            section.check.error(&at, "needs escalate_to: to whom");
        }
        (None, Some(_)) => {
            let at = section.at("escalate_to", &raw.escalate_to);
            section
                .check
                .error(&at, "needs escalate_after: after how long");
        }
        _ => {}
    }
}

fn names(
    section: &mut Section<'_, '_>,
    (key, value): (&str, &Field<List>),
    owners: &[String],
    people: &People,
) -> Option<Vec<String>> {
    let known = |name: &str| match name {
        OWNERS => Ok(OWNERS.to_owned()),
        name => people.nameable(name),
    };
    let names = section.list(key, value, known)?;
    for (at, name) in names.iter().filter(|(_, name)| name != OWNERS) {
        if let Some(doubt) = people.doubt(name) {
            section.check.warn(at, doubt);
        }
    }
    let expand = |(_, name): (_, String)| match name.as_str() {
        OWNERS => owners.to_vec(),
        _ => vec![name],
    };
    Some(names.into_iter().flat_map(expand).collect())
}
