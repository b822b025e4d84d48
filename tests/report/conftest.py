"""Reports that several tests look at."""

import pytest

from support.reports import Reports


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    return Reports(tmp_path_factory.mktemp("reports"))
