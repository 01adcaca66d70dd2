-- The database that docker-compose.yml shows: customers, orders, refunds, and the two roles that
-- hallpass logs in with. PostgreSQL's image runs this once, in an empty volume.

\getenv orders_ro ORDERS_RO_PASSWORD
\getenv orders_admin ORDERS_ADMIN_PASSWORD

create role orders_ro login password :'orders_ro';
create role orders_admin login password :'orders_admin';
revoke all on schema public from public;
grant usage, create on schema public to orders_admin;
grant usage on schema public to orders_ro;
alter role orders_ro set default_transaction_read_only = on;

set role orders_admin;
alter default privileges in schema public grant select on tables to orders_ro;

create table customers (
    id bigint generated always as identity primary key,
    name text not null,
    email text not null unique,
    country char(2) not null,
    created_at timestamptz not null
);

create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    status text not null check (status in ('open', 'paid', 'shipped', 'returned')),
    total numeric(10, 2) not null check (total > 0),
    ordered_at timestamptz not null
);
create index on orders (customer_id);

create table refunds (
    id bigint generated always as identity primary key,
    order_id bigint not null references orders,
    amount numeric(10, 2) not null check (amount > 0),
    state text not null check (state in ('requested', 'stuck', 'paid')),
    reason text not null,
    requested_at timestamptz not null
);
create index on refunds (state);

insert into customers (name, email, country, created_at)
select first || ' ' || last, lower(first || '.' || last) || n || '@example.com',
       (array['DE', 'FR', 'GB', 'NL', 'SE', 'US'])[1 + n % 6], now() - n * interval '17 hours'
from generate_series(1, 500) as n,
     lateral (select (array['Ada', 'Ben', 'Chloe', 'Dev', 'Elif', 'Femke', 'Gus'])[1 + n % 7] as first,
                     (array['Ahmed', 'Berg', 'Costa', 'Diaz', 'Evans'])[1 + n % 5] as last) as names;

insert into orders (customer_id, status, total, ordered_at)
select 1 + n * 7919 % 500, (array['paid', 'shipped', 'shipped', 'shipped', 'open', 'returned'])[1 + n % 6],
       5 + n * 37 % 400 + 0.99, now() - n * interval '11 minutes'
from generate_series(1, 5000) as n;

insert into refunds (order_id, amount, state, reason, requested_at)
select id, total, (array['paid', 'paid', 'paid', 'requested', 'stuck'])[1 + id % 5],
       (array['too small', 'arrived late', 'broken', 'changed their mind'])[1 + id % 4], ordered_at + interval '2 days'
from orders
where status = 'returned' and ordered_at < now() - interval '2 days';

reset role;
analyze;
