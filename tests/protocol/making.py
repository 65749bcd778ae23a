"""Steps 6 to 9: the job `generate` under its lease, from the claim to Tx 3, and everyone who competes for Tx 3."""

from collections.abc import Iterator

from tests.protocol import billing
from tests.protocol.admission import dropped
from tests.protocol.state import (
    BREAKING,
    BROKEN,
    BURYING,
    CANCELLED,
    DEAD,
    DELETED,
    DONE,
    DROPPED,
    ENDED_STATES,
    ENQUEUES,
    FAILED,
    LATE_END,
    LATE_READY,
    LEASED,
    LEAVING,
    LEFT_QUEUED,
    LEFT_RUNNING,
    MADE,
    OPEN,
    OPEN_STATES,
    OUSTED,
    OVER,
    PENDING,
    QUEUED,
    READY,
    RUNNING,
    STAGED,
    STAGING,
    STARTED,
    SUCCEEDED,
    TAKEN,
    UNPUBLISHED,
    UPLOADED,
    File,
    Job,
    Video,
    replaced,
)
from tests.protocol.steps import Here, Step


def lease(here: Here) -> Iterator[Step]:
    """A worker claims the job; its lease runs out; the job is queued anew."""
    video, job = here.video, here.video.generate
    if here.scope.vanishes and not video.alone and video.state == RUNNING:
        yield here.fault("the last worker of the model goes", video._replace(alone=1))
    if job.state == OPEN and here.scope.makes and not video.alone:
        attempt = job.attempt + 1
        taken = TAKEN if attempt - job.excused <= here.scope.tries else BURYING
        claimed = job._replace(state=LEASED, attempt=attempt, runs=(*job.runs, taken))
        yield here.step("jobs.claim generate", video._replace(generate=claimed, files=(*video.files, File())))
    if job.state == LEASED:
        over = video._replace(generate=job._replace(state=OVER))
        if job.runs[-1]:
            yield here.fault("freeze: the lease of generate runs out", over)
            yield here.fault("kill: the worker that makes", _at(video, job.attempt, 0))
        else:
            yield here.step("the lease of generate runs out", over)
    if job.state == OVER:
        yield here.step("jobs.promote generate", video._replace(generate=job._replace(state=OPEN)))


def make(here: Here) -> Iterator[Step]:
    """One step of each worker that makes the video, the frozen ones too."""
    for number, place in enumerate(here.video.generate.runs, 1):
        if place:
            yield from PLACES[place](here, number)


def _at(video: Video, attempt: int, place: int, **job: int) -> Video:
    runs = replaced(video.generate.runs, attempt - 1, place)
    return video._replace(generate=video.generate._replace(runs=runs, **job))


def _file(video: Video, attempt: int, **values: int) -> Video:
    files = list(video.files)
    files[attempt - 1] = files[attempt - 1]._replace(**values)
    return video._replace(files=tuple(files))


def _leaves(here: Here, number: int) -> Video:
    """Nothing is left to do but to end the job; who has lost the lease is refused that, and leaves at once."""
    lost = here.video.generate.attempt != number or here.video.generate.state != LEASED
    return _at(here.video, number, 0 if lost and here.rules.finish_fenced and here.rules.lease_checked else LEAVING)


def fence(here: Here, attempt: int) -> tuple[bool, int]:
    """`jobs._write`: same attempt, still running, lease not over. Answers (passes, whether it should not have)."""
    job, rules = here.video.generate, here.rules
    own = job.attempt == attempt
    right = own and job.state == LEASED
    passes = right or (not rules.lease_checked and own and job.state == OVER) or not rules.finish_fenced
    return passes, int(passes and not right)


def ended(here: Here, state: int, outcome: int) -> Video:
    """The one UPDATE of Tx 3, once its condition holds, with what it does to the jobs."""
    video = here.video
    settle = video.settle if video.settle.state or not here.rules.settle_in_tx_3 else Job(OPEN)
    job = video.generate
    return video._replace(
        state=state,
        outcome=outcome,
        settlement=PENDING,
        ends=video.ends + 1,
        settle=settle,
        generate=job._replace(state=DROPPED) if job.state == OPEN else job,
        start_deadline=dropped(video.start_deadline),
    )


