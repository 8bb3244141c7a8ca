"""A small OpenID Connect issuer on 127.0.0.1 for the tests."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwk, jwt

CLIENT, SECRET = "osteonode", "s3cret-of-the-client"


@dataclass
class FakeIssuer:
    """What it says, and what it was asked; a test changes ``claims`` to let it lie."""

    address: str
    key: Any = field(default_factory=lambda: jwk.ECKey.generate_key("P-256", {"kid": "k1"}))
    signing_key: Any = None
    algorithm: str = "ES256"
    claims: dict[str, Any] = field(default_factory=dict)
    challenges: dict[str, tuple[str, str]] = field(default_factory=dict)

    def grant(self, address: str) -> tuple[str, str]:
        """Sign the visitor in who was sent here; give the state and a code."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.challenges)}"
        self.challenges[code] = (asked["code_challenge"], asked["nonce"])
        return asked["state"], code

    def token(self, form: dict[str, list[str]]) -> dict[str, Any] | None:
        """The answer to a code, if its verifier is right; a code counts once."""
        challenge, nonce = self.challenges.pop(form["code"][0], ("", ""))
        digest = hashlib.sha256(form.get("code_verifier", [""])[0].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
            return None
        now = int(time.time())
        claims = {
            "iss": self.address, "sub": "4711", "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": nonce, "preferred_username": "jane.doe", "given_name": "Jane",
            "family_name": "Doe", "roles": ["radiology"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.signing_key or self.key
        signed = jwt.encode({"alg": self.algorithm, "kid": "k1"}, claims, key)
        return {"access_token": "a", "token_type": "Bearer", "id_token": signed}


@contextmanager
def running_issuer() -> Iterator[FakeIssuer]:
    """An issuer that answers while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/jwks":
                self._answer({"keys": [issuer.key.as_dict(private=False)]})
            else:
                self._answer(
                    {
                        "issuer": issuer.address,
                        "authorization_endpoint": f"{issuer.address}/authorize",
                        "token_endpoint": f"{issuer.address}/token",
                        "jwks_uri": f"{issuer.address}/jwks",
                    }
                )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            login = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            assert self.headers["authorization"] == f"Basic {login}"
            answer = issuer.token(parse_qs(body))
            if answer is None:
                self._answer({"error": "invalid_grant"}, 400)
            else:
                self._answer(answer)

        def _answer(self, content: dict[str, Any], status: int = 200) -> None:
            raw = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = FakeIssuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
