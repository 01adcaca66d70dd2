//! Keys of earlier versions, and what to write instead.

/// What to say of a key that there no longer is, in the table called `section`.
pub(super) fn advice(section: &str, key: &str) -> Option<&'static str> {
    match (section.split('.').next()?, key) {
        ("targets", "requesters") => Some(
            "policies say who may ask now: remove this line. The built-in ones let the group \
             engineers ask for everything; others go into files: see [policy]",
        ),
        ("targets", "approvers") => Some(
            "policies say who decides now: write owners = [..] with the same names. The built-in \
             policies let owners and the group leads decide; others go into files: see [policy]",
        ),
        ("audit", "auditors") => Some(
            "policies say who reads the audit now: remove this line. The built-in ones let the \
             group security do so; others go into files: see [policy]",
        ),
        _ => None,
    }
}
