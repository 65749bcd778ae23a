"""Failure kinds of generation, one line each; the runtime's common kinds are raised from there."""

import grpc

from filmgate.generation.v1.error_reason_pb2 import ErrorReason
from services.runtime import errors

_Code = grpc.StatusCode
DOMAIN = errors.domain("generation")
KIND = errors.catalog(DOMAIN, ErrorReason)

MODEL_UNKNOWN = KIND("MODEL_UNKNOWN", _Code.NOT_FOUND, "There is no model {model}. ListModels names those on offer.")
MODEL_UNAVAILABLE = KIND(
    "MODEL_UNAVAILABLE", _Code.UNAVAILABLE, "The model {model} has no running instance at the moment. Try again later."
)
PARAMETER_UNSUPPORTED = KIND(
    "PARAMETER_UNSUPPORTED",
    _Code.INVALID_ARGUMENT,
    "The model {model} does not support this {field}. Allowed: {allowed}.",
)
IMAGE_UNREADABLE = KIND(
    "IMAGE_UNREADABLE", _Code.INVALID_ARGUMENT, "The upload is no picture that can be decoded. Allowed: {allowed}."
)
IMAGE_TOO_LARGE = KIND(
    "IMAGE_TOO_LARGE", _Code.INVALID_ARGUMENT, "The picture has more than {limit} pixels. Make it smaller."
)
IMAGE_TOO_SMALL = KIND(
    "IMAGE_TOO_SMALL",
    _Code.INVALID_ARGUMENT,
    "The picture's shorter side has fewer than {limit} pixels. Take a larger one.",
)
IMAGE_RATIO = KIND("IMAGE_RATIO", _Code.INVALID_ARGUMENT, "The picture is too long and narrow. Allowed: {allowed}.")
FILE_UNKNOWN = KIND("FILE_UNKNOWN", _Code.NOT_FOUND, "There is no picture {file} in this project. Upload it first.")
CONTENT_REFUSED = KIND(
    "CONTENT_REFUSED",
    _Code.INVALID_ARGUMENT,
    "The text was refused by moderation ({category}). Change it and try again.",
)
VIDEO_ENDED = KIND("VIDEO_ENDED", _Code.FAILED_PRECONDITION, "The video has ended already ({state}).")
EXTERNAL_ID_TAKEN = KIND(
    "EXTERNAL_ID_TAKEN", _Code.ALREADY_EXISTS, "Another video of the project has the external_id {external_id}."
)
START_DEADLINE_PASSED = KIND(
    "START_DEADLINE_PASSED",
    _Code.DEADLINE_EXCEEDED,
    "No instance was free before the start deadline. Nothing is charged; order it again with a later one.",
)
GENERATION_FAILED = KIND(
    "GENERATION_FAILED",
    _Code.INTERNAL,
    "The model failed on this video {attempts} times. Nothing is charged; try again.",
)
LABEL_FAILED = KIND(
    "LABEL_FAILED",
    _Code.INTERNAL,
    "The AI labels could not be read back from the video, so it was not published. Nothing is charged; try again.",
)
OUTPUT_EXPIRED = KIND(
    "OUTPUT_EXPIRED", _Code.FAILED_PRECONDITION, "The content is past its expire_time and was removed."
)
OUTPUT_NOT_READY = KIND("OUTPUT_NOT_READY", _Code.FAILED_PRECONDITION, "The video has no content: it is {state}.")
BALANCE_TOO_LOW = KIND(
    "BALANCE_TOO_LOW",
    _Code.FAILED_PRECONDITION,
    "This needs {needs} {currency}; the wallet has {available} {currency}. Add credit or make a cheaper video.",
)
PRICE_ABOVE_MAX = KIND(
    "PRICE_ABOVE_MAX",
    _Code.FAILED_PRECONDITION,
    "The price is {price} {currency}, above the max_price of {max_price}. Raise it or make a cheaper video.",
)
TOO_MANY_OPEN_VIDEOS = KIND(
    "TOO_MANY_OPEN_VIDEOS", _Code.RESOURCE_EXHAUSTED, "At most {limit} videos may be open at once. Wait until one ends."
)
WALLET_PARKED = KIND(
    "WALLET_PARKED", _Code.FAILED_PRECONDITION, "The wallet is parked by a safety brake. Ask the operator."
)
TOO_MANY_TRANSFERS = KIND(
    "TOO_MANY_TRANSFERS",
    _Code.RESOURCE_EXHAUSTED,
    "{limit} uploads and downloads are under way, the most at once. Let one end.",
)
TOO_MANY_PICTURES = KIND(
    "TOO_MANY_PICTURES",
    _Code.FAILED_PRECONDITION,
    "The project keeps {limit} pictures, the most it may. Delete some with DeleteFile.",
)
IMAGE_TOO_COMPLEX = KIND(
    "IMAGE_TOO_COMPLEX",
    _Code.INVALID_ARGUMENT,
    "Decoding the picture takes more than {limit} s, or it has more than 64 scans. Save it again in a plain form.",
)
DECODING_SPENT = KIND(
    "DECODING_SPENT",
    _Code.RESOURCE_EXHAUSTED,
    "Decoding your pictures took {limit} s within a minute, the most allowed. Try again later.",
)
UPLOAD_TOO_LARGE = KIND("UPLOAD_TOO_LARGE", _Code.OUT_OF_RANGE, "The upload has more than {limit} bytes.")
RANGE_INVALID = KIND(
    "RANGE_INVALID", _Code.OUT_OF_RANGE, "The range lies outside of the content of {size_bytes} bytes."
)
UPLOAD_MALFORMED = KIND(
    "UPLOAD_MALFORMED",
    _Code.INVALID_ARGUMENT,
    "Send the picture as the raw body, or as the one file part of a multipart/form-data body.",
)
VIDEO_CANCELLED = KIND("VIDEO_CANCELLED", _Code.CANCELLED, "The video was cancelled by its owner.")
