"""Settings from the environment."""

import dataclasses
from pathlib import Path

import pytest

from services.runtime import config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(config.Settings):
    name: str = dataclasses.field(default="toy", metadata={"fixed": True})
    toy_port: int = 8109
    secret: str
    token: str = dataclasses.field(default="none", metadata=config.SECRET)
    ratio: float = 0.5
    loud: bool = False
    place: Path | None = None


def read(**environ: str) -> Settings:
    return config.from_env(Settings, {f"FILMGATE_{name.upper()}": value for name, value in environ.items()})


def test_what_is_absent_or_empty_has_its_default() -> None:
    settings = read(secret="s", ratio="")
    assert (settings.ratio, settings.home, settings.port, settings.place) == (0.5, Path(".filmgate"), 8109, None)


def test_values_are_read_by_the_type_of_their_field() -> None:
    settings = read(secret="s", ratio="2", loud="true", place="/x", toy_port="1", auth_address="a:1")
    assert (settings.ratio, settings.loud, settings.place, settings.port) == (2.0, True, Path("/x"), 1)
    assert settings.address("auth") == "a:1"
    assert read(secret="s", loud="0").loud is False


def test_all_faults_are_told_at_once_and_no_value() -> None:
    with pytest.raises(config.ConfigError) as caught:
        read(toy_port="hunter2", loud="perhaps")
    text = str(caught.value)
    assert "FILMGATE_SECRET is required" in text
    assert "FILMGATE_TOY_PORT" in text
    assert "FILMGATE_LOUD" in text
    assert "hunter2" not in text


def test_the_name_is_not_the_environments() -> None:
    assert read(secret="s", name="billing").name == "toy"


def test_certificates_lie_in_the_home_unless_named(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    certs.mkdir()
    for name in ("ca.crt", "toy.crt", "toy.key"):
        (certs / name).write_text(name)
    assert read(secret="s", home=str(tmp_path)).tls() == (b"ca.crt", b"toy.crt", b"toy.key")
    (tmp_path / "other").write_text("other")
    assert read(secret="s", home=str(tmp_path), tls_key=str(tmp_path / "other")).tls()[2] == b"other"


def test_a_secret_may_come_as_a_file_less_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" pass word \n")
    assert read(secret="s", token_file=str(file)).token == " pass word "
    assert read(secret="s", token_file="").token == "none"
    assert read(secret="s", token="t", token_file="").token == "t"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_secret_whose_file_is_missing_empty_or_no_text_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(config.ConfigError, match="FILMGATE_TOKEN: its file"):
        read(secret="s", token_file=str(file))


def test_a_secret_both_as_a_value_and_as_a_file_is_a_fault_that_tells_neither(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hunter2")
    with pytest.raises(config.ConfigError, match="FILMGATE_TOKEN: is set, and as a file too") as caught:
        read(secret="s", token="hunter1", token_file=str(file))
    assert "hunter" not in str(caught.value)


def test_what_is_no_secret_does_not_come_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "ratio").write_text("2")
    assert read(secret="s", ratio_file=str(tmp_path / "ratio")).ratio == 0.5


def test_the_addresses_of_the_databases_are_secrets() -> None:
    secret = {field.name for field in dataclasses.fields(config.Settings) if field.metadata.get("secret")}
    assert secret == {"database_url", "owner_database_url", "objects_options"}


@pytest.mark.parametrize(("lease", "renewal"), [("0", "5"), ("5", "5"), ("4", "5"), ("30", "0"), ("30", "-1")])
def test_a_lease_that_no_renewal_can_renew_is_refused(lease: str, renewal: str) -> None:
    environ = {"FILMGATE_NAME": "x", "FILMGATE_LEASE_SECONDS": lease, "FILMGATE_LEASE_RENEWAL_SECONDS": renewal}
    with pytest.raises(
        config.ConfigError, match="FILMGATE_LEASE_RENEWAL_SECONDS is not between 0 and FILMGATE_LEASE_SECONDS"
    ):
        config.from_env(_Named, environ)
    good = config.from_env(_Named, environ | {"FILMGATE_LEASE_SECONDS": "4", "FILMGATE_LEASE_RENEWAL_SECONDS": "1"})
    assert good.lease_seconds == 4


def test_a_log_level_is_one_that_there_is() -> None:
    with pytest.raises(config.ConfigError, match="FILMGATE_LOG_LEVEL is none of DEBUG, INFO"):
        config.from_env(_Named, {"FILMGATE_LOG_LEVEL": "LOUD"})
    assert config.from_env(_Named, {"FILMGATE_LOG_LEVEL": "ERROR"}).log_level == "ERROR"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Named(config.Settings):
    name: str = dataclasses.field(default="x", metadata={"fixed": True})
