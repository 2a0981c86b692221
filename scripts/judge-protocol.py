#!/usr/bin/env python3
"""A foreign judge of the protocol: verifies docs/protocol/vectors.json with nothing of Muster's own code.

Written from docs/PROTOCOL.md. Needs `cbor2` and `cryptography`; ends with 77 where they are missing.
"""

import base64
import hashlib
import json
import sys

try:
    import cbor2
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives import hmac
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
except ImportError as missing:
    print(f"{missing.name} is missing; install it with: pip install cbor2 cryptography")
    sys.exit(77)

CONTEXT = b"muster/v1"


def b64(text):
    return base64.b64decode(text, validate=True)


def b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check(public, signature, message):
    assert len(signature) == 64
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def header_of(protected, content_type, key_id):
    header = cbor2.loads(protected)
    assert header == {1: -7, 3: content_type, 4: key_id}, header


def hpke_open(private, point, encapsulated, info, data, ciphertext):
    """RFC 9180, base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; written from the standard."""
    def labeled_extract(suite, salt, label, key):
        mac = hmac.HMAC(salt, hashes.SHA256())
        mac.update(b"HPKE-v1" + suite + label + key)
        return mac.finalize()

    def labeled_expand(suite, key, label, about, length):
        about = length.to_bytes(2) + b"HPKE-v1" + suite + label + about
        return HKDFExpand(hashes.SHA256(), length, about).derive(key)

    kem, suite = b"KEM" + (0x10).to_bytes(2), b"HPKE" + (0x10).to_bytes(2) + (1).to_bytes(2) + (2).to_bytes(2)
    sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encapsulated)
    extracted = labeled_extract(kem, bytes(32), b"eae_prk", private.exchange(ec.ECDH(), sender))
    shared = labeled_expand(kem, extracted, b"shared_secret", encapsulated + point, 32)
    context = b"\0" + labeled_extract(suite, bytes(32), b"psk_id_hash", b"")
    context += labeled_extract(suite, bytes(32), b"info_hash", info)
    secret = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", context, 32)
    nonce = labeled_expand(suite, secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, data)


def main(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    keys = {}
    for name, key in vectors["keys"].items():
        spki = b64(key["public"])
        assert hashlib.sha256(spki).hexdigest() == key["id"], name
        keys[name] = (serialization.load_der_public_key(spki), bytes.fromhex(key["id"]))
        private = serialization.load_der_private_key(b64(key["private"]), None)
        der = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert der == spki, name
    done = 0

    for vector in vectors["sign1"]:
        envelope = cbor2.loads(b64(vector["envelope"]))
        assert envelope.tag == 18
        protected, unprotected, payload, signature = envelope.value
        public, key_id = keys[vector["signers"][0]]
        header_of(protected, vector["content_type"], key_id)
        assert unprotected == {} and payload == b64(vector["payload"])
        check(public, signature, cbor2.dumps(["Signature1", protected, CONTEXT, payload]))
        done += 1

    for vector in vectors["sign"]:
        envelope = cbor2.loads(b64(vector["envelope"]))
        assert envelope.tag == 98
        body, unprotected, payload, signatures = envelope.value
        assert body == b"" and unprotected == {} and payload == b64(vector["payload"])
        assert len(signatures) == len(vector["signers"])
        for name, (protected, extra, signature) in zip(vector["signers"], signatures):
            public, key_id = keys[name]
            header_of(protected, vector["content_type"], key_id)
            assert extra == {}
            check(public, signature, cbor2.dumps(["Signature", body, protected, CONTEXT, payload]))
            done += 1

    head = bytes(32)
    batch = json.loads(vectors["batch"])
    assert len(batch["messages"]) == len(vectors["chain"]) and batch["first"] == 1
    for link in vectors["chain"]:
        head = hashlib.sha256(head + hashlib.sha256(link["message"].encode()).digest()).digest()
        assert head.hex() == link["head"]
        assert link["message"] in vectors["batch"]
        done += 1

    token = vectors["token"]
    assert token["text"].startswith("muster1.")
    assert json.loads(b64url(token["text"][len("muster1."):])) == token["json"]
    assert bytes.fromhex(token["json"]["root"]) == keys["root"][1]

    sign_in = vectors["sign_in"]
    message = b"muster/v1/sign-in\0" + vectors["site"].encode() + b"\0" + b64url(sign_in["challenge"])
    assert message.hex() == sign_in["message"]
    check(keys["admin"][0], b64url(sign_in["signature"]), message)

    section = vectors["section"]
    lines = sorted(
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() for row in section["rows"])
    assert b"\n".join(lines) == section["bytes"].encode()
    assert hashlib.sha256(b"\n".join(lines)).hexdigest() == section["digest"]

    sealed = vectors["sealed"]
    secret, binding = sealed["secret"], sealed["secret"]["binding"]
    scalar, point = b64(sealed["key"])[:32], b64(sealed["key"])[32:]
    private = ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert spki[-65:] == point and hashlib.sha256(spki).hexdigest() == secret["key"]
    data = "\n".join(str(binding[name]) for name in ("site", "device", "application", "name", "version")).encode()
    opened = hpke_open(
        private, point, b64(secret["encapsulated"]), b"muster sealed secret 1", data, b64(secret["ciphertext"]))
    assert opened.decode() == sealed["value"]

    certificates = {name: x509.load_der_x509_certificate(b64(der)) for name, der in vectors["certificates"].items()}
    certificates["issuing"].verify_directly_issued_by(certificates["root"])
    certificates["client"].verify_directly_issued_by(certificates["issuing"])
    names = certificates["client"].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert len(uris) == 1 and uris[0].startswith(f"urn:muster:{vectors['site']}:device:"), uris
    request = x509.load_der_x509_csr(b64(vectors["signing_request"]))
    assert request.is_signature_valid and request.public_key() == keys["device"][0]
    print(f"{done} signatures and chain links, the token, the sign-in, the digest, the sealed secret and the certificates hold")


if __name__ == "__main__":
    main(sys.argv[1])
