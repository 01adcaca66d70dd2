use proptest::prelude::*;

use super::*;

/// The tables of each statement, with a space between.
const CASES: &[(&str, &str)] = &[
    // Queries.
    ("select 1", ""),
    ("select * from orders", "orders"),
    (
        "SELECT * FROM Public.\"Order Items\" AS i",
        "public.Order Items",
    ),
    (
        "select * from a, b x, c as y(d, e), only f where g in (h, i)",
        "a b c f",
    ),
    (
        "select * from a x join b y on x.i = y.i and x.j in (1, 2), c",
        "a b c",
    ),
    (
        "select * from a left join b using (id) natural join s.c, d",
        "a b s.c d",
    ),
    ("select a, b from c order by d, e", "c"),
    ("select * from a union select d, e from b, c", "a b c"),
    ("select from a; table b", "a b"),
    (
        "select (select 1 from a), b from c where exists (select from d)",
        "a c d",
    ),
    (
        "select * from (select * from a) x, ((b join c on true) join d on true)",
        "a b c d",
    ),
    ("select * from generate_series (1, 2) n, a", "a"),
    (
        "select * from lateral f(1), rows from (g(1), h(2)) as x, a",
        "a",
    ),
    (
        "select * from unnest($1) with ordinality as t(a, b), c",
        "c",
    ),
    ("select * from a tablesample system (1), b", "a b"),
    ("select * from (values (1, 2), (3, 4)) v(x, y), a", "a"),
    (
        "select extract(year from at), substring(x from 1 for 2), trim(both from y) from a",
        "a",
    ),
    (
        "select x is distinct from y, b is not distinct from c from a",
        "a",
    ),
    ("select case when x then y else z end from a", "a"),
    (
        "select count(*) filter (where x), sum(y) over (partition by z) from a",
        "a",
    ),
    ("select * from a for update of a, b skip locked", "a"),
    ("select * from a for no key update", "a"),
    ("select 1 into temp b from a", "b a"),
    ("select 1 into b from a, temp t", "b a temp"),
    (
        "select 'from a', $$from b$$ /* from c */ -- from d\nfrom e",
        "e",
    ),
    ("select * from shop.public.orders", "public.orders"),
    ("select * from a/**/.\"b\" , U&\"\\0063\"", "a.b c"),
    ("select * from a *, b", "a b"),
    ("select a.from, b.join from a", "a"),
    ("declare c cursor for select * from a", "a"),
    ("fetch next from c; move all from c; close c", ""),
    ("explain (analyze, buffers) select * from a", "a"),
    ("explain analyze verbose update a set b = 1", "a"),
    (
        "prepare p as delete from a using b where true; execute p",
        "a b",
    ),
    // WITH.
    (
        "with a as (select * from b) select * from a join c on true",
        "b c",
    ),
    (
        "with a (x, y) as not materialized (select 1), b as (select * from a) select * from b",
        "",
    ),
    (
        "with orders as (select * from orders) select * from orders",
        "orders",
    ),
    (
        "with orders as (select 1) select * from public.orders",
        "public.orders",
    ),
    (
        "with recursive a as (select 1 union select * from a) select * from a",
        "",
    ),
    (
        "select * from (with a as (select 1) select * from a) x, a",
        "a",
    ),
    ("with a as (select 1) select * from a; select * from a", "a"),
    (
        "with a as (update b set c = 1 returning *), d as (delete from e) insert into a table b",
        "b e a b",
    ),
    (
        "create table x with (fillfactor = 70) as select * from a",
        "x a",
    ),
    // Changes.
    (
        "insert into a (b, c) values (1, 2), (3, 4) on conflict (b) do update set c = 1, d = 2",
        "a",
    ),
    (
        "insert into a as x select b, c from d returning e, f",
        "a d",
    ),
    (
        "update only a x set b = 1, c = (select 2 from d) from e, f where true",
        "a d e f",
    ),
    (
        "delete from only (a) using b join c using (id) where d",
        "a b c",
    ),
    (
        "delete from a using b, c where true returning x, y",
        "a b c",
    ),
    (
        "merge into a using (select * from b) s on true when matched then update set x = 1, y = 2 \
         when not matched then insert (x, y) values (1, 2)",
        "a b",
    ),
    ("copy a (b, c) from stdin with (format csv)", "a"),
    ("COPY public.orders (id, note) TO stdout;", "public.orders"),
    ("copy (select * from a) to '/x'", "a"),
    ("truncate table only a, b restart identity cascade", "a b"),
    ("truncate a, b.c", "a b.c"),
    (
        "LOCK TABLE public.a, public.b IN ACCESS SHARE MODE",
        "public.a public.b",
    ),
    (
        "vacuum (full, analyze) a (b, c), d; vacuum full verbose e; analyze f (g), h; vacuum",
        "a d e f h",
    ),
    ("cluster a using b", "a"),
    // Definitions.
    (
        "create table if not exists a.b (id int references c (id) on update cascade, like d including all)",
        "a.b c d",
    ),
    (
        "create unlogged table a (foreign key (b, c) references d on delete set null, e int)",
        "a d",
    ),
    (
        "create table a partition of b for values from (minvalue) to (10)",
        "a b",
    ),
    ("create table a () inherits (b, c)", "a b c"),
    ("create temp table a as table b", "a b"),
    (
        "alter table if exists only a add column b int, drop column c, add constraint d check (e)",
        "a",
    ),
    ("alter table a attach partition b for values in (1)", "a b"),
    ("drop table if exists a, b.c cascade", "a b.c"),
    ("create or replace view a (b, c) as select * from d", "a d"),
    (
        "drop materialized view a, b; refresh materialized view concurrently c",
        "a b c",
    ),
    (
        "create unique index concurrently if not exists i on only a using btree (b, c) where d",
        "a",
    ),
    (
        "create trigger t before insert or update of b, c on a for each row execute function f()",
        "a",
    ),
    (
        "create trigger t after update on a referencing old table as o for each statement execute function f()",
        "a",
    ),
    (
        "create policy p on a for update to bob using (b = (select c from d)) with check (e)",
        "a d",
    ),
    (
        "create rule r as on update to a do also insert into b values (new.c)",
        "a b",
    ),
    (
        "drop trigger t on a; drop policy p on b; drop rule r on c; drop index i, j",
        "a b c",
    ),
    ("create statistics s on b, c from a", "a"),
    (
        "create publication p for table a, b; alter publication p add table c",
        "a b c",
    ),
    (
        "comment on table a is 'from b'; comment on trigger t on c is ''",
        "a c",
    ),
    ("reindex table concurrently a", "a"),
    ("import foreign schema s from server x into y", ""),
    // Privileges.
    ("grant select (b, c), update on a, s.d to bob, eve", "a s.d"),
    (
        "revoke grant option for select, update on table a from bob, eve",
        "a",
    ),
    (
        "grant usage on schema s, t to bob; grant all on all tables in schema s to bob",
        "",
    ),
    ("grant select on schema to bob; grant a to bob", "schema"),
    (
        "alter default privileges in schema s revoke select, references on tables from bob",
        "",
    ),
    // Programs.
    (
        "do $$ declare n int; begin select count(*) into n from a; truncate b; end $$",
        "a b",
    ),
    (
        "do 'begin if true then lock c; update d set e = ''f''; end if; perform * from g; end'",
        "c d g",
    ),
    (
        "create function f(x text default 'from a') returns table (y int) language sql as \
         $f$ select * from b, c $f$; select * from d",
        "b c d",
    ),
    (
        "create procedure p() begin atomic insert into a select * from b; delete from c; end",
        "a b c",
    ),
    ("select $$ select * from a $$", ""),
    // What drivers and tools send.
    (
        "SELECT \"orders\".\"id\" FROM \"orders\" INNER JOIN \"customers\" ON (\"orders\".\"customer_id\" = \"customers\".\"id\") WHERE \"orders\".\"id\" IN (%s, %s) LIMIT 21",
        "orders customers",
    ),
    (
        "SELECT \"public\".\"orders\".\"id\" FROM \"public\".\"orders\" WHERE 1=1 OFFSET $1",
        "public.orders",
    ),
    (
        "INSERT INTO orders (a, b) SELECT p0::INTEGER, p1::VARCHAR FROM (VALUES ($1, $2, 0), ($3, $4, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING orders.id, orders.id AS id__1",
        "orders",
    ),
    (
        "select o1_0.id,o1_0.note from orders o1_0 left join customers c1_0 on c1_0.id=o1_0.customer_id where o1_0.id=? fetch first ? rows only",
        "orders customers",
    ),
    (
        "SELECT a.attname FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid WHERE a.attrelid = '\"orders\"'::regclass AND a.attnum > 0 ORDER BY a.attnum",
        "pg_attribute pg_attrdef",
    ),
    (
        "SELECT a.attname,\n  pg_catalog.format_type(a.atttypid, a.atttypmod),\n  (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true)\n   FROM pg_catalog.pg_attrdef d\n   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),\n  a.attnotnull\nFROM pg_catalog.pg_attribute a\nWHERE a.attrelid = '16385' AND a.attnum > 0 AND NOT a.attisdropped\nORDER BY a.attnum;",
        "pg_catalog.pg_attrdef pg_catalog.pg_attribute",
    ),
    (
        "SELECT c.oid,\n  n.nspname,\n  c.relname\nFROM pg_catalog.pg_class c\n     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\nWHERE c.relname OPERATOR(pg_catalog.~) '^(orders)$' COLLATE pg_catalog.default\n  AND pg_catalog.pg_table_is_visible(c.oid)\nORDER BY 2, 3;",
        "pg_catalog.pg_class pg_catalog.pg_namespace",
    ),
    (
        "SELECT a.attrelid, a.attnum FROM unnest('{16386,16393}'::pg_catalog.oid[]) AS src(tbloid)\nJOIN pg_catalog.pg_attribute a ON (src.tbloid = a.attrelid) LEFT JOIN pg_catalog.pg_constraint co ON (a.attrelid = co.conrelid AND co.contype = 'n' AND co.conkey = array[a.attnum])\nLEFT JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) WHERE a.attnum > 0::pg_catalog.int2 ORDER BY a.attrelid, a.attnum",
        "pg_catalog.pg_attribute pg_catalog.pg_constraint pg_catalog.pg_type",
    ),
];

