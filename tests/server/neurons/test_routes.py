"""One neuron: the document, its files and the list all say what the activations are."""

import csv
import io
import re
from html import unescape

import numpy as np
import pytest
from starlette.testclient import TestClient

from prunescope.server.site.formats import harmless
from tests.server.conftest import ATTRIBUTION
from tests.server.made_up import LAYERS, NEURONS, TOKENS, VARIANTS, MadeUp, own_parts

BASE = f"/api/v1/attributions/{ATTRIBUTION}"
LENGTHS = [len(tokens) for tokens in TOKENS]


def brute_force(made_up: MadeUp, variant: str, layer: int, neuron: int) -> list[list[float]]:
    values = [float(value) for value in made_up.activations[variant][layer, neuron]]
    return [values[: LENGTHS[0]], values[LENGTHS[0] :]]


@pytest.mark.parametrize(("layer", "neuron"), [(0, 0), (2, 39), (1, 3)])
def test_the_document_holds_every_activation_as_it_was_recorded(
    client: TestClient, made_up: MadeUp, layer: int, neuron: int
) -> None:
    document = client.get(f"{BASE}/neurons/{layer}/{neuron}").json()
    assert [variant["name"] for variant in document["variants"]] == VARIANTS
    for variant in document["variants"]:
        assert variant["activations"] == brute_force(made_up, variant["name"], layer, neuron)
    assert [example["tokens"] for example in document["examples"]] == TOKENS
    assert document["attribution"] == ATTRIBUTION
    assert (document["layer"], document["neuron"]) == (layer, neuron)
    assert document["masked_fraction"] == pytest.approx({"in": 0.47, "out": 0.52})
    score = float(made_up.arrays["score"][layer, neuron])
    assert document["score"] == (None if np.isnan(score) else score)
    assert document["rank"] == (int(made_up.arrays["rank"][layer, neuron]) or None)


def test_the_csv_has_the_same_numbers_for_all_examples_and_for_one(client: TestClient, made_up: MadeUp) -> None:
    answer = client.get(f"{BASE}/neurons/1/7/heatmap.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    causes = [f"{name} {kind}" for name in VARIANTS[1:] for kind in ("own", "upstream", "kl")]
    assert list(rows[0]) == ["example", "position", "token_id", "token", "influential", "special", *VARIANTS, *causes]
    own = own_parts(made_up.activations, "pruned-2")[1, 7].tolist()
    assert [float(row["pruned-2 own"]) for row in rows] == own
    for row in rows:
        parts = float(row["pruned-2 own"]) + float(row["pruned-2 upstream"])
        assert parts == pytest.approx(float(row["pruned-2"]) - float(row["dense"]), abs=1e-12)
    assert [float(row["pruned-1 kl"]) for row in rows] == made_up.arrays["kl/pruned-1"].tolist()
    for variant in VARIANTS:
        written = [float(row[variant]) for row in rows]
        assert written == [value for part in brute_force(made_up, variant, 1, 7) for value in part]
    assert [row["position"] for row in rows] == [str(i) for length in LENGTHS for i in range(length)]
    one = list(csv.DictReader(io.StringIO(client.get(f"{BASE}/neurons/1/7/heatmap.csv?example=1").text)))
    assert one == [row for row in rows if row["example"] == "1"]


def test_a_token_that_a_spreadsheet_would_compute_stays_text_in_the_csv(client: TestClient, made_up: MadeUp) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get(f"{BASE}/neurons/0/1/heatmap.csv").text)))
    tokens = [token for tokens in TOKENS for token in tokens]
    assert [row["token"] for row in rows] == [harmless(token) for token in tokens]
    assert {"'=", "'-", "'+", "'@"} <= {row["token"] for row in rows}
    assert not any(row["token"].startswith(("=", "+", "-", "@")) for row in rows)
    assert [row["special"] for row in rows].count("true") == 2


@pytest.mark.parametrize("form", ["svg", "html"])
@pytest.mark.parametrize("variant", [None, "pruned-2"])
def test_a_picture_carries_the_same_numbers_and_its_text_as_text(
    client: TestClient, made_up: MadeUp, form: str, variant: str | None
) -> None:
    query = "" if variant is None else f"&variant={variant}"
    answer = client.get(f"{BASE}/neurons/2/5/heatmap.{form}?example=1&activation=raw{query}")
    assert answer.status_code == 200
    assert "script" not in answer.text
    values = [float(value) for value in re.findall(r'data-value="([^"]+)"', answer.text)]
    dense, pruned = (brute_force(made_up, name, 2, 5)[1] for name in ("dense", variant or "pruned-1"))
    assert values == [*dense, *pruned, *(p - d for p, d in zip(pruned, dense, strict=True))]
    assert "日本" in answer.text
    assert "&lt;b&gt;" in answer.text
    assert f"dense {dense[4]!r}" in unescape(answer.text)
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "sandbox" in answer.headers["content-security-policy"]


