"""The system calls that a sandboxed program is refused, as a classic BPF program for seccomp.

Namespaces and an unprivileged user already stand between the program and the host; the filter takes away what crosses
them or has a history of holes: key rings, io_uring, BPF, tracing, new namespaces and mounts, unusual socket families,
foreign system call tables. It also takes away memory that no process is seen to hold, which would escape the watch on
memory. The list follows isolate's on what namespaces miss and Docker's default profile.

References: `man 2 seccomp`; Documentation/userspace-api/seccomp_filter.rst; `struct seccomp_data` in <linux/seccomp.h>.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
"""SECCOMP_RET_ERRNO: the call fails with the error number in the low 16 bits."""

LOAD = 0x20  # A = 32 bits of the data at offset k
AND = 0x54  # A &= k
EQUAL, GREATER, ANY_BIT = 0x15, 0x25, 0x45  # jump on A == k, A > k, A & k
RETURN = 0x06

NUMBER, ARCHITECTURE = 0, 4


def argument(index: int) -> int:
    """Offset of the low 32 bits of an argument (both architectures are little-endian).

    The high bits are not looked at on purpose: where the kernel takes an int it drops them, and a filter that compares
    all 64 can be passed by setting one (CVE-2019-10063).
    """
    return 16 + 8 * index


@dataclass(frozen=True)
class Instruction:
    """One `struct sock_filter`; `yes` and `no` are how many instructions a jump skips."""

    code: int
    k: int
    yes: int = 0
    no: int = 0

    def pack(self) -> bytes:
        """The instruction as the kernel reads it."""
        return struct.pack("<HBBI", self.code, self.yes, self.no, self.k)


@dataclass(frozen=True)
class Machine:
    """An architecture: its seccomp name, and which column of `NUMBERS` is its own."""

    audit: int
    """AUDIT_ARCH_*: tells native calls from 32-bit ones."""
    column: int


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

LAST = 450
"""The newest system call that was looked at (Linux 6.1): later ones do not exist for the program. On x86_64 this
refuses the x32 table too, whose numbers start at 2**30."""

# fmt: off
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # Keys are not in a namespace.
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "inotify_init": (253, None), "inotify_init1": (294, 26),
    # Large pieces of the kernel that nothing here needs.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "vmsplice": (278, 75), "uselib": (134, None), "modify_ldt": (154, None),
    "personality": (135, 92), "set_mempolicy": (238, 237), "mbind": (237, 235), "set_mempolicy_home_node": (450, 450),
    # Namespaces, mounts, the root.
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # The machine.
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "create_module": (174, None),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "acct": (163, 89),
    "swapon": (167, 224), "swapoff": (168, 225), "syslog": (103, 116), "vhangup": (153, 58), "sysfs": (139, None),
    "_sysctl": (156, None), "ustat": (136, None), "ioperm": (173, None), "iopl": (172, None),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162),
    # Memory that belongs to no process.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "remap_file_pages": (216, 234),
    # Looked at by their arguments, below.
    "clone": (56, 220), "clone3": (435, 435), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29),
    "mmap": (9, 222), "prlimit64": (302, 261), "setrlimit": (160, 164),
}
"""Number on x86_64 and on aarch64 (<asm/unistd_64.h>, <asm-generic/unistd.h>)."""
# fmt: on

NAMESPACES = 0x7E020080
"""CLONE_NEW* for namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME."""
FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6: what programs expect to exist; the network behind them is empty."""
AF_NETLINK = 16
"""Asks the kernel for network interfaces, of which the sandbox has the loopback alone. To change them takes a
capability that no program there has."""
TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX type into a terminal (CVE-2017-5226, CVE-2023-28339)."""
RLIMIT_CORE = 4
MAP_KIND, MAP_PRIVATE, MAP_ANONYMOUS = 0x0F, 0x02, 0x20


def refuse(error: int) -> Instruction:
    """Let the call fail with an error number."""
    return Instruction(RETURN, ERRNO | error)


def conditions(families: tuple[int, ...] = FAMILIES) -> dict[str, list[Instruction]]:
    """What becomes of the calls that are judged by their arguments; each block ends in a return."""
    allow = Instruction(RETURN, ALLOW)
    family = [
        Instruction(LOAD, argument(0)),
        *(Instruction(EQUAL, known, yes=len(families) - place) for place, known in enumerate(families)),
        refuse(errno.EAFNOSUPPORT),
        allow,
    ]
    return {
        # Its flags are behind a pointer; without it libc falls back on clone.
        "clone3": [refuse(errno.ENOSYS)],
        # CLONE_NEWTIME shares its bit with the exit signal and is for clone3 and unshare only.
        "clone": [
            Instruction(LOAD, argument(0)),
            Instruction(ANY_BIT, NAMESPACES & ~0xFF, no=1),
            refuse(errno.EPERM),
            allow,
        ],
        "socket": family,
        "socketpair": family,
        "ioctl": [
            Instruction(LOAD, argument(1)),
            Instruction(EQUAL, TERMINAL_INPUT[0], yes=1),
            Instruction(EQUAL, TERMINAL_INPUT[1], no=1),
            refuse(errno.EPERM),
            allow,
        ],
        # Of other processes there is one that matters, and it is ours.
        "prlimit64": [
            Instruction(LOAD, argument(0)),
            Instruction(EQUAL, 0, no=3),
            Instruction(LOAD, argument(1)),
            Instruction(EQUAL, RLIMIT_CORE, yes=1),
            allow,
            refuse(errno.EPERM),
        ],
        "setrlimit": [
            Instruction(LOAD, argument(0)),
            Instruction(EQUAL, RLIMIT_CORE, no=1),
            refuse(errno.EPERM),
            allow,
        ],
        # Shared anonymous memory stays when it is dropped from sight.
        "mmap": [
            Instruction(LOAD, argument(3)),
            Instruction(ANY_BIT, MAP_ANONYMOUS, no=3),
            Instruction(AND, MAP_KIND),
            Instruction(EQUAL, MAP_PRIVATE, yes=1),
            refuse(errno.EPERM),
            allow,
        ],
    }


def program(machine: Machine, *, peers: bool = False) -> list[Instruction]:
    """The filter for an architecture: one block a system call, so that no jump is long; `peers` is `Access.peers`."""
    filter_ = [
        Instruction(LOAD, ARCHITECTURE),
        Instruction(EQUAL, machine.audit, yes=1),
        Instruction(RETURN, KILL_PROCESS),
        Instruction(LOAD, NUMBER),
        Instruction(GREATER, LAST, no=1),
        refuse(errno.ENOSYS),
    ]
    special = conditions((*FAMILIES, AF_NETLINK) if peers else FAMILIES)
    for name, numbers in NUMBERS.items():
        number = numbers[machine.column]
        if number is not None:
            block = special.get(name, [refuse(errno.EPERM)])
            filter_ += [Instruction(EQUAL, number, no=len(block)), *block]
    return [*filter_, Instruction(RETURN, ALLOW)]


def assemble(architecture: str, *, peers: bool = False) -> bytes:
    """The filter as bytes for `bwrap --seccomp`; raises `KeyError` on an architecture that is not known."""
    return b"".join(instruction.pack() for instruction in program(MACHINES[architecture], peers=peers))
