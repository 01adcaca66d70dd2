-- A small shop: customers, their orders, and refunds, some of which are stuck.
create database orders;
\connect orders
select setseed(0.4312);

create table customers (
    id integer primary key,
    name text not null,
    city text not null,
    since date not null
);
insert into customers
select n,
    (array['Ada', 'Ben', 'Chidi', 'Dina', 'Emeka', 'Farah', 'Goran', 'Hana', 'Ivo', 'Jun'])[1 + n % 10]
    || ' ' ||
    (array['Abbott', 'Brandt', 'Costa', 'Dahl', 'Eriksen', 'Fofana', 'Greco'])[1 + n % 7],
    (array['Berlin', 'Lagos', 'Lisbon', 'Osaka', 'Toronto', 'Utrecht'])[1 + (random() * 5)::integer],
    date '2024-01-01' + (random() * 700)::integer
from generate_series(1, 200) n;

create table orders (
    id integer primary key,
    customer integer not null references customers,
    placed timestamptz not null,
    total numeric(9, 2) not null
);
insert into orders
select n, 1 + (random() * 199)::integer,
    timestamptz '2026-01-01 08:00+00' + n * interval '73 minutes',
    (5 + random() * 400)::numeric(9, 2)
from generate_series(1, 5000) n;

create table refunds (
    id integer primary key,
    customer integer not null references customers,
    placed_order integer not null references orders,
    amount numeric(9, 2) not null,
    state text not null check (state in ('paid', 'pending', 'stuck'))
);
insert into refunds
select row_number() over (order by id), customer, id, (total * 0.5)::numeric(9, 2),
    case when id % 697 = 0 then 'stuck' when id % 5 = 0 then 'pending' else 'paid' end
from orders where id % 17 = 0 or id % 697 = 0;

create role orders_ro login password :'ro_password';
grant select on all tables in schema public to orders_ro;
create role orders_admin login password :'admin_password';
grant all on all tables in schema public to orders_admin;
analyze;
