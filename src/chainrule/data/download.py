"""Downloads of files with known size and SHA-256, from mirrors that may fail or send wrong data.

pooch verifies the hash and moves the finished file into place. The transfer is implemented here,
since pooch does not resume downloads, limit their size, or refuse redirects away from https.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from chainrule.errors import DownloadError, missing_dependency

_CHUNK = 2**16
_REDIRECTS = 5
_OFFLINE = "no connection"
_MOVE = "Set the environment variable CHAINRULE_CACHE to a folder that can be written."


class RemoteFile(NamedTuple):
    """The expected file: name, size in bytes, SHA-256."""

    name: str
    size: int
    sha256: str


class Transport(NamedTuple):
    """Options of a transfer: timeouts in seconds, tries per mirror, trusted URL schemes."""

    timeout: tuple[float, float] = (10.0, 30.0)
    attempts: int = 3
    backoff: float = 0.5
    deadline: float = 1800.0
    schemes: tuple[str, ...] = ("https",)


class _TryAgain(DownloadError):
    """A temporary failure: a lost connection, a timeout, an overloaded server."""


def cache_folder() -> str:
    """The folder of downloads: $CHAINRULE_CACHE, or the user's cache folder."""
    if folder := os.environ.get("CHAINRULE_CACHE"):
        return folder
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    if not base:
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise DownloadError("there is no home folder to keep downloads in", instead=_MOVE)
        base = os.path.join(home, ".cache")
    return os.path.join(base, "chainrule")


def is_sound(path: str, file: RemoteFile) -> bool:
    """Whether the file at `path` has exactly the expected contents."""
    try:
        return os.path.getsize(path) == file.size and _sha256(path) == file.sha256
    except OSError:
        return False


def _sha256(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(
    file: RemoteFile,
    mirrors: Sequence[str],
    folder: str,
    transport: Transport | None = None,
) -> str:
    """The path of `file` in `folder`, downloaded from the first mirror that delivers it.

    If a correct file exists, nothing is written. A damaged file is downloaded again. Other
    processes that need the same file wait. Only the complete and verified file gets the final name.

    Raises DownloadError with each URL and the reason of its failure.
    """
    transport = transport or Transport()
    path = os.path.join(folder, file.name)
    if is_sound(path, file):
        return path
    try:
        os.makedirs(folder, exist_ok=True)
        with _locked(path + ".lock", transport.deadline):
            return path if is_sound(path, file) else _try_mirrors(file, mirrors, path, transport)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"cannot write {file.name} ({file.size:,} bytes) into {folder}: {error}", instead=_MOVE
        ) from error


def _try_mirrors(file: RemoteFile, mirrors: Sequence[str], path: str, transport: Transport) -> str:
    failures: dict[str, str] = {}
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + file.name
        for attempt in range(transport.attempts):
            try:
                return _retrieve(url, file, path, transport)
            except DownloadError as error:
                failures[url] = error.problem
                if not isinstance(error, _TryAgain):
                    break
                if attempt + 1 < transport.attempts:
                    time.sleep(transport.backoff * 2**attempt)
    told = "".join(f"\n  {url}: {problem}" for url, problem in failures.items())
    if {*failures.values()} == {_OFFLINE}:
        told = f" {_OFFLINE} to {' or '.join(mirrors)}"
    raise DownloadError(
        f"could not download {file.name}:{told}",
        instead=f"Try again later, or put the file into {os.path.dirname(path)}.",
    )


def _retrieve(url: str, file: RemoteFile, path: str, transport: Transport) -> str:
    try:
        import pooch  # type: ignore[import-untyped]
    except ImportError:
        raise missing_dependency("pooch", None, "downloading data sets") from None
    folder, name = os.path.split(path)
    pooch.get_logger().setLevel("WARNING")  # Errors of all mirrors are reported together.

    def transfer(url: str, output_file: str, _: Any) -> None:
        part = path + ".part"
        _receive(url, part, file, transport)
        got = _sha256(part)
        if got != file.sha256:
            os.remove(part)
            raise DownloadError(f"wrong SHA-256: got {got}, wanted {file.sha256}")
        os.replace(part, output_file)

    known = f"sha256:{file.sha256}"
    return str(pooch.retrieve(url, known, fname=name, path=folder, downloader=transfer))


