"""Privacy's kinds of failure, one line each; the reasons stand in privacy/v1/error_reason.proto."""

from grpc import StatusCode

from filmgate.privacy.v1.error_reason_pb2 import ErrorReason
from services.runtime import errors

KIND = errors.catalog(errors.domain("privacy"), ErrorReason)

POLICY_UNKNOWN = KIND("POLICY_UNKNOWN", StatusCode.NOT_FOUND, "There is no policy {policy}. List the policies first.")
POLICY_TEXT_MISMATCH = KIND(
    "POLICY_TEXT_MISMATCH",
    StatusCode.FAILED_PRECONDITION,
    "This is not the text of version {version} of {policy} in that language. Read it again and send its sha256.",
)
POLICY_NOT_IN_FORCE = KIND(
    "POLICY_NOT_IN_FORCE",
    StatusCode.FAILED_PRECONDITION,
    "Version {version} was replaced by version {in_force}, which is in force. Read and accept that one.",
)
POLICY_VERSION_EXISTS = KIND(
    "POLICY_VERSION_EXISTS",
    StatusCode.ALREADY_EXISTS,
    "Version {version} is published with another text or date, and what is published never changes. "
    "Publish the next version.",
)
