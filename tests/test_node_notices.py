"""What an administrator is told of: once, not too often, by one of several machines, no patient."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.monitoring.metrics import StatusCollector
from dicom_node.monitoring.status import StatusReader
from dicom_node.monitoring.status_text import status_text
from dicom_node.notices import observing
from dicom_node.notices.answers import NotTaken
from dicom_node.notices.notice import Notice, trial
from dicom_node.notices.noticing import Noticing, run_noticing
from dicom_node.notices.observing import Condition
from dicom_node.notices.sending import Sender
from dicom_node.notices.settling import settle
from dicom_node.notices.targets import NoticeTarget, notice_targets
from dicom_node.records.database import open_database, outgoing_notices, study_deliveries
from dicom_node.records.heartbeat import beat
from dicom_node.records.noticed.outgoing import claim_notice, queue_notice
from dicom_node.records.noticed.standing import open_notice_file, settling
from dicom_node.records.study_deliveries import DeliveryState, list_delivery
from dicom_node.settings.node import Destination, Listener, NodeSettings
from dicom_node.settings.notices import ConditionKind, Notices, Webhook
from dicom_node.settings.web import Web
from dicom_node.spool.spool import Spool
from tests.fault_node import quick_study
from tests.node_process import Node, Pacs
from tests.notice_targets import HookServer, MailServer
from tests.postgresql import Cluster, running_cluster

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_800_000_000_000

NOWHERE = Webhook(name="ops", url="http://127.0.0.1:9/hook", timeout_seconds=1)
FAILED = Condition("failed_work", count=1, codes={"node.assessment_failed": 1})


def with_notices(folder: Path, hook: Webhook = NOWHERE, **values: Any) -> NodeSettings:
    """A node that tells a webhook, with ``values`` of its notices, or of itself in ``node``."""
    node = values.pop("node", {})
    return NodeSettings(data_dir=folder, notices=Notices(**{"webhooks": (hook,), **values}), **node)


@dataclass
class Ledger:
    """Conditions and notices of one node, and a clock that goes by minutes."""

    settings: NodeSettings
    engine: sa.Engine
    minute: float = 0.0
    kinds: tuple[ConditionKind, ...] = ("failed_work", "destination_down", "disk")
    told: list[dict[str, Any]] = field(default_factory=list)

    def see(self, *conditions: Condition, after: float = 0.0) -> list[str]:
        """Settle after so many minutes; gives what was told, as ``state kind``."""
        self.minute += after
        with settling(self.engine) as connection:
            now = START + round(self.minute * MINUTE)
            settle(connection, self.settings, self.kinds, conditions, now)
            found = sa.text("SELECT content FROM outgoing_notices WHERE moment = :now")
            rows = [json.loads(text) for text in connection.scalars(found, {"now": now})]
        self.told += rows
        return sorted(f"{one['state']} {one['condition']}" for one in rows)

    def minutes(self, number: int, *conditions: Condition) -> list[str]:
        """What was told in so many minutes of a look each."""
        return [told for _ in range(number) for told in self.see(*conditions, after=1)]


@pytest.fixture
def make_ledger(tmp_path: Path) -> Iterator[Callable[..., Ledger]]:
    engines: list[sa.Engine] = []

    def make(**values: Any) -> Ledger:
        engines.append(open_notice_file(tmp_path))
        return Ledger(with_notices(tmp_path, **values), engines[-1])

    yield make
    for engine in engines:
        engine.dispose()


def test_condition_is_told_once_again_after_hours_and_when_it_is_over(
    make_ledger: Callable[..., Ledger],
) -> None:
    ledger = make_ledger(repeat_hours=4)
    assert ledger.see(FAILED) == ["began failed_work"]
    assert ledger.minutes(239, FAILED) == []
    assert ledger.minutes(1, FAILED) == ["lasts failed_work"]
    assert ledger.minutes(30, FAILED) == []
    assert ledger.see(after=1) == []
    assert ledger.see(after=1) == ["over failed_work"]
    assert ledger.minutes(600) == []
    assert [one["since"] for one in ledger.told] == [ledger.told[0]["moment"]] * 3


def test_restart_repeats_nothing(make_ledger: Callable[..., Ledger]) -> None:
    first = make_ledger()
    assert first.see(FAILED) == ["began failed_work"]
    again = make_ledger()
    again.minute = 20
    assert again.see(FAILED) == []
    assert again.minutes(2) == ["over failed_work"]


def test_condition_that_comes_and_goes_is_told_once_in_the_gap(
    make_ledger: Callable[..., Ledger],
) -> None:
    ledger = make_ledger(gap_minutes=15, per_hour=100)
    assert ledger.see(FAILED) == ["began failed_work"]
    flaps = [told for _ in range(20) for told in (*ledger.see(after=0.5), *ledger.see(FAILED))]
    assert flaps == []  # never away for a minute
    assert ledger.minutes(2) == ["over failed_work"]
    moment = ledger.minute
    assert ledger.minutes(14, FAILED) == []
    assert ledger.minutes(1, FAILED) == ["began failed_work"]
    assert ledger.minute - moment == 15


def test_what_is_over_before_it_was_told_is_never_told(make_ledger: Callable[..., Ledger]) -> None:
    ledger = make_ledger(destination_down_minutes=15)
    down = Condition("destination_down", "pacs")
    assert ledger.minutes(14, down) == []
    assert ledger.minutes(60) == []
    assert ledger.minutes(15, down) == []
    assert ledger.minutes(1, down) == ["began destination_down"]


def test_destination_that_took_something_meanwhile_is_down_since_then(
    make_ledger: Callable[..., Ledger],
) -> None:
    ledger = make_ledger(destination_down_minutes=15)
    took = Condition("destination_down", "pacs", not_before=START + 10 * MINUTE)
    assert ledger.minutes(24, took) == []
    assert ledger.minutes(1, took) == ["began destination_down"]
    assert ledger.told[0]["since"] == "2027-01-15T08:10:00Z"


def test_condition_that_grew_tenfold_is_told_again(make_ledger: Callable[..., Ledger]) -> None:
    ledger = make_ledger(gap_minutes=15)
    ledger.see(FAILED)
    few = Condition("failed_work", count=9)
    many = Condition("failed_work", count=10)
    assert ledger.minutes(20, few) == []
    assert ledger.see(many, after=1) == ["lasts failed_work"]
    assert ledger.told[-1]["count"] == 10


def test_no_more_than_so_many_an_hour_and_the_rest_is_said(
    make_ledger: Callable[..., Ledger],
) -> None:
    ledger = make_ledger(per_hour=3, destination_down_minutes=1, repeat_hours=24)
    down = [Condition("destination_down", f"pacs{number}") for number in range(5)]
    ledger.see(*down)
    with capture_logs() as logs:
        assert ledger.minutes(30, *down) == ["began destination_down"] * 3
    held = [entry for entry in logs if entry["event"] == "notice held back"]
    assert len(held) == 2  # each is logged once, not at each look
    gone = down[:4]  # the fifth is over before there is room
    assert ledger.minutes(31, *gone) == ["began destination_down"]
    assert (ledger.told[-1]["subject"], ledger.told[-1]["held_back"]) == ("pacs3", 1)
    assert ledger.minutes(30, *gone) == []
    assert ledger.minutes(10) == ["over destination_down"] * 2
    assert {one["held_back"] for one in ledger.told[4:]} == {0}
    assert ledger.minutes(60) == ["over destination_down"] * 2
    assert [one["held_back"] for one in ledger.told[6:]] == [1, 0]


def test_drift_is_told_again_once_a_week_at_most(make_ledger: Callable[..., Ledger]) -> None:
    ledger = make_ledger(repeat_hours=1)
    ledger.kinds = ("drift",)
    step = Condition("drift", "Maker Scanner 1 B30 no, l1", details=("+8.3 HU since 2026-09",))
    assert ledger.see(step) == ["began drift"]
    assert [told for _ in range(6 * 24) for told in ledger.see(step, after=60)] == []
    assert ledger.see(step, after=24 * 60) == ["lasts drift"]


def test_newer_notice_replaces_one_that_nobody_took(make_ledger: Callable[..., Ledger]) -> None:
    ledger = make_ledger()
    ledger.see(FAILED)
    ledger.minutes(2)
    with ledger.engine.connect() as connection:
        waiting = connection.scalars(sa.text("SELECT content FROM outgoing_notices")).all()
    assert [json.loads(text)["state"] for text in waiting] == ["over"]


class Target:
    """A target that takes a notice, or fails in some way, by a function."""

    def __init__(self, answer: Callable[[], str] = lambda: "taken", name: str = "t") -> None:
        self.sent: list[Notice] = []
        self.answer = answer
        self.target = NoticeTarget(name, self.send, 1.0)

    def send(self, notice: Notice) -> str:
        self.sent.append(notice)
        return self.answer()


def refuse() -> str:
    raise NotTaken("answered HTTP 500")


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[tuple[sa.Engine, Callable[..., None]]]:
    """A database with notices, and a function that queues one for some targets."""
    engine = open_notice_file(tmp_path)

    def put(*targets: str, subject: str = "") -> None:
        notice = trial(with_notices(tmp_path))
        with engine.begin() as connection:
            place = ("failed_work", subject)
            queue_notice(connection, notice.id, targets, place, START, notice.content)

    yield engine, put
    engine.dispose()


def test_notice_that_is_not_taken_is_tried_again_after_pauses_and_given_up_after_a_day(
    queue: tuple[sa.Engine, Callable[..., None]],
) -> None:
    engine, put = queue
    put("t")
    target, now = Target(refuse), START
    sender = Sender(target.target, [engine], lambda _connection: now, threading.Event())
    tried = []
    with capture_logs() as logs:
        for second in (*range(0, 1240, 10), *range(1240, 25 * 3600, 100)):
            now = START + second * 1000
            if sender.send_due():
                tried.append(second)
    assert tried[:8] == [0, 10, 30, 70, 150, 310, 630, 1230]
    assert tried[8] - tried[7] in (600, 610)
    assert 24 * 3600 <= tried[-1] <= 24 * 3600 + 600
    assert [entry["event"] for entry in logs] == ["notice not taken"] * (len(tried) - 1) + [
        "notice given up"
    ]
    assert {entry["reason"] for entry in logs} == {"answered HTTP 500"}
    assert len({notice.id for notice in target.sent}) == 1


def test_target_that_was_away_gets_the_notice_when_it_is_back(
    queue: tuple[sa.Engine, Callable[..., None]],
) -> None:
    engine, put = queue
    put("t")
    target, now = Target(refuse), START
    sender = Sender(target.target, [engine], lambda _connection: now, threading.Event())
    sender.send_due()
    target.answer = lambda: "taken"
    now = START + MINUTE
    assert (sender.send_due(), sender.send_due()) == (1, 0)
    assert len(target.sent) == 2


def test_fault_in_a_target_is_logged_and_ends_nothing(
    queue: tuple[sa.Engine, Callable[..., None]],
) -> None:
    engine, put = queue
    put("t", "u")

    def fault() -> str:
        raise KeyError("Doe^Jane")

    bad, good = Target(fault), Target(name="u")
    with capture_logs() as logs:
        for one in (bad, good):
            Sender(one.target, [engine], lambda _c: START, threading.Event()).send_due()
    assert "Doe" not in json.dumps(logs)
    assert {"unforeseen fault", "notice not taken", "notice sent"} == {e["event"] for e in logs}
    assert len(good.sent) == 1


def test_target_that_hangs_delays_no_other(
    queue: tuple[sa.Engine, Callable[..., None]],
) -> None:
    engine, put = queue
    release, stop = threading.Event(), threading.Event()

    def hang() -> str:
        release.wait(30)
        return "taken"

    slow, quick = Target(hang, "slow"), Target(name="quick")
    senders = [
        Sender(one.target, [engine], lambda _connection: START, stop) for one in (slow, quick)
    ]
    for number in range(3):
        put("slow", "quick", subject=str(number))
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 20
    while len(quick.sent) + len(slow.sent) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    assert (len(quick.sent), len(slow.sent)) == (3, 1)
    release.set()
    for sender in senders:
        sender.wait(20)


def test_claimed_notice_is_nobody_elses_until_its_claim_is_old(
    queue: tuple[sa.Engine, Callable[..., None]],
) -> None:
    engine, put = queue
    put("t")
    with engine.begin() as connection:
        first = claim_notice(connection, "t", START, START + MINUTE)
        assert first is not None
        assert claim_notice(connection, "t", START + MINUTE - 1, START + HOUR) is None
        later = claim_notice(connection, "t", START + MINUTE, START + HOUR)
    assert later is not None
    assert (later.notice, later.attempts) == (first.notice, 2)


@dataclass
class Watched:
    """`Noticing` on a node of which everything is alive, with a clock that goes by minutes."""

    settings: NodeSettings
    minute: float = 0.0

    def __post_init__(self) -> None:
        self.noticing = Noticing(
            self.settings, lambda _connection: START + round(self.minute * MINUTE)
        )
        Spool(self.settings.data_dir).prepare()
        if not self.settings.database.endswith("folder"):
            DBOS.migrate(self.settings.database)

    def look(self, after: float = 0.0, *, alive: bool = True) -> None:
        """Look after so many minutes."""
        self.minute += after
        if alive:
            for name in ("listener-0", "worker", "notify"):
                beat(self.settings.counters_dir, name)
        self.noticing.look()

    @property
    def notices(self) -> list[dict[str, Any]]:
        """All that was told and not replaced, in its order."""
        found = []
        for ledger in self.noticing.ledgers:
            statement = sa.select(outgoing_notices.c.content).order_by(outgoing_notices.c.moment)
            with suppress(SQLAlchemyError), ledger.connect() as connection:
                found += [json.loads(text) for text in connection.scalars(statement)]
        return found

    @property
    def told(self) -> list[str]:
        return [f"{one['state']} {one['condition']}" for one in self.notices]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Make a watched node; two with one database are two machines."""
    made: list[Watched] = []

    def make(folder: Path = tmp_path, **values: Any) -> Watched:
        made.append(Watched(with_notices(folder, **values)))
        return made[-1]

    yield make
    for one in made:
        one.noticing.close()


