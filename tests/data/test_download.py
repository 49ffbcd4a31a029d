"""Downloads from a server on this machine that lies: E13-E15, E17-E19, K4."""

import hashlib
import http.server
import multiprocessing
import os
import threading
import time

import pytest

from chainrule.data import download
from chainrule.data.download import RemoteFile, Transport, cache_folder, fetch, is_sound
from chainrule.errors import DownloadError

pytest.importorskip("pooch")
CONTENT = bytes(range(256)) * 1200
FILE = RemoteFile("set.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
QUICK = Transport(
    timeout=(1.0, 0.3), attempts=3, backoff=0.01, deadline=10.0, schemes=("https", "http")
)


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `behaviour(handler)` says; counts requests."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        self.server.behaviour(self)

    def log_message(self, *_):
        pass

    def answer(self, body=CONTENT, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def resumable(self, cut=None):
        """The content from the asked-for byte on, cut off after `cut` bytes."""
        asked = self.headers.get("Range")
        start = int(asked.split("=")[1].rstrip("-")) if asked else 0
        body = CONTENT[start:]
        extra = (
            {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if asked else {}
        )
        status = 206 if asked else 200
        self.answer(body[:cut], status, length=len(body), **extra)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # the client hangs up on liars
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with Server(("127.0.0.1", 0), Liar) as running:
        running.requests = []
        running.behaviour = Liar.answer
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def left_over(folder):
    return sorted(set(os.listdir(folder)) - {"set.gz.lock"})


def test_fetches_once_and_then_uses_the_cache(server, tmp_path):
    folder = str(tmp_path / "new" / "cache")
    path = fetch(FILE, [server.url], folder, QUICK)
    assert path == os.path.join(folder, "set.gz")
    with open(path, "rb") as file:
        assert file.read() == CONTENT
    assert left_over(folder) == ["set.gz"]
    assert fetch(FILE, [server.url], folder, QUICK) == path
    assert len(server.requests) == 1


def test_wrong_bytes_name_both_hashes_and_try_the_next_mirror(server, tmp_path):
    wrong = bytes(len(CONTENT))
    server.behaviour = lambda h: h.answer(wrong if h.path.startswith("/bad") else CONTENT)
    assert is_sound(fetch(FILE, [server.url + "/bad", server.url], str(tmp_path), QUICK), FILE)
    assert [path for path, _ in server.requests] == ["/bad/set.gz", "/set.gz"]
    os.remove(tmp_path / "set.gz")
    with pytest.raises(DownloadError, match="put the file into /") as caught:
        fetch(FILE, [server.url + "/bad"], str(tmp_path), QUICK)
    for words in (hashlib.sha256(wrong).hexdigest(), FILE.sha256, server.url + "/bad/set.gz"):
        assert words in str(caught.value)
    assert left_over(tmp_path) == []


def test_a_cut_download_is_resumed(server, tmp_path):
    server.behaviour = lambda h: h.resumable(cut=None if len(server.requests) > 2 else 100_000)
    path = fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert is_sound(path, FILE)
    starts = [asked for _, asked in server.requests]
    assert starts == [None, "bytes=100000-", "bytes=200000-"]
    assert left_over(tmp_path) == ["set.gz"]


def test_a_server_without_resume_is_read_from_the_start(server, tmp_path):
    def behaviour(handler):
        handler.answer(
            CONTENT[:1000] if len(server.requests) == 1 else CONTENT, length=len(CONTENT)
        )

    server.behaviour = behaviour
    assert is_sound(fetch(FILE, [server.url], str(tmp_path), QUICK), FILE)
    assert server.requests[1][1] == "bytes=1000-"


def test_a_wrong_resume_is_not_glued_on(server, tmp_path):
    (tmp_path / "set.gz.part").write_bytes(CONTENT[:500])

    def behaviour(handler):
        asked = handler.headers.get("Range")
        if asked:
            handler.answer(CONTENT[7:], 206, Content_Range=f"bytes 7-9/{len(CONTENT)}")
        else:
            handler.answer()

    server.behaviour = behaviour
    with pytest.raises(DownloadError, match="HTTP 206"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert left_over(tmp_path) == ["set.gz.part"]


@pytest.mark.parametrize("left", [bytes(500), CONTENT + b"more"], ids=["wrong", "too long"])
def test_a_bad_left_over_part_never_becomes_the_file(server, tmp_path, left):
    (tmp_path / "set.gz.part").write_bytes(left)
    server.behaviour = Liar.resumable
    mirrors = [server.url + "/1", server.url + "/2"]
    assert is_sound(fetch(FILE, mirrors, str(tmp_path), QUICK), FILE)
    assert left_over(tmp_path) == ["set.gz"]


@pytest.mark.parametrize(
    "status, tries", [(403, 1), (404, 1), (410, 1), (429, 3), (500, 3), (503, 3)]
)
def test_http_errors(server, tmp_path, status, tries):
    server.behaviour = lambda handler: handler.answer(b"no", status)
    with pytest.raises(DownloadError, match=f"HTTP {status}"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert len(server.requests) == tries
    assert left_over(tmp_path) == []


def test_an_overloaded_server_recovers_with_growing_pauses(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)

    def behaviour(handler):
        handler.answer(status=503) if len(server.requests) < 3 else handler.answer()

    server.behaviour = behaviour
    assert is_sound(fetch(FILE, [server.url], str(tmp_path), QUICK), FILE)
    assert pauses == [0.01, 0.02]


def test_a_stall_ends_in_time(server, tmp_path):
    def behaviour(handler):
        handler.answer(CONTENT[:10], length=len(CONTENT))
        time.sleep(1.0)

    server.behaviour = behaviour
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"(?i)time"):
        fetch(FILE, [server.url], str(tmp_path), Transport((1.0, 0.1), 2, 0.01, 10, ("http",)))
    assert time.monotonic() - started < 1.0
    assert left_over(tmp_path) == ["set.gz.part"]


def test_a_drip_meets_the_deadline(server, tmp_path):
    def behaviour(handler):
        handler.answer(b"", length=len(CONTENT))
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.02)

    server.behaviour = behaviour
    with pytest.raises(DownloadError, match=r"not complete after 0.2 seconds"):
        fetch(FILE, [server.url], str(tmp_path), Transport((1.0, 1.0), 1, 0.01, 0.2, ("http",)))


def test_a_body_without_end_is_stopped(server, tmp_path):
    sent = []

    def behaviour(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(2000):
            sent.append(handler.wfile.write(bytes(2**16)))

    server.behaviour = behaviour
    with pytest.raises(DownloadError, match=f"more than the {len(CONTENT):,} bytes"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert left_over(tmp_path) == []
    # What the sockets' buffers hold may have been sent as well, but not the whole 131 MB.
    assert sum(sent) < 50 * 2**20


def test_a_short_body_is_no_success(server, tmp_path):
    server.behaviour = lambda handler: handler.answer(CONTENT[:1000])
    with pytest.raises(DownloadError, match="cut after 1,000 of 307,200"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert not os.path.exists(tmp_path / "set.gz")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x"])
def test_redirects_to_other_schemes_are_refused(server, tmp_path, target):
    server.behaviour = lambda handler: handler.answer(b"", 302, Location=target)
    with pytest.raises(DownloadError, match=f"refused to go to {target}"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert left_over(tmp_path) == []


def test_only_https_is_trusted(server, tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match=r"refused to go to http://.*only https is trusted"):
        fetch(FILE, [server.url], str(tmp_path))
    assert server.requests == []

    class Redirect:
        is_redirect = True
        headers = {"location": server.url + "/plain"}  # noqa: RUF012

        def close(self):
            pass

    monkeypatch.setattr("requests.Session.get", lambda *_, **__: Redirect())
    with pytest.raises(DownloadError, match=r"refused to go to http://.*/plain"):
        fetch(FILE, ["https://example.org"], str(tmp_path))
    assert server.requests == []


def test_redirects_within_the_trusted_schemes_are_followed_a_few_times(server, tmp_path):
    def behaviour(handler):
        if handler.path == "/set.gz":
            handler.answer(b"", 301, Location="/elsewhere")
        else:
            handler.answer()

    server.behaviour = behaviour
    assert is_sound(fetch(FILE, [server.url], str(tmp_path), QUICK), FILE)
    os.remove(tmp_path / "set.gz")
    server.behaviour = lambda handler: handler.answer(b"", 302, Location="/again")
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)


def test_the_packed_bytes_count_even_if_labelled_as_encoded(server, tmp_path):
    server.behaviour = lambda handler: handler.answer(Content_Encoding="gzip")
    assert is_sound(fetch(FILE, [server.url], str(tmp_path), QUICK), FILE)


def test_nobody_there(tmp_path):
    with pytest.raises(DownloadError) as caught:
        fetch(FILE, ["http://127.0.0.1:9"], str(tmp_path), QUICK)
    assert str(caught.value) == (
        "could not download set.gz: no connection to http://127.0.0.1:9. Try again later, or put "
        f"the file into {tmp_path}."
    )


def test_a_cached_file_that_was_damaged_is_fetched_again(server, tmp_path):
    (tmp_path / "set.gz").write_bytes(CONTENT[:-1] + b"?")
    assert not is_sound(str(tmp_path / "set.gz"), FILE)
    assert is_sound(fetch(FILE, [server.url], str(tmp_path), QUICK), FILE)


def test_a_read_only_cache_still_serves(server, tmp_path, monkeypatch):
    fetch(FILE, [server.url], str(tmp_path), QUICK)

    def refuse(*_, **__):
        raise AssertionError("tried to write")

    monkeypatch.setattr(os, "makedirs", refuse)
    monkeypatch.setattr(download, "_locked", refuse)
    assert fetch(FILE, ["http://127.0.0.1:9"], str(tmp_path), QUICK)


def test_a_folder_that_cannot_be_written_names_the_way_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"set\.gz \(307,200 bytes\).*CHAINRULE_CACHE"):
        fetch(FILE, ["http://127.0.0.1:9"], str(tmp_path / "file" / "cache"), QUICK)


def test_a_full_disk_names_the_way_out(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(DownloadError, match=r"No space left.*CHAINRULE_CACHE"):
        fetch(FILE, [server.url], str(tmp_path), QUICK)
    assert left_over(tmp_path) == []


def _fetch_in_child(url, folder, results):
    results.put(fetch(FILE, [url], folder, QUICK))


def test_processes_download_one_copy(server, tmp_path):
    def slowly(handler):
        time.sleep(0.2)
        handler.answer()

    server.behaviour = slowly
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (server.url, str(tmp_path), results)
    children = [context.Process(target=_fetch_in_child, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    paths = {results.get(timeout=30) for _ in children}
    for child in children:
        child.join(10)
    assert paths == {str(tmp_path / "set.gz")}
    assert len(server.requests) == 1


def test_a_lock_that_is_held_for_too_long_is_an_error(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with open(tmp_path / "set.gz.lock", "w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match=r"another process holds .*set\.gz\.lock"):
            fetch(FILE, ["http://127.0.0.1:9"], str(tmp_path), Transport(deadline=0.1))


def test_where_the_cache_is(monkeypatch):
    for name in ("CHAINRULE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == "/home/somebody/.cache/chainrule"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == "/xdg/chainrule"
    monkeypatch.setenv("CHAINRULE_CACHE", "/mine")
    assert cache_folder() == "/mine"


def test_without_a_home_the_error_says_what_to_set(monkeypatch):
    for name in ("CHAINRULE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(DownloadError, match="CHAINRULE_CACHE"):
        cache_folder()