def _receive(url: str, part: str, file: RemoteFile, transport: Transport) -> None:
    """Download into `part` up to the size of the file; continue after the bytes of earlier
    tries."""
    import requests
    from urllib3.exceptions import HTTPError

    have = os.path.getsize(part) if os.path.exists(part) else 0
    if have >= file.size:
        os.remove(part)
        have = 0
    started = time.monotonic()
    try:
        with requests.Session() as session:
            response = _open(session, url, have, transport)
            with response, open(part, "ab") as output:
                if response.status_code == 200:
                    output.truncate(0)
                    have = 0
                for chunk in _chunks(response, started, transport.deadline):
                    have += len(chunk)
                    if have > file.size:
                        break
                    output.write(chunk)
    except (requests.RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        if _is_offline(error):
            raise DownloadError(_OFFLINE) from error
        raise _TryAgain(f"{type(error).__name__}: {str(error)[:200]}") from error
    if have > file.size:
        os.remove(part)
        raise DownloadError(f"the server sends more than the {file.size:,} bytes of the file")
    if have < file.size:
        raise _TryAgain(f"cut after {have:,} of {file.size:,} bytes")


def _is_offline(error: Exception) -> bool:
    """Whether the host was not reached at all."""
    from urllib3.exceptions import NewConnectionError, ProxyError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, (NewConnectionError, ProxyError))


def _open(session: Any, url: str, have: int, transport: Transport) -> Any:
    """The response (200 for the whole file, 206 for the rest). Follows redirects to trusted schemes
    only."""
    from urllib.parse import urljoin, urlsplit

    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    for _ in range(_REDIRECTS + 1):
        if urlsplit(url).scheme not in transport.schemes:
            trusted = " or ".join(transport.schemes)
            raise DownloadError(f"refused to go to {url[:200]}: only {trusted} is trusted")
        response = session.get(
            url, headers=headers, stream=True, timeout=transport.timeout, allow_redirects=False
        )
        if not response.is_redirect:
            return _checked(response, have)
        url = urljoin(url, response.headers["location"])
        response.close()
    raise DownloadError(f"more than {_REDIRECTS} redirects")


def _checked(response: Any, have: int) -> Any:
    status = response.status_code
    resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if status == 200 or (status == 206 and resumed and have):
        return response
    response.close()
    problem = f"HTTP {status} {response.reason}"
    if status in (408, 416, 429) or status >= 500:
        raise _TryAgain(problem)
    raise DownloadError(problem)


def _chunks(response: Any, started: float, deadline: float) -> Iterator[bytes]:
    # Read the raw bytes: a server may declare a .gz file as gzip-encoded, but the hash is that of
    # the compressed bytes. read1 returns the available bytes, so a slow transfer is stopped in
    # time.
    raw = response.raw
    read = raw.read1 if hasattr(raw, "read1") else raw.read
    while chunk := read(_CHUNK, decode_content=False):
        yield chunk
        if time.monotonic() - started > deadline:
            raise _TryAgain(f"not complete after {deadline:g} seconds")


@contextmanager
def _locked(path: str, deadline: float) -> Iterator[None]:
    """Lock `path` against other processes. The lock of a process ends with it."""
    try:
        import fcntl
    except ImportError:  # Windows: the atomic rename alone protects the final file.
        yield
        return
    until = time.monotonic() + deadline
    with open(path, "a") as file:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > until:
                raise DownloadError(
                    f"another process holds {path} for more than {deadline:g} seconds",
                    instead="Wait for it, or end it if it hangs.",
                )
            time.sleep(0.05)
        yield
