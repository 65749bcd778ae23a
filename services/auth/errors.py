"""The refusals of auth, one line each; the common ones stand in services.runtime.errors."""

from grpc import StatusCode as Code

from filmgate.auth.v1.error_reason_pb2 import ErrorReason
from services.runtime import errors

DOMAIN = errors.domain("auth")
CATALOG = errors.catalog(DOMAIN, ErrorReason)

CODE_WRONG = CATALOG("CODE_WRONG", Code.INVALID_ARGUMENT, "The code is wrong; tries left: {tries_left}.")
CODE_EXPIRED = CATALOG("CODE_EXPIRED", Code.FAILED_PRECONDITION, "The code has expired. Send a new one.")
TOO_MANY_TRIES = CATALOG("TOO_MANY_TRIES", Code.RESOURCE_EXHAUSTED, "Too many wrong codes. Send a new one.")
SEND_TOO_SOON = CATALOG(
    "SEND_TOO_SOON",
    Code.RESOURCE_EXHAUSTED,
    "No code was sent: the limit of this {limit} is reached. Try again in {seconds} seconds.",
)
TARGET_INVALID = CATALOG(
    "TARGET_INVALID", Code.INVALID_ARGUMENT, "The target is no valid address of channel {channel}: {fault}."
)
AGE_NOT_ALLOWED = CATALOG(
    "AGE_NOT_ALLOWED", Code.FAILED_PRECONDITION, "This service is open to persons from the age of {minimum_age}."
)
KEY_UNKNOWN = CATALOG("KEY_UNKNOWN", Code.UNAUTHENTICATED, "The API key or access token is not known.")
KEY_REVOKED = CATALOG("KEY_REVOKED", Code.UNAUTHENTICATED, "This API key was revoked. Use another one.")
KEY_EXPIRED = CATALOG("KEY_EXPIRED", Code.UNAUTHENTICATED, "This API key has expired. Use another one.")
ACCOUNT_FROZEN = CATALOG(
    "ACCOUNT_FROZEN", Code.PERMISSION_DENIED, "The account is frozen in scope {scope}. Contact the operator."
)
POLICY_NOT_ACCEPTED = CATALOG(
    "POLICY_NOT_ACCEPTED",
    Code.FAILED_PRECONDITION,
    "Accept version {version} of policy {policy} first: POST {accept_at}.",
)
RATE_LIMITED = CATALOG("RATE_LIMITED", Code.RESOURCE_EXHAUSTED, "This account may make {limit} {what} per minute.")
UNKNOWN_FIELD = CATALOG("UNKNOWN_FIELD", Code.INVALID_ARGUMENT, "The method has no field {field}.")
AUTHORIZER_UNAVAILABLE = CATALOG(
    "AUTHORIZER_UNAVAILABLE", Code.UNAVAILABLE, "The call cannot be authorized at the moment. Try again."
)
TOO_MANY_KEYS = CATALOG(
    "TOO_MANY_KEYS", Code.FAILED_PRECONDITION, "The project has {limit} active keys, the most it may. Revoke one first."
)
TOO_MANY_NEW_KEYS = CATALOG(
    "TOO_MANY_NEW_KEYS",
    Code.RESOURCE_EXHAUSTED,
    "The project has made {limit} keys within a day, the most it may. Use those it has.",
)
SCOPE_NOT_GRANTABLE = CATALOG(
    "SCOPE_NOT_GRANTABLE", Code.INVALID_ARGUMENT, "The scope {scope} cannot be given: its maker does not have it."
)
ALREADY_REGISTERED = CATALOG(
    "ALREADY_REGISTERED", Code.FAILED_PRECONDITION, "An account with this contact point exists. Log in instead."
)
BODY_INVALID = CATALOG("BODY_INVALID", Code.INVALID_ARGUMENT, "The body is no valid JSON object: {fault}.")
