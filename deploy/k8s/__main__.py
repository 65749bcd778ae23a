"""The manifests: `python -m deploy.k8s render dev|prod | check | mutations | secrets`.

render     writes an overlay as kustomize renders it
check      renders both overlays and holds them against schemas, tools and the code
mutations  makes one mistake after the other and says which check finds it
secrets    writes Secrets for the overlay dev, with values that are new each time
"""

import sys

from deploy.k8s import checks, mutations, objects, secrets, tools


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status: 1 for a fault, 2 for a wrong use."""
    commands = {"check": check, "mutations": mutations.main, "secrets": secrets.main}
    try:
        if len(arguments) == 2 and arguments[0] == "render" and arguments[1] in tools.OVERLAYS:
            sys.stdout.write(objects.text(arguments[1]))
            return 0
        if len(arguments) == 1 and arguments[0] in commands:
            return commands[arguments[0]]()
    except tools.ToolMissing as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stderr.write(f"{__doc__}\n")
    return 2


def check() -> int:
    """Print every fault, or how much was looked at."""
    overlays = [objects.rendered(name) for name in tools.OVERLAYS]
    faults = checks.all_of(overlays)
    for fault in faults:
        print(fault)
    if not faults:
        told = ", ".join(f"{one.overlay} {len(one.objects)} objects" for one in overlays)
        print(f"The manifests are sound: {told}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
