"""Takes from a process everything but work on bytes that it already holds (review S9). Linux on x86_64 only.

The filter is a list of what is allowed; any other system call answers EPERM. Files that are open stay open: whoever
confines themselves opens and imports what they need first.
"""

import ctypes
import os
import resource
import struct

FILE_BYTES = 64 * 1024 * 1024
"""Longest file that a confined process may write."""
X86_64 = 0xC000003E
X32 = 0x40000000
"""Another set of numbers for the same calls, on the same architecture."""
# Each with its number on x86_64, and why. glibc 2.36 to 2.41 and CPython 3.11 to 3.13 need no other for pictures.
_CALLS = """
write 1 lseek 8 fstat 5 close 3
munmap 11 mremap 25 brk 12
futex 202 sched_yield 24 rt_sigreturn 15 rt_sigprocmask 14 restart_syscall 219
clock_gettime 228 gettimeofday 96 time 201 getrandom 318
exit 60 exit_group 231
"""
# write to close: OUTPUT and the answer; there is no read, INPUT is in memory. munmap to brk: malloc. futex and
# sched_yield: locks. rt_sig*: the return from a signal, and malloc's own end. The clocks: where the vDSO cannot tell.
ALLOWED = tuple(int(word) for word in _CALLS.split() if word.isdigit())
MMAP, MPROTECT = 9, 10
PROT_EXEC = 4
MADVISE, ADVICE = 28, (4, 8)
"""MADV_DONTNEED and MADV_FREE give memory back, as malloc does; every other advice reaches more of the kernel."""
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM, SECCOMP_RET_KILL_PROCESS."""
_SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVILEGES, _BY_FILTER = 4, 22, 38, 2


def forbid_dumps() -> None:
    """Make this process not dumpable: no core file, and no other process of the same user reads its memory.

    /proc/<pid>/mem and environ then belong to root (prctl(2), PR_SET_DUMPABLE). An exec undoes it for what is started.
    Raises OSError when the system does not let us.
    """
    _prctl(_SET_DUMPABLE, 0)


def confine(memory_bytes: int, cpu_seconds: int) -> None:
    """Give up what a picture does not need, for good. Raises OSError when the system does not let us.

    `memory_bytes` bounds the address space. After `cpu_seconds` SIGXCPU ends the process, a second later SIGKILL.
    """
    if os.uname().machine != "x86_64":
        raise OSError("pictures are decoded on x86_64 only: the filter of system calls is written for it")
    bounds = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),
        resource.RLIMIT_FSIZE: (FILE_BYTES, FILE_BYTES),
        resource.RLIMIT_NOFILE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, bound)
    forbid_dumps()
    _filter_calls()


def _filter_calls() -> None:
    """Install the seccomp filter. Another architecture's calls and x32's kill the process."""
    raw = b"".join(struct.pack("HBBI", *step) for step in _program())
    buffer = ctypes.create_string_buffer(raw, len(raw))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(raw) // 8, ctypes.addressof(buffer)))
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _prctl(_SET_SECCOMP, _BY_FILTER, ctypes.addressof(head))


def _program() -> list[tuple[int, int, int, int]]:
    """Return the filter's steps: (operation, steps to skip when true, when false, number) of classic BPF."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    number, architecture, third = 0, 4, 32  # where they stand in seccomp_data; of an argument, its low half
    steps = [(load, 0, 0, architecture), (equal, 1, 0, X86_64), (answer, 0, 0, KILL)]
    steps += [(load, 0, 0, number), (at_least, 0, 1, X32), (answer, 0, 0, KILL)]
    for call in ALLOWED:
        steps += [(equal, 0, 1, call), (answer, 0, 0, ALLOW)]
    for call in (MMAP, MPROTECT):  # memory for data, never for code
        steps += [(equal, 0, 4, call), (load, 0, 0, third), (any_bit, 0, 1, PROT_EXEC), (answer, 0, 0, REFUSE)]
        steps += [(answer, 0, 0, ALLOW)]
    steps += [(equal, 0, 5, MADVISE), (load, 0, 0, third), (equal, 1, 0, ADVICE[0]), (equal, 0, 1, ADVICE[1])]
    steps += [(answer, 0, 0, ALLOW), (answer, 0, 0, REFUSE)]
    return [*steps, (answer, 0, 0, REFUSE)]


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *words):
        raise OSError(ctypes.get_errno(), f"prctl {option}")
