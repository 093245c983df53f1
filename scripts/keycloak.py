#!/usr/bin/env python3
"""A Keycloak of one pinned version on loopback, fetched with Maven and started without a container.

    scripts/keycloak.py fetch              download and unpack it, start nothing
    scripts/keycloak.py up [--port N]      start it with the realms of config/keycloak
                           [--https-port N --tls FOLDER]
                                           also over TLS, with server.pem and server-key.pem of
                                           the folder, asking for client certificates of ca.pem
    scripts/keycloak.py down [--port N]    stop it

Rule: what is downloaded runs only if its SHA-256 is the one written here.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VERSION = "26.7.5"
SHA256 = "30ef87fb7101c43d29688d1ae80c0588ff4a151b3330e9f664bf9692d398658a"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
REALM_FILES = Path(__file__).resolve().parents[1] / "config" / "keycloak"
REALMS = ("example-realm", "example-realm-short")
OLDEST_JAVA = 17
START_TIMEOUT = 180.0
STOP_TIMEOUT = 20.0


class SetupError(Exception):
    """Something is missing; the text says what and how to get it."""


def cache_folder() -> Path:
    """Where downloads and running state are kept, outside the repository."""
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("BEARERGATE_CACHE") or f"{caches}/bearergate") / "keycloak"


def home() -> Path:
    """Where the unpacked distribution stands."""
    return cache_folder() / f"keycloak-{VERSION}"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one process fetch or start at a time: all share one unpacked distribution."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch() -> Path:
    """Return the unpacked distribution, downloaded first if it is not there."""
    if (home() / "bin" / "kc.sh").exists():
        return home()
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError("Maven is missing: install it (Debian: apt-get install maven).")
    print(f"fetching {ARTIFACT} (174 MB) ...", flush=True)
    downloads = cache_folder() / "download"
    command = [maven, "-B", "-q", "-C", "dependency:copy"]
    command += [f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={downloads}"]
    if subprocess.run(command, check=False, cwd=cache_folder()).returncode != 0:  # noqa: S603 - a fixed command line
        raise SetupError(f"Maven could not fetch {ARTIFACT}: see its lines above.")
    archive = downloads / f"keycloak-quarkus-dist-{VERSION}.zip"
    unpack(archive)
    shutil.rmtree(downloads)
    return home()


def unpack(archive: Path) -> None:
    """Unpack the verified archive beside its final place, then move it there whole."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise SetupError(f"{archive} has SHA-256 {found}, not {SHA256}: remove it and try again.")
    staging = cache_folder() / "unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    with zipfile.ZipFile(archive) as contents:
        for entry in contents.infolist():
            path = contents.extract(entry, staging)
            mode = entry.external_attr >> 16 & 0o777
            if mode:  # zipfile drops the execute bit of kc.sh
                Path(path).chmod(mode)
    shutil.rmtree(home(), ignore_errors=True)
    (staging / home().name).rename(home())
    staging.rmdir()


def java_homes() -> Iterable[Path]:
    """Every place a JDK may stand on Debian, Fedora, macOS or by the environment's word."""
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    for pattern in ("/usr/lib/jvm", "/opt/java", "/Library/Java/JavaVirtualMachines"):
        if Path(pattern).is_dir():
            yield from Path(pattern).iterdir()
            yield from Path(pattern).glob("*/Contents/Home")
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path).resolve().parents[1]


def java_version(java_home: Path) -> int:
    """Return the feature version that the JDK's ``release`` file states, 0 if it states none."""
    release = java_home / "release"
    if not (java_home / "bin" / "java").exists() or not release.is_file():
        return 0
    found = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found.group(1)) if found else 0


def newest_java() -> Path:
    """Return the home of the newest JDK on this machine."""
    homes = sorted({path.resolve() for path in java_homes()})
    best = max(homes, key=java_version, default=Path("/"))
    if java_version(best) < OLDEST_JAVA:
        raise SetupError(
            f"No Java {OLDEST_JAVA} or newer found: install one "
            "(Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME."
        )
    return best


def state_file(port: int, suffix: str) -> Path:
    """Name the pid or log file of the instance on this port."""
    return cache_folder() / f"run-{port}.{suffix}"


