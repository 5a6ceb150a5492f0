"""Passwords of the service's own logins: derived, never stored."""

import base64
import hashlib
import hmac
import secrets

# CREATE ROLE computes a verifier's iterations once to refuse the empty password, 7 ms a role
# at the usual 4,096; against 256 random bits, iterations protect nothing.
ITERATIONS = 1


def derive(master_secret: str, role: str, version: int = 1) -> str:
    """The password of a role: HMAC-SHA256 of its name and version, 43 URL-safe characters."""
    message = f"{role}:{version}".encode()
    digest = hmac.new(master_secret.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def context_key(master_secret: str) -> bytes:
    """The key that contexts of end users are signed with, at most 64 bytes."""
    return derive(master_secret, "pgtwin.ctx").encode()


def scram_verifier(password: str, *, iterations: int = ITERATIONS) -> str:
    """What PostgreSQL stores for an ASCII password, so that no clear text reaches its log.

    Source: RFC 5803 and RFC 7677, in the form of PostgreSQL's `pg_authid.rolpassword`.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server_key = hmac.new(salted, b"Server Key", hashlib.sha256).digest()

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    stored_key = encoded(hashlib.sha256(client_key).digest())
    return f"SCRAM-SHA-256${iterations}:{encoded(salt)}${stored_key}:{encoded(server_key)}"