def test_nothing_is_told_of_a_node_that_works(watch: Callable[..., Watched]) -> None:
    watched = watch()
    for _ in range(20):
        watched.look(after=1)
    assert watched.told == []


def test_worker_that_gives_no_sign_of_life_is_told_after_minutes(
    watch: Callable[..., Watched],
) -> None:
    watched = watch(not_ready_minutes=5, conditions=("not_ready",))
    for _ in range(5):
        watched.look(after=1, alive=False)
    assert watched.told == []
    watched.look(after=1, alive=False)
    [told] = watched.notices
    assert (told["state"], told["condition"], told["count"]) == ("began", "not_ready", 2)
    assert "worker gives no sign of life" in told["text"]
    watched.look(after=1)
    watched.look(after=1)
    assert watched.told == ["over not_ready"]


def test_database_that_does_not_answer_is_told_all_the_same(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    broken = tmp_path / "folder"
    broken.mkdir()
    watched = watch(node={"database_url": f"sqlite:///{broken}"}, not_ready_minutes=2)
    with capture_logs() as logs:
        for _ in range(3):
            watched.look(after=1)
    [told] = watched.notices
    assert told["condition"] == "not_ready"
    assert "the database does not answer" in told["text"]
    assert {entry["event"] for entry in logs} == {"database does not answer", "noticed"}


def test_disk_is_told_by_its_share_or_by_the_listeners_limit(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    share = watch(tmp_path / "a", disk_free_percent=99.99)
    limit = watch(tmp_path / "b", node={"listener": Listener(min_free_mb=10**9)})
    neither = watch(tmp_path / "c")
    for watched in (share, limit, neither):
        watched.look()
        watched.look(after=1)
    assert share.told == limit.told == ["began disk"]
    assert neither.told == []
    assert "GB are left on the disk" in share.notices[0]["text"]


PLACE = {"study": "s", "folder": "f", "file": "report.sr.dcm", "destination": "pacs"}
PACS = Destination(name="pacs", ae_title="PACS", host="h", port=104)


def deliver(
    engine: sa.Engine,
    state: DeliveryState,
    attempt: int,
    moment: float,
    code: str = "node.delivery_failed",
) -> None:
    """A delivery to PACS is in a state since a minute."""
    with engine.begin() as connection:
        reason = "pacs refused Doe^Jane" if state == DeliveryState.RETRYING else ""
        list_delivery(connection, PLACE, "w", state, attempt, code, reason)
        changed = START + round(moment * MINUTE)
        connection.execute(sa.update(study_deliveries).values(changed=changed))


def test_destination_is_told_when_it_takes_nothing_for_minutes(
    watch: Callable[..., Watched],
) -> None:
    watched = watch(
        node={"destinations": (PACS,), "web": Web(public_url="https://node.hospital")},
        destination_down_minutes=10,
    )
    watched.look()
    tables = watched.noticing.shared
    deliver(tables, DeliveryState.RETRYING, 1, 0)
    for attempt in range(2, 12):  # it is tried again and again
        watched.look(after=0.5)
        deliver(tables, DeliveryState.SENDING, attempt, watched.minute)
        watched.look(after=0.5)
        deliver(tables, DeliveryState.RETRYING, attempt, watched.minute)
    assert watched.told == []
    watched.look(after=1)
    [told] = watched.notices
    assert (told["condition"], told["subject"], told["count"]) == ("destination_down", "pacs", 1)
    assert told["link"] == "https://node.hospital/destinations"
    assert "Doe" not in json.dumps(told)
    deliver(tables, DeliveryState.FAILED, 12, watched.minute)  # the last attempt
    for _ in range(5):
        watched.look(after=1)
    assert watched.told == ["began destination_down"]
    deliver(tables, DeliveryState.DELIVERED, 13, watched.minute)
    watched.look(after=1)
    watched.look(after=1)
    assert watched.told == ["over destination_down"]


def test_delivery_that_failed_by_its_report_is_no_fault_of_the_destination(
    watch: Callable[..., Watched],
) -> None:
    watched = watch(node={"destinations": (PACS,)}, destination_down_minutes=1)
    watched.look()
    deliver(watched.noticing.shared, DeliveryState.FAILED, 1, 0, "report.changed")
    for _ in range(5):
        watched.look(after=1)
    assert watched.told == []


def test_step_of_a_scanner_is_told(tmp_path: Path, watch: Callable[..., Watched]) -> None:
    watched = watch()
    step = {"scanner": "Maker, Scanner 1", "measure": "l1", "since": "2026-09", "change_hu": 8.3}
    (tmp_path / "drift.json").write_text(json.dumps([step]))
    watched.look()
    [told] = watched.notices
    assert (told["condition"], told["state"]) == ("drift", "began")
    assert "Maker, Scanner 1, l1 +8.3 HU since 2026-09" in told["text"]


def test_only_what_is_chosen_is_told(tmp_path: Path, watch: Callable[..., Watched]) -> None:
    (tmp_path / "drift.json").write_text(
        json.dumps([{"scanner": "S", "measure": "l1", "since": "2026-09", "change_hu": 8.3}])
    )
    watched = watch(conditions=("disk",), disk_free_percent=99.99, not_ready_minutes=1)
    for _ in range(5):
        watched.look(after=1, alive=False)
    assert watched.told == ["began disk"]


def test_code_that_is_none_of_ours_is_not_told(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Work:
        code: str

    work = [Work("node.assessment_failed"), Work("Doe^Jane"), Work("node.assessment_failed")]
    monkeypatch.setattr(observing, "failed_work", lambda _settings: work)
    watched = watch()
    watched.look()
    assert watched.notices[0]["codes"] == {"node.assessment_failed": 2, "other": 1}
    assert "Doe" not in json.dumps(watched.notices)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as found:
        yield found


@pytest.mark.peers
def test_two_machines_on_one_database_tell_once(
    tmp_path: Path, cluster: Cluster, watch: Callable[..., Watched]
) -> None:
    node = {"database_url": cluster.url, "destinations": (PACS,)}
    one = watch(tmp_path / "one", node=node, destination_down_minutes=1)
    other = watch(tmp_path / "other", node=node, destination_down_minutes=1)
    open_database(cluster.url, make=True).dispose()
    deliver(one.noticing.shared, DeliveryState.RETRYING, 1, 0)
    for _ in range(3):
        threads = [
            threading.Thread(target=watched.look, kwargs={"after": 1}) for watched in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert one.told == other.told == ["began destination_down"]
    targets = [Target(name="webhook ops") for _ in range(4)]
    senders = [
        Sender(target.target, [one.noticing.shared], lambda _c: START + HOUR, threading.Event())
        for target in targets
    ]
    sending = [threading.Thread(target=sender.send_due) for sender in senders]
    for thread in sending:
        thread.start()
    for thread in sending:
        thread.join()
    assert sum(len(target.sent) for target in targets) == 1


@pytest.mark.peers
def test_machine_that_is_gone_is_followed_by_another(
    tmp_path: Path, cluster: Cluster, watch: Callable[..., Watched]
) -> None:
    node = {"database_url": f"{cluster.url}_followed", "destinations": (PACS,)}
    one = watch(tmp_path / "one", node=node, destination_down_minutes=1)
    other = watch(tmp_path / "other", node=node, destination_down_minutes=1)
    for watched in (one, other):
        watched.look()
    deliver(one.noticing.shared, DeliveryState.RETRYING, 1, 0)
    other.look(after=1)
    assert other.told == []  # the first one looks, and then it dies
    other.look(after=1.5)
    other.look(after=1.5)
    assert other.told == ["began destination_down"]


def test_status_says_what_is_told_and_what_is_not_taken(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    watched = watch(disk_free_percent=99.99)
    watched.look()
    watched.look(after=1)
    assert watched.settings.notices is not None
    [target] = notice_targets(watched.settings.notices)
    Sender(target, watched.noticing.ledgers, lambda _c: START + HOUR, threading.Event()).send_due()
    (tmp_path / "counters" / "notify.alive").unlink()
    reader = StatusReader(watched.settings)
    status = reader.read()
    reader.close()
    assert status.notices.told == ("disk",)
    assert status.alarms == ("notify gives no sign of life: nobody is told of anything",)
    text = status_text(status)
    assert "notices: disk" in text
    assert "took one last: never, 1 waiting; NOT TAKEN since" in text
    assert "cannot be reached: the connection is refused" in text
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in StatusCollector(lambda: status).collect()
        for sample in metric.samples
    }
    assert samples["osteonode_conditions_told",] == 1
    assert samples["osteonode_notices_waiting", "webhook ops"] == 1
    beat(watched.settings.counters_dir, "notify")
    path = tmp_path / "node.toml"
    path.write_text(
        f'data_dir = "{tmp_path}"\n[[notices.webhooks]]\nname = "ops"\nurl = "http://127.0.0.1:9"\n'
    )
    result = CliRunner().invoke(app, ["status", "--json", "--config", str(path)])
    shown = json.loads(result.output)
    assert shown["notices"]["targets"][0]["reason"].startswith("cannot be reached")
    assert shown["alarms"] == []


def test_process_tells_by_itself_and_ends_when_it_is_told(tmp_path: Path) -> None:
    stop = threading.Event()
    with HookServer() as server:
        hook = Webhook(name="ops", url=server.url)
        settings = with_notices(tmp_path, hook)
        DBOS.migrate(settings.database)
        step = {"scanner": "S", "measure": "l1", "since": "2026-09", "change_hu": 8.3}
        (tmp_path / "drift.json").write_text(json.dumps([step]))
        thread = threading.Thread(target=run_noticing, args=(settings, stop))
        thread.start()
        deadline = time.monotonic() + 30
        while not server.posted and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    assert [one["condition"] for one in server.notices] == ["drift"]


MARKER = "MARKEDPATIENT"


def test_failed_work_of_a_node_is_told_once_and_is_over_when_it_is_done(tmp_path: Path) -> None:
    paths, _ = quick_study(tmp_path / "study", "notices")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientName = f"{MARKER}^JANE"
        dataset.PatientID = dataset.AccessionNumber = f"{MARKER}7"
        dataset.save_as(path)
    uid = str(dataset.StudyInstanceUID)
    answer = [0xA700]
    with (
        HookServer([500, 302, 204]) as hook,
        MailServer() as office,
        Pacs(lambda _count: answer[0]) as pacs,
    ):
        node = Node(tmp_path / "node", pacs.port, destination="max_attempts = 1", quick=True)
        with node.config.open("a") as config:
            config.write(
                "[notices]\ngap_minutes = 0\nnot_ready_minutes = 60\n"
                f'[[notices.webhooks]]\nname = "ops"\nurl = "{hook.url}"\n'
                f'[notices.mail]\nhost = "127.0.0.1"\nport = {office.port}\nsecurity = "none"\n'
                'sender = "node@hospital.example"\nrecipients = ["night@hospital.example"]\n'
            )

        def mailed() -> list[str]:
            return [str(one.message["Subject"]).rpartition(": ")[2] for one in office.mails]

        with node:
            node.send(paths)
            node.wait_for(lambda: len(node.events("notice sent")) == 2)
        assert mailed() == ["failed work"]
        assert [one["reason"] for one in node.events("notice not taken")] == [
            "answered HTTP 500",
            "redirects (HTTP 302); set url to where it leads",
        ]
        with node:
            node.wait_for(lambda: len(node.events("noticing")) == 2)
            time.sleep(3)  # six looks
            assert len(node.events("noticed")) == 1
            answer[0] = 0x0000
            retried = CliRunner().invoke(
                app, ["retry", "--all", "--config", str(node.config)], catch_exceptions=False
            )
            assert retried.exit_code == 0
            node.wait_for(lambda: len(node.events("notice sent")) == 4)
            assert [(one["condition"], one["state"]) for one in node.events("noticed")] == [
                ("failed_work", "began"),
                ("failed_work", "over"),
            ]
        assert [one["state"] for one in hook.notices] == ["began", "began", "began", "over"]
        assert hook.notices[0] == hook.notices[2]
        assert len(office.mails) == 2
        everything = (
            b"".join(
                [one.body for one in hook.posted]
                + [str(dict(one.headers)).encode() for one in hook.posted]
                + [one.content for one in office.mails]
            )
            + node.log_path.read_bytes()
        )
        assert MARKER.encode() not in everything
        assert uid.encode() not in everything
