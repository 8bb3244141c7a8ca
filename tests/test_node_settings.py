import json
import re
from pathlib import Path

import pytest

from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import SettingsInvalid
from dicom_node.settings.environment import OTHER_VARIABLES, environment_problems
from dicom_node.settings.node import NodeSettings, load_settings

ROOT = Path(__file__).parents[1]

DESTINATION = '[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "h"\nport = 104\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text)
    return path


def test_settings_have_safe_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, f'data_dir = "/var/x"\n{DESTINATION}'))
    assert settings.listener.host == "127.0.0.1"
    assert settings.listener.durability == "fsync"
    assert settings.acquisition.kvp == (120.0,)
    assert settings.destinations[0].port == 104


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEONODE_LISTENER__PORT", "4242")
    path = write(tmp_path, 'data_dir = "/var/x"\n[listener]\nport = 1\nae_title = "X"\n')
    settings = load_settings(path)
    assert (settings.listener.port, settings.listener.ae_title) == (4242, "X")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("OSTEONODE_LISTNER__PORT", "OSTEONODE_LISTENER__PORT"),
        ("OSTEONODE_LISTENER__PROT", "OSTEONODE_LISTENER__PORT"),
        ("OSTEONODE_LISTENER_PORT", "OSTEONODE_LISTENER__PORT"),
        ("OSTEONODE_LISTENER__PORT__X", "OSTEONODE_LISTENER__PORT"),
        ("OSTEONODE_WEB__X__Y", "OSTEONODE_WEB__PROXY"),
        ("osteonode_data_dri", "OSTEONODE_DATA_DIR"),
        ("OSTEONODE_ACQUISITION__RULES__CONTRST", "OSTEONODE_ACQUISITION__RULES__CONTRAST"),
        ("OSTEONODE_LISTENER__TLS__KEYS", "OSTEONODE_LISTENER__TLS__KEY"),
    ],
)
def test_misspelt_variable_is_refused_with_the_nearest_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(write(tmp_path, 'data_dir = "x"\n'))
    assert str(refused.value) == f"{name} is no setting; did you mean {nearest}?"


def test_variable_that_is_like_no_setting_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTEONODE_ZZZ", "1")
    with pytest.raises(
        SettingsInvalid, match=r"^OSTEONODE_ZZZ is no setting; see docs/settings\.md$"
    ):
        load_settings(write(tmp_path, 'data_dir = "x"\n'))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OSTEONODE_LISTENER__PORT", "abc", "listener.port, set by OSTEONODE_LISTENER__PORT: "),
        ("osteonode_listener__port", "-1", "listener.port, set by osteonode_listener__port: "),
        ("OSTEONODE_LISTENER", '{"port": "x"}', "listener.port, set by OSTEONODE_LISTENER: "),
        ("OSTEONODE_SEGMENTERS", "secret", "OSTEONODE_SEGMENTERS: a list or a whole section is"),
        ("OSTEONODE_LISTENER__ALLOWED_NETWORKS", "10.0.0.0/8", "ALLOWED_NETWORKS: a list or"),
        ("OSTEONODE_WEB", "secret", "OSTEONODE_WEB: a list or a whole section is given in JSON"),
        ("OSTEONODE_SEGMENTERS", '["x"]', "segmenters.0, set by OSTEONODE_SEGMENTERS: "),
    ],
)
def test_value_that_cannot_be_used_is_refused_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=re.escape(message)) as refused:
        load_settings(write(tmp_path, 'data_dir = "x"\n'))
    assert "secret" not in str(refused.value)


def test_fault_of_the_file_is_not_laid_on_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTEONODE_LISTENER__PORT", "104")
    with pytest.raises(SettingsInvalid, match=r"node\.toml: listener\.ae_title: "):
        load_settings(write(tmp_path, 'data_dir = "x"\n[listener]\nae_title = ""\n'))


