"""A real PostgreSQL of our own: in a folder of its own, as its own user, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

USER = "postgres"
PASSWORD = "of-a-test"
EVERYWHERE = "host all all 0.0.0.0/0 scram-sha-256\n"
"""Line of pg_hba.conf: whoever knows the password."""
READY_SECONDS = 30.0


class PostgreSql:
    """A server in `directory`, at `host`. Installs Debian's package where there is none."""

    def __init__(self, directory: Path, port: int, host: str = "127.0.0.1") -> None:
        self._directory = directory
        self._host = host
        self._port = port
        self._binaries = _binaries()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD}@{self._host}:{self._port}/postgres"

    def create(self) -> None:
        self._directory.mkdir(mode=0o700)
        account = pwd.getpwnam(USER)
        os.chown(self._directory, account.pw_uid, account.pw_gid)
        for folder in self._directory.parents:  # pytest's folders let nobody through
            if folder.stat().st_uid == os.getuid() and folder != Path("/") and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
        password = self._directory.with_suffix(".password")
        password.write_text(PASSWORD)
        os.chown(password, account.pw_uid, account.pw_gid)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", f"--username={USER}", "--no-sync", "--encoding=UTF8"]
        self._run("initdb", *options)
        with (self._directory / "pg_hba.conf").open("a") as hosts:
            hosts.write(EVERYWHERE)

    def start(self) -> None:
        options = ["-h", self._host, "-p", str(self._port), "-k", "", "-c", "fsync=on"]
        command = [str(self._binaries / "postgres"), "-D", str(self._directory), *options]
        log = (self._directory.parent / "postgresql.log").open("ab")
        self._server = subprocess.Popen(command, user=USER, group=USER, extra_groups=[], stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        ready = [str(self._binaries / "pg_isready"), "-h", self._host, "-p", str(self._port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, (self._directory.parent / "postgresql.log").read_text()
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT ends it at once, without a clean-up: the next start recovers, as after a crash."""
        if self._server:
            self._server.send_signal(how)
            self._server.wait(READY_SECONDS)
            self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), "-D", str(self._directory), *arguments]
        done = subprocess.run(
            command, user=USER, group=USER, extra_groups=[], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr


def _binaries() -> Path:
    """The folder of initdb and postgres."""
    found = _found()
    if found is None:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "postgresql"]):
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        found = _found()
    assert found, "no PostgreSQL here, and apt-get install postgresql brought none"
    return found


def _found() -> Path | None:
    known = shutil.which("initdb")
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if known:
        places.append(Path(known).resolve().parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_isready").exists()), None)
