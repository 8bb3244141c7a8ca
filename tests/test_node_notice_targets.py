"""Notices on their way: webhook and mail, what they say, and whom they are not sent to."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.demo import free_port
from dicom_node.errors import SettingsInvalid
from dicom_node.notices.answers import NotTaken
from dicom_node.notices.mail import send_mail
from dicom_node.notices.notice import Notice, NoticedNode, notice_of
from dicom_node.notices.observing import Condition
from dicom_node.notices.webhook import post
from dicom_node.settings.node import NodeSettings, load_settings
from dicom_node.settings.notices import Mail, Webhook
from dicom_node.settings.weak_points import weak_points
from tests.certificates import Authority
from tests.notice_targets import HookServer, MailServer

NOTICE = Notice(
    node=NoticedNode(name="OSTEONODE on ct1", ae_title="OSTEONODE", host="ct1"),
    condition="destination_down",
    subject="pacs",
    state="began",
    since=datetime(2026, 11, 30, 2, 14, tzinfo=UTC),
    moment=datetime(2026, 11, 30, 2, 29, tzinfo=UTC),
    count=3,
    text="Destination pacs does not take what is sent to it.",
    link="https://osteonode.hospital/destinations",
    held_back=2,
)


def hook(server: HookServer, **values: Any) -> Webhook:
    return Webhook(**{"name": "ops", "url": server.url, "timeout_seconds": 5.0, **values})


def mail(server: MailServer, **values: Any) -> Mail:
    given = {
        "host": "127.0.0.1", "port": server.port, "security": "none",
        "sender": "node@hospital.example", "recipients": ("night@hospital.example",),
        "timeout_seconds": 5.0, **values,
    }  # fmt: skip
    return Mail(**given)


def test_webhook_gets_the_notice_as_json_with_its_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc.DEF-1\n")
    with HookServer() as server:
        assert post(hook(server, token_file=token), NOTICE) == "HTTP 204"
        token.write_text("another\n")
        post(hook(server, token_file=token), NOTICE)
    first, second = server.posted
    assert (first.path, first.headers["Authorization"]) == ("/hook", "Bearer abc.DEF-1")
    assert second.headers["Authorization"] == "Bearer another"
    assert first.headers["Content-Type"] == "application/json"
    assert first.notice == {
        "schema": "osteonode-notice/1", "id": NOTICE.id,
        "node": {"name": "OSTEONODE on ct1", "ae_title": "OSTEONODE", "host": "ct1"},
        "condition": "destination_down", "subject": "pacs", "state": "began",
        "since": "2026-11-30T02:14:00Z", "moment": "2026-11-30T02:29:00Z", "count": 3,
        "codes": {}, "text": "Destination pacs does not take what is sent to it.",
        "link": "https://osteonode.hospital/destinations", "held_back": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, r"^answered HTTP 500$"),
        (401, r"^answered HTTP 401$"),
        (302, r"^redirects \(HTTP 302\); set url to where it leads$"),
    ],
)
def test_webhook_that_answers_otherwise_did_not_take_it(status: int, reason: str) -> None:
    with HookServer([status]) as server, pytest.raises(NotTaken, match=reason):
        post(hook(server), NOTICE)
    assert [one.path for one in server.posted] == ["/hook"]


def test_webhook_that_hangs_or_dribbles_is_left_in_time() -> None:
    with HookServer() as server:
        for held in (server.hold, server.dribble):
            held.set()
            began = time.monotonic()
            with pytest.raises(NotTaken, match=r"^did not answer in time$"):
                post(hook(server, timeout_seconds=0.5), NOTICE)
            assert time.monotonic() - began < 3
            held.clear()


def test_webhook_asks_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with HookServer() as proxy, HookServer() as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        post(hook(server), NOTICE)
    assert (len(proxy.posted), len(server.posted)) == (0, 1)


def test_webhook_with_a_wrong_certificate_gets_nothing(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    key, certificate = ours.issue("127.0.0.1")
    with HookServer(tls=(certificate, key)) as server:
        assert post(hook(server, ca=ours.path), NOTICE) == "HTTP 204"
        for ca in (theirs.path, None):  # another authority, and those of the world
            with pytest.raises(NotTaken, match="its certificate is not of the authority"):
                post(hook(server, ca=ca), NOTICE)
    key, certificate = ours.issue("other.example")
    expired = tuple(reversed(ours.issue("127.0.0.1", expired=True)))
    for tls in ((certificate, key), expired):
        with HookServer(tls=tls) as other, pytest.raises(NotTaken, match="certificate"):  # type: ignore[arg-type]
            post(hook(other, ca=ours.path), NOTICE)
        assert other.posted == []
    assert len(server.posted) == 1


def test_webhook_that_is_not_there_is_told_without_its_address() -> None:
    address = f"http://127.0.0.1:{free_port()}/secret-path"
    with pytest.raises(NotTaken) as missed:
        post(Webhook(name="ops", url=address), NOTICE)
    assert str(missed.value) == "cannot be reached: the connection is refused"


def test_token_that_is_none_is_not_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with HookServer() as server:
        for text in ("two words", "a\r\nHost: x", ""):
            token.write_text(text)
            with pytest.raises(NotTaken, match="does not hold one bearer token"):
                post(hook(server, token_file=token), NOTICE)
        token.unlink()
        with pytest.raises(NotTaken, match="token_file cannot be read"):
            post(hook(server, token_file=token), NOTICE)
    assert server.posted == []


def test_mail_says_the_same_in_plain_text() -> None:
    with MailServer() as server:
        assert send_mail(mail(server), NOTICE) == "taken"
    [taken] = server.mails
    message = taken.message
    assert (taken.sender, taken.recipients) == (
        "node@hospital.example",
        ["night@hospital.example"],
    )
    assert message["Subject"] == "[osteonode] OSTEONODE on ct1: destination pacs takes nothing"
    assert message["Date"] == "Mon, 30 Nov 2026 02:29:00 +0000"
    assert message["Message-ID"] == f"<osteonode-{NOTICE.id}@hospital.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert NOTICE.text in taken.text
    assert "Page:  https://osteonode.hospital/destinations" in taken.text
    assert "2 more notices were held back" in taken.text


def test_mail_goes_by_tls_and_with_a_login(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    key, certificate = authority.issue("127.0.0.1")
    password = tmp_path / "password"
    password.write_text("p w\n")
    login = {"user": "node", "password_file": password, "ca": authority.path}
    for security, at_once in (("starttls", False), ("tls", True)):
        with MailServer((certificate, key), at_once=at_once, login=("node", "p w")) as server:
            assert send_mail(mail(server, security=security, **login), NOTICE) == "taken"
            password.write_text("wrong")
            with pytest.raises(NotTaken, match=r"^refuses the login \(535\)$"):
                send_mail(mail(server, security=security, **login), NOTICE)
            password.write_text("p w")
        [taken] = server.mails
        assert (taken.encrypted, taken.user) == (True, "node")


def test_mail_is_not_sent_where_tls_is_not_as_it_should_be(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    key, certificate = theirs.issue("127.0.0.1")
    for security, at_once in (("starttls", False), ("tls", True)):
        with (
            MailServer((certificate, key), at_once=at_once) as server,
            pytest.raises(NotTaken, match="its certificate is not of the authority"),
        ):
            send_mail(mail(server, security=security, ca=ours.path), NOTICE)
        assert server.mails == []
    with MailServer() as plain, pytest.raises(NotTaken, match="offers no STARTTLS"):
        # somebody took it out of what is offered
        send_mail(mail(plain, security="starttls"), NOTICE)
    assert plain.mails == []


def test_mail_server_that_hangs_or_refuses_did_not_take_it() -> None:
    with MailServer() as server:
        server.hold.set()
        with pytest.raises(NotTaken, match=r"^did not answer in time$"):
            send_mail(mail(server, timeout_seconds=0.5), NOTICE)
    with MailServer(greeting=554) as server, pytest.raises(NotTaken, match=r"^answered 554 test"):
        send_mail(mail(server), NOTICE)
    nobody = ("night@hospital.example",)
    with MailServer(refused=nobody) as server, pytest.raises(NotTaken, match=r"\(550\)"):
        send_mail(mail(server), NOTICE)


def test_recipient_that_is_refused_keeps_nobody_else_from_it() -> None:
    both = ("gone@hospital.example", "night@hospital.example")
    with MailServer(refused=both[:1]) as server:
        answer = send_mail(mail(server, recipients=both), NOTICE)
    assert answer == "taken, but not for 1 of 2 (550)"
    assert server.mails[0].recipients == ["night@hospital.example"]


def test_subject_with_line_breaks_makes_no_header() -> None:
    planted = NOTICE.model_copy(update={"subject": "x\r\nBcc: all@world.example"})
    with MailServer() as server, pytest.raises(NotTaken):
        send_mail(mail(server), planted)
    assert server.mails == []


def settings_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{tmp_path / "data"}"\n{text}')
    path.chmod(0o600)
    return path


HOOK = '[[notices.webhooks]]\nname = "ops"\nurl = "https://hooks.example/T0/token-in-path"\n'
MAIL = (
    '[notices.mail]\nhost = "mail.example"\nsender = "a@b.example"\nrecipients = ["c@d.example"]\n'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[notices]\n", "nobody would be told"),
        (f"{HOOK}{HOOK}", "found twice"),
        (HOOK.replace("https", "ftp"), "an address such as"),
        (HOOK.replace("hooks.example", "user:pw@hooks.example"), "token_file, not in url"),
        (HOOK.replace("hooks.example", "hooks.example:99999"), "an address such as"),
        (HOOK.replace("/T0", "/T 0"), "an address such as"),
        (f'[notices]\nconditions = ["colour"]\n{HOOK}', "notices.conditions.0"),
        (f'[notices]\nconditions = ["disk", "disk"]\n{HOOK}', "found twice"),
        (f"[notices]\nconditions = []\n{HOOK}", "notices.conditions"),
        (f"[notices]\ndisk_free_percent = 100\n{HOOK}", "notices.disk_free_percent"),
        (MAIL.replace("c@d.example", "nobody"), "is no mail address"),
        (MAIL.replace("a@b.example", "a@b.example\\r\\nBcc: x@y.example"), "is no mail address"),
        (f'{MAIL}user = "node"\n', "user needs either password_file or password"),
        (f'{MAIL}password = "secret"\n', "a password needs the user"),
        (
            f'{MAIL}user = "node"\npassword = "secret"\nsecurity = "none"\n',
            "a password is not sent without TLS",
        ),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message) as refused:
        load_settings(settings_file(tmp_path, text))
    assert not {"secret", "token-in-path", "pw@"} & set(str(refused.value).split())
    assert "token-in-path" not in str(refused.value)


def test_check_config_shows_no_secret_and_tells_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        f"{HOOK}[[notices.webhooks]]\n"
        'name = "open"\nurl = "http://10.0.0.7/hook"\n'
        f'{MAIL}security = "none"\n'
    )
    path = settings_file(tmp_path, text)
    result = CliRunner().invoke(app, ["check-config", "--config", str(path)])
    assert result.exit_code == 0
    assert "token-in-path" not in result.output
    assert "notices, webhook open: notices are sent without TLS" in result.stderr
    assert "webhook ops" not in result.stderr
    assert "notices, mail: notices are sent without TLS" in result.stderr
    path.chmod(0o644)  # an address may be a secret
    assert any("holds a secret" in point for point in weak_points(load_settings(path), path))
    kept = settings_file(tmp_path, f'{MAIL}user = "node"\n')
    kept.chmod(0o644)
    monkeypatch.setenv("OSTEONODE_NOTICES__MAIL__PASSWORD", "secret")
    settings = load_settings(kept)
    assert not any("holds a secret" in point for point in weak_points(settings, kept))
    assert "secret" not in json.dumps(settings.shown())


def test_file_with_a_token_that_all_can_read_is_a_weak_point(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    token.chmod(0o644)
    path = settings_file(tmp_path, f'{HOOK}token_file = "{token}"\n')
    points = weak_points(load_settings(path), path)
    assert f"{token} can be read by every user of this machine; set its mode to 0640" in points


def test_authority_that_is_none_is_refused_by_check_config(tmp_path: Path) -> None:
    path = settings_file(tmp_path, f'{HOOK}ca = "{tmp_path / "none.pem"}"\n')
    result = CliRunner().invoke(app, ["check-config", "--config", str(path)])
    assert isinstance(result.exception, SettingsInvalid)
    assert str(result.exception).startswith("notices webhook ops, tls: ")


def test_notify_test_says_what_each_answered(tmp_path: Path) -> None:
    with HookServer() as good, HookServer([500]) as bad, MailServer() as post_office:
        text = "".join(
            f'[[notices.webhooks]]\nname = "{name}"\nurl = "{server.url}"\n'
            for name, server in (("good", good), ("bad", bad))
        )
        text += (
            f'[notices.mail]\nhost = "127.0.0.1"\nport = {post_office.port}\nsecurity = "none"\n'
            'sender = "a@b.example"\nrecipients = ["c@d.example"]\n'
        )
        path = settings_file(tmp_path, text)
        result = CliRunner().invoke(app, ["notify", "--test", "--config", str(path)])
    assert result.exit_code == 3
    assert result.output.splitlines() == [
        "webhook good: took it: HTTP 204",
        "webhook bad: DID NOT TAKE IT: answered HTTP 500",
        "mail: took it: taken",
    ]
    [told] = good.notices
    assert (told["condition"], told["state"]) == ("test", "test")
    assert "Nothing is the matter" in told["text"]
    assert post_office.mails[0].message["Subject"].endswith("Test: test notice")


def test_notify_without_a_section_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["notify", "-c", str(settings_file(tmp_path, ""))])
    assert result.exit_code == 2
    assert "has no section [notices]" in result.output


@pytest.mark.parametrize("state", ["began", "lasts", "over"])
@pytest.mark.parametrize(
    "condition",
    [
        Condition("not_ready", details=("worker gives no sign of life",)),
        Condition("disk", details=("0.9 GB", "1.0 GB")),
        Condition("destination_down", "pacs", count=3),
        Condition("stands_still", count=2, details=("one thing", "another")),
        Condition("failed_work", count=5, codes={"node.assessment_failed": 3, "report.gone": 2}),
        Condition("drift", "GE Revolution CT STANDARD no, l1", details=("+8.3 HU since 2026-09",)),
    ],
    ids=lambda condition: condition.kind,
)
def test_every_condition_has_words_for_every_state(
    tmp_path: Path, condition: Condition, state: Any
) -> None:
    settings = NodeSettings(data_dir=tmp_path)
    notice = notice_of(settings, condition, state, 1_000_000, 2_000_000)
    assert "{" not in notice.text
    assert notice.text.endswith((".", "!"))
    if state != "over":
        assert all(detail in notice.text for detail in condition.details)
        assert all(code in notice.text for code in condition.codes)
    assert condition.subject in notice.text
