"""A mail server that takes mail from one user only: smtp.py MODE PORT CERTIFICATE KEY FOLDER.

MODE is starttls, implicit or plain. Each mail becomes a line of JSON in FOLDER/mails."""

import email
import email.policy
import json
import pathlib
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Keeper:
    """Takes mail, but for nobody called refused."""

    def __init__(self, folder):
        self.mails = pathlib.Path(folder) / "mails"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user \x1b[2Jhere"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,)).get_content()
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "encrypted": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "login": bool(session.authenticated),
            "headers": dict(mail.items()),
            "text": part("plain"),
            "html": part("html"),
        }
        with self.mails.open("a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"hallpass" and data.password == b"smtp-s3cret"
    return AuthResult(success=good)


def main():
    mode, port, certificate, key, folder = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    ways = {
        "starttls": {"tls_context": context, "require_starttls": True},
        # What knows of STARTTLS only takes no login otherwise.
        "implicit": {"ssl_context": context, "auth_require_tls": False},
        "plain": {"auth_require_tls": False},
    }
    login = {"authenticator": authenticate, "auth_required": True}
    server = Controller(Keeper(folder), hostname="127.0.0.1", port=int(port), **ways[mode], **login)
    server.start()
    while True:
        time.sleep(60)


main()