fn found(sql: &str) -> String {
    let names: Vec<String> = tables(sql).map(|table| table.to_string()).collect();
    names.join(" ")
}

#[test]
fn tables_are_found_where_sql_names_them() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter(|(sql, tables)| found(sql) != *tables)
        .map(|(sql, tables)| format!("{sql}\n  has {tables:?}, found {:?}", found(sql)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_within_programs_are_read_to_a_bound() {
    let nested = |depth: usize| {
        (0..depth).fold("select from a".to_owned(), |inner, level| {
            format!("do $d{level}$ {inner} $d{level}$")
        })
    };
    assert_eq!(found(&nested(3)), "a");
    assert_eq!(found(&nested(4)), "");
}

#[test]
fn long_and_deep_texts_take_no_longer_than_their_length() {
    let deep = format!("{}select from a", "(".repeat(200_000));
    assert_eq!(found(&deep), "a");
    let defined: String = (0..20_000).map(|n| format!("a{n} as (select),")).collect();
    let many = format!(
        "with {defined}b as (select) select from {}c",
        "b,".repeat(100_000)
    );
    assert_eq!(found(&many), "c");
}

proptest! {
    #[test]
    fn any_text_is_read_to_its_end(words in prop::collection::vec(
        prop::sample::select(vec![
            "select", "from", "with", "a", "as", "(", ")", ",", ";", ".", "update", "table", "do",
            "$$", "'", "\"", "on", "grant", "create", "using", "rows", "only", "into", "*", "E'\\",
        ]),
        0..40,
    )) {
        let sql = words.join(" ");
        for table in tables(&sql) {
            prop_assert!(table.name.len() <= 63);
        }
    }
}
