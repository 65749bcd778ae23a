"""What finds which mistake: each of `mistakes` is made in a copy of the production overlay, or in the Dockerfile.

Printed by `python -m deploy.k8s mutations`; a test holds that each is found by the check that is named beside it.
"""

import copy

from deploy.k8s import checks, tools
from deploy.k8s.mistakes import IMAGES, TABLE, ImageMutation
from deploy.k8s.objects import Object, Rendered, rendered
from deploy.k8s.tools import Fault

OVERLAY = "prod"


def found() -> dict[str, list[Fault]]:
    """The faults that each mistake leads to, by its name. A sound overlay has none, so each is the mistake's."""
    sound = rendered(OVERLAY)
    faults: dict[str, list[Fault]] = {mutation.mistake: [] for mutation in IMAGES}
    changed: dict[str, list[Object]] = {}
    for mutation in TABLE:
        one = Rendered(OVERLAY, copy.deepcopy(sound.objects))
        mutation.make(one)
        faults[mutation.mistake] = checks.ours(one)
        changed[mutation.mistake] = [new for new in one.objects if new not in sound.objects]
    recipe = tools.DOCKERFILES[0].read_text()
    for fault in checks.outside(changed, {mutation.mistake: _mistaken(recipe, mutation) for mutation in IMAGES}):
        faults[fault.where].append(fault)
    return faults


def _mistaken(recipe: str, mutation: ImageMutation) -> str:
    """A Dockerfile with a mistake. Raises LookupError when there is no place for it."""
    if mutation.old not in recipe:
        raise LookupError(f"the Dockerfile has no {mutation.old!r}")
    return recipe.replace(mutation.old, mutation.new, 1)


def main() -> int:
    """Print the table; returns 1 when a mistake is not found by the check that is named for it."""
    faults, missed = found(), 0
    print(f"{'mistake':<44} {'found by':<32} in these words")
    for mutation in (*TABLE, *IMAGES):
        finders = list(dict.fromkeys(fault.check for fault in faults[mutation.mistake]))
        words = [fault.words for fault in faults[mutation.mistake] if fault.check == mutation.finder]
        missed += not words
        print(f"{mutation.mistake:<44} {', '.join(finders) or 'NOBODY':<32} {(words or ['-'])[0][:110]}")
    print(f"{len(TABLE) + len(IMAGES)} mistakes, {missed} not found by the check that is named for it.")
    return 1 if missed else 0