def running_pid(port: int) -> int | None:
    """Return the pid of the instance this script started on the port, while it lives."""
    try:
        pid = int(state_file(port, "pid").read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists() and b"keycloak" not in command.read_bytes():
        return None  # the number belongs to another process by now
    return pid


def tls_options(https_port: int, folder: Path) -> list[str]:
    """Tell Keycloak to serve TLS too and to ask for client certificates; its URL is then open."""
    return [
        f"--https-port={https_port}",
        f"--https-certificate-file={folder / 'server.pem'}",
        f"--https-certificate-key-file={folder / 'server-key.pem'}",
        f"--truststore-paths={folder / 'ca.pem'}",
        "--https-client-auth=request",
    ]


def start(port: int, java_home: Path, more: Sequence[str]) -> int:
    """Start Keycloak with the realms imported, and return its pid."""
    imports = home() / "data" / "import"
    imports.mkdir(parents=True, exist_ok=True)
    for realm in REALMS:
        shutil.copy(REALM_FILES / f"{realm}-realm.json", imports)
    command = [str(home() / "bin" / "kc.sh"), "start-dev", "--import-realm", "--db=dev-mem"]
    command += ["--cache=local", "--http-host=127.0.0.1", f"--http-port={port}"]
    command += more or [f"--hostname=http://127.0.0.1:{port}"]
    environment = os.environ | {
        "JAVA_HOME": str(java_home),
        "JAVA_OPTS_APPEND": "-Xmx512m",
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
    }
    with state_file(port, "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - a fixed command line
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    state_file(port, "pid").write_text(str(process.pid), encoding="ascii")
    return process.pid


def answers(url: str) -> bool:
    """Tell whether the URL answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - a loopback http URL
            return bool(response.status == 200)  # noqa: PLR2004 - the HTTP status
    except (urllib.error.URLError, OSError):
        return False


def issuer(port: int, realm: str) -> str:
    """Return the issuer identifier of a realm."""
    return f"http://127.0.0.1:{port}/realms/{realm}"


def wait_ready(port: int, pid: int) -> None:
    """Return when both realms answer discovery; stop and tell the log's end when they do not."""
    deadline = time.monotonic() + START_TIMEOUT
    waiting = [f"{issuer(port, realm)}/.well-known/openid-configuration" for realm in REALMS]
    while waiting:
        if answers(waiting[0]):
            waiting.pop(0)
            continue
        ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        if ended or time.monotonic() > deadline:
            what = "ended" if ended else f"did not answer within {START_TIMEOUT:.0f} s"
            log = state_file(port, "log")
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
            if not ended:
                stop_process(pid)
            state_file(port, "pid").unlink(missing_ok=True)
            raise SetupError("\n".join([*tail, f"Keycloak {what}; its log is {log}."]))
        time.sleep(0.5)


def stop_process(pid: int) -> None:
    """End the process and its group: politely first, then by force."""
    for number, patience in ((signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, STOP_TIMEOUT)):
        deadline = time.monotonic() + patience
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)


def up(port: int, more: Sequence[str]) -> None:
    """Have Keycloak running on the port and say what to do next."""
    with one_at_a_time():
        if running_pid(port) is None:
            if answers(f"http://127.0.0.1:{port}/"):
                raise SetupError(
                    f"Port {port} is taken by another program: choose one with --port."
                )
            java_home = newest_java()
            fetch()
            print(f"starting Keycloak {VERSION} on Java {java_version(java_home)} ...", flush=True)
            wait_ready(port, start(port, java_home, more))
    print(f"Keycloak {VERSION} is up, pid {running_pid(port)}, log {state_file(port, 'log')}")
    print(f"  issuer         {issuer(port, REALMS[0])}")
    print(f"  short tokens   {issuer(port, REALMS[1])}")
    print(f"  admin console  http://127.0.0.1:{port}/admin  (admin / admin)")
    print("try it:")
    print(
        f"  ISSUER={issuer(port, REALMS[0])} CLIENT_ID=kong CLIENT_SECRET=kong-secret "
        "UPSTREAM_URL=http://127.0.0.1:8080 python -m gateway run"
    )
    print("  curl -u john:doe http://127.0.0.1:8000/anything")
    print(f"stop it: python scripts/keycloak.py down --port {port}")


def down(port: int) -> None:
    """Stop what ``up`` started on the port."""
    pid = running_pid(port)
    if pid is None:
        print(f"no Keycloak of ours runs on port {port}")
    else:
        stop_process(pid)
        print(f"stopped Keycloak, pid {pid}")
    state_file(port, "pid").unlink(missing_ok=True)


def main() -> int:
    """Run one command; 0 is success, 1 tells on standard error what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=("fetch", "up", "down"))
    parser.add_argument("--port", type=int, default=8180, help="loopback port (default 8180)")
    parser.add_argument("--https-port", type=int, default=8543, help="loopback port (default 8543)")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="serve TLS too; see above")
    asked = parser.parse_args()
    try:
        if asked.command == "fetch":
            with one_at_a_time():
                print(fetch())
        elif asked.command == "up":
            up(asked.port, tls_options(asked.https_port, asked.tls) if asked.tls else ())
        else:
            down(asked.port)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
