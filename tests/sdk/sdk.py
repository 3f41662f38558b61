"""Signs and verifies webhooks by the providers' own libraries, or by an implementation that is none of ours.

    sdk.py sign SEED COUNT   requests signed by every library, one JSON object a line
    sdk.py verify            reads such lines, answers `true` for each, or `false` and why
"""

import base64
import hashlib
import json
import random
import sys
import time
from datetime import datetime, timezone

import Adyen.util
import convoy.utils.webhook
import gidgethub.sansio
import gocardless_pro.webhooks
import jwt
import modern_treasury
import paypalrestsdk.notifications
import standardwebhooks
import stripe
import svix.webhooks
import truelayer_signing
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PATH = "/webhooks/truelayer"
JKU = "https://webhooks.truelayer.com/.well-known/jwks"
WEBHOOK_ID = "WH-7Y1"


def private_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def rfc3339():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Shared:
    """A key that both sides hold."""

    params = {}
    fields = ()

    def __init__(self, rng):
        self.private = self.public = self.secret(rng)

    def secret(self, rng):
        return "".join(rng.choices("abcXYZ0189_-+/= é", k=rng.randint(1, 80))).strip() or "k"

    def body(self, rng):
        return text(rng)

    def signed_body(self, body):
        """The body as it is sent, where that is not the one that was given."""
        return body


class Pair(Shared):
    """A private key here, a public one there."""

    def __init__(self, rng):
        self.key = self.generate()
        self.private, self.public = private_pem(self.key), public_pem(self.key)


class Stripe(Shared):
    scheme = "stripe"

    def sign(self, rng, body):
        header = stripe.WebhookSignature.generate_signature_header(body, self.private)
        return {"Stripe-Signature": header}

    @staticmethod
    def verify(case, headers, body):
        stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], case["public"], 300)


class Standard(Shared):
    scheme = "standard-webhooks"
    prefix = "webhook"
    fields = ("webhook-id",)
    library = standardwebhooks.Webhook

    def secret(self, rng):
        return "whsec_" + base64.b64encode(rng.randbytes(rng.randint(24, 64))).decode()

    def sign(self, rng, body):
        now, name = datetime.now(timezone.utc), f"msg_{rng.randint(0, 1 << 60):x}"
        signature = self.library(self.private).sign(msg_id=name, timestamp=now, data=body)
        stamp = str(int(now.timestamp()))
        return {f"{self.prefix}-id": name, f"{self.prefix}-timestamp": stamp, f"{self.prefix}-signature": signature}

    @classmethod
    def verify(cls, case, headers, body):
        cls.library(case["public"]).verify(body, headers, json_parse=False)


class Svix(Standard):
    scheme = "svix"
    prefix = "svix"
    fields = ("svix-id",)
    library = svix.webhooks.Webhook

    def body(self, rng):
        return json.dumps({"text": text(rng)}, ensure_ascii=False)

    @classmethod
    def verify(cls, case, headers, body):
        cls.library(case["public"]).verify(body, headers)


class StandardPair(Standard):
    """No library of Standard Webhooks signs with ed25519 in Python; this one only does the signature."""

    def __init__(self, rng):
        key = ed25519.Ed25519PrivateKey.generate()
        seed, point = key.private_bytes_raw(), key.public_key().public_bytes_raw()
        self.key = key
        self.private = "whsk_" + base64.b64encode(seed + point).decode()
        self.public = "whpk_" + base64.b64encode(point).decode()

    def sign(self, rng, body):
        name, stamp = f"msg_{rng.randint(0, 1 << 60):x}", str(int(time.time()))
        signature = self.key.sign(f"{name}.{stamp}.{body}".encode())
        value = "v1a," + base64.b64encode(signature).decode()
        return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": value}

    @staticmethod
    def verify(case, headers, body):
        point = base64.b64decode(case["public"].removeprefix("whpk_"))
        version, encoded = headers["webhook-signature"].split(",")
        assert version == "v1a"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        ed25519.Ed25519PublicKey.from_public_bytes(point).verify(base64.b64decode(encoded), signed)


class Github(Shared):
    """The library only verifies."""

    scheme = "github"
    sign = None

    @staticmethod
    def verify(case, headers, body):
        signature = headers["x-hub-signature-256"]
        gidgethub.sansio.validate_event(body.encode(), signature=signature, secret=case["public"])


class Gocardless(Shared):
    """The library only verifies."""

    scheme = "gocardless"
    sign = None

    def body(self, rng):
        events = [{"id": f"EV{n}", "note": text(rng)} for n in range(rng.randint(0, 5))]
        return json.dumps({"events": events}, ensure_ascii=False)

    @staticmethod
    def verify(case, headers, body):
        gocardless_pro.webhooks.parse(body, case["public"], headers["webhook-signature"])


