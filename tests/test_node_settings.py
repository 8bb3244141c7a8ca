from pathlib import Path

import pytest

from dicom_node.assessment.segmenters import SegmenterPlan
from dicom_node.errors import SettingsInvalid
from dicom_node.settings.node import load_settings

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
    assert "aca_secret" not in settings.without_password().model_dump_json()
    assert plan.variant([]) != SegmenterPlan().variant([])
