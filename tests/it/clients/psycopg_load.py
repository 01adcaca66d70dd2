"""Statements of every kind by psycopg, one after the other, until the connection breaks."""

import itertools

import psycopg

with psycopg.connect() as connection:
    connection.autocommit = True
    for number in itertools.count():
        rows = connection.execute("select %s::int + 1, %s::text", (number, "é" * (number % 50)))
        assert rows.fetchone()[0] == number + 1
        binary = connection.execute("select %b::int8", (number,), prepare=True)
        assert binary.fetchone()[0] == number
        with connection.pipeline():
            for offset in range(10):
                connection.execute("insert into noted values (%s)", (number + offset,))
        with connection.transaction(force_rollback=True):
            connection.execute("update orders set note = %s where id = %s", ("x" * 100, number))
        try:
            connection.execute("select 1 / %s", (0,))
        except psycopg.errors.DivisionByZero:
            pass
        with connection.cursor().copy("copy noted from stdin") as copy:
            copy.write_row((number,))
        if number % 20 == 0:
            connection.execute("select length(%s)", ("y" * 200_000,))