class ModernTreasury(Shared):
    scheme = "modern-treasury"
    client = modern_treasury.ModernTreasury(api_key="none", organization_id="none")

    def sign(self, rng, body):
        return {"X-Signature": self.client.webhooks.get_signature(body, key=self.private)}

    @classmethod
    def verify(cls, case, headers, body):
        given = {"X-Signature": headers["x-signature"]}
        assert cls.client.webhooks.validate_signature(body, given, key=case["public"])


class Convoy(Shared):
    scheme = "convoy"

    def __init__(self, rng):
        super().__init__(rng)
        self.params = {"hash": rng.choice(["SHA256", "SHA512"]), "encoding": rng.choice(["hex", "base64"])}

    @staticmethod
    def library(key, params):
        return convoy.utils.webhook.Webhook(key, encoding=params["encoding"], hash=params["hash"])

    def sign(self, rng, body):
        return {"X-Convoy-Signature": self.library(self.private, self.params).create_signature(body)}

    @classmethod
    def verify(cls, case, headers, body):
        # the library answers with a text where a signature is wrong
        library = cls.library(case["public"], case["params"])
        assert library.verify_signature(body, headers["x-convoy-signature"]) in (True, None)


class Plaid(Pair):
    """Plaid's documents verify with a library for tokens; so does this."""

    scheme, header = "plaid", "Plaid-Verification"
    claims = {}

    @staticmethod
    def generate():
        return ec.generate_private_key(ec.SECP256R1())

    def sign(self, rng, body):
        digest = hashlib.sha256(body.encode()).hexdigest()
        claims = {"iat": int(time.time()), "request_body_sha256": digest, **self.claims}
        token = jwt.encode(claims, self.private, algorithm="ES256", headers={"kid": f"k{rng.randint(0, 9)}"})
        return {self.header: token}

    @classmethod
    def verify(cls, case, headers, body):
        token = headers[cls.header.lower()]
        claims = jwt.decode(token, case["public"], algorithms=["ES256"])
        assert claims["iat"] > time.time() - 300
        assert claims["request_body_sha256"] == hashlib.sha256(body.encode()).hexdigest()


class Moneykit(Plaid):
    scheme, header = "moneykit", "MoneyKit-Signature"
    claims = {"iss": "https://api.moneykit.com"}


class Rsa(Pair):
    @staticmethod
    def generate():
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def made(self, signed):
        return base64.b64encode(self.key.sign(signed, padding.PKCS1v15(), self.hash())).decode()

    @classmethod
    def check(cls, public, signature, signed):
        key = serialization.load_pem_public_key(public.encode())
        key.verify(base64.b64decode(signature), signed, padding.PKCS1v15(), cls.hash())


class Wise(Rsa):
    scheme, header, hash = "wise", "X-Signature-SHA256", hashes.SHA256

    def sign(self, rng, body):
        return {self.header: self.made(body.encode())}

    @classmethod
    def verify(cls, case, headers, body):
        cls.check(case["public"], headers[cls.header.lower()], body.encode())


class Starling(Wise):
    scheme, header, hash = "starling", "X-Hook-Signature", hashes.SHA512


class Paypal(Rsa):
    """PayPal's library says what is signed; it has no private key, so it signs nothing."""

    scheme, hash = "paypal", hashes.SHA256
    params = {"webhook_id": WEBHOOK_ID}
    fields = ("paypal-transmission-id",)

    @staticmethod
    def signed(name, stamp, body):
        event = paypalrestsdk.notifications.WebhookEvent
        return event._get_expected_sig(name, stamp, WEBHOOK_ID, body).encode()

    def sign(self, rng, body):
        name, stamp = f"{rng.randint(0, 1 << 60):x}", rfc3339()
        return {
            "PAYPAL-TRANSMISSION-ID": name,
            "PAYPAL-TRANSMISSION-TIME": stamp,
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-1",
            "PAYPAL-TRANSMISSION-SIG": self.made(self.signed(name, stamp, body)),
        }

    @classmethod
    def verify(cls, case, headers, body):
        name, stamp = headers["paypal-transmission-id"], headers["paypal-transmission-time"]
        cls.check(case["public"], headers["paypal-transmission-sig"], cls.signed(name, stamp, body))


