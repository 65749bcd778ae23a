"""The media process as it is started: what it holds in its memory is nobody else's, not even its own user's (S9)."""

import json
import os
import subprocess
import sys

from tests.support import tls
from tests.support.source import ROOT

# Root without capabilities stands for an ordinary user: with them it may read everything of everybody.
BARE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.getuid() == 0 else ()
WATCH = """
import errno, json, os, subprocess, sys, time
media = subprocess.Popen(sys.argv[1:])
faults = []
end = time.monotonic() + 90
while time.monotonic() < end and media.poll() is None and not (faults and all(faults[-1])):
    seen = []
    for name in ("environ", "mem"):
        try:
            os.close(os.open(f"/proc/{media.pid}/{name}", os.O_RDONLY))
            seen.append("")
        except OSError as fault:
            seen.append(errno.errorcode[fault.errno])
    if not faults or faults[-1] != seen:
        faults.append(seen)
print(json.dumps({"seen": faults, "ended": media.poll()}), flush=True)
media.kill()
"""


def test_nobody_of_the_same_user_reads_the_memory_of_media(tmp_path):
    settings = {"home": tls.home(), "objects": tmp_path, "media_port": 0, "health_port": 0, "metrics_port": 0}
    environment = {f"FILMGATE_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    command = [*BARE, sys.executable, "-I", "-c", WATCH, sys.executable, "-m", "services.generation", "media"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=ROOT)
    watched = json.loads(done.stdout.splitlines()[-1])
    assert watched["ended"] is None, done.stderr + done.stdout
    assert watched["seen"][0] == ["", ""], "it could be read until it forbade it, so the test would see it"
    assert watched["seen"][-1] == ["EACCES", "EACCES"]