def _taken(here: Here, number: int) -> Iterator[Step]:
    video, rules = here.video, here.rules
    right = fence(here, number)[0]
    if right and here.scope.excuses:
        yield here.fault("the model is not loaded: put off, excused", _put_off(video, number, excused=1))
    if video.state == RUNNING and right:
        over = ended(here, FAILED, BROKEN)
        yield here.step("Maker._overdue", _at(over, number, 0, state=DONE))
    if video.state not in OPEN_STATES or video.attempt >= number:
        yield here.step("Maker._begin finds it ended", _leaves(here, number))
        return
    if video.state == QUEUED and video.deadline:
        # Another worker's clock may go behind: that one starts it still.
        yield here.step("Maker._begin finds it too late", _leaves(here, number))
    held = number == video.generate.attempt and video.generate.state == LEASED
    if rules.start_fenced and not held:
        yield here.step("store.start is refused", _at(video, number, 0))
        return
    begun = video._replace(
        state=RUNNING, attempt=number, start_deadline=dropped(video.start_deadline), breach=video.breach | (not held)
    )
    yield here.step("store.start", _at(begun, number, STARTED))


def _put_off(video: Video, number: int, excused: int = 0) -> Video:
    return _at(video, number, 0, state=OPEN, excused=video.generate.excused + excused)


def _started(here: Here, number: int) -> Iterator[Step]:
    video = here.video
    if video.state != RUNNING or video.attempt != number:
        yield here.step("Meter.write finds it ended", _leaves(here, number))
    if here.rules.row_before_upload:
        yield here.step("store.stage_output", _at(_file(video, number, row=STAGING), number, STAGED))
    else:
        yield here.step("early: upload", _at(_file(video, number, object=1), number, STAGED))
    yield from _fails(here, number)
    yield here.fault("the model breaks off", _at(video, number, BREAKING))
    if fence(here, number)[0] and here.scope.excuses:
        yield here.fault("another video kills the server: put off, excused", _put_off(video, number, excused=1))


def _fails(here: Here, number: int) -> Iterator[Step]:
    """Maker._fail: a job that the model refuses ends the video."""
    video = here.video
    if not _owns(here, number):
        yield here.step("Maker._fail finds it ended", _leaves(here, number))
        return
    passes, breach = fence(here, number)
    failed = ended(here, FAILED, BROKEN)._replace(breach=video.breach | breach)
    if passes:
        yield here.step("Tx 3 Maker._fail", _at(failed, number, 0, state=DONE))
    else:
        yield here.step("Tx 3 Maker._fail is refused", _at(video, number, 0))


def _owns(here: Here, number: int) -> bool:
    """The condition of the one UPDATE for a worker."""
    video = here.video
    if not here.rules.video_fenced:
        return video.state in OPEN_STATES
    return video.state == RUNNING and video.attempt == number


def _breaking(here: Here, number: int) -> Iterator[Step]:
    """Runner._blame: another try, or none is left. Refused to who has lost the lease."""
    video, job = here.video, here.video.generate
    if not fence(here, number)[0]:
        yield here.step("Runner._blame is refused", _at(video, number, 0))
    elif number - job.excused >= here.scope.tries:
        yield here.step("Runner._blame gives up", _at(video, number, BURYING))
    else:
        yield here.step("Runner._blame puts off", _put_off(video, number))


def _burying(here: Here, number: int) -> Iterator[Step]:
    """Maker.give_up in the transaction that buries the job."""
    video = here.video
    if not fence(here, number)[0]:
        yield here.step("jobs.dead_letter is refused", _at(video, number, 0))
        return
    over = ended(here, FAILED, BROKEN) if video.state in OPEN_STATES and here.rules.give_up_ends_video else video
    yield here.step("Tx 3 Maker.give_up", _at(over, number, 0, state=DEAD))


def _staged(here: Here, number: int) -> Iterator[Step]:
    video, rules = here.video, here.rules
    if fence(here, number)[0] and here.scope.excuses:
        yield here.fault("the object store is full: put off, excused", _put_off(video, number, excused=1))
    if rules.row_before_upload:
        yield here.step("upload", _at(_file(video, number, object=1), number, UPLOADED))
    else:
        yield here.step("late: store.stage_output", _at(_file(video, number, row=STAGING), number, UPLOADED))
    if not rules.upload_before_tx_3:
        yield from _publish(here, number, LATE_READY)


def _uploaded(here: Here, number: int) -> Iterator[Step]:
    video, rules = here.video, here.rules
    if not rules.charged_after_tx_3 and video.hold == 1:
        yield here.step("early: Capture", *billing.end(here, video, MADE))
        return
    yield from _publish(here, number, 0)


