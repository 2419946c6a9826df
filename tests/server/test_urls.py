"""Links: their parts are quoted, their state is a query, and each has all of its parts."""

import pytest

from prunescope.server import urls


def test_parts_are_quoted_and_state_is_the_query() -> None:
    assert urls.job("ab12") == "/jobs/ab12"
    assert urls.evaluation_task("ab12", "a/b c", against="d", cursor=None) == "/evaluations/ab12/a%2Fb%20c?against=d"
    assert urls.neuron("ab12", 3, 5, example=0) == "/attributions/ab12/neurons/3/5?example=0"
    assert urls.studies(force=True, model=["a", "b"]) == "/studies?force=true&model=a&model=b"


def test_models_are_named_by_reference() -> None:
    assert urls.model("pruned:ab12") == "/models/ab12"
    assert urls.model("facebook/opt-125m@main") == "/models/facebook/opt-125m@main"
    assert urls.model("/srv/models/one") == "/models/%2Fsrv/models/one"
    assert urls.model_download("/srv/one") == "/api/v1/models/%2Fsrv%2Fone/download"
    assert urls.model_matrices("pruned:ab12") == "/api/v1/models/ab12/matrices.csv"
    assert urls.model_file("pruned:ab12", "sub/config.json") == "/api/v1/models/ab12/files/sub/config.json"


def test_what_is_only_below_the_api_has_its_prefix_in_links() -> None:
    assert (urls.job_events.route, urls.job_events("ab12")) == ("/jobs/{job}/events", "/api/v1/jobs/ab12/events")


def test_a_link_needs_all_of_its_parts() -> None:
    for parts in (("ab12",), ("ab12", 3, 5, 7)):
        with pytest.raises(ValueError, match="zip"):
            urls.neuron(*parts)
