"""Handing an atlas to others: into a folder, to a Hub (a fake one, on this machine), over the loopback address."""

from __future__ import annotations

import base64
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

import vitvis
from tests.atlas import made_runs as made
from vitvis.atlas.serve import make_server
from vitvis.errors import VitvisError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    fit = made.write_fit(folder / "fit", depths=1, units=4, kinds=("mlp",), seeds=(0,), strips=False)
    search = made.write_search(folder / "search", depths=1, units=6, kinds=("mlp",), label="a secret label")
    return [str(fit), str(search)]


def publish(runs: list[str], tmp_path: Path, **settings: Any) -> Path:
    vitvis.atlas.run({"map": False, **settings}, runs=runs, out=str(tmp_path / "atlas"))
    return tmp_path / "atlas"


def test_a_folder_gets_the_atlas_without_photos_and_keeps_what_is_not_its_own(runs: list[str], tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    (pages / ".git").mkdir(parents=True)
    (pages / ".git" / "HEAD").write_text("mine")
    publish(runs, tmp_path, publish=str(pages))
    assert (pages / "index.html").is_file() and (pages / ".nojekyll").is_file()
    assert not (pages / "thumbs").exists()
    card = (pages / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["sdk"] == "static"
    assert "made_vit" in card and "0123456789ab" in card and "No photos" in card
    manifest = json.loads((Path(runs[0]) / "manifest.json").read_text())
    assert manifest["recipe_hash"] in card
    publish(runs[:1], tmp_path, publish=str(pages), photos=True, photo_license="CC0")  # two units fewer, no search
    assert "CC0" in (pages / "README.md").read_text()
    assert (pages / ".git" / "HEAD").read_text() == "mine"
    written = {path.relative_to(pages).as_posix() for path in pages.rglob("*") if path.is_file()}
    again = {
        path.relative_to(tmp_path / "atlas").as_posix() for path in (tmp_path / "atlas").rglob("*") if path.is_file()
    }
    assert written == again | {".git/HEAD", ".nojekyll", ".vitvis-atlas"}


def test_a_unit_known_by_photos_alone_is_an_empty_tile(runs: list[str], tmp_path: Path) -> None:
    site = publish(runs, tmp_path, photos=False)
    table = json.loads((site / "data/s0.js").read_text().split(",", 1)[1].rstrip().removesuffix(");"))
    assert [bool(colour) for colour in table["colour"]] == [True] * 4 + [False] * 2
    with pytest.raises(VitvisError, match="nothing else to show"):
        publish(runs[1:], tmp_path, photos=False)


def test_mistakes_are_one_line_and_found_before_anything_is_written(runs: list[str], tmp_path: Path) -> None:
    with pytest.raises(VitvisError, match=r"hf:USER/NAME"):
        publish(runs, tmp_path, publish="hf:no-user")
    with pytest.raises(VitvisError, match=r"photo_license=TEXT"):
        publish(runs, tmp_path, publish="hf:me/units", photos=True)
    (tmp_path / "file").touch()
    for place, said in ((tmp_path / "file", "no folder"), (runs[0], "holds a run"), ("s3://bucket/x", "or a folder"),
                        ("/proc/x", "nothing can be written"), (tmp_path / "atlas", "where the atlas is")):  # fmt: skip
        with pytest.raises(VitvisError, match=said):
            publish(runs, tmp_path, publish=str(place))
    with pytest.raises(VitvisError, match="no model 'nosuch'"):
        publish(runs, tmp_path, eye="nosuch", map=True)
    for words in (["--dry-run"], ["port=80"]):  # which say something of what is not asked for
        assert vitvis.atlas.COMMAND.main([*runs, *words, f"out={tmp_path / 'atlas'}"]) == 2
    assert not (tmp_path / "atlas").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "index.html").write_text("mine")
    with pytest.raises(VitvisError, match=r"holds index\.html"):
        publish(runs, tmp_path, publish=str(tmp_path / "full"))
    assert (tmp_path / "full" / "index.html").read_text() == "mine"


class FakeHub(BaseHTTPRequestHandler):
    """As much of the Hub as an upload asks: repositories and commits of plain files."""

    asked: list[tuple[str, str, bytes]] = []

    def log_message(self, format: str, *args: Any) -> None: ...

    def answer(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.asked.append(("GET", self.path, b""))
        if self.headers.get("Authorization") != "Bearer hf_made":
            return self.answer({"error": "no"}, 401)
        if "/tree/" in self.path:
            return self.answer([{"type": "file", "path": "sprites/old.webp", "size": 1, "oid": "0" * 40}])
        self.answer({"id": "me/units", "sha": "0" * 40, "private": False, "tags": [], "siblings": [{"rfilename": "sprites/old.webp"}]})  # fmt: skip  # noqa: E501

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.asked.append(("POST", self.path, body))
        if self.headers.get("Authorization") != "Bearer hf_made":
            return self.answer({"error": "no"}, 401)
        if "/preupload/" in self.path:
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return self.answer({"files": files})
        if "/commit/" in self.path:
            url = f"http://{self.headers['Host']}/spaces/me/units/commit/{'1' * 40}"
            return self.answer({"success": True, "commitOid": "1" * 40, "commitUrl": url, "hookOutput": ""})
        self.answer({"url": f"http://{self.headers['Host']}/spaces/me/units", "id": "me/units", "name": "me/units",
                     "errors": [], "warnings": []})  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    import huggingface_hub

    FakeHub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    made_api = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # the Hub is on this machine
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made_api(endpoint=endpoint, token="hf_made"))
    yield FakeHub
    server.shutdown()
    server.server_close()


def test_the_hub_gets_a_static_space_with_all_files(runs: list[str], tmp_path: Path, hub: Any) -> None:
    site = publish(runs, tmp_path, publish="hf:me/units")
    created = json.loads(next(body for _, path, body in hub.asked if path.endswith("/repos/create")))
    assert (created["type"], created["sdk"]) == ("space", "static")
    lines = next(body for _, path, body in hub.asked if "/commit/" in path).decode().splitlines()
    operations = [json.loads(line) for line in lines]
    sent = {item["value"]["path"]: base64.b64decode(item["value"]["content"]) for item in operations
            if item["key"] == "file"}  # fmt: skip
    assert sent == {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    gone = [item["value"]["path"] for item in operations if item["key"] == "deletedFile"]
    assert gone == ["sprites/old.webp"]
    assert not any(name.startswith("thumbs/") for name in sent)


def test_a_dry_run_asks_nobody(runs: list[str], tmp_path: Path, hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from vitvis.atlas.run import main

    place = ["publish=hf:datasets/me/units", "map=false", f"out={tmp_path / 'atlas'}", "--dry-run"]
    assert main([*runs, *place]) == 0
    assert "would publish" in capsys.readouterr().out
    assert hub.asked == []


def test_a_refusal_is_one_line(runs: list[str], tmp_path: Path, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    api = huggingface_hub.HfApi().endpoint
    made_api = type(huggingface_hub.HfApi())
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made_api(endpoint=api, token="hf_wrong"))
    with pytest.raises(VitvisError, match=r"publish=hf:me/units: ") as error:
        publish(runs, tmp_path, publish="hf:me/units")
    assert "\n" not in str(error.value)


def test_it_is_served_on_the_loopback_address_to_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("here")
    with make_server(tmp_path, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/index.html"
        assert urllib.request.urlopen(url).read() == b"here"
        with pytest.raises(urllib.error.HTTPError, match="403"):  # a name that was made to lead here
            urllib.request.urlopen(urllib.request.Request(url, headers={"Host": "elsewhere.example"}))
        with pytest.raises(VitvisError, match=f"port={server.server_port}"):
            make_server(tmp_path, server.server_port)
        server.shutdown()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.server_port))
