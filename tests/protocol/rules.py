"""What an exploration is about: the rules of the protocol, each of which a mutation breaks, and the bounds."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rules:
    """The safeguards of section 5, all in force. A mutation turns some of them off."""

    cleanup_in_tx_1: bool = True
    """Tx 1 writes the job that undoes it."""
    answer_in_tx_2: bool = True
    """Tx 2 stores the answer for the request id."""
    answer_after_tx_2: bool = True
    """The client is answered when Tx 2 has been committed, not before."""
    generate_in_tx_2: bool = True
    """Tx 2 writes the job that makes the video."""
    cleanup_cancelled_in_tx_2: bool = True
    tx_2_needs_admitting: bool = True
    """Tx 2 is conditional on the state ADMITTING."""
    refusal_drops_row: bool = True
    refusal_frees_request: bool = True
    unanswered_is_unknown: bool = True
    """An Authorize without an answer is no refusal: the rows stay for the clean-up."""
    claim_is_own: bool = True
    """Who forgets or answers a request id touches the row only while it stands for their own video."""
    row_goes_before_release: bool = True
    """The clean-up deletes the row before it releases the hold."""
    cleanup_needs_admitting: bool = True
    """The clean-up deletes nothing but a row that is ADMITTING."""
    cleanup_spares_admitted: bool = True
    """The clean-up releases nothing of a video that was admitted."""
    request_freed_with_row: bool = True
    """The clean-up frees the request id in the transaction that deletes the row, not before."""
    release_bars: bool = True
    """Release leaves a bar where there is no hold."""
    authorize_under_lock: bool = True
    """Money and slot are decided and taken in one transaction under the wallet's lock."""
    authorize_idempotent: bool = True
    """A hold that exists is answered again, not made a second time."""
    ends_once: bool = True
    """An ended hold answers its recorded end: Capture and Release may be repeated."""
    holds_never_expire: bool = True
    """Billing's clock ends no hold."""
    holds_swept: bool = True
    overdue_swept: bool = True
    """The sweep ends a video that has run for longer than it may and that nobody works on."""
    start_fenced: bool = True
    """A start is refused to who has lost the lease."""
    video_fenced: bool = True
    """A worker's end of the video is conditional on its attempt."""
    finish_fenced: bool = True
    """A worker's end of the job is conditional on its attempt."""
    lease_checked: bool = True
    """A lease that has run out is refused at the end even if nobody took the job over."""
    video_and_job_end_together: bool = True
    """Tx 3 ends the video and its job in one transaction."""
    tx_3_needs_open: bool = True
    """Cancel competes for the one UPDATE: it does not end what has ended."""
    deadline_needs_queued: bool = True
    """The start deadline ends only a video that is still QUEUED."""
    settle_in_tx_3: bool = True
    """Tx 3 writes the settle job."""
    publish_in_tx_3: bool = True
    """Tx 3 makes the file READY."""
    upload_before_tx_3: bool = True
    row_before_upload: bool = True
    """The row of a file is written before its bytes."""
    unknown_keeps_object: bool = True
    """An object goes only when it is known that Tx 3 did not publish it."""
    files_swept: bool = True
    sweep_needs_staging: bool = True
    """The sweep of files leaves what was published alone."""
    give_up_ends_video: bool = True
    """The transaction that buries a job ends its video."""
    charged_after_tx_3: bool = True
    """Nobody charges before the one UPDATE has decided."""
    settled_by_outcome: bool = True
    """The outcome decides the money, not who comes first at billing."""
    settle_repeated: bool = True
    """A settle job comes back when its worker died."""


@dataclasses.dataclass(frozen=True)
class Scope:
    """How much of the protocol is explored, and how far.

    `orders` videos can be ordered, all under one request id (`one_request`), which the client repeats, or each under
    its own. Without `makes` no worker takes a video, with `begins_queued` the first video has been admitted already.
    """

    name: str
    faults: int
    orders: int = 1
    one_request: bool = True
    money: int = 1
    slots: int = 1
    tries: int = 2
    admits: bool = True
    makes: bool = True
    begins_queued: bool = False
    deadlines: bool = True
    days: bool = False
    cancels: bool = True
    deletes: bool = False
    excuses: bool = False
    """Whether a model may not be loaded, another video kill the server, and the object store be full."""
    vanishes: bool = False
    """Whether the last worker that could make the video may go for ever."""
    counts_faults: bool = True
    """False: faults cost nothing, for the comparison with real runs."""
