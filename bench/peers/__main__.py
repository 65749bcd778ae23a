"""`python -m bench.peers`: submit and poll of ours and of each peer, in one run; prints rates, latencies and CPU."""

import argparse
import asyncio
import sys
from pathlib import Path

from bench import edge, load, machine
from bench.figures import medians
from bench.peers.peer import PEERS, Peer, running, submitted
from bench.stage import fresh_home, stage, without_model
from deploy.local import ports
from deploy.local.files import private_folder

CASES = ("submit", "poll")
OURS = "key, rate, policies, moderation, hold of money, durable task, idempotency: two databases with fsync"
Rounds = list[dict[str, float]]


async def measure(rounds: int, seconds: float) -> None:
    """Measure ours, then each peer, and print a line for each."""
    print(f"{'':<10} {'case':<7} {'req/s':>8} {'p50 ms':>8} {'CPU ms':>8}", flush=True)
    with fresh_home() as home:
        async with stage(home, ports.free()) as made, without_model(made):
            cases = {case.name: case for case in await edge.cases(made)}
            found: Rounds = []
            for _ in range(rounds):
                found.append({})
                for name in CASES:
                    found[-1] |= await edge.loaded(made, cases[name], seconds)
                    alone = await load.run(cases[name].url, cases[name].requests, made.folder, connections=1, seconds=1)
                    found[-1][f"{name}_p50_ms"] = alone.p50_ms
        tell("filmgate", found, OURS)
        for peer in PEERS:
            folder = private_folder(home / "peers" / peer.name)
            try:
                tell(peer.name, await _peer(peer, folder, rounds, seconds), f"not: {peer.lacks}")
            except (RuntimeError, load.Failed) as fault:
                print(f"{peer.name:<10} did not run: {fault}", flush=True)
    print(f"\n{machine.described()['machine']}; load {machine.load():.1f}; 16 connections, p50 with one")


async def _peer(peer: Peer, folder: Path, rounds: int, seconds: float) -> Rounds:
    chosen = ports.free()
    async with running(peer, (chosen.edge_port, chosen.auth_port), folder) as (url, cpu):
        requests = {"submit": [peer.submit], "poll": peer.polls(await submitted(peer, url, 16))}

        async def run(name: str, connections: int, length: float) -> load.Found:
            return await load.run(url, requests[name], folder, connections=connections, seconds=length)

        found: Rounds = []
        for _ in range(rounds):
            found.append({})
            for name in CASES:
                await run(name, load.CONNECTIONS, 1)
                before = cpu()
                seen = await run(name, load.CONNECTIONS, seconds)
                spent = cpu() - before
                alone = await run(name, 1, 1)
                found[-1] |= {f"{name}_rps": seen.rps, f"{name}_p50_ms": alone.p50_ms}
                found[-1][f"{name}_cpu_ms"] = 1000 * spent / seen.requests
    return found


def tell(name: str, rounds: Rounds, remark: str) -> None:
    """Print the medians of one server, and what it does or does not do."""
    found = medians(rounds)
    for case in CASES:
        rate, p50, cpu = (found[f"{case}_{figure}"] for figure in ("rps", "p50_ms", "cpu_ms"))
        print(f"{name:<10} {case:<7} {rate:>8,.0f} {p50:>8.2f} {cpu:>8.2f}", flush=True)
    print(f"{'':<10} {remark}", flush=True)


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.rounds, chosen.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
