"""The protocol with one safeguard less each: the explorer must find out what is wrong with it."""

from collections.abc import Sequence

from tests.protocol import explorer, invariants
from tests.protocol.rules import Rules, Scope

MUTATIONS = {
    "no clean-up is written with the row": "cleanup_in_tx_1",
    "the answer is stored after Tx 2": "answer_in_tx_2",
    "the client is answered before Tx 2": "answer_after_tx_2",
    "the job that makes the video is written after Tx 2": "generate_in_tx_2",
    "Tx 2 does not ask whether the row is still ADMITTING": "tx_2_needs_admitting",
    "a refusal keeps the row": "refusal_drops_row",
    "a refusal keeps the request id": "refusal_frees_request",
    "a request id is freed by whoever used it before": "claim_is_own",
    "the clean-up releases before the row goes": "row_goes_before_release",
    "the clean-up deletes a row in any state": "cleanup_needs_admitting",
    "the clean-up releases what was admitted": "cleanup_spares_admitted",
    "the clean-up frees the request id before the row goes": "request_freed_with_row",
    "Release leaves no bar against a late Authorize": "release_bars",
    "money and slot are decided before they are taken": "authorize_under_lock",
    "a repeated Authorize holds once more": "authorize_idempotent",
    "a repeated Capture charges once more": "ends_once",
    "a hold expires by billing's clock": "holds_never_expire",
    "nobody sweeps the holds": "holds_swept",
    "nobody ends a video whose model is gone": "overdue_swept",
    "a start is not fenced by the lease": "start_fenced",
    "the end of a job is not fenced by its attempt": "finish_fenced",
    "the lease is not looked at in the end": "lease_checked",
    "the video ends in one transaction and its job in the next": "video_and_job_end_together",
    "a cancel does not compete": "tx_3_needs_open",
    "the start deadline ends what runs": "deadline_needs_queued",
    "the settle job is written after Tx 3": "settle_in_tx_3",
    "the film is published after Tx 3": "publish_in_tx_3",
    "the film is uploaded after Tx 3": "upload_before_tx_3",
    "the film is uploaded before its row is written": "row_before_upload",
    "the film is removed when Tx 3 was not answered": "unknown_keeps_object",
    "nobody sweeps the files": "files_swept",
    "the sweep of files takes published ones": "sweep_needs_staging",
    "giving up does not end the video": "give_up_ends_video",
    "the worker charges before Tx 3": "charged_after_tx_3",
    "a cancel releases the hold itself": "settled_by_outcome",
    "a settle job dies with its worker": "settle_repeated",
}
"""What is done wrong, and the rule that forbids it."""

NETS = {
    "an Authorize without an answer counts as refused": ("unanswered_is_unknown", "holds_swept"),
    "a worker's end of the video is not fenced by its attempt": ("video_fenced", "finish_fenced"),
    "Tx 2 leaves the clean-up to run": ("cleanup_cancelled_in_tx_2", "cleanup_spares_admitted"),
}
"""What is done wrong without harm, since a second rule catches it; without both there is harm."""

QUICK = (
    Scope("order", faults=1, orders=2, makes=False, deadlines=False),
    Scope("make", faults=1, admits=False, begins_queued=True),
    Scope("alone", faults=2, admits=False, begins_queued=True, vanishes=True, cancels=False, deadlines=False),
    Scope("days", faults=0, orders=3, makes=False, deadlines=False, days=True),
    Scope("make", faults=2, admits=False, begins_queued=True),
)
"""Where a mutation is looked for, one after the other: small ones first."""


def harm(rules: Rules, scopes: Sequence[Scope] = QUICK) -> explorer.Violation | None:
    """Return what is wrong under these rules, with the shortest way to it; None: nothing within these scopes."""
    for scope in scopes:
        try:
            explorer.explore(rules, scope, invariants.always, invariants.at_the_end)
        except explorer.Violation as found:
            return found
    return None


def without(*rules: str) -> Rules:
    """Return the protocol without these rules."""
    return Rules(**dict.fromkeys(rules, False))
