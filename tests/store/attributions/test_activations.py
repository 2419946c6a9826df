"""The Zarr form of an attribution: exactly as promised, read back from a folder or over fsspec."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

from prunescope.store.attributions.activations import ActivationStore, NoSuchNeuron
from prunescope.store.attributions.writer import ActivationWriter

LAYERS, NEURONS = 3, 21
LENGTHS = (4, 7)
TOKENS = sum(LENGTHS)


def example(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index,
        "label": "negative",
        "text": "so bad",
        "tokens": ["t"] * length,
        "token_ids": list(range(length)),
        "influential": [False] * length,
        "special": [True] + [False] * (length - 1),
        "words": [{"word": "bad", "positions": [2], "occurrences": 1}],
    }


def writer(path: Path) -> ActivationWriter:
    return ActivationWriter(
        path,
        spec={"dense": "demo", "pruned": ["pruned:ab12"]},
        variants=["dense", "pruned-1"],
        models=["demo", "pruned:ab12"],
        labels=["demo", "wanda"],
        examples=[example(i, length) for i, length in enumerate(LENGTHS)],
        layers=LAYERS,
        neurons=NEURONS,
    )


def values(variant: str) -> np.ndarray:
    """[layers, neurons, tokens]"""
    rng = np.random.default_rng(len(variant))
    return rng.standard_normal((LAYERS, NEURONS, TOKENS)).astype(np.float16)


def write(path: Path, layers: tuple[int, ...] = (0, 2)) -> Path:
    with writer(path) as archive:
        for variant in ("dense", "pruned-1"):
            for layer in layers:
                a = values(variant)[layer].T
                archive.write(variant, layer, 5, a[5:])  # pieces in any order
                archive.write(variant, layer, 0, a[:5])
            for layer in layers:
                blocks = list(archive.blocks(variant, layer))
                assert np.array_equal(np.concatenate([block for _, block in blocks]), values(variant)[layer])
                assert [first for first, _ in blocks] == list(range(0, NEURONS, len(blocks[0][1])))
                again = [block for _, block in archive.blocks(variant, layer)]
                assert np.array_equal(np.concatenate(again), values(variant)[layer])
                some, few = np.array([20, 3, 3]), np.array([0, 9])
                kept = archive.rows(variant, layer, some, few)
                assert np.array_equal(kept, values(variant)[layer][np.ix_(some, few)])
                archive.keep(f"spread/{variant}", layer, np.tile(np.arange(19, dtype=np.float32), (NEURONS, 1)))
                archive.keep("token_neurons_by_layer", layer, np.full((TOKENS, 2), 7, np.int32))
                archive.keep(f"word_activations/{variant}", layer, np.full((NEURONS, 2), layer, np.float32))
                assert archive.kept(f"word_activations/{variant}", layer).tolist() == [[layer, layer]] * NEURONS
            archive.close(variant)
        arrays = {name: np.full((LAYERS, NEURONS), 0.5, np.float32) for name in ("score", "p_value")}
        arrays["rank"] = np.zeros((LAYERS, NEURONS), np.int32)
        return archive.finish(arrays, {"layers": list(layers), "words": []})


def test_the_form_on_disk_is_the_promised_one(tmp_path: Path) -> None:
    root = zarr.open_group(str(write(tmp_path / "a")), mode="r")
    assert root.metadata.zarr_format == 3
    assert set(root.attrs) == {"spec", "variants", "models", "examples"}
    assert root.attrs["variants"] == ["dense", "pruned-1"]
    assert root.attrs["models"] == ["demo", "pruned:ab12"]
    assert root.attrs["examples"] == [example(0, 4), example(1, 7)]
    for variant in ("dense", "pruned-1"):
        array = root[f"activations/{variant}"]
        assert isinstance(array, zarr.Array)
        assert array.shape == (LAYERS, NEURONS, TOKENS)
        assert array.dtype == np.float16
        assert array.chunks[0] == 1
        assert array.chunks[2] == TOKENS
        assert array.shards is not None
        assert array.shards[1] >= NEURONS
        assert np.array_equal(np.asarray(array[2]), values(variant)[2])
        assert np.isnan(np.asarray(array[1])).all()  # not recorded
    of_tokens = root["token_neurons_by_layer"]
    assert isinstance(of_tokens, zarr.Array)
    assert of_tokens.dtype == np.int32
    assert np.unique(np.asarray(of_tokens[1])).tolist() == [-1]  # not recorded
    assert np.unique(np.asarray(of_tokens[2])).tolist() == [7]
    for name in ("score", "p_value"):
        assert root[name].dtype == np.float32
        assert root[name].shape == (LAYERS, NEURONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    assert not list((tmp_path / "a").glob(".*"))


def test_one_neuron_is_one_chunk_of_a_7b_sized_layer(tmp_path: Path) -> None:
    examples = [example(i, 170) for i in range(10)]
    with ActivationWriter(
        tmp_path / "a",
        spec={},
        variants=["dense"],
        models=["x"],
        labels=["x"],
        examples=examples,
        layers=32,
        neurons=11008,
    ) as archive:
        array = archive._by_token("activations/dense")
        assert array.chunks == (1, 16, 1700)
        assert array.shards == (1, 11008, 1700)


def test_a_layer_too_large_for_one_shard_is_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunescope.store.attributions.writer.MAX_SHARD_BYTES", 2 * TOKENS * 16)
    monkeypatch.setattr("prunescope.store.attributions.writer.CHUNK_BYTES", 2 * TOKENS * 4)
    store = ActivationStore(write(tmp_path / "a"))
    assert np.array_equal(store.layer(2, range(NEURONS))["dense"], values("dense")[2])
    assert len(list((tmp_path / "a" / "activations" / "dense" / "c" / "2").iterdir())) == 2


@pytest.mark.parametrize("address", ["folder", "file", "memory"])
def test_reading_from_a_folder_and_over_fsspec(tmp_path: Path, address: str) -> None:
    path = write(tmp_path / "a")
    location: str | Path = path
    if address == "file":
        location = path.as_uri()
    if address == "memory":
        fsspec.filesystem("memory").put(str(path), "/attributions/a", recursive=True)
        location = "memory://attributions/a"
    store = ActivationStore(location)
    assert (store.layers, store.neurons, store.tokens) == (LAYERS, NEURONS, TOKENS)
    assert store.spec == {"dense": "demo", "pruned": ["pruned:ab12"]}
    assert store.models == ["demo", "pruned:ab12"]
    assert store.labels == ["demo", "wanda"]
    assert store.spans == [slice(0, 4), slice(4, 11)]
    found = store.neuron(2, 20)
    assert list(found) == ["dense", "pruned-1"]
    for variant, row in found.items():
        assert row.dtype == np.float32
        assert np.array_equal(row, values(variant)[2, 20].astype(np.float32))
    rows = store.layer(0, [7, 3, 3, 20])["pruned-1"]
    assert np.array_equal(rows, values("pruned-1")[0, [7, 3, 3, 20]].astype(np.float32))
    assert store.layer(0, [])["dense"].shape == (0, TOKENS)
    assert store.layer(0, [4])["dense"].shape == (1, TOKENS)
    assert store.words_of(2, 0)["dense"].tolist() == [2.0, 2.0]
    assert store.spread_of(2, 20)["pruned-1"].tolist() == list(range(19))
    assert store.format == 1
    assert store.score is store.array("score")
    assert store.p_value[0, 0] == 0.5


def test_many_readers_at_once(tmp_path: Path) -> None:
    store = ActivationStore(write(tmp_path / "a"))
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda n: (store.neuron(2, n % NEURONS)["dense"], store.score), range(100)))
    assert all(np.array_equal(row, values("dense")[2, n % NEURONS]) for n, (row, _) in enumerate(rows))


@pytest.mark.parametrize(
    ("layer", "neuron", "message"),
    [
        (3, 0, "layer 3: this model's layers are 0 to 2"),
        (-1, 0, "layer -1"),
        (1, 0, "layer 1 was not recorded; recorded are 0, 2"),
        (0, 21, "neuron 21: the neurons of a layer are 0 to 20"),
    ],
)
def test_what_is_not_there_is_said_with_the_limits(tmp_path: Path, layer: int, neuron: int, message: str) -> None:
    store = ActivationStore(write(tmp_path / "a"))
    with pytest.raises(NoSuchNeuron, match=message):
        store.neuron(layer, neuron)
    with pytest.raises(NoSuchNeuron, match=message):
        store.layer(layer, [neuron])
    with pytest.raises(KeyError, match="no array nothing"):
        store.array("nothing")
    with pytest.raises(KeyError, match="no array tables"):
        store.array("tables")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ActivationStore(tmp_path / "a")


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writer(tmp_path / "a") as archive:
        archive.write("dense", 0, 0, np.zeros((TOKENS, NEURONS), np.float16))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"), writer(tmp_path / "a") as archive:
        archive.finish({}, {"drop": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    write(path)  # an empty folder may be filled
    with pytest.raises(FileExistsError, match="is not an empty folder"):
        writer(path)
    assert json.loads((path / "zarr.json").read_text())["node_type"] == "group"
