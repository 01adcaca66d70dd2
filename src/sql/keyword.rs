//! PostgreSQL's keywords.

/// Keywords that cannot name a table without quotes: "reserved" in appendix C of the manual, those
/// that may name functions or types among them. In order.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "binary", "both", "case", "cast", "check", "collate", "collation", "column", "concurrently",
    "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "default", "deferrable",
    "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for", "foreign", "freeze",
    "from", "full", "grant", "group", "having", "ilike", "in", "initially", "inner", "intersect",
    "into", "is", "isnull", "join", "lateral", "leading", "left", "like", "limit", "localtime",
    "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order",
    "outer", "overlaps", "placing", "primary", "references", "returning", "right", "select",
    "session_user", "similar", "some", "symmetric", "system_user", "table", "tablesample", "then",
    "to", "trailing", "true", "union", "unique", "user", "using", "variadic", "verbose", "when",
    "where", "window", "with",
];

/// The others, but for those that mostly name columns (`name`, `value`, `data`). In order.
#[rustfmt::skip]
const OTHERS: &[&str] = &[
    "abort", "add", "after", "aggregate", "alter", "always", "atomic", "attach", "before", "begin",
    "between", "bigint", "bit", "boolean", "by", "cache", "call", "called", "cascade", "chain",
    "char", "character", "checkpoint", "close", "cluster", "coalesce", "columns", "comment",
    "comments", "commit", "committed", "conditional", "constraints", "continue", "copy", "cost",
    "cube", "current", "cursor", "cycle", "database", "deallocate", "dec", "decimal", "declare",
    "defaults", "deferred", "delete", "detach", "disable", "discard", "domain", "drop", "each",
    "enable", "enforced", "escape", "event", "exclude", "excluding", "exclusive", "execute",
    "exists", "explain", "extension", "extract", "filter", "finalize", "first", "float",
    "following", "force", "forward", "function", "functions", "generated", "global", "granted",
    "greatest", "grouping", "groups", "handler", "hold", "identity", "if", "immediate", "immutable",
    "import", "include", "including", "increment", "index", "indexes", "inherit", "inherits",
    "inout", "insert", "instead", "int", "integer", "interval", "invoker", "isolation",
    "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg", "json_query",
    "json_scalar", "json_serialize", "json_table", "json_value", "key", "language", "last",
    "leakproof", "least", "listen", "load", "local", "lock", "locked", "logged", "match", "matched",
    "materialized", "maxvalue", "merge", "merge_action", "minvalue", "mode", "move", "national",
    "nchar", "next", "no", "none", "normalize", "nothing", "notify", "nowait", "nullif", "nulls",
    "numeric", "of", "off", "old", "operator", "option", "ordinality", "others", "out", "over",
    "overlay", "overriding", "owned", "owner", "parallel", "partition", "partitions", "policy",
    "preceding", "precision", "prepare", "prepared", "preserve", "prior", "privileges", "procedure",
    "procedures", "program", "publication", "range", "real", "recursive", "refresh", "reindex",
    "rename", "repeatable", "replace", "replica", "reset", "restart", "restrict", "return",
    "returns", "revoke", "role", "rollback", "rollup", "routine", "routines", "row", "rows", "rule",
    "savepoint", "schema", "schemas", "scroll", "search", "security", "sequence", "sequences",
    "serializable", "server", "session", "set", "setof", "sets", "share", "show", "skip",
    "smallint", "snapshot", "stable", "start", "statement", "statistics", "stdin", "stdout",
    "storage", "stored", "strict", "subscription", "substring", "system", "tables", "tablespace",
    "temp", "temporary", "ties", "time", "timestamp", "transaction", "transform", "treat",
    "trigger", "trim", "truncate", "type", "types", "unbounded", "uncommitted", "unconditional",
    "unlisten", "unlogged", "until", "update", "vacuum", "validate", "values", "varchar", "varying",
    "view", "views", "volatile", "within", "without", "work", "xmlattributes", "xmlconcat",
    "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot",
    "xmlserialize", "xmltable", "zone",
];

/// Longer than every keyword.
const LONGEST: usize = 24;

/// Whether `word`, in any case, is read as a keyword by people. Many keywords of PostgreSQL may also
/// name things; those that mostly do are left out.
pub fn is_keyword(word: &str) -> bool {
    is_in(RESERVED, word) || is_in(OTHERS, word)
}

/// Whether `word`, in any case, needs quotes to name a table.
pub(super) fn is_reserved(word: &str) -> bool {
    is_in(RESERVED, word)
}

fn is_in(words: &[&str], word: &str) -> bool {
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..word.len()) else {
        return false;
    };
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    words
        .binary_search_by(|known| known.as_bytes().cmp(lower))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order_and_fit() {
        for words in [RESERVED, OTHERS] {
            assert!(words.windows(2).all(|two| two[0] < two[1]));
            assert!(words.iter().all(|word| word.len() <= LONGEST));
        }
    }

    #[test]
    fn keywords_are_known_in_any_case_and_names_are_not() {
        for word in [
            "SELECT",
            "from",
            "Returning",
            "varchar",
            "materialized",
            "system_user",
        ] {
            assert!(is_keyword(word), "{word}");
        }
        for word in [
            "orders",
            "name",
            "value",
            "selects",
            "",
            "sélect",
            &"x".repeat(100),
        ] {
            assert!(!is_keyword(word), "{word}");
        }
        assert!(is_reserved("Select") && is_reserved("left") && !is_reserved("stdin"));
    }
}