def test_the_png_is_a_picture(client: TestClient, made_up: MadeUp) -> None:
    answer = client.get(f"{BASE}/neurons/2/5/heatmap.png?example=0")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG\r\n")
    assert f'filename="{ATTRIBUTION}-L2-N5-example-0.png"' in answer.headers["content-disposition"]


def test_neighbours_lead_round_the_attribution_and_along_the_ranking(client: TestClient, made_up: MadeUp) -> None:
    ranks = made_up.arrays["rank"]

    def at(rank: int) -> tuple[int, int]:
        layer, neuron = np.argwhere(ranks == rank)[0]
        return int(layer), int(neuron)

    def places(document: dict[str, object]) -> dict[str, tuple[int, int] | None]:
        neighbours = document["neighbours"]
        assert isinstance(neighbours, dict)
        return {name: at and (at["layer"], at["neuron"]) for name, at in neighbours.items()}

    corner = places(client.get(f"{BASE}/neurons/0/0").json())
    assert (corner["previous"], corner["next"]) == (None, (0, 1))
    assert (corner["layer_down"], corner["layer_up"]) == (None, (1, 0))
    other = places(client.get(f"{BASE}/neurons/{LAYERS - 1}/{NEURONS - 1}").json())
    assert (other["next"], other["layer_up"]) == (None, None)
    layer, neuron = at(2)
    second = places(client.get(f"{BASE}/neurons/{layer}/{neuron}").json())
    assert (second["previous_in_rank"], second["next_in_rank"]) == (at(1), at(3))
    layer, neuron = at(1)
    assert places(client.get(f"{BASE}/neurons/{layer}/{neuron}").json())["previous_in_rank"] is None
    unranked = client.get(f"{BASE}/neurons/1/3").json()
    assert unranked["rank"] is None
    assert "floor" in unranked["not_ranked"]
    assert places(unranked)["next_in_rank"] == at(1)


