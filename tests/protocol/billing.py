"""The model's billing: what `Ledger.hold` and `Ledger.end` do in one transaction under the wallet's lock."""

from tests.protocol.state import CAPTURED, CHARGED, HELD, RELEASED, Video
from tests.protocol.steps import KEPT, Here

Ended = tuple[Video, tuple[int, int, int]]


def hold(here: Here, video: Video, *, decided: bool = False) -> Ended:
    """Wallets.Authorize: hold the price unless the video has a hold or a bar. The answer is in `video.hold`."""
    if video.barred or (video.hold and here.rules.authorize_idempotent) or not (here.reaches or decided):
        return video, KEPT
    return video._replace(hold=HELD), (-1, 1, 0)


def end(here: Here, video: Video, outcome: int = 0) -> Ended:
    """Wallets.Capture with an outcome, or Wallets.Release with none: end the hold, answer a recorded end, or bar."""
    charge = int(outcome in CHARGED)
    if not video.hold:
        barred = {"barred": 1, "hold": RELEASED} if here.rules.release_bars else {}
        return video._replace(**barred, released=1), KEPT
    if video.hold != HELD and here.rules.ends_once:
        return video, KEPT
    back, held = (1 - charge, -1) if video.hold == HELD else (-charge, 0)
    ended = video._replace(hold=CAPTURED if charge else RELEASED, charged=video.charged + charge, released=1)
    return ended, (back, held, charge)
