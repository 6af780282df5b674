"""The engine: what it writes is what the sampler drew, pair for pair."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from app.archive.pairs import read_pair
from app.archive.segment import read_index
from app.jobs.leases import Claim
from app.storage import Storage
from models.package import ModelPackage
from models.sampling import PairSampler, pair_seed
from worker.engine import run_shard


@pytest.fixture
def sampler(package: ModelPackage) -> PairSampler:
    return PairSampler(package, "cpu")


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def no_report(pairs: int) -> None:
    pass


def test_pairs_are_those_of_the_sampler(
    claim: Claim, sampler: PairSampler, storage: Storage
) -> None:
    claim = dataclasses.replace(claim, first=4, ordinal=1)
    result = run_shard(claim, sampler, storage, no_report)
    for index in range(4, 8):
        (pair,) = sampler.sample([pair_seed(7, index)])
        for which in ("image", "label", "mask"):
            png = read_pair(storage, claim.job_id, claim.plan, index, which, None)
            np.testing.assert_array_equal(decode(png), getattr(pair, which))
    assert result["bytes"] == storage.size(result["segment_key"])
    stages = result["stage_seconds"]
    assert set(stages) == {"generate", "encode", "upload"}
    assert all(0 < seconds < result["seconds"] for seconds in stages.values())


@pytest.mark.parametrize("image_format", ["jpeg", "tiff"])
def test_photographs_of_other_formats(
    claim: Claim, sampler: PairSampler, storage: Storage, image_format: str
) -> None:
    (pair,) = sampler.sample([pair_seed(7, 0)])
    plain = run_shard(claim, sampler, storage, no_report)["environment"]
    claim = dataclasses.replace(claim, request=claim.request | {"image_format": image_format})
    environment = run_shard(claim, sampler, storage, no_report)["environment"]
    image = read_pair(storage, claim.job_id, claim.plan, 0, "image", None)
    assert Image.open(io.BytesIO(image)).format == image_format.upper()
    lost = np.abs(decode(image).astype(int) - pair.image).mean()
    assert lost < 4 if image_format == "jpeg" else lost == 0
    np.testing.assert_array_equal(
        decode(read_pair(storage, claim.job_id, claim.plan, 0, "label", None)), pair.label
    )
    assert set(environment) - set(plain) == {"pillow", image_format}


def test_index(claim: Claim, sampler: PairSampler, storage: Storage) -> None:
    claim = dataclasses.replace(claim, count=6)  # a full batch and a part of one
    result = run_shard(claim, sampler, storage, no_report)
    environment, records, _ = read_index(storage.read(result["index_key"]))
    records = list(records)
    assert environment == result["environment"]
    assert sampler.environment.items() <= environment.items()
    assert [record.index for record in records] == list(range(6))
    assert [record.seed for record in records] == [pair_seed(7, index) for index in range(6)]
    (pair,) = sampler.sample([records[5].seed])
    assert records[5].vessel_share == pair.vessel_share


def test_same_bytes_again_and_from_other_shards(
    claim: Claim, sampler: PairSampler, storage: Storage
) -> None:
    whole = dataclasses.replace(claim, job_id="whole", count=7)
    result = run_shard(whole, sampler, storage, no_report)
    parts = b""
    for ordinal, (first, count) in enumerate([(0, 1), (1, 5), (6, 1)]):
        part = dataclasses.replace(claim, job_id="parts", ordinal=ordinal, first=first, count=count)
        parts += storage.read(run_shard(part, sampler, storage, no_report)["segment_key"])
    assert parts == storage.read(result["segment_key"])


def test_pairs_in_a_tar(claim: Claim, sampler: PairSampler, storage: Storage) -> None:
    claim = dataclasses.replace(claim, request=claim.request | {"layout": "webdataset"}, count=10)
    result = run_shard(claim, sampler, storage, no_report)
    (pair,) = sampler.sample([pair_seed(7, 9)])
    label = read_pair(storage, claim.job_id, claim.plan, 9, "label", None)
    np.testing.assert_array_equal(decode(label), pair.label)
    _, records, (tar,) = read_index(storage.read(result["index_key"]))
    assert len(list(records)) == 10
    assert (tar.name, tar.end) == ("train/train-000000.tar", result["bytes"])


def test_progress(claim: Claim, sampler: PairSampler, storage: Storage) -> None:
    claim = dataclasses.replace(claim, count=40)
    seen: list[int] = []
    run_shard(claim, sampler, storage, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 40
    assert len(set(seen)) > 2


def test_interruption_leaves_nothing(claim: Claim, sampler: PairSampler, storage: Storage) -> None:
    def stop(pairs: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run_shard(claim, sampler, storage, stop)
    assert storage.list() == []
