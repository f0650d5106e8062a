"""Logs of process nodes: the files, and who gets them."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from yarl import URL

from fedsnap.local.certificates import Authority
from fedsnap.local.node.logfiles import chunks, find_log
from fedsnap.local.node.logserver import Caller, LogServer, caller_of
from fedsnap.local.node.states import Record, Running, Terminated, save

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RUNS = Running(container_id="1", started_at=NOW)
ENDED = Terminated(container_id="1", exit_code=0, reason="Completed", started_at=NOW, finished_at=NOW)


def container(state, content: str, *, run=0, now=ENDED, uid="u"):
    directory = state / f"pods/n_p_{uid}/main"
    save(Record(name="main", state=now, restarts=run), directory / "record.json")
    (directory / f"{run}.log").write_text(content)
    return directory


async def read(found, **options) -> str:
    return b"".join([chunk async for chunk in chunks(found, **options)]).decode()


async def test_the_log_of_the_latest_run_and_of_the_one_before_are_found(tmp_path):
    container(tmp_path, "first", run=0)
    container(tmp_path, "second", run=1)
    assert await read(find_log(tmp_path, "n", "p", "main")) == "second"
    assert await read(find_log(tmp_path, "n", "p", "main", previous=True)) == "first"


def test_what_never_ran_has_no_log(tmp_path):
    container(tmp_path, "first")
    assert find_log(tmp_path, "n", "p", "other") is None
    assert find_log(tmp_path, "n", "p", "main", previous=True) is None


async def test_the_last_lines_are_given(tmp_path):
    container(tmp_path, "a\nb\nc\n")
    assert await read(find_log(tmp_path, "n", "p", "main"), tail=2) == "b\nc\n"
    assert await read(find_log(tmp_path, "n", "p", "main"), tail=0) == ""


async def test_a_followed_log_goes_on_until_its_run_ended(tmp_path):
    directory = container(tmp_path, "a\n", now=RUNS)
    following = asyncio.create_task(read(find_log(tmp_path, "n", "p", "main"), follow=True))
    await asyncio.sleep(0)
    assert not following.done()
    with (directory / "0.log").open("a") as log:
        log.write("b\n")
    save(Record(name="main", state=ENDED), directory / "record.json")
    assert await asyncio.wait_for(following, 10) == "a\nb\n"


def test_a_certificate_tells_user_and_groups():
    subject = ((("organizationName", "a"),), (("organizationName", "b"),), (("commonName", "x"),))
    assert caller_of({"subject": subject}) == Caller("x", ("a", "b"))
    assert caller_of({"subject": ()}) is None
    assert caller_of(None) is None


async def only_x(caller: Caller) -> bool:
    return caller.user == "x"


@pytest.fixture
async def ask(tmp_path):
    """Asks a log server, with the certificate of a user or with none."""
    authority = Authority(tmp_path / "cluster", "cluster")
    stranger = Authority(tmp_path / "stranger", "stranger")

    async def get(path: str, user: str | None = "x", by: Authority = authority) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=tmp_path / "node/certificates/ca.crt")
        if user:
            pair = by.client(user, user)
            context.load_cert_chain(pair.certificate, pair.key)
        url = URL(f"https://127.0.0.1:{port}/containerLogs/{path}", encoded=True)
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
            return answer.status, await answer.text()

    async with LogServer(tmp_path / "node", only_x).serve(authority.pair.certificate) as port:
        container(tmp_path / "node", "a\nb\n")
        get.stranger = stranger
        yield get


async def test_who_may_is_given_the_log(ask):
    assert await ask("n/p/main") == (200, "a\nb\n")
    assert await ask("n/p/main?tailLines=1") == (200, "b\n")
    assert await ask("n/p/main?limitBytes=3") == (200, "a\nb")


async def test_who_may_not_is_refused(ask):
    status, text = await ask("n/p/main", "y")
    assert (status, text) == (403, "y may not get nodes/proxy")


async def test_who_has_no_certificate_of_the_cluster_is_not_heard(ask):
    with pytest.raises(aiohttp.ClientError):
        await ask("n/p/main", None)
    with pytest.raises(aiohttp.ClientError):
        await ask("n/p/main", "x", ask.stranger)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("n/p/other", 404),
        ("n/q/main", 404),
        ("n/*/main", 400),
        ("n/..%2f..%2fx/main", 400),
        ("n/p/main?tailLines=x", 400),
    ],
)
async def test_only_logs_of_containers_are_given(ask, path, status):
    assert (await ask(path))[0] == status
