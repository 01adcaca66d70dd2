#!/usr/bin/env python3
"""Verifies an audit's chain, signatures and segments, independently of hallpass.

verify.py FOLDER KEY...    KEY: a public key in base64, as `hallpass audit key -o json` prints it
Needs zstdcat (for sealed segments) and openssl. Exit code 1, and why, if the log is not sound.
"""
import base64, hashlib, json, os, subprocess, sys, tempfile

SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before an Ed25519 key


def fail(seq, what):
    sys.exit(f"NOT sound: record {seq}: {what}")


def lines(path):
    if not path.endswith(".zst"):
        return open(path, "rb").read().split(b"\n")[:-1]  # behind the last line end: being written
    found = subprocess.run(["zstdcat", path], capture_output=True)
    is_whole = found.returncode == 0 and found.stdout.endswith(b"\n")
    return found.stdout.split(b"\n")[:-1] if is_whole else None


def is_signed(record):
    said = f"hallpass audit checkpoint 1\n{record['seq']}\n{record['prev']}\n{record['at']}\n"
    with tempfile.TemporaryDirectory() as folder:
        key, signature, message = (os.path.join(folder, name) for name in "ksm")
        open(key, "wb").write(SPKI + base64.b64decode(record["key"]))
        open(signature, "wb").write(base64.b64decode(record["signature"]))
        command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"]
        open(message, "w").write(said)
        command += ["-inkey", key, "-sigfile", signature, "-in", message]
        return subprocess.run(command, capture_output=True).returncode == 0


def verify(folder, keys):
    files = sorted(f for f in os.listdir(folder) if f[:20].isdigit() and f[20:] in (".jsonl", ".jsonl.zst"))
    seq, prev, before, gaps, signed, said = 0, "0" * 64, None, [], 0, []
    for name in files:
        if name.endswith(".zst") and name[:-4] in files:
            continue  # its sealing has not ended: the raw one counts
        first, records = int(name[:20]), lines(os.path.join(folder, name))
        if records is None:
            fail(seq + 1, f"{name} is damaged")
        said = []  # unsigned at a segment's end: perhaps not hallpass's
        for place, line in enumerate(records):
            try:
                record = json.loads(line)
                at_place = (record["v"], record["seq"], record["prev"])
            except (ValueError, KeyError, TypeError):
                fail(seq + 1, f"{name}, line {place + 1}, is not a record")
            if place == 0 and first > seq + 1:  # deleted? a later record must say so
                gaps.append([seq + 1, first - 1, record["prev"], None])
                seq, prev = first - 1, record["prev"]
            if at_place != (1, seq + 1, prev) or (place == 0 and first != seq + 1):
                fail(seq + 1, f"{name}, line {place + 1}: it, or the record before, was changed")
            seq, prev = seq + 1, hashlib.sha256(line).hexdigest()
            if (record["type"] == "segment_opened") != (place == 0):
                fail(seq, "a segment begins elsewhere than its file")
            if place == 0 and before != record.get("previous") and not gaps:
                fail(seq, "the segment before is another")
            for gap in record["gaps"] if record["type"] == "segments_deleted" else []:
                for met in gaps:
                    last, hash = gap["last"]["seq"], gap["last"]["hash"]
                    if gap["first"] <= met[0] and met[1] <= last and (last, hash) >= (met[1], met[2]):
                        said.append((met, seq))
            if record["type"] == "checkpoint":
                if record["key"] not in keys or not is_signed(record):
                    fail(seq, "the checkpoint is signed by somebody else")
                for met, by in said:  # signed by the run that said it: hallpass's own word
                    met[3] = by
                signed = seq
        before = first if records else before
    for first, last, _, declared in gaps:
        if not declared:
            fail(first, f"missing, up to {last}")
    if not signed:
        fail(seq, "nothing is signed")
    print(f"sound, and signed up to {signed}: {seq}:{prev}")


verify(sys.argv[1], sys.argv[2:])