def test_the_list_is_ordered_by_rank_or_drop_and_goes_on_at_its_cursor(client: TestClient, made_up: MadeUp) -> None:
    everything = client.get(f"{BASE}/neurons?limit=500").json()["items"]
    assert [row["rank"] for row in everything] == list(range(1, LAYERS * NEURONS))
    paged, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{BASE}/neurons?limit=50{cursor and f'&cursor={cursor}'}").json()
        paged += page["items"]
        cursor = page["next"]
    assert paged == everything
    drops = made_up.arrays["drop/pruned-1"]
    by_drop = client.get(f"{BASE}/neurons?sort=drop&limit=500").json()["items"]
    known = [row["drop"] for row in by_drop if row["drop"] is not None]
    assert known == sorted(known, reverse=True)
    assert by_drop[0]["drop"] == float(np.nanmax(np.where(made_up.arrays["rank"] > 0, drops, np.nan)))
    layer = client.get(f"{BASE}/neurons?layer=2&limit=500").json()["items"]
    assert layer == [row for row in everything if row["layer"] == 2]
    word = client.get(f"{BASE}/neurons?word=Bland&limit=500").json()["items"]
    assert word == [row for row in everything if row["word"] == "bland"]
    other = client.get(f"{BASE}/neurons?variant=pruned-2&limit=1").json()["items"][0]
    assert other["drop"] == float(made_up.arrays["drop/pruned-2"][other["layer"], other["neuron"]])


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("neurons/3/0", 404, "layers are 0 to 2"),
        ("neurons/0/40", 404, "neurons of a layer are 0 to 39"),
        ("neurons/-1/0", 404, "layers are 0 to 2"),
        ("neurons/x/0", 422, "layer"),
        ("neurons/0/1/heatmap.pdf", 422, "csv"),
        ("neurons/0/1/heatmap.csv?example=9", 422, "'9' is not known; known: 0, 1"),
        ("neurons/0/1/heatmap.svg?example=first", 422, "'first' is not known"),
        ("neurons/0/1/heatmap.svg?variant=pruned-9", 422, "'pruned-9' is not known"),
        ("neurons/0/1/heatmap.csv?variant=dense", 422, "'dense' is not known"),
        ("neurons/0/1/heatmap.png?activation=gelu", 422, "'gelu'"),
        ("neurons/0/1/heatmap.html?scale=huge", 422, "'huge'"),
        ("neurons/0/1/heatmap.svg?curve=cubic", 422, "'cubic'"),
        ("neurons/0/1/heatmap.svg?window=17", 422, "'17'"),
        ("neurons/0/1/heatmap.svg?theme=sepia", 422, "'sepia'"),
        ("neurons/0/1/heatmap.svg?example=0&token=11", 422, "'11' is not the place of a token, 0 to 10"),
        ("neurons/0/1/heatmap.csv?token=-1", 422, "'-1' is not the place of a token, 0 to"),
        ("neurons?layer=9", 422, "layers are 0, 1, 2"),
        ("neurons?sort=size", 422, "rank"),
        ("neurons?limit=0", 422, "1 to 500"),
        ("neurons?cursor=abc", 422, "no cursor"),
        ("neurons?variant=pruned-9", 422, "pruned-1"),
    ],
)
def test_what_is_not_there_is_a_problem_that_gives_the_limits(
    client: TestClient, made_up: MadeUp, path: str, status: int, says: str
) -> None:
    answer = client.get(f"{BASE}/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.text


def test_an_unknown_attribution_is_404_whatever_its_id_looks_like(client: TestClient, made_up: MadeUp) -> None:
    for id in ("b" * 16, "nonsense", "..%2F..%2Fetc", "a" * 15):
        assert client.get(f"/api/v1/attributions/{id}/neurons/0/0").status_code == 404


def test_a_browser_that_has_the_document_is_told_so(client: TestClient, made_up: MadeUp) -> None:
    first = client.get(f"{BASE}/neurons/0/5")
    assert "max-age" in first.headers["cache-control"]
    again = client.get(f"{BASE}/neurons/0/5", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert client.get(f"{BASE}/neurons/0/6", headers={"if-none-match": first.headers["etag"]}).status_code == 200
    assert first.headers["content-encoding"] == "gzip"


def test_intervals_and_spread_of_one_neuron(client: TestClient, made_up: MadeUp) -> None:
    document = client.get(f"{BASE}/neurons/1/7").json()
    drop = float(made_up.arrays["drop/pruned-2"][1, 7])
    assert document["intervals"]["pruned-2"] == pytest.approx([drop - 0.1, drop + 0.1])
    assert document["controls"]["pruned-2"]["interval"] == document["intervals"]["pruned-2"]
    assert set(document["spread"]) == set(VARIANTS)
    spread = document["spread"]["pruned-1"]
    told = np.delete(made_up.activations["pruned-1"][1, 7].astype(np.float64), [0, LENGTHS[0]])
    assert spread["mean"] == pytest.approx(told.mean())
    assert (spread["minimum"], spread["maximum"]) == (told.min(), told.max())
    assert spread["histogram"] == list(range(16))
    (row,) = [row for row in client.get(f"{BASE}/neurons?layer=1&limit=500").json()["items"] if row["neuron"] == 7]
    assert (row["low"], row["high"]) == pytest.approx(
        [float(made_up.arrays[f"drop_{side}/pruned-1"][1, 7]) for side in ("low", "high")]
    )


def shares(made_up: MadeUp, places: list[int]) -> np.ndarray:
    """[layers, neurons] share of each ranked neuron's activation at some tokens; 0 for the others."""
    a = np.maximum(made_up.activations["dense"].astype(np.float64), 0)
    counted = [place for place in range(sum(LENGTHS)) if place not in (0, LENGTHS[0])]
    share: np.ndarray = a[..., places].sum(-1) / a[..., counted].sum(-1)
    return np.where(np.isnan(made_up.arrays["score"]), 0, share)


@pytest.mark.parametrize(
    ("query", "places"),
    [("word=Damaged", [3, 4]), ("example=1&token=4", [LENGTHS[0] + 4]), ("token=2", [2])],
)
@pytest.mark.parametrize("layer", [None, 2])
def test_which_neurons_answer_to_a_word_or_a_token(
    client: TestClient, made_up: MadeUp, query: str, places: list[int], layer: int | None
) -> None:
    here = "" if layer is None else f"&layer={layer}"
    items = client.get(f"{BASE}/answering?{query}{here}").json()["items"]
    expected = shares(made_up, places)
    assert len(items) == 5
    assert {item["layer"] for item in items} == ({layer} if layer is not None else {item["layer"] for item in items})
    best = np.sort((expected if layer is None else expected[layer]).ravel())[::-1][:5]
    assert [item["share"] for item in items] == pytest.approx(best.tolist(), rel=1e-3)
    for item in items:
        assert item["share"] == pytest.approx(expected[item["layer"], item["neuron"]], rel=1e-3)
        assert item["rank"] == int(made_up.arrays["rank"][item["layer"], item["neuron"]])
        assert item["href"].endswith(f"/neurons/{item['layer']}/{item['neuron']}")


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 422, "either a word"),
        ("word=bland&token=1", 422, "either a word"),
        ("word=blond", 422, "did you mean 'bland'"),
        ("token=11", 422, "11 is not between 0 and 10"),
        ("token=-1", 422, "-1 is not between 0 and 10"),
        ("example=7&token=1", 422, "there is no example 7"),
        ("word=bland&layer=9", 422, "layer 9"),
    ],
)
def test_nobody_answers_to_what_is_not_there(
    client: TestClient, made_up: MadeUp, query: str, status: int, said: str
) -> None:
    answer = client.get(f"{BASE}/answering?{query}")
    assert answer.status_code == status
    assert said in answer.text
