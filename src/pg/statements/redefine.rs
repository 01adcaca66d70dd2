//! SQL that changes what the names of prepared statements and portals stand for.

/// Commands that may: directly, or by running other SQL.
const WORDS: [&[u8]; 7] = [
    b"prepare",
    b"deallocate",
    b"discard",
    b"declare",
    b"close",
    b"do",
    b"call",
];

/// Whether `sql` may change what names stand for: it has one of the words, anywhere. What a stored
/// function runs inside cannot be seen from here.
pub(super) fn redefines(sql: &[u8]) -> bool {
    sql.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter(|word| matches!(word.first(), Some(b'p' | b'P' | b'd' | b'D' | b'c' | b'C')))
        .any(|word| WORDS.iter().any(|it| it.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_of_the_list_count() {
        for sql in [
            "DEALLOCATE a",
            "/**/prepare x as select",
            "begin;do $$x$$",
            "cLoSe c",
        ] {
            assert!(redefines(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "select closed from docs",
            "update do_it set prepared = 1",
            "",
        ] {
            assert!(!redefines(sql.as_bytes()), "{sql}");
        }
    }
}
