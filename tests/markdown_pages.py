"""What a page of documentation holds: blocks of code, commands, links.

Shell blocks are read by bash itself, with every program replaced by a stub that writes down its arguments: so quoting,
continuation lines, variables and heredocs mean here what they mean to a reader who pastes them.
"""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

#: What documentation may tell people to type. Anything else is a mistake, or has to be added here and in `commands.py`.
PROGRAMS = tuple("git pip pytest python python3 sbatch scancel scontrol srun torchrun uv vitvis wandb".split())

SHELL = {"bash", "sh", "shell", "console"}
_STARTS = re.compile(rf"^\s*(?:\w+=\S+ +)*(?:{'|'.join(PROGRAMS)})\s", re.MULTILINE)
_PYTHON = re.compile(r"^(?:import|from) \w", re.MULTILINE)
_INLINE = re.compile(r"(?:python -m vitvis|vitvis [a-z]|wandb [a-z]|pip install )")

#: Runs before every block.
PREAMBLE = """
set -u
cd() { :; }
command_not_found_handle() { printf 'unknown command: %s\\n' "$1" >&2; }
"""
#: Writes its words with one call of printf, so that programs in the background do not write into each other's lines.
STUB = '#!/bin/sh\nend=$(printf \'\\1\')\nprintf \'%s\\0\' NAME "$@" "$end" >> "$COMMANDS"\n'
SLURM = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_NTASKS": "8", "SLURM_ARRAY_TASK_ID": "3"}


@dataclass(frozen=True)
class Block:
    """A block of code: its language (`shell`, `python`, another info string, or ""), text, and first line."""

    language: str
    text: str
    line: int
    before: str = ""  # the HTML comment right above it, if any


def read_blocks(page: Path) -> list[Block]:
    """Return the fenced and indented blocks of a page."""
    blocks, comment = [], ""
    for token in _tokens(page):
        if token.type in ("fence", "code_block"):
            language = _language(token.info.split()[0] if token.info.strip() else "", token.content)
            blocks.append(Block(language, token.content, (token.map or [0])[0] + 1, comment))
        comment = token.content.strip() if token.type == "html_block" else ""
    return blocks


def inline_commands(page: Path) -> list[str]:
    """Return the commands in the running text: code that begins with a program and says what to do."""
    code = [token.content for token in _walk(_tokens(page)) if token.type == "code_inline"]
    return [text for text in code if _INLINE.match(text) and "..." not in text]


def read_links(page: Path) -> list[str]:
    """Return what links and pictures of a page point to, those in HTML among them."""
    targets: list[str] = []
    for token in _walk(_tokens(page)):
        targets += [str(token.attrs[name]) for name in ("href", "src") if name in token.attrs]
        if token.type in ("html_block", "html_inline"):
            targets += re.findall(r'(?:href|src|srcset)="([^"]+)"', token.content)
    return targets


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    tokens = _tokens(page)
    titles = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def run_shell(text: str, folder: Path) -> tuple[list[list[str]], str]:
    """Let bash read a block, with stubs for programs.

    Returns:
        The commands that it would have run, each a list of words, and what is wrong with the block: what bash complains
        about, and settings that zsh would: there, `a=[b,c]` without quotes is a pattern that matches no file.
    """
    calls, complaint = _run_stubbed(text, folder)
    with_nothing, _ = _run_stubbed(f"shopt -s nullglob\n{text}", folder)
    kept = {word for call in with_nothing for word in call}
    patterns = [word for call in calls for word in call if word not in kept and "=" in word]
    return calls, "\n".join(
        [*([complaint] if complaint else []), *(f"needs quotes in zsh: {word}" for word in patterns)]
    )


def _run_stubbed(text: str, folder: Path) -> tuple[list[list[str]], str]:
    programs, log = folder / "bin", folder / "commands"
    if not programs.is_dir():
        programs.mkdir(parents=True)
        for name in PROGRAMS:
            (programs / name).write_text(STUB.replace("NAME", name))
            (programs / name).chmod(stat.S_IRWXU)
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "activate").touch()
    log.write_bytes(b"")
    environment = {"PATH": str(programs), "HOME": str(folder), "COMMANDS": str(log), **SLURM}
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-c", f"{PREAMBLE}{text}\nwait"],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    calls = [part.decode().split("\0")[:-1] for part in log.read_bytes().split(b"\1\0")[:-1]]
    return calls, done.stderr.strip()


def _language(info: str, text: str) -> str:
    if info in SHELL or (not info and _STARTS.search(text)):
        return "shell"
    return "python" if not info and _PYTHON.search(text) else info


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def _walk(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or [])
