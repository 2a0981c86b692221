#!/usr/bin/env python3
"""A foreign judge of an export of the audit log: verifies a directory with nothing of Muster's own code, and without the site.

judge-audit.py DIRECTORY [KEY_ID...]: with key ids, every head must be signed by one of these keys. Prints what is wrong and ends with 1,
or how far the export goes. Written from docs/PROTOCOL.md. Needs `cbor2` and `cryptography`; ends with 77 where they are missing.
"""

import base64
import hashlib
import json
import pathlib
import sys

try:
    import cbor2
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils
except ImportError as missing:
    print(f"{missing.name} is missing; install it with: pip install cbor2 cryptography")
    sys.exit(77)

CONTEXT = b"muster/v1"
TYPE = "application/vnd.muster.audit-head+json"


class Wrong(Exception):
    """What is wrong with the export."""


def sha256(data):
    return hashlib.sha256(data).digest()


def chain(head, line):
    return sha256(head + sha256(line))


def signed(file, believed):
    """What a head says, after its signature."""
    outer = json.loads(file.read_bytes())
    spki = base64.b64decode(outer["key"], validate=True)
    key_id = sha256(spki)
    if believed and key_id.hex() not in believed:
        raise Wrong(f"{file.name} is signed by {key_id.hex()}, which is not believed")
    message = cbor2.loads(base64.b64decode(outer["signed"], validate=True))
    if message.tag != 18:
        raise Wrong(f"{file.name} is no COSE_Sign1")
    protected, unprotected, payload, signature = message.value
    if cbor2.loads(protected) != {1: -7, 3: TYPE, 4: key_id} or unprotected or len(signature) != 64:
        raise Wrong(f"{file.name} has another header")
    to_sign = cbor2.dumps(["Signature1", protected, CONTEXT, payload])
    numbers = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    try:
        serialization.load_der_public_key(spki).verify(numbers, to_sign, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Wrong(f"{file.name} has a wrong signature") from None
    about = json.loads(payload)
    if about != outer["about"]:
        raise Wrong(f"{file.name} shows something else than what is signed")
    return about


def judge(directory, believed):
    last, head, time, files = 0, bytes(32), 0, 0
    for file in sorted(directory.glob("audit-*.head")):
        about = signed(file, believed)
        if file.stem != f"audit-{about['first']:020}-{about['last']:020}-{about['head']}":
            raise Wrong(f"{file.name} has the name of another file")
        if about["first"] != last + 1 or bytes.fromhex(about["previous"]) != head:
            raise Wrong(f"{file.name} does not follow entry {last}, which was there at {time}")
        data = file.with_suffix(".jsonl").read_bytes()
        if sha256(data).hex() != about["digest"]:
            raise Wrong(f"{file.stem}.jsonl was altered after {about['time']}")
        for line in data.splitlines():
            last, head = last + 1, chain(head, line)
            if json.loads(line)[0] != last:
                raise Wrong(f"{file.stem}.jsonl has another entry in the place of {last}")
        if last != about["last"] or head.hex() != about["head"]:
            raise Wrong(f"{file.stem}.jsonl does not come to the head that was signed")
        time, files = about["time"], files + 1
    return f"{files} files, {last} entries, head {head.hex()}, signed at {time}"


def main():
    try:
        print(judge(pathlib.Path(sys.argv[1]), set(sys.argv[2:])))
    except (Wrong, OSError, ValueError, KeyError) as wrong:
        print(f"WRONG: {wrong}")
        sys.exit(1)


main()
