"""Many connections that do nothing, through libpq itself."""

import ctypes
import ctypes.util
import sys


def library():
    libpq = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    libpq.PQconnectdbParams.restype = ctypes.c_void_p
    libpq.PQexec.restype = ctypes.c_void_p
    libpq.PQerrorMessage.restype = ctypes.c_char_p
    for function in (libpq.PQstatus, libpq.PQfinish, libpq.PQclear, libpq.PQexec,
                     libpq.PQresultStatus, libpq.PQerrorMessage):
        function.argtypes = [ctypes.c_void_p] + [ctypes.c_char_p] * (function is libpq.PQexec)
    return libpq


KEYWORDS = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password",
            "PGDATABASE": "dbname", "PGSSLMODE": "sslmode"}
TUPLES_OK = 2


class Idlers:
    """Connections that have run one query; they stay until they are closed."""

    def __init__(self, environment, count):
        self.libpq = library()
        self.open = []
        named = [(KEYWORDS[key], value) for key, value in environment.items()]
        keys = (ctypes.c_char_p * (len(named) + 1))(*(key.encode() for key, _ in named), None)
        values = (ctypes.c_char_p * (len(named) + 1))(*(it.encode() for _, it in named), None)
        for _ in range(count):
            connection = self.libpq.PQconnectdbParams(keys, values, 0)
            self.open.append(connection)
            result = self.libpq.PQexec(connection, b"SELECT 1")
            if self.libpq.PQresultStatus(result) != TUPLES_OK:
                sys.exit(self.libpq.PQerrorMessage(connection).decode())
            self.libpq.PQclear(result)

    def close(self):
        for connection in self.open:
            self.libpq.PQfinish(connection)
        self.open.clear()
