"""A tuning on PostgreSQL: one database for many studies and many machines."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from postgres_server import server
from sqlalchemy.engine import make_url
from tuning_desks import TWO, age, check_whole, desk_in, pretended, small_tuning, work_off

from recursive_lth import api
from recursive_lth.errors import InputError
from recursive_lth.tuning import queue
from recursive_lth.tuning.desk import locked, parse_url
from recursive_lth.tuning.summary import rows


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a database that is there while these tests run."""
    with server() as address:
        yield address


def test_two_studies_share_a_database(url: str, tmp_path: Path) -> None:
    one, other = small_tuning("seed=1"), small_tuning("seed=2")
    with desk_in(tmp_path, one, url) as first, desk_in(tmp_path, other, url) as second:
        assert work_off(first) == [0, 1, 2]
        assert not queue.is_finished(second)
        work_off(second)
        check_whole(first)
        check_whole(second)
        assert rows(first)[0]["values"] != rows(second)[0]["values"]


def test_what_is_lost_is_taken_again(url: str, tmp_path: Path) -> None:
    with desk_in(tmp_path, small_tuning("seed=3"), url) as desk:
        dead = queue.take(desk)
        assert dead is not None
        age(desk, dead)
        again = queue.take(desk)
        assert again is not None
        assert again.params == dead.params
        assert not queue.finish(desk, dead, pretended(dead))
        assert queue.finish(desk, again, pretended(again))
        work_off(desk)
        check_whole(desk)


def test_the_lock_is_one_for_all_and_falls_with_its_holder(url: str) -> None:
    """While one is inside, another waits; an error within lets go of it."""
    order: list[str] = []
    parsed = parse_url(url)

    def second() -> None:
        with locked(parsed):
            order.append("second")

    waiting = Thread(target=second)
    with suppress(KeyError), locked(parsed):
        waiting.start()
        waiting.join(0.5)
        order.append("first")
        raise KeyError
    waiting.join(30)
    assert order == ["first", "second"]


def test_a_whole_tuning_and_a_worker_from_elsewhere(url: str, tmp_path: Path) -> None:
    """The folder says where its study lies; a password would be asked for, none is kept."""
    experiment = small_tuning(TWO, "seed=4", "tune.trials=2")
    here = list(api.tune(experiment, out=tmp_path / "here", device="cpu", storage=url))
    assert [row["state"] for row in here] == ["complete", "complete"]
    far = tmp_path / "far" / experiment.folder_name
    assert list(api.work(far, storage=url, device="cpu")) == []
    assert (far / "report.html").is_file()
    secret = make_url(url).set(password="secret").render_as_string(hide_password=False)  # noqa: S106
    hidden = small_tuning(TWO, "seed=5", "tune.trials=1")
    list(api.tune(hidden, out=tmp_path / "here", device="cpu", storage=secret))
    folder = tmp_path / "here" / hidden.folder_name
    texts = [path.read_text("utf-8") for path in folder.iterdir() if path.is_file()]
    assert not any("secret" in text for text in texts)
    with pytest.raises(InputError, match=r"\*\*\*.*name it with --storage"):
        list(api.work(folder, device="cpu"))