class Truelayer(Pair):
    scheme = "truelayer"
    params = {"path": PATH}
    fields = ("content-type",)

    @staticmethod
    def generate():
        return ec.generate_private_key(ec.SECP521R1())

    def sign(self, rng, body):
        headers = {"X-Tl-Webhook-Timestamp": rfc3339(), "Content-Type": "application/json"}
        signer = truelayer_signing.sign_with_pem("k1", self.private)
        signer = signer.set_method(truelayer_signing.HttpMethod.POST).set_path(PATH)
        signer = signer.add_headers(headers).set_body(body).set_jku(JKU)
        return {"Tl-Signature": signer.sign(), **headers}

    @staticmethod
    def verify(case, headers, body):
        assert truelayer_signing.extract_jws_header(headers["tl-signature"]).jku == JKU
        verifier = truelayer_signing.verify_with_pem(case["public"])
        verifier = verifier.set_method(truelayer_signing.HttpMethod.POST).set_path(PATH)
        verifier = verifier.add_headers(headers).set_body(body)
        verifier.add_required_header("X-Tl-Webhook-Timestamp").verify(headers["tl-signature"])


class AdyenItems(Shared):
    scheme = "adyen"

    def secret(self, rng):
        return rng.randbytes(32).hex().upper()

    def item(self, rng):
        return {
            "pspReference": f"PSP{rng.randint(0, 99)}",
            "originalReference": rng.choice(["", f"O{rng.randint(0, 99)}"]),
            "merchantAccountCode": "Merchant",
            "merchantReference": text(rng),
            "amount": {"value": rng.randint(-(10**12), 10**12), "currency": rng.choice(["AUD", "EUR"])},
            "eventCode": rng.choice(["AUTHORISATION", "CAPTURE", "REFUND"]),
            "success": rng.choice(["true", "false"]),
        }

    def body(self, rng):
        items = [{"NotificationRequestItem": self.item(rng)} for _ in range(rng.randint(1, 4))]
        return json.dumps({"live": "false", "notificationItems": items}, ensure_ascii=rng.random() < 0.5)

    def sign(self, rng, body):
        return {}

    def signed_body(self, body):
        read = json.loads(body)
        for wrapped in read["notificationItems"]:
            item = wrapped["NotificationRequestItem"]
            signature = Adyen.util.generate_notification_sig(item, self.private).decode()
            item["additionalData"] = {"hmacSignature": signature, "other": "not signed"}
        return json.dumps(read, ensure_ascii=False)

    @staticmethod
    def verify(case, headers, body):
        for wrapped in json.loads(body)["notificationItems"]:
            item = wrapped["NotificationRequestItem"]
            assert Adyen.util.is_valid_hmac_notification(item, case["public"])


LIBRARIES = {
    "stripe": Stripe,
    "standardwebhooks": Standard,
    "svix": Svix,
    "cryptography for v1a": StandardPair,
    "gidgethub": Github,
    "gocardless_pro": Gocardless,
    "modern_treasury": ModernTreasury,
    "convoy-python": Convoy,
    "PyJWT for plaid": Plaid,
    "PyJWT for moneykit": Moneykit,
    "cryptography for wise": Wise,
    "cryptography for starling": Starling,
    "paypalrestsdk": Paypal,
    "truelayer-signing": Truelayer,
    "Adyen": AdyenItems,
}


def text(rng):
    """Up to 300 characters of any plane, with those that separate parts of what is signed."""
    alphabet = ".,:|=\n\r\t\0 {}[]\"\\aZ09éßΩ✓漢😀\u2028\ufeff"
    return "".join(rng.choices(alphabet, k=rng.randint(0, 300)))


def sign(seed, count):
    rng = random.Random(seed)
    for name, library in LIBRARIES.items():
        signer = library(rng)
        for _ in range(count):
            body = signer.body(rng)
            case = {
                "library": name,
                "scheme": signer.scheme,
                "params": signer.params,
                "private": signer.private,
                "public": signer.public,
                "fields": signer.fields,
                "signs": signer.sign is not None,
                "headers": list(signer.sign(rng, body).items()) if signer.sign else [],
            }
            print(json.dumps({**case, "body": base64.b64encode(signer.signed_body(body).encode()).decode()}))


def verify():
    for line in sys.stdin:
        case = json.loads(line)
        headers = {name.lower(): value for name, value in case["headers"]}
        body = base64.b64decode(case["body"]).decode()
        try:
            LIBRARIES[case["library"]].verify(case, headers, body)
            print("true")
        except Exception as error:  # each library has errors of its own
            print("false", json.dumps(f"{type(error).__name__}: {error}"))


if sys.argv[1] == "sign":
    sign(int(sys.argv[2]), int(sys.argv[3]))
else:
    verify()
