"""Hostile scripts that reach for what is outside: the network, files, processes, the kernel, the terminal."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import pytest

from auditor.sandbox import Status
from auditor.sandbox.command import SHOWN
from auditor.sandbox.seccomp import MACHINES, NUMBERS

from .conftest import Script

SYSCALL = """
    import ctypes, errno, sys
    libc = ctypes.CDLL(None, use_errno=True)
    def call(number, *arguments):
        words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
        answer = libc.syscall(ctypes.c_long(number), *words)
        return errno.errorcode[ctypes.get_errno()] if answer == -1 else "done"
"""
"""System calls by their number, as a script that knows what it wants makes them."""


def number(name: str) -> int:
    """Of a system call, on this machine."""
    found = NUMBERS[name][MACHINES[platform.machine()].column]
    assert found is not None
    return found


@pytest.mark.parametrize("family, address", [("AF_INET", ("192.0.2.1", 80)), ("AF_INET6", ("2001:db8::1", 80))])
def test_there_is_no_network(script: Script, family: str, address: tuple[str, int]) -> None:
    outcome = script(f"import socket; socket.socket(socket.{family}).connect({address})")
    assert outcome.status is Status.RE
    assert "Network is unreachable" in outcome.stderr


def test_a_server_of_the_host_is_not_reached(script: Script) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0pgolf-{os.getpid()}")
        abstract.listen()
        outcome = script(f"""
            import socket
            for family, address in ((socket.AF_INET, {tcp.getsockname()}), (socket.AF_UNIX, {abstract.getsockname()})):
                try:
                    socket.socket(family).connect(address)
                    print("reached", address)
                except ConnectionRefusedError:
                    print("refused")
        """)
    assert outcome.stdout.split() == ["refused", "refused"]


def test_no_name_is_resolved(script: Script) -> None:
    outcome = script("import socket; socket.getaddrinfo('example.org', 80)")
    assert outcome.status is Status.RE
    assert "gaierror" in outcome.stderr


def test_files_of_the_host_are_not_there(script: Script, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    places = [str(secret), str(Path.home() / ".ssh"), __file__, "/etc/shadow", "/etc/passwd", "/sys", "/run", "/var"]
    places += ["/home", "/proc/kcore", "/dev/mem", "/dev/tty", "/dev/ptmx", "/dev/zero", "/dev/kvm", "/dev/fuse"]
    outcome = script("import os, sys; print([path for path in sys.argv[1:] if os.path.exists(path)])", *places)
    assert json.loads(outcome.stdout.replace("'", '"')) in ([], ["/proc/kcore"])


def test_nothing_but_tmp_can_be_written(script: Script) -> None:
    outcome = script("""
        import os
        for line in open("/proc/self/mounts"):
            place = line.split()[1]
            if not os.statvfs(place).f_flag & os.ST_RDONLY:
                print(place)
        for place in ("/", "/usr", "/etc", "/dev", "/root", "/proc", "/proc/sys/kernel/core_pattern", "/tmp/.."):
            assert not os.access(place, os.W_OK), place
    """)
    assert outcome.status is Status.OK, outcome.stderr
    devices = {f"/dev/{name}" for name in ("null", "full", "random", "urandom")}
    assert set(outcome.stdout.split()) <= {"/proc", "/tmp"} | devices


def test_it_has_no_privileges(script: Script) -> None:
    outcome = script("print(open('/proc/self/status').read()); import os; print(os.getgroups())")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    if os.geteuid() == 0:
        assert outcome.stdout.splitlines()[-1] == "[]"


def test_files_of_root_are_not_read_through_a_mount(script: Script, tmp_path: Path) -> None:
    from auditor.sandbox import Mount, run

    if os.geteuid() != 0:
        pytest.skip("needs root, whose files these are")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    tmp_path.chmod(0o755)
    outcome = run(["cat", "/data/secret"], workspace=tmp_path, readonly=[Mount(tmp_path, Path("/data"))])
    assert outcome.status is Status.RE
    assert "Permission denied" in outcome.stderr


def test_no_other_process_is_seen(script: Script) -> None:
    outcome = script("""
        import os
        print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
        for name in ("mem", "environ", "fd", "root", "cwd", "map_files", "maps"):
            try:
                path = f"/proc/1/{name}"
                os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
                print("read", path)
            except PermissionError:
                pass
            except OSError as error:
                print(error)
    """)
    assert outcome.status is Status.OK, outcome.stderr
    assert outcome.stdout == "[1, 2]\n"


def test_proc_tells_nothing_of_the_host(script: Script) -> None:
    outcome = script("""
        import os
        for name in os.listdir("/proc"):
            path = os.path.join("/proc", name)
            if name.isdigit() or os.path.islink(path):
                continue
            try:
                if os.listdir(path) if os.path.isdir(path) else open(path).read(1):
                    print(name)
            except PermissionError:
                pass
    """)
    assert set(outcome.stdout.split()) <= set(SHOWN), outcome.stderr
    assert outcome.status is Status.OK


def test_its_parent_survives_every_signal(script: Script) -> None:
    outcome = script("""
        import os, signal
        for number in signal.valid_signals():
            for target in (os.getppid(), -1):
                try:
                    os.kill(target, number)
                except (PermissionError, ProcessLookupError):
                    pass
        print("still here")
    """)
    assert (outcome.status, outcome.stdout) == (Status.OK, "still here\n"), outcome.stderr


def test_its_parents_limits_cannot_be_changed(script: Script) -> None:
    outcome = script("import resource; resource.prlimit(1, resource.RLIMIT_AS, (1, 1))")
    assert "Permission" in outcome.stderr
    assert outcome.status is Status.RE


def test_no_descriptor_of_the_host_is_inherited(script: Script) -> None:
    descriptor = os.open("/", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        outcome = script("import os; print([os.path.exists(f'/proc/self/fd/{number}') for number in range(3, 256)])")
    finally:
        os.close(descriptor)
    assert outcome.status is Status.OK
    assert "True" not in outcome.stdout


def test_standard_input_is_empty(script: Script) -> None:
    assert script("import sys; print(repr(sys.stdin.read()), sys.stdin.isatty())").stdout == "'' False\n"


REFUSED = {
    "keyctl": ("keyctl", 0, -3, 1),
    "add_key": ("add_key", b"user", b"name", b"data", 4, -3),
    "request_key": ("request_key", b"user", b"name", 0, 0),
    "ptrace": ("ptrace", 0, 0, 0, 0),
    "read another's memory": ("process_vm_readv", 1, 0, 0, 0, 0, 0),
    "bpf": ("bpf", 0, 0, 0),
    "userfaultfd": ("userfaultfd", 1),
    "io_uring": ("io_uring_setup", 1, b"\\0" * 120),
    "perf": ("perf_event_open", b"\\0" * 128, 0, -1, -1, 0),
    "a user namespace": ("unshare", 0x10000000),
    "a user namespace by clone": ("clone", 0x10000000 | 17, 0, 0, 0, 0),
    "another's namespace": ("setns", 0, 0),
    "mount": ("mount", b"none", b"/tmp", b"tmpfs", 0, 0),
    "a new mount": ("fsopen", b"tmpfs", 0),
    "a file by its handle": ("open_by_handle_at", -100, b"\\0" * 128, 0),
    "a module": ("init_module", 0, 0, b""),
    "kexec": ("kexec_load", 0, 0, 0, 0),
    "a descriptor of another process": ("pidfd_getfd", 0, 0, 0),
    "a file without a folder": ("memfd_create", b"x", 0),
    "shared memory of System V": ("shmget", 0, 4096, 0o1600),
    "shared memory without a file": ("mmap", 0, 4096, 3, 0x21, -1, 0),
    "typing": ("ioctl", 0, 0x5412, b"x"),
    "typing, with a high bit set": ("ioctl", 0, 0x5412 | 1 << 32, b"x"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_kernel_refuses(script: Script, what: str) -> None:
    name, *arguments = REFUSED[what]
    assert isinstance(name, str)
    outcome = script(SYSCALL + f"    print(call({number(name)}, *{arguments}))".replace("\\\\", "\\"))
    assert outcome.stdout == "EPERM\n", outcome.stderr


def test_new_system_calls_and_clone3_do_not_exist(script: Script) -> None:
    outcome = script(SYSCALL + "    print(*(call(number, 0, 0) for number in (435, 451, 462, 2000, 0x40000027)))")
    assert set(outcome.stdout.split()) == {"ENOSYS"}


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_CAN"])
def test_odd_sockets_do_not_exist(script: Script, family: str) -> None:
    outcome = script(f"import socket; socket.socket(socket.{family}, socket.SOCK_RAW)")
    assert "Address family not supported" in outcome.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is an instruction of x86")
def test_a_32_bit_system_call_is_the_end(script: Script) -> None:
    outcome = script("""
        import ctypes, mmap
        code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
        code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
        print(ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())
    """)
    assert (outcome.status, outcome.stdout) == (Status.SG, "")


def test_nothing_is_typed_into_the_terminal(tmp_path: Path, script: Script) -> None:
    import pty
    import subprocess

    (tmp_path / "script.py").write_text(
        "import fcntl, os\n"
        "for name in (0, 1, 2, '/dev/tty', '/dev/console', '/dev/pts/0'):\n"
        "    try:\n"
        "        fcntl.ioctl(name if isinstance(name, int) else os.open(name, os.O_RDWR), 0x5412, b'x')\n"
        "        print('typed')\n"
        "    except OSError:\n"
        "        pass\n"
    )
    ours, theirs = pty.openpty()
    host = (
        "import fcntl, sys, termios, pathlib\n"
        "from auditor.sandbox import run\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        f"print(run([sys.executable, 'script.py'], workspace=pathlib.Path({str(tmp_path)!r})).stdout, end='done')\n"
    )
    try:
        command = [sys.executable, "-c", host]
        said = subprocess.run(command, stdin=theirs, stdout=subprocess.PIPE, start_new_session=True, check=True)
        assert said.stdout == b"done"
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    finally:
        os.close(ours)
        os.close(theirs)
