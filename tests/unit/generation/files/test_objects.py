"""The object store by its setting: a folder, or a URL with options."""

import json

import pytest
from obstore.exceptions import UnknownConfigurationKeyError
from obstore.store import LocalStore, S3Store

from services.generation.files.objects import open_store

OPTIONS = {"endpoint": "https://s3.example", "region": "r", "access_key_id": "a", "secret_access_key": "hunter2"}


def test_a_folder_is_made_and_opened(tmp_path):
    assert isinstance(open_store(str(tmp_path / "objects")), LocalStore)
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700


def test_a_url_is_opened_with_the_options_of_its_file():
    store = open_store("s3://bucket/prefix", json.dumps(OPTIONS))
    assert isinstance(store, S3Store)
    assert (store.prefix, store.config) == ("prefix", {**OPTIONS, "bucket": "bucket"})


@pytest.mark.parametrize("options", ["hunter2", '["hunter2"]', '{"region": 1, "x": "hunter2"}'])
def test_options_that_cannot_be_read_are_refused_without_their_text(options):
    with pytest.raises(ValueError, match="no JSON object") as caught:
        open_store("s3://bucket", options)
    assert "hunter2" not in str(caught.value)


def test_an_option_that_the_store_does_not_know_is_refused():
    with pytest.raises(UnknownConfigurationKeyError) as caught:
        open_store("s3://bucket", json.dumps({**OPTIONS, "nonsense": "hunter2"}))
    assert "hunter2" not in str(caught.value)


def test_a_folder_takes_no_options(tmp_path):
    with pytest.raises(ValueError, match="takes no options"):
        open_store(str(tmp_path), "{}")