@pytest.mark.parametrize(
    "name",
    [
        "OSTEONODE_DESTINATIONS__0__HOST",
        "OSTEONODE_SEGMENTERS__0",
        "OSTEONODE_LISTENER__ALLOWED_NETWORKS__1",
    ],
)
def test_list_that_is_set_by_index_is_refused_with_the_right_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "x")
    whole = re.sub(r"__\d.*", "", name)
    with pytest.raises(SettingsInvalid, match=f"by index; give {whole} the whole list in JSON"):
        load_settings(write(tmp_path, 'data_dir = "x"\n'))


def test_lists_and_sections_can_be_given_whole_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = {"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104}
    monkeypatch.setenv("OSTEONODE_DESTINATIONS", json.dumps([peer]))
    monkeypatch.setenv("OSTEONODE_WEB", '{"port": 81}')
    settings = load_settings(write(tmp_path, 'data_dir = "x"\n'))
    assert settings.destinations[0].host == "h"
    assert settings.web is not None
    assert settings.web.port == 81


def test_every_variable_that_the_project_reads_is_known() -> None:
    folders = ("dicom_node", "roi_extraction", "modeling", "network", "bench", "tests", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = [
        path.read_text()
        for path in (*files, ROOT / "Makefile")
        if path.suffix in ("", ".py", ".sh") and path != Path(__file__)
    ]
    names = set(re.findall(r"\bOSTEONODE_\w*[A-Z]", "\n".join(texts)))
    assert names >= OTHER_VARIABLES
    assert environment_problems(NodeSettings, dict.fromkeys(names, "1")) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data_dir"),
        ('data_dir = "x"\ncolour = 1\n', "colour"),
        ('data_dir = "x"\n[listener]\nport = 99999\n', "listener.port"),
        ('data_dir = "x"\n[listener]\nae_title = "THIS_IS_FAR_TOO_LONG"\n', "ae_title"),
        (f'data_dir = "x"\n{DESTINATION}{DESTINATION}', "found twice"),
        ('data_dir = "x"\n[acquisition]\nmax_slice_thickness_mm = 8\n', "max_slice"),
        ("data_dir = ", "not valid TOML"),
        ('data_dir = "x"\nsegmenters = []\n', "segmenters"),
        ('data_dir = "x"\nsegmenters = ["magic"]\n', "segmenters"),
        ('data_dir = "x"\nsegmenters = ["builtin", "builtin"]\n', "found twice"),
        ('data_dir = "x"\nsegmenters = ["totalsegmentator"]\n', "its weights"),
        (
            'data_dir = "x"\nsegmenters = ["totalsegmentator"]\n'
            '[totalsegmentator]\nweights = "w"\nseconds = 600\n',
            "limits.seconds",
        ),
    ],
    ids=[
        "empty",
        "unknown key",
        "port",
        "AE title",
        "doubled name",
        "thickness",
        "TOML",
        "no segmenter",
        "unknown segmenter",
        "segmenter twice",
        "no weights",
        "no time left",
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        load_settings(write(tmp_path, text))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="no settings file"):
        load_settings(tmp_path / "none.toml")


def test_totalsegmentator_is_planned_with_its_section_and_its_number_is_not_printed(
    tmp_path: Path,
) -> None:
    settings = load_settings(
        write(
            tmp_path,
            'data_dir = "x"\nsegmenters = ["dicom-seg", "totalsegmentator", "builtin"]\n'
            '[totalsegmentator]\nweights = "/w"\nlicence_number = "aca_secret"\n'
            'abdominal_muscles_licence = "Apache-2.0"\n',
        )
    )
    plan = SegmenterPlan.of(settings)
    assert plan.names == ("dicom-seg", "totalsegmentator", "builtin")
    assert plan.totalsegmentator is not None
    assert plan.totalsegmentator.licence_number == "aca_secret"
    assert plan.totalsegmentator.tasks == ("total", "vertebrae_body", "abdominal_muscles")
    assert "aca_secret" not in json.dumps(settings.shown())
    assert plan.variant([]) != SegmenterPlan().variant([])