def _publish(here: Here, number: int, then: int) -> Iterator[Step]:
    """Maker._publish: Tx 3 of a success, with the file, the settle job and the end of the worker's job."""
    video, rules = here.video, here.rules
    passes, breach = fence(here, number)
    if not rules.video_and_job_end_together:
        passes, breach = True, int(not passes)
    if not _owns(here, number):
        yield here.step("Tx 3 finds it ended", _at(video, number, UNPUBLISHED))
    elif not passes:
        yield here.step("Tx 3 has lost the lease", _at(video, number, OUSTED))
    else:
        over = ended(here, SUCCEEDED, MADE)._replace(output=number, breach=video.breach | breach)
        if rules.publish_in_tx_3:
            over = _file(over, number, row=READY)
        else:
            then = LATE_END
        if not rules.settle_in_tx_3:
            then = ENQUEUES
        if rules.video_and_job_end_together:
            over = over._replace(generate=over.generate._replace(state=DONE))
        yield here.step("Tx 3 Maker._publish", _at(over, number, then if rules.video_and_job_end_together else LEAVING))
        if rules.video_and_job_end_together:
            yield here.fault("lost answer: Tx 3", _at(over, number, BREAKING if rules.unknown_keeps_object else OUSTED))


def _unpublished(here: Here, number: int) -> Iterator[Step]:
    """What is known not to be published goes at once."""
    ends_job = here.video.generate.runs[number - 1] == UNPUBLISHED
    here = here._replace(video=_file(here.video, number, object=0))
    yield here.step("objects.remove", _leaves(here, number) if ends_job else _at(here.video, number, 0))


def _leaving(here: Here, number: int) -> Iterator[Step]:
    """The handler has nothing left to do: the runner ends its job."""
    passes, breach = fence(here, number)
    if passes:
        left = here.video._replace(breach=here.video.breach | breach)
        yield here.step("jobs.finish generate", _at(left, number, 0, state=DONE))
    else:
        yield here.step("jobs.finish generate is refused", _at(here.video, number, 0))


def _late(here: Here, number: int) -> Iterator[Step]:
    """What a mutation does after its Tx 3."""
    video, place = here.video, here.video.generate.runs[number - 1]
    after = {
        LATE_END: _file(video, number, row=READY),
        LATE_READY: _file(video, number, object=1),
        ENQUEUES: video._replace(settle=Job(OPEN)),
    }[place]
    yield here.step("late: the rest of Tx 3", _at(after, number, 0))


def compete(here: Here) -> Iterator[Step]:
    """The owner cancels, or deletes: both compete for Tx 3."""
    video, rules, scope = here.video, here.rules, here.scope
    may = video.state in OPEN_STATES or (not rules.tx_3_needs_open and video.state in ENDED_STATES and video.ends < 2)
    running = video.state == RUNNING
    if scope.cancels and not rules.settled_by_outcome and video.state in OPEN_STATES and video.hold == 1:
        yield here.step("early: CancelVideo releases", *billing.end(here, video))
    if scope.cancels and may:
        yield here.step("Tx 3 Videos.CancelVideo", ended(here, CANCELLED, LEFT_RUNNING if running else LEFT_QUEUED))
    if scope.deletes and not video.deleted and video.state in (*OPEN_STATES, *ENDED_STATES):
        gone = ended(here, CANCELLED, LEFT_RUNNING if running else LEFT_QUEUED) if may else video
        files = tuple(file._replace(row=DELETED) if file.row == READY else file for file in gone.files)
        yield here.step("Videos.DeleteVideo", gone._replace(deleted=1, files=files))


def sweep_files(here: Here) -> Iterator[Step]:
    """A day later the outputs that were never published go: first marked, then the object, then the row.

    No run and no settling lasts a day, so they are over by then; `docs/architecture.md` says what that leaves out.
    """
    video = here.video
    if video.settlement in (0, PENDING) or any(video.generate.runs):
        return
    for number, file in enumerate(video.files, 1):
        wanted = file.row == STAGING or (not here.rules.sweep_needs_staging and file.row == READY)
        if wanted and here.rules.files_swept:
            yield here.step("FileJobs.sweep", _file(video, number, row=DELETED))
        if file.row == DELETED:
            yield here.step("FileJobs.remove_objects", _file(video, number, row=0, object=0))


PLACES = {
    TAKEN: _taken,
    STARTED: _started,
    STAGED: _staged,
    UPLOADED: _uploaded,
    UNPUBLISHED: _unpublished,
    OUSTED: _unpublished,
    BREAKING: _breaking,
    LEAVING: _leaving,
    BURYING: _burying,
    LATE_END: _late,
    LATE_READY: _late,
    ENQUEUES: _late,
}
