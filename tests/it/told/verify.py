"""Verifies a webhook with the specification's own library: verify.py SECRET, the call on standard input."""

import json
import sys

from standardwebhooks.webhooks import Webhook

call = json.load(sys.stdin)
print(json.dumps(Webhook(sys.argv[1]).verify(call["body"], call["headers"])))
